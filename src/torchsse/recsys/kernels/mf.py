"""The fused SGD kernel of matrix factorisation with SSE: shuffle, coins, draws and updates in one pass.

An epoch walks blocks of `BLOCK` examples in three small loops, so that what one loop needs from memory is on its way
while another computes: (1) draw the positions of the next block in a Fisher-Yates shuffle and prefetch them, (2)
exchange the examples and swap ids, (3) update rows. The shuffle is uniform over all orders, every epoch.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import from_dtype, njit, types

from torchsse.recsys.kernels.cache import MATH, compiled
from torchsse.recsys.kernels.draw import SWAPS, draw
from torchsse.recsys.kernels.memory import LANES, padded, positions, prefetch_row
from torchsse.recsys.kernels.rng import GOLDEN, mix

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EXAMPLE", "LANES", "epoch", "given", "padded", "plan", "score"]

#: One rating as it lies in memory: 16 bytes of which 12 are used, so that none straddles two cache lines.
EXAMPLE = np.dtype(
    {
        "names": ["user", "item", "rating"],
        "formats": [np.int32, np.int32, np.float32],
        "offsets": [0, 4, 8],
        "itemsize": 16,
    }
)
BLOCK = 256
#: Rows are asked for this many examples before their turn: far enough for the third-level cache.
AHEAD = 4
_HALF = np.uint64(0xFFFFFFFF)


@njit(error_model="numpy")
def _prepare(
    examples: Any, start: Any, size: Any, where: Any, by_user: Any, by_item: Any, state: Any,
    users: Any, items: Any, ratings: Any,
) -> Any:  # fmt: skip
    """Exchange the examples of a block as drawn, toss a coin per table, and write the ids after the swap."""
    base = np.uint64(start)
    user_coin, user_step, item_coin, item_step = by_user.coin, by_user.step, by_item.coin, by_item.step
    for q in range(np.uint64(size)):
        here, there = examples[base + q], examples[where[q]]
        user, item, rating = there.user, there.item, there.rating
        there.user, there.item, there.rating = here.user, here.item, here.rating
        here.user, here.item, here.rating = user, item, rating
        u, i = np.uint64(user), np.uint64(item)
        users[q], items[q], ratings[q] = u, i, rating
        state += GOLDEN
        word = mix(state)
        if (word & _HALF) < user_coin[np.uint64(user_step) * u]:
            k, state = draw(by_user, np.int64(u), state)
            users[q] = np.uint64(k)
        if (word >> np.uint64(32)) < item_coin[np.uint64(item_step) * i]:
            k, state = draw(by_item, np.int64(i), state)
            items[q] = np.uint64(k)
    return state


def _updaters(width: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The update rule without and with dropout. A width known to the compiler unrolls rows into vector registers."""

    @njit(**MATH)
    def ahead(q: Any, size: Any, users: Any, items: Any, P: Any, Q: Any) -> None:
        later = min(q + AHEAD, size - 1)
        prefetch_row(P, np.int64(users[later]), width)
        prefetch_row(Q, np.int64(items[later]), width)

    @njit(**MATH)
    def plain(
        size: Any, users: Any, items: Any, ratings: Any, P: Any, Q: Any, bu: Any, bi: Any, mean: Any, rate: Any,
        decay: Any, bias_decay: Any, biases: Any,
    ) -> Any:  # fmt: skip
        total = np.float32(0)
        for q in range(size):
            ahead(q, size, users, items, P, Q)
            u, i = users[q], items[q]
            a, b = P[u], Q[i]
            dot = np.float32(0)
            for f in range(width):
                dot += a[f] * b[f]
            error = ratings[q] - mean - dot
            if biases:
                error -= bu[u] + bi[i]
                bu[u] += rate * error - bias_decay * bu[u]
                bi[i] += rate * error - bias_decay * bi[i]
            total += error * error
            step = rate * error
            for f in range(width):
                x, y = a[f], b[f]
                a[f] = x + (step * y - decay * x)
                b[f] = y + (step * x - decay * y)
        return total

    @njit(**MATH)
    def dropped(
        size: Any, users: Any, items: Any, ratings: Any, P: Any, Q: Any, bu: Any, bi: Any, mean: Any, rate: Any,
        decay: Any, bias_decay: Any, biases: Any, drop: Any, keep_scale: Any, state: Any, masks: Any,
    ) -> Any:  # fmt: skip
        total = np.float32(0)
        for q in range(size):
            ahead(q, size, users, items, P, Q)
            u, i = users[q], items[q]
            a, b = P[u], Q[i]
            state += GOLDEN
            key = mix(state)
            # one word a column: its lower half decides for the user's factor, its upper half for the item's
            for f in range(width):
                word = mix(key + np.uint64(f) * GOLDEN)
                kept = (word & _HALF) >= drop and (word >> np.uint64(32)) >= drop
                masks[f] = keep_scale * keep_scale if kept else np.float32(0)
            dot = np.float32(0)
            for f in range(width):
                dot += masks[f] * (a[f] * b[f])
            error = ratings[q] - mean - dot
            if biases:
                error -= bu[u] + bi[i]
                bu[u] += rate * error - bias_decay * bu[u]
                bi[i] += rate * error - bias_decay * bi[i]
            total += error * error
            step = rate * error
            for f in range(width):
                x, y, both = a[f], b[f], step * masks[f]
                a[f] = x + (both * y - decay * x)
                b[f] = y + (both * x - decay * y)
        return total, state

    return plain, dropped


