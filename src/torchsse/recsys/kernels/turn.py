"""Rotary positions in one pass over queries and keys: eight elementwise operations of torch read and write as many."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types

from torchsse.recsys.kernels.cache import compiled

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["turn"]

_SIXTEEN, _ONE, _HALF = np.uint32(16), np.uint32(1), np.uint32(0x7FFF)


def _float32(x: Any, cos: Any, sin: Any, columns: Any, sign: Any) -> None:
    pairs = cos.shape[1]
    for i in range(x.shape[0]):
        c, s = cos[i], sin[i]
        for start in range(0, columns, 2 * pairs):
            first, second = x[i, start : start + pairs], x[i, start + pairs : start + 2 * pairs]
            for j in range(pairs):
                a, b, t = first[j], second[j], sign * s[j]
                first[j] = a * c[j] - b * t
                second[j] = b * c[j] + a * t


def _bfloat16(x: Any, cos: Any, sin: Any, columns: Any, sign: Any) -> None:
    """Of bits: numba has no bfloat16. It is the upper half of a float32, rounded to even."""
    pairs = cos.shape[1]
    bits, other = np.empty(pairs, np.uint32), np.empty(pairs, np.uint32)
    # the same memory as numbers
    a, b = bits.view(np.float32), other.view(np.float32)
    for i in range(x.shape[0]):
        c, s = cos[i], sin[i]
        for start in range(0, columns, 2 * pairs):
            first, second = x[i, start : start + pairs], x[i, start + pairs : start + 2 * pairs]
            for j in range(pairs):
                bits[j], other[j] = np.uint32(first[j]) << _SIXTEEN, np.uint32(second[j]) << _SIXTEEN
            for j in range(pairs):
                u, v, t = a[j], b[j], sign * s[j]
                a[j] = u * c[j] - v * t
                b[j] = v * c[j] + u * t
            for j in range(pairs):
                u, v = bits[j], other[j]
                first[j] = np.uint16((u + _HALF + ((u >> _SIXTEEN) & _ONE)) >> _SIXTEEN)
                second[j] = np.uint16((v + _HALF + ((v >> _SIXTEEN) & _ONE)) >> _SIXTEEN)


@lru_cache(maxsize=2)
def turn(dtype: str) -> Callable[..., None]:
    """``f(x, cos, sin, columns, sign) -> None``, for numbers of "float32", or of "bfloat16" seen as uint16.

    In place: the first `columns` columns of `x` (rows, width) are heads of 2 `pairs` numbers each; number j of a head
    and number j + pairs are turned by sign times the angle whose cosine and sine, (rows, pairs), float32, are given.
    Products and sums are float32. Shapes are not checked.
    """
    element = types.float32 if dtype == "float32" else types.uint16
    table = types.Array(types.float32, 2, "C", readonly=True)
    signature = types.void(types.Array(element, 2, "C"), table, table, types.int64, types.float32)
    return compiled(f"turn_{dtype}", _float32 if dtype == "float32" else _bfloat16, signature)
