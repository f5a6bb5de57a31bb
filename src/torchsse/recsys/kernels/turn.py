"""Rotary positions in one pass over queries and keys: torch's elementwise operations take eight."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from numba import types

from torchsse.recsys.kernels.bits import number
from torchsse.recsys.kernels.cache import compiled

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["turn"]


def _turn(load: Any, store: Any) -> Callable[..., None]:
    def kernel(x: Any, start: Any, stop: Any, cos: Any, sin: Any, columns: Any, sign: Any) -> None:
        pairs = cos.shape[1]
        for i in range(start, stop):
            c, s = cos[i], sin[i]
            for head in range(0, columns, 2 * pairs):
                first, second = x[i, head : head + pairs], x[i, head + pairs : head + 2 * pairs]
                for j in range(pairs):
                    a, b, t = load(first[j]), load(second[j]), sign * s[j]
                    first[j] = store(a * c[j] - b * t)
                    second[j] = store(b * c[j] + a * t)

    return kernel


@lru_cache(maxsize=2)
def turn(dtype: str) -> Callable[..., None]:
    """``f(x, start, stop, cos, sin, columns, sign) -> None``, for "float32" or "bfloat16" (as uint16).

    In place, rows start to stop - 1: the first `columns` columns of `x` (rows, width) are heads of 2 `pairs` numbers
    each; number j of a head and number j + pairs are turned by sign times the angle whose cosine and sine, (rows,
    pairs), float32, are given. Products and sums are float32. Shapes are not checked.
    """
    element, load, store = number(dtype)
    table = types.Array(types.float32, 2, "C", readonly=True)
    rows = types.Array(element, 2, "C")
    signature = types.void(rows, types.int64, types.int64, table, table, types.int64, types.float32)
    return compiled(f"turn_{dtype}", _turn(load, store), signature)
