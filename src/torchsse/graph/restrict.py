"""Rows without the edges that touch an inactive node."""

from __future__ import annotations

import numpy as np

from torchsse.graph import arrays
from torchsse.graph.arrays import Array
from torchsse.graph.build import CSR

__all__ = ["drop_inactive"]


def drop_inactive(indptr: Array, indices: Array, weights: Array | None, active: Array) -> CSR | None:
    """The rows that remain, of the same number; None if no edge goes. Beside them it holds two bytes per edge."""
    degree = np.diff(indptr)
    keep = np.repeat(active, degree)
    keep &= active[indices]
    if bool(keep.all()):
        return None
    # Each row's count: sums between the starts of the rows that have edges; empty rows count 0.
    counts = np.zeros(len(degree), dtype=np.int64)
    filled = degree > 0
    counts[filled] = np.add.reduceat(keep, indptr[:-1][filled], dtype=np.int64)
    remaining = np.zeros(len(indptr), dtype=np.int64)
    np.cumsum(counts, out=remaining[1:])
    columns = indices[keep]
    values = None if weights is None else weights[keep]
    if values is not None and bool((values == 1).all()):
        values = None
    return CSR(remaining.astype(arrays.index_dtype(len(columns) + 1), copy=False), columns, values)
