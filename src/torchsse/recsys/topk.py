"""The k best columns of blocks of score rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["mask_seen", "top_k"]


def mask_seen(
    scores: npt.NDArray[np.float32], rows: npt.NDArray[Any], indptr: npt.NDArray[Any], indices: npt.NDArray[Any]
) -> None:
    """Set scores[q, k] to -inf, in place, for the stored columns k of CSR row rows[q]."""
    counts = indptr[rows + 1] - indptr[rows]
    line = np.repeat(np.arange(len(rows)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    scores[line, indices[np.repeat(indptr[rows], counts) + within]] = -np.inf


def top_k(scores: npt.NDArray[np.float32], k: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Columns and scores of the k largest of each row, best first, equal scores in column order.

    Where a row has fewer than k scores above -inf, the rest is column -1 and score -inf.

    >>> top_k(np.array([[1, 3, 2], [5, -np.inf, -np.inf]], dtype=np.float32), 2)[0].tolist()
    [[1, 2], [0, -1]]
    """
    rows, columns = scores.shape
    kept = min(k, columns)
    if kept < columns:
        # among equal scores at the edge numpy may keep any; which one is fixed for fixed input
        best = np.argpartition(scores, columns - kept, axis=1)[:, columns - kept :]
    else:
        best = np.broadcast_to(np.arange(columns), scores.shape)
    values = np.take_along_axis(scores, best, axis=1)
    order = np.lexsort((best, -values), axis=1)
    out = np.full((rows, k), -1, dtype=np.int64)
    top = np.full((rows, k), -np.inf, dtype=np.float32)
    out[:, :kept] = np.take_along_axis(best, order, axis=1)
    top[:, :kept] = np.take_along_axis(values, order, axis=1)
    out[np.isneginf(top)] = -1
    return out, top
