"""A file of histories to `CompareData`: the ends held out, a graph over the items, what a reader should know."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torchsse.errors import ConfigError
from torchsse.experiments.loading import Column, Columns, load_graph
from torchsse.experiments.settings import CompareData, DataFile

if TYPE_CHECKING:
    from torchsse.data.sequences import Order

__all__ = ["SHORT", "is_sparse", "load_sequence_data"]

SHORT = 20
"""Histories shorter than that on average want far more dropout."""


def load_sequence_data(
    actions: Path,
    *,
    order: Order | None = None,
    item_graph: Path | None = None,
    edge_weight: Column = None,
    columns: Columns | None = None,
) -> CompareData:
    """Read everything a comparison over histories needs.

    Args:
        actions: whole histories, whatever `fit sasrec` reads.
        order: see `Sequences.from_ratings`.
        item_graph: edge file over raw item ids.
        edge_weight: the column of edge weights; None = every edge counts 1.
        columns: of the file.

    Raises:
        DataError: from the readers, or no user has three actions. ConfigError: an edge weight without a graph.
    """
    from torchsse.data.sequence_split import leave_last_out

    if edge_weight is not None and item_graph is None:
        raise ConfigError("--edge-weight names a column of --item-graph, which is not given")
    columns = columns or Columns()
    whole = columns.sequences(actions, order)
    parts = leave_last_out(whole)
    files = [DataFile.of("actions", actions)]
    notes = [
        f"{whole.num_users:,} users, {whole.num_items:,} items, {len(whole):,} actions; test: the last one of "
        f"{len(parts.test):,} users, validation: the one before."
    ]
    graph = None
    if item_graph is not None:
        graph, note = load_graph(item_graph, whole.item_ids, "item", edge_weight)
        files.append(DataFile.of("item_graph", item_graph))
        notes.append(note)
    reading = columns.reading(edge_weight) + ((("order", order),) if order is not None else ())
    return CompareData(
        parts.train, parts.test, None, graph, tuple(files), tuple(sorted(reading)), tuple(notes), parts.validation
    )


def is_sparse(data: CompareData) -> bool:
    """Whether histories are short."""
    return len(data.train) < SHORT * data.train.num_users
