"""Causal softmax with dropout, and its gradient, each in one pass over scores that a matrix product has made."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types

from torchsse.recsys.kernels.bits import exp, number
from torchsse.recsys.kernels.cache import compiled
from torchsse.recsys.kernels.drop import COINS, fill
from torchsse.recsys.kernels.rng import GOLDEN

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["shares", "slopes"]

#: Largest scores are looked for in so many lanes: a loop of constant length becomes vector instructions.
_LANES = 16


def _shares(load: Any, store: Any) -> Callable[..., None]:
    def kernel(scores: Any, dropped: Any, start: Any, stop: Any, scale: Any, key: Any, threshold: Any, up: Any) -> None:
        length = scores.shape[1]
        blocks = (length + _LANES - 1) // _LANES
        row = np.empty(blocks * _LANES, np.float32)
        words = np.empty(blocks * _LANES // COINS, np.uint64)
        coins = words.view(np.uint16)
        high = np.empty(_LANES, np.float32)
        zero, limit = np.float32(0.0), np.uint16(threshold)
        for r in range(start, stop):
            for i in range(length):
                known = i + 1
                score, out = scores[r, i], dropped[r, i]
                for j in range(known):
                    row[j] = load(score[j]) * scale
                filled = (known + _LANES - 1) // _LANES
                for j in range(known, filled * _LANES):
                    row[j] = -np.inf
                for lane in range(_LANES):
                    high[lane] = row[lane]
                for b in range(1, filled):
                    part = row[b * _LANES : (b + 1) * _LANES]
                    for lane in range(_LANES):
                        high[lane] = part[lane] if part[lane] > high[lane] else high[lane]
                top = high[0]
                for lane in range(_LANES):
                    top = high[lane] if high[lane] > top else top
                total = zero
                for j in range(known):
                    power = exp(row[j] - top)
                    row[j] = power
                    total += power
                one = np.float32(1.0) / total
                fill(words, (known + COINS - 1) // COINS, key + np.uint64((r * length + i) * len(words)) * GOLDEN)
                for j in range(known):
                    share = row[j] * one
                    score[j] = store(share)
                    out[j] = store(share * (up if coins[j] >= limit else zero))
                for j in range(known, length):
                    score[j] = 0
                    out[j] = 0

    return kernel


def _slopes(load: Any, store: Any) -> Callable[..., None]:
    def kernel(grad: Any, share: Any, dropped: Any, mean: Any, start: Any, stop: Any, scale: Any) -> None:
        length = grad.shape[1]
        for r in range(start, stop):
            for i in range(length):
                known = i + 1
                g, s, d, m = grad[r, i], share[r, i], dropped[r, i], mean[r, i]
                for j in range(known):
                    g[j] = store((load(g[j]) * load(d[j]) - load(s[j]) * m) * scale)
                for j in range(known, length):
                    g[j] = 0

    return kernel


@lru_cache(maxsize=2)
def shares(dtype: str) -> Callable[..., None]:
    """``f(scores, dropped, start, stop, scale, key, threshold, up) -> None``, "float32" or "bfloat16" (as uint16).

    Of `scores` (n, L, L), matrices start to stop - 1: row i becomes the softmax of `scale` times its first i + 1
    numbers and 0 after them; `dropped` takes each share times `up`, or 0 with chance threshold / 65536. The coin of a
    share follows from `key` and its place. Sums are float32; a row with NaN or +infinity is NaN.
    """
    element, load, store = number(dtype)
    block, whole = types.Array(element, 3, "C"), types.int64
    signature = types.void(block, block, whole, whole, types.float32, types.uint64, whole, types.float32)
    return compiled(f"attend_shares_{dtype}", _shares(load, store), signature)


@lru_cache(maxsize=2)
def slopes(dtype: str) -> Callable[..., None]:
    """``f(grad, share, dropped, mean, start, stop, scale) -> None``, for the same numbers.

    `grad` (n, L, L), by the dropped shares, becomes that by the scores before `scale`: scale (grad dropped - share
    mean), 0 ahead. `mean` (n, L), float32: each row's sum of grad times dropped.
    """
    element, load, store = number(dtype)
    block, whole = types.Array(element, 3, "C"), types.int64
    given = types.Array(element, 3, "C", readonly=True)
    mean = types.Array(types.float32, 2, "C", readonly=True)
    signature = types.void(block, given, given, mean, whole, whole, types.float32)
    return compiled(f"attend_slopes_{dtype}", _slopes(load, store), signature)
