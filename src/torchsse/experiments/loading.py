"""Files to `CompareData`: ratings, the test part, graphs over their ids, and what a reader should know about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from torchsse.errors import ConfigError
from torchsse.experiments.settings import CompareData, CompareSettings, DataFile

if TYPE_CHECKING:
    from torchsse.data import IdMap, Ratings
    from torchsse.data.sequences import Order, Sequences
    from torchsse.graph import Graph

__all__ = ["Columns", "check_edge_weight", "load_compare_data", "load_graph", "load_graphs", "reach"]

Column = str | int | None


@dataclass(frozen=True)
class Columns:
    """Where the ratings are in a file: names, positions from 0, or None for what `read_ratings` finds by itself."""

    user: Column = None
    item: Column = None
    rating: Column = None
    timestamp: Column = None
    format: str | None = None
    """A published format by name; it fixes the columns."""
    header: bool | None = None
    """Whether the first line is one."""

    def read(
        self, path: Path, *, feedback: Literal["explicit", "implicit"] | None = None, like: Ratings | None = None
    ) -> Ratings:
        """`read_ratings` with these columns."""
        from torchsse.data import read_ratings

        return read_ratings(
            path,
            user=self.user,
            item=self.item,
            rating=self.rating,
            timestamp=self.timestamp,
            header=self.header,
            format=self.format,
            feedback=feedback,
            like=like,
        )

    def sequences(self, path: Path, order: Order | None = None) -> Sequences:
        """`read_sequences` with these columns."""
        from torchsse.data import read_sequences

        return read_sequences(
            path,
            order=order,
            user=self.user,
            item=self.item,
            rating=self.rating,
            timestamp=self.timestamp,
            header=self.header,
            format=self.format,
            feedback="implicit",
        )

    def reading(self, edge_weight: Column) -> tuple[tuple[str, str], ...]:
        """What was asked for beside the defaults, as (name, column): part of what tells one run from another."""
        asked = {**asdict(self), "edge_weight": edge_weight}
        return tuple(sorted((name, str(column)) for name, column in asked.items() if column is not None))


def check_edge_weight(edge_weight: Column, *graphs: Path | None) -> None:
    """A column of edge weights needs an edge file, of users or of items.

    Raises:
        ConfigError: there is none.
    """
    if edge_weight is not None and not any(graphs):
        raise ConfigError("--edge-weight names a column of --item-graph or --user-graph; neither is given")


def load_compare_data(
    ratings: Path,
    settings: CompareSettings,
    *,
    test: Path | None = None,
    user_graph: Path | None = None,
    item_graph: Path | None = None,
    edge_weight: Column = None,
    columns: Columns | None = None,
    feedback: Literal["explicit", "implicit"] | None = None,
) -> CompareData:
    """Read everything a comparison needs.

    Args:
        ratings: train, or everything if there is no `test`.
        settings: the seed and the share of each user's ratings that is split off where there is no `test`.
        test: test ratings.
        user_graph: edge file over raw user ids.
        item_graph: edge file over raw item ids.
        edge_weight: the column of edge weights, for both; None = every edge counts 1.
        columns: of both rating files.
        feedback: the kind, where it should not be guessed. The test part is of the same kind.

    Raises:
        DataError: from the readers.
        ConfigError: an edge weight without a graph.
    """
    from torchsse.data import split

    check_edge_weight(edge_weight, user_graph, item_graph)
    columns = columns or Columns()
    whole = columns.read(ratings, feedback=feedback)
    notes = []
    files = [DataFile.of("train" if test else "ratings", ratings)]
    if test is None:
        train, held_out = split.per_user(whole, settings.test_fraction, seed=settings.seed)
        notes.append(
            f"No test file was given: {settings.test_fraction:.0%} of each user's ratings ({len(held_out):,}) were "
            f"held out at random (seed {settings.seed}) and are the test part."
        )
    else:
        train, held_out = whole, columns.read(test, feedback=whole.feedback, like=whole)
        files.append(DataFile.of("test", test))
        notes += _overlap(train, held_out)
    graphs, more, about = load_graphs(train, {"user": user_graph, "item": item_graph}, edge_weight)
    return CompareData(
        train,
        held_out,
        graphs["user"],
        graphs["item"],
        (*files, *more),
        columns.reading(edge_weight),
        (*notes, *about),
    )


def load_graphs(
    train: Ratings | Sequences, paths: Mapping[str, Path | None], weight: Column
) -> tuple[dict[str, Graph | None], list[DataFile], list[str]]:
    """The graphs of both sides over the ids of train, None where there is no file; the files; what they cover."""
    graphs: dict[str, Graph | None] = {"user": None, "item": None}
    files, notes = [], []
    for side, ids in (("user", train.user_ids), ("item", train.item_ids)):
        path = paths[side]
        if path is not None:
            graphs[side], note = load_graph(path, ids, side, weight)
            files.append(DataFile.of(f"{side}_graph", path))
            notes.append(note)
    return graphs, files, notes


def load_graph(path: Path, ids: IdMap, side: str, weight: Column = None) -> tuple[Graph, str]:
    """The undirected graph that an edge file spans over known ids, and a sentence about what it covers."""
    from torchsse.data import read_edges
    from torchsse.graph import Graph

    source, target, weights, dropped = read_edges(path, weight=weight).resolve(ids)
    if not len(source):
        raise ConfigError(
            f"{path}: none of the {dropped} edges joins two {side}s of the ratings; are the ids of the same kind?"
        )
    graph = Graph.from_edges(source, target, num_nodes=len(ids), weight=weights)
    lost = f", {dropped:,} edges with ids that are not in train dropped" if dropped else ""
    return graph, reach(graph, side, lost)


def reach(graph: Graph, side: str, lost: str = "") -> str:
    """How many rows of a table a graph links, as a sentence; `lost`, with a comma of its own, is added.

    >>> from torchsse.graph import Graph
    >>> reach(Graph.from_edges([0], [1], num_nodes=3), "item")
    'Item graph: 2 of 3 items have a neighbour.'
    """
    linked = int(np.count_nonzero(graph.degree()))
    return f"{side.capitalize()} graph: {linked:,} of {graph.num_nodes:,} {side}s have a neighbour{lost}."


def _overlap(train: Ratings, test: Ratings) -> list[str]:
    """A note if test pairs are in train: what is measured on them says nothing."""
    width = max(train.num_items, test.num_items)
    mine, theirs = (part.users.astype(np.int64) * width + part.items for part in (test, train))
    shared = int(np.isin(mine, theirs).sum())
    if not shared:
        return []
    so = "the test error is too low" if train.feedback == "explicit" else "they are left out"
    return [f"{shared:,} of {len(test):,} test pairs are in train too: {so}."]
