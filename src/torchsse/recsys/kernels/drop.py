"""Dropout whose coins are made while the numbers pass, so that no mask is written or kept."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, types

from torchsse.recsys.kernels.bits import number
from torchsse.recsys.kernels.cache import MATH, compiled
from torchsse.recsys.kernels.rng import GOLDEN, mix

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BLOCK", "COINS", "SIDES", "drop", "fill"]

SIDES = 1 << 16
"""Sides of a coin: a chance is a multiple of 1 / SIDES."""

COINS = 4
"""Coins of a random word."""

BLOCK = 1024
"""Numbers at a time, so that their coins stay in the cache."""


@njit(**MATH)
def fill(words: Any, count: Any, state: Any) -> None:
    """The first `count` words of a stream from `state` on; seen as uint16 each holds COINS coins."""
    for w in range(np.uint64(count)):
        words[w] = mix(state + w * GOLDEN)


def _drop(load: Any, store: Any) -> Callable[..., None]:
    def kernel(x: Any, out: Any, start: Any, stop: Any, key: Any, threshold: Any, scale: Any) -> None:
        words = np.empty(BLOCK // COINS, np.uint64)
        coins = words.view(np.uint16)
        # as wide as a coin: wider ones would halve the lanes
        zero, limit = np.float32(0.0), np.uint16(threshold)
        for first in range(start, stop, BLOCK):
            count = min(BLOCK, stop - first)
            fill(words, BLOCK // COINS, key + np.uint64(first // COINS) * GOLDEN)
            source, target = x[first : first + count], out[first : first + count]
            for j in range(count):
                target[j] = store(load(source[j]) * (scale if coins[j] >= limit else zero))

    return kernel


@lru_cache(maxsize=2)
def drop(dtype: str) -> Callable[..., None]:
    """``f(x, out, start, stop, key, threshold, scale) -> None``, for "float32" or "bfloat16" (as uint16).

    Numbers start to stop - 1 of `x`, flat, come to `out` times `scale`, or times 0 with chance threshold / SIDES. The
    coin of a number follows from `key` and from where it stands, so the same call again is the same mask; `start` is a
    multiple of BLOCK. Infinity times 0 is NaN, as in torch.
    """
    element, load, store = number(dtype)
    whole = types.int64
    source, target = types.Array(element, 1, "C", readonly=True), types.Array(element, 1, "C")
    signature = types.void(source, target, whole, whole, types.uint64, types.int64, types.float32)
    return compiled(f"drop_{dtype}", _drop(load, store), signature)
