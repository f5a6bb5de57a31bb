"""Numpy arithmetic on CSR rows: cumulative weights, look-ups, expansion. Vectorised, exact in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["expand", "find", "row_cumulative", "row_ends"]

Array = np.ndarray[Any, Any]
_BLOCK = 1 << 22  # edges handled at once: bounds the temporary memory


def row_cumulative(indptr: Array, weights: Array) -> Array:
    """Inclusive cumulative weights in float64 that restart at each row, (E,).

    A global cumulative sum with the row's offset subtracted loses digits with the number of edges, so the rows are
    grouped by degree and summed as rectangles.
    """
    out = np.empty(len(weights), np.float64)
    degree = np.diff(indptr)
    order = np.argsort(degree, kind="stable")
    sorted_degree = degree[order]
    starts = np.flatnonzero(np.r_[True, sorted_degree[1:] != sorted_degree[:-1]])  # at least one row: N >= 1
    for first, last in zip(starts, [*starts[1:], len(order)]):
        width = int(sorted_degree[first])
        if width == 0:
            continue
        rows_at_once = max(1, _BLOCK // width)
        for begin in range(first, last, rows_at_once):
            rows = order[begin : min(begin + rows_at_once, last)]
            cells = indptr[rows].astype(np.int64)[:, None] + np.arange(width)
            out[cells] = np.cumsum(weights[cells], axis=1, dtype=np.float64)
    return out


def row_ends(indptr: Array, cumulative: Array) -> Array:
    """Sum of the weights of each row, (N,) float64; 0 for an empty row."""
    if not len(cumulative):
        return np.zeros(len(indptr) - 1)
    ends = indptr[1:]
    return np.where(ends > indptr[:-1], cumulative[np.maximum(ends, 1) - 1], 0.0)


def find(indptr: Array, indices: Array, rows: Array, columns: Array) -> tuple[Array, Array]:
    """Where (row, column) is stored: flat positions and whether it is there. Columns are sorted within each row."""
    low = indptr[rows].astype(np.int64)
    end = indptr[rows + 1].astype(np.int64)
    if not len(indices):
        return low, np.zeros(low.shape, np.bool_)
    high = end.copy()
    for _ in range(int((end - low).max(initial=0)).bit_length()):
        middle = np.minimum((low + high) >> 1, len(indices) - 1)
        right = (low < high) & (indices[middle] < columns)
        low, high = np.where(right, middle + 1, low), np.where(right | (low >= high), high, middle)
    position = np.minimum(low, len(indices) - 1)
    return position, (low < end) & (indices[position] == columns)


def expand(indptr: Array, rows: Array) -> tuple[Array, Array]:
    """All entries of several rows: (which of `rows` each belongs to, its flat position)."""
    start = indptr[rows].astype(np.int64)
    count = indptr[rows + 1].astype(np.int64) - start
    owner = np.repeat(np.arange(len(rows)), count)
    first = np.cumsum(count) - count
    return owner, np.arange(len(owner)) - np.repeat(first - start, count)
