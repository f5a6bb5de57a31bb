"""The k best columns of blocks of score rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.errors import DataError
from torchsse.recsys.kernels.topk import best

__all__ = ["mask_seen", "top_k"]

Scores = npt.NDArray[Any]
_NONE = (np.empty(0, np.int64), np.zeros(1, np.int64), np.empty(0, np.int32))


def mask_seen(
    scores: npt.NDArray[np.float32], rows: npt.NDArray[Any], indptr: npt.NDArray[Any], indices: npt.NDArray[Any]
) -> None:
    """Set scores[q, k] to -inf, in place, for the stored columns k of CSR row rows[q]."""
    counts = indptr[rows + 1] - indptr[rows]
    line = np.repeat(np.arange(len(rows)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    scores[line, indices[np.repeat(indptr[rows], counts) + within]] = -np.inf


def top_k(
    scores: Scores,
    k: int,
    rows: npt.NDArray[np.int64] | None = None,
    seen: tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]] | None = None,
) -> tuple[npt.NDArray[np.int64], Scores]:
    """Columns and scores of the k largest of each row, best first, equal scores in column order, at the edge too.

    Args:
        scores: (n, columns), float32 or float64; other numbers are taken as float64.
        k: columns kept.
        rows: (n,) int64, with `seen`: row q of `scores` belongs to row rows[q] of the CSR arrays.
        seen: (indptr int64, indices int32) whose stored columns are left out; -inf is written over their scores if
            `scores` is C-contiguous floating point. Not checked against the shapes.

    Returns:
        (columns int64, scores), both (n, k). Where a row has fewer than k scores above -inf, the rest is column -1 and
        score -inf.

    Raises:
        DataError: a score is NaN.

    >>> top_k(np.array([[1, 3, 3, 2], [5, -np.inf, -np.inf, 5]], dtype=np.float32), 3)[0].tolist()
    [[1, 2, 3], [0, 3, -1]]
    """
    kind = "float32" if scores.dtype == np.float32 else "float64"
    block = np.ascontiguousarray(scores, dtype=kind)
    if not block.flags.writeable:
        block = block.copy()
    codes = np.empty((len(block), k), dtype=np.int64)
    values = np.empty((len(block), k), dtype=kind)
    masked = _NONE if rows is None or seen is None else (rows, *seen)
    bad = best(kind)(block, *masked, codes, values)
    if bad >= 0:
        raise DataError(f"expected scores to rank by, got NaN in row {bad if rows is None else rows[bad]}")
    return codes, values
