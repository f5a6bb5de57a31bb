"""The best columns of score rows, found in one pass while the scores are still in the cache."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import from_dtype, types

from torchsse.recsys.kernels.cache import compiled

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["best"]

#: Scores compared with the k-th best at a time: a loop of constant length, which becomes a few vector instructions.
CHUNK = 64
_CHUNK = np.uint64(CHUNK)


def _best(scores: Any, rows: Any, indptr: Any, indices: Any, codes: Any, values: Any) -> Any:
    """Rows are walked from the left and only a strictly larger score moves up: equal scores keep column order."""
    columns, last = np.uint64(scores.shape[1]), codes.shape[1] - 1
    for q in range(np.uint64(scores.shape[0])):
        row, code, value = scores[q], codes[q], values[q]
        if rows.shape[0]:
            for p in range(np.uint64(indptr[rows[q]]), np.uint64(indptr[rows[q] + 1])):
                row[np.uint64(indices[p])] = -np.inf
        code[:] = -1
        value[:] = -np.inf
        edge = value[last]
        start = np.uint64(0)
        while start < columns:
            stop = start + _CHUNK
            if stop <= columns:
                above = np.int32(0)
                for d in range(CHUNK):
                    # not (a <= b) rather than a > b, so that NaN counts
                    above += np.int32(not (row[start + np.uint64(d)] <= edge))
                if above == 0:
                    start = stop
                    continue
            else:
                stop = columns
            for c in range(start, stop):
                score = row[c]
                if score <= edge:
                    continue
                if score != score:
                    return np.int64(q)
                place = last
                while place > 0 and value[place - 1] < score:
                    value[place], code[place] = value[place - 1], code[place - 1]
                    place -= 1
                value[place], code[place] = score, np.int64(c)
                edge = value[last]
            start = stop
    return np.int64(-1)


@lru_cache(maxsize=2)
def best(dtype: str) -> Callable[..., int]:
    """``f(scores, rows, indptr, indices, codes, values) -> int``, for scores of "float32" or "float64".

    For each row q of `scores` (n, columns): columns ``indices[indptr[rows[q]]:indptr[rows[q] + 1]]`` are set to -inf in
    place (empty `rows`: none), then `codes` (n, k), int64, and `values` (n, k) take the k largest, best first, equal
    scores in column order, -1 and -inf where fewer than k are above -inf. Codes are not checked. Returns -1, or the
    first row that holds NaN (that row and the later ones are then not filled).
    """
    score = from_dtype(np.dtype(dtype))
    block = types.Array(score, 2, "C")
    rows, indptr, indices = (types.Array(t, 1, "C", readonly=True) for t in (types.int64, types.int64, types.int32))
    signature = types.int64(block, rows, indptr, indices, types.Array(types.int64, 2, "C"), block)
    return compiled(f"topk_{dtype}", _best, signature)
