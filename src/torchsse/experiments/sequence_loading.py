"""A file of histories to `CompareData`: the ends held out, a graph over the items, what a reader should know."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torchsse.errors import ConfigError
from torchsse.experiments.loading import Column, Columns, load_graph
from torchsse.experiments.sequence_task import SPLIT
from torchsse.experiments.settings import CompareData, DataFile

if TYPE_CHECKING:
    from torchsse.data.sequence_split import SequenceSplit, SplitBy
    from torchsse.data.sequences import Order, Sequences

__all__ = ["SHORT", "held_out_words", "is_sparse", "load_sequence_data"]

SHORT = 20
"""Histories shorter than that on average want far more dropout."""


def load_sequence_data(
    actions: Path,
    *,
    order: Order | None = None,
    split: SplitBy = "last",
    item_graph: Path | None = None,
    edge_weight: Column = None,
    columns: Columns | None = None,
) -> CompareData:
    """Read everything a comparison over histories needs.

    Args:
        actions: whole histories, whatever `fit sasrec` reads.
        order: see `Sequences.from_ratings`.
        split: "last": each user's last action is for test, the one before for validation; "time": the latest tenth of
            all actions, and the tenth before.
        item_graph: edge file over raw item ids.
        edge_weight: the column of edge weights; None = every edge counts 1.
        columns: of the file.

    Raises:
        DataError: from the readers, no user has three actions, or no timestamps for "time". ConfigError: an edge weight
            without a graph.
    """
    from torchsse.data.sequence_split import divide

    if edge_weight is not None and item_graph is None:
        raise ConfigError("--edge-weight names a column of --item-graph, which is not given")
    columns = columns or Columns()
    whole = columns.sequences(actions, order)
    parts = divide(whole, split)
    files = [DataFile.of("actions", actions)]
    notes = [held_out_words(whole, parts, split)]
    graph = None
    if item_graph is not None:
        graph, note = load_graph(item_graph, whole.item_ids, "item", edge_weight)
        files.append(DataFile.of("item_graph", item_graph))
        notes.append(note)
    reading = list(columns.reading(edge_weight))
    if order is not None:
        reading.append(("order", order))
    if split != "last":
        reading.append((SPLIT, split))
    return CompareData(
        parts.train, parts.test, None, graph, tuple(files), tuple(sorted(reading)), tuple(notes), parts.validation
    )


def held_out_words(whole: Sequences, parts: SequenceSplit, split: SplitBy) -> str:
    """What there is, and what of it is held out."""
    held = (
        f"the last one of {len(parts.test):,} users, validation: the one before"
        if split == "last"
        else f"the latest {len(parts.test):,}, validation: the {len(parts.validation):,} before"
    )
    return f"{whole.num_users:,} users, {whole.num_items:,} items, {len(whole):,} actions; test: {held}."


def is_sparse(data: CompareData) -> bool:
    """Whether histories are short."""
    return len(data.train) < SHORT * data.train.num_users
