"""Is this a graph? Checks of compressed sparse rows, cheap ones and complete ones."""

from __future__ import annotations

import numpy as np

from torchsse.errors import GraphError
from torchsse.graph.arrays import INT32_LIMIT, Array

__all__ = ["check_entries", "check_shape", "check_symmetry"]

CHUNK = 1 << 22


def check_shape(indptr: Array, indices: Array, weights: Array | None) -> None:
    """Dtypes, lengths and row pointers, without touching the edges: O(num_nodes)."""
    if indptr.ndim != 1 or indptr.dtype not in (np.int32, np.int64) or len(indptr) < 1:
        raise GraphError(
            f"indptr must be an int32 or int64 array of num_nodes + 1 entries, got {indptr.dtype} {indptr.shape}"
        )
    if indices.ndim != 1 or indices.dtype not in (np.int32, np.int64):
        raise GraphError(f"indices must be a one-dimensional int32 or int64 array, got {indices.dtype} {indices.shape}")
    if len(indptr) - 1 > INT32_LIMIT and indices.dtype != np.int64:
        raise GraphError(f"indices must be int64 for {len(indptr) - 1} nodes, got {indices.dtype}")
    if weights is not None and (weights.dtype not in (np.float32, np.float64) or weights.shape != indices.shape):
        raise GraphError(
            f"weights must be float32 or float64 of shape {indices.shape}, got {weights.dtype} {weights.shape}"
        )
    if indptr[0] != 0 or indptr[-1] != len(indices):
        raise GraphError(f"indptr must run from 0 to {len(indices)} (edges), got {indptr[0]} to {indptr[-1]}")
    falling = indptr[1:] < indptr[:-1]
    if falling.any():
        raise GraphError(f"indptr must not fall, but does after node {int(falling.argmax())}")


def check_entries(indptr: Array, indices: Array, weights: Array | None) -> None:
    """Every edge, after `check_shape`: columns in range, sorted, unique, no self-loop, weights in (0, 1]."""
    num_nodes = len(indptr) - 1
    for start in range(0, len(indices), CHUNK):
        stop = min(start + CHUNK, len(indices))
        columns = indices[start:stop]
        rows = _rows_of(indptr, start, stop)
        _refuse((columns < 0) | (columns >= num_nodes), rows, columns, f"outside 0 .. {num_nodes - 1}")
        _refuse(rows == columns, rows, columns, "a self-loop")
        unsorted = (rows[1:] == rows[:-1]) & (columns[1:] <= columns[:-1])
        _refuse(unsorted, rows[1:], columns[1:], "out of order or twice in its row")
        if start > indptr[rows[0]]:  # the row began in the piece before
            _refuse(columns[:1] <= indices[start - 1], rows, columns, "out of order or twice in its row")
        if weights is not None:
            part = weights[start:stop]
            _refuse(~((part > 0) & (part <= 1)), rows, columns, "of a weight outside (0, 1]")


def _rows_of(indptr: Array, start: int, stop: int) -> Array:
    """The row of each of the edges start .. stop-1."""
    first, last = np.searchsorted(indptr, [start, stop - 1], side="right") - 1
    counts: Array = np.diff(np.clip(indptr[first : last + 2].astype(np.int64), start, stop))
    return np.repeat(np.arange(first, last + 1), counts)


def _refuse(bad: Array, rows: Array, columns: Array, fault: str) -> None:
    if bad.any():
        at = int(bad.argmax())
        raise GraphError(f"node {rows[at]}: its edge to {columns[at]} is {fault}")


def check_symmetry(indptr: Array, indices: Array, weights: Array | None) -> None:
    """That every edge is stored in both directions with one weight, after `check_entries`."""
    num_nodes = len(indptr) - 1
    rows = np.repeat(np.arange(num_nodes, dtype=indices.dtype), np.diff(indptr))
    order = np.argsort(indices, kind="stable")  # edges by column, rows rising within a column: the transpose
    bad = rows[order] != indices
    bad |= indices[order] != rows
    if weights is not None:
        bad |= weights[order] != weights
    if bad.any():
        at = int(bad.argmax())
        raise GraphError(
            f"an undirected graph stores every edge in both directions with one weight; near node {rows[at]} "
            f"(edge to {indices[at]}) it does not. Build with from_edges, or say directed=True"
        )