_ROWS, _COLUMN, _F, _U = types.float32[:, ::1], types.float32[::1], types.float32, types.uint64
# P, Q, bu, bi; mean, rate, rate * decay, rate * bias decay; biases; drop threshold, 1 / (1 - dropout)
_MODEL = (_ROWS, _ROWS, _COLUMN, _COLUMN, _F, _F, _F, _F, types.bool_, _U, _F)
_EXAMPLES = from_dtype(EXAMPLE)[::1]


@lru_cache(maxsize=64)
def epoch(width: int) -> Callable[..., Any]:
    """One pass of SGD over `examples`, which it leaves shuffled.

    The compiled ``f(examples, by_user, by_item, P, Q, bu, bi, mean, rate, decay, bias_decay, biases, drop, keep_scale,
    order, coin, mask) -> float64``: P and Q float32 (N, width), C order; `decay` and `bias_decay` already times the
    rate; `drop` the dropout as a 32-bit threshold; the last three the streams (see `rng`) of shuffle, swaps and
    dropout. Returns the sum of the squared errors, each taken just before its update.
    """
    plain, dropped = _updaters(width)

    def mf_epoch(
        examples: Any, by_user: Any, by_item: Any, P: Any, Q: Any, bu: Any, bi: Any, mean: Any, rate: Any, decay: Any,
        bias_decay: Any, biases: Any, drop: Any, keep_scale: Any, order: Any, coin: Any, mask: Any,
    ) -> Any:  # fmt: skip
        n = examples.shape[0]
        users, items = np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint64)
        ratings, where = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.uint64)
        masks = np.empty(width, np.float32)
        total = 0.0
        order = positions(examples, 0, min(BLOCK, n), where, order)
        for start in range(0, n, BLOCK):
            size = min(BLOCK, n - start)
            coin = _prepare(examples, start, size, where, by_user, by_item, coin, users, items, ratings)
            after = start + BLOCK
            if after < n:
                order = positions(examples, after, min(BLOCK, n - after), where, order)
            if drop:
                part, mask = dropped(
                    size, users, items, ratings, P, Q, bu, bi, mean, rate, decay, bias_decay, biases,
                    drop, keep_scale, mask, masks,
                )  # fmt: skip
            else:
                part = plain(size, users, items, ratings, P, Q, bu, bi, mean, rate, decay, bias_decay, biases)
            total += part
        return total

    return compiled(f"mf_epoch_{width}", mf_epoch, types.float64(_EXAMPLES, SWAPS, SWAPS, *_MODEL, _U, _U, _U))


@lru_cache(maxsize=64)
def given(width: int) -> Callable[..., Any]:
    """The update rule alone, on explicit ids in their order: what tests compare with an oracle.

    The compiled ``f(users uint64, items uint64, ratings, P, Q, bu, bi, mean, ..., keep_scale, mask) -> float64``.
    """
    plain, dropped = _updaters(width)

    def mf_given(
        users: Any, items: Any, ratings: Any, P: Any, Q: Any, bu: Any, bi: Any, mean: Any, rate: Any, decay: Any,
        bias_decay: Any, biases: Any, drop: Any, keep_scale: Any, mask: Any,
    ) -> Any:  # fmt: skip
        n = users.shape[0]
        if drop:
            total, mask = dropped(
                n, users, items, ratings, P, Q, bu, bi, mean, rate, decay, bias_decay, biases,
                drop, keep_scale, mask, np.empty(width, np.float32),
            )  # fmt: skip
        else:
            total = plain(n, users, items, ratings, P, Q, bu, bi, mean, rate, decay, bias_decay, biases)
        return np.float64(total)

    columns = (_U[::1], _U[::1], _COLUMN)
    return compiled(f"mf_given_{width}", mf_given, types.float64(*columns, *_MODEL, _U))


def _plan(
    examples: Any, by_user: Any, by_item: Any, order: Any, coin: Any, users: Any, items: Any, ratings: Any
) -> None:
    n = examples.shape[0]
    where = np.empty(BLOCK, np.uint64)
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        order = positions(examples, start, size, where, order)
        end = start + size
        coin = _prepare(
            examples, start, size, where, by_user, by_item, coin, users[start:end], items[start:end], ratings[start:end]
        )


@lru_cache(maxsize=1)
def plan() -> Callable[..., Any]:
    """The order and the swapped ids of an epoch without its updates; `examples` are left as `epoch` leaves them.

    The compiled ``f(examples, by_user, by_item, order, coin, users uint64, items uint64, ratings) -> None``, the last
    three written. Resuming repeats the shuffles of past epochs with it.
    """
    return compiled("mf_plan", _plan, types.void(_EXAMPLES, SWAPS, SWAPS, _U, _U, _U[::1], _U[::1], _COLUMN))


def _score(
    users: Any,
    items: Any,
    P: Any,
    Q: Any,
    bu: Any,
    bi: Any,
    seen_user: Any,
    seen_item: Any,
    mean: Any,
    biases: Any,
    out: Any,
) -> None:
    for q in range(users.shape[0]):
        u, i = users[q], items[q]
        warm_user = u >= 0 and seen_user[u]
        warm_item = i >= 0 and seen_item[i]
        value = mean
        if biases:
            if warm_user:
                value += bu[u]
            if warm_item:
                value += bi[i]
        if warm_user and warm_item:
            dot = np.float32(0)
            for f in range(P.shape[1]):
                dot += P[u, f] * Q[i, f]
            value = value + dot if biases else dot
        out[q] = value


@lru_cache(maxsize=1)
def score() -> Callable[..., Any]:
    """Predictions for pairs of codes (-1: unknown), by the rule for cold rows, not clipped.

    The compiled ``f(users int64, items int64, P, Q, bu, bi, seen_user, seen_item, mean, biases, out) -> None``.
    """
    ids, flags = types.Array(types.int64, 1, "C", readonly=True), types.bool_[::1]
    model = (_ROWS, _ROWS, _COLUMN, _COLUMN, flags, flags, _F, types.bool_, _COLUMN)
    return compiled("mf_score", _score, types.void(ids, ids, *model))
