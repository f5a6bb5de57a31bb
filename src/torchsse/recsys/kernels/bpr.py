"""The fused SGD kernel of BPR with SSE: shuffle, negatives, coins, draws and updates in one pass.

Built like `kernels.mf`: an epoch walks blocks of `BLOCK` (user, positive) pairs in small loops, (1) draw the positions
of the next block in a Fisher-Yates shuffle, (2) exchange the pairs, draw the negatives and swap the ids of every
(user, positive, negative) triplet, (3) update rows. Order, coins, negatives and dropout have streams of their own.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import from_dtype, njit, types

from torchsse.recsys.kernels.cache import MATH, compiled
from torchsse.recsys.kernels.draw import SWAPS, draw
from torchsse.recsys.kernels.memory import positions, prefetch_row
from torchsse.recsys.kernels.negatives import SEEN, negative
from torchsse.recsys.kernels.rng import GOLDEN, mix

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DROP_BITS", "PAIR", "epoch", "given", "plan", "shuffle"]

#: One (user, positive) pair as it lies in memory.
PAIR = np.dtype([("user", np.int32), ("item", np.int32)])
BLOCK = 128
#: Rows are asked for this many triplets before their turn.
AHEAD = 4
#: One random word decides for three rows' factors.
DROP_BITS = 21
_HALF = np.uint64(0xFFFFFFFF)
_DROP = np.uint64((1 << DROP_BITS) - 1)
#: exp of a difference beyond these is taken at them, so that eight factors 1 + exp stay below the largest float64.
_STEEP = np.float32(80.0)


@njit(error_model="numpy")
def _exchange(pairs: Any, start: Any, size: Any, where: Any) -> None:
    """Exchange the pairs of a block as drawn."""
    base = np.uint64(start)
    for q in range(np.uint64(size)):
        here, there = pairs[base + q], pairs[where[q]]
        user, item = there.user, there.item
        there.user, there.item = here.user, here.item
        here.user, here.item = user, item


@njit(error_model="numpy")
def _prepare(
    pairs: Any, start: Any, size: Any, where: Any, count: Any, hard: Any, seen: Any, by_user: Any, by_item: Any,
    swap_negatives: Any, coin: Any, chance: Any, users: Any, items: Any, negatives: Any,
) -> Any:  # fmt: skip
    """Exchange the pairs of a block, draw `count` negatives each, toss the coins, write the ids after the swap.

    Triplet q * count + t has the t-th negative of pair q; with `hard` a pair has one user and item for all of them.
    """
    _exchange(pairs, start, size, where)
    user_coin, user_step, item_coin, item_step = by_user.coin, by_user.step, by_item.coin, by_item.step
    base, many = np.uint64(start), np.uint64(count)
    for q in range(np.uint64(size)):
        pair = pairs[base + q]
        u, i = np.uint64(pair.user), np.uint64(pair.item)
        for t in range(many):
            at = q * many + t
            j, chance = negative(seen, u, chance)
            if not hard or t == 0:
                slot = q if hard else at
                users[slot], items[slot] = u, i
                coin += GOLDEN
                word = mix(coin)
                if (word & _HALF) < user_coin[np.uint64(user_step) * u]:
                    k, coin = draw(by_user, np.int64(u), coin)
                    users[slot] = np.uint64(k)
                if (word >> np.uint64(32)) < item_coin[np.uint64(item_step) * i]:
                    k, coin = draw(by_item, np.int64(i), coin)
                    items[slot] = np.uint64(k)
            if swap_negatives:
                coin += GOLDEN
                if (mix(coin) & _HALF) < item_coin[np.uint64(item_step) * j]:
                    k, coin = draw(by_item, np.int64(j), coin)
                    j = np.uint64(k)
            negatives[at] = j
    return coin, chance


def _updater(width: int) -> Callable[..., Any]:
    """The update rule. A width known to the compiler unrolls rows into vector registers."""

    @njit(**MATH)
    def hardest(a: Any, candidates: Any, Q: Any, bi: Any, biases: Any) -> Any:
        best, highest = candidates[0], np.float32(-np.inf)
        for t in range(candidates.shape[0]):
            c = Q[candidates[t]]
            score = np.float32(0)
            for f in range(width):
                score += a[f] * c[f]
            if biases:
                score += bi[candidates[t]]
            if score > highest:
                best, highest = candidates[t], score
        return best

    @njit(**MATH)
    def update(
        size: Any, count: Any, hard: Any, users: Any, items: Any, negatives: Any, P: Any, Q: Any, bi: Any, rate: Any,
        decay: Any, bias_decay: Any, biases: Any, drop: Any, keep_scale: Any, state: Any, masks: Any,
    ) -> Any:  # fmt: skip
        total, product = 0.0, 1.0
        triplets = size if hard else size * count
        each = count if hard else 1
        for q in range(triplets):
            later = min(q + AHEAD, triplets - 1)
            prefetch_row(P, np.int64(users[later]), width)
            prefetch_row(Q, np.int64(items[later]), width)
            for t in range(each):
                prefetch_row(Q, np.int64(negatives[later * each + t]), width)
            u, i, j = users[q], items[q], negatives[q]
            a = P[u]
            if hard:
                j = hardest(a, negatives[q * count : (q + 1) * count], Q, bi, biases)
            b, c = Q[i], Q[j]
            difference = np.float32(0)
            if drop:
                state += GOLDEN
                key = mix(state)
                # one word a column: its thirds decide for the user's, the positive's and the negative's factor
                for f in range(width):
                    word = mix(key + np.uint64(f) * GOLDEN)
                    user_kept = (word & _DROP) >= drop
                    kept = user_kept and ((word >> np.uint64(DROP_BITS)) & _DROP) >= drop
                    masks[0, f] = keep_scale * keep_scale if kept else np.float32(0)
                    kept = user_kept and ((word >> np.uint64(2 * DROP_BITS)) & _DROP) >= drop
                    masks[1, f] = keep_scale * keep_scale if kept else np.float32(0)
                for f in range(width):
                    difference += a[f] * (masks[0, f] * b[f] - masks[1, f] * c[f])
            else:
                for f in range(width):
                    difference += a[f] * (b[f] - c[f])
            if biases:
                difference += bi[i] - bi[j]
            difference = min(max(difference, -_STEEP), _STEEP) if difference == difference else difference
            odds = np.float32(math.exp(-difference))
            # the sum of log(1 + odds), one logarithm for eight
            product *= 1.0 + np.float64(odds)
            if q & 7 == 7:
                total += math.log(product)
                product = 1.0
            if i == j:  # swapped onto each other: an item compared with itself says nothing
                continue
            step = rate * (odds / (np.float32(1) + odds))
            if biases:
                bi[i] += step - bias_decay * bi[i]
                bi[j] -= step + bias_decay * bi[j]
            if drop:
                for f in range(width):
                    x, y, z = a[f], b[f], c[f]
                    up, down = step * masks[0, f], step * masks[1, f]
                    a[f] = x + (up * y - down * z - decay * x)
                    b[f] = y + (up * x - decay * y)
                    c[f] = z - (down * x + decay * z)
            else:
                for f in range(width):
                    x, y, z = a[f], b[f], c[f]
                    a[f] = x + (step * (y - z) - decay * x)
                    b[f] = y + (step * x - decay * y)
                    c[f] = z - (step * x + decay * z)
        return total + math.log(product), state

    return update  # type: ignore[no-any-return]


_ROWS, _COLUMN, _F, _U = types.float32[:, ::1], types.float32[::1], types.float32, types.uint64
# P, Q, bi; rate, rate * decay, rate * bias decay; biases; drop threshold, 1 / (1 - dropout)
_MODEL = (_ROWS, _ROWS, _COLUMN, _F, _F, _F, types.bool_, _U, _F)
_PAIRS = from_dtype(PAIR)[::1]
# pairs; negatives a pair, hardest only; seen; laws of users and items; swap negatives
_SAMPLES = (_PAIRS, types.int64, types.bool_, SEEN, SWAPS, SWAPS, types.bool_)


@lru_cache(maxsize=64)
def epoch(width: int) -> Callable[..., Any]:
    """One pass of SGD over `pairs`, which it leaves shuffled.

    The compiled ``f(pairs, count, hard, seen, by_user, by_item, swap_negatives, P, Q, bi, rate, decay, bias_decay,
    biases, drop, keep_scale, order, coin, chance, mask) -> float64``: `count` negatives a pair, each a triplet of its
    own or, with `hard`, one triplet with the negative that scores highest; P and Q float32 (N, width), C order;
    `decay` and `bias_decay` already times the rate; `drop` the dropout as a threshold of `DROP_BITS` bits; the last
    four the streams (see `rng`) of shuffle, swaps, negatives and dropout. Returns the sum of -log sigmoid(difference),
    each taken just before its update.
    """
    update = _updater(width)

    def bpr_epoch(
        pairs: Any, count: Any, hard: Any, seen: Any, by_user: Any, by_item: Any, swap_negatives: Any, P: Any, Q: Any,
        bi: Any, rate: Any, decay: Any, bias_decay: Any, biases: Any, drop: Any, keep_scale: Any, order: Any, coin: Any,
        chance: Any, mask: Any,
    ) -> Any:  # fmt: skip
        n = pairs.shape[0]
        users, items = np.empty(BLOCK * count, np.uint64), np.empty(BLOCK * count, np.uint64)
        negatives, where = np.empty(BLOCK * count, np.uint64), np.empty(BLOCK, np.uint64)
        masks = np.empty((2, width), np.float32)
        total = 0.0
        order = positions(pairs, 0, min(BLOCK, n), where, order)
        for start in range(0, n, BLOCK):
            size = min(BLOCK, n - start)
            coin, chance = _prepare(
                pairs, start, size, where, count, hard, seen, by_user, by_item, swap_negatives, coin, chance,
                users, items, negatives,
            )  # fmt: skip
            after = start + BLOCK
            if after < n:
                order = positions(pairs, after, min(BLOCK, n - after), where, order)
            part, mask = update(
                size, count, hard, users, items, negatives, P, Q, bi, rate, decay, bias_decay, biases, drop,
                keep_scale, mask, masks,
            )  # fmt: skip
            total += part
        return total

    return compiled(f"bpr_epoch_{width}", bpr_epoch, types.float64(*_SAMPLES, *_MODEL, _U, _U, _U, _U))


@lru_cache(maxsize=64)
def given(width: int) -> Callable[..., Any]:
    """The update rule alone, on explicit triplets in their order: what tests compare with an oracle.

    The compiled ``f(users uint64, items uint64, negatives uint64, count, hard, P, Q, bi, ..., keep_scale, mask) ->
    float64``. With `hard`, negatives holds `count` candidates for each user.
    """
    update = _updater(width)

    def bpr_given(
        users: Any, items: Any, negatives: Any, count: Any, hard: Any, P: Any, Q: Any, bi: Any, rate: Any, decay: Any,
        bias_decay: Any, biases: Any, drop: Any, keep_scale: Any, mask: Any,
    ) -> Any:  # fmt: skip
        size = users.shape[0] if hard else users.shape[0] // count
        total, mask = update(
            size, count, hard, users, items, negatives, P, Q, bi, rate, decay, bias_decay, biases, drop, keep_scale,
            mask, np.empty((2, width), np.float32),
        )  # fmt: skip
        return total

    ids = _U[::1]
    return compiled(
        f"bpr_given_{width}", bpr_given, types.float64(ids, ids, ids, types.int64, types.bool_, *_MODEL, _U)
    )


def _plan(
    pairs: Any, count: Any, hard: Any, seen: Any, by_user: Any, by_item: Any, swap_negatives: Any, order: Any,
    coin: Any, chance: Any, users: Any, items: Any, negatives: Any,
) -> None:  # fmt: skip
    n = pairs.shape[0]
    where = np.empty(BLOCK, np.uint64)
    each = 1 if hard else count
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        order = positions(pairs, start, size, where, order)
        end = start + size
        coin, chance = _prepare(
            pairs, start, size, where, count, hard, seen, by_user, by_item, swap_negatives, coin, chance,
            users[start * each : end * each], items[start * each : end * each], negatives[start * count : end * count],
        )  # fmt: skip


@lru_cache(maxsize=1)
def plan() -> Callable[..., Any]:
    """The triplets of an epoch after their swaps, without its updates; `pairs` are left as `epoch` leaves them.

    The compiled ``f(pairs, count, hard, seen, by_user, by_item, swap_negatives, order, coin, chance, users, items,
    negatives) -> None``, the last three uint64 and written: (n * count,), or with `hard` (n,), (n,) and (n * count,).
    """
    return compiled("bpr_plan", _plan, types.void(*_SAMPLES, _U, _U, _U, _U[::1], _U[::1], _U[::1]))


def _shuffle(pairs: Any, order: Any) -> None:
    n = pairs.shape[0]
    where = np.empty(BLOCK, np.uint64)
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        order = positions(pairs, start, size, where, order)
        _exchange(pairs, start, size, where)


@lru_cache(maxsize=1)
def shuffle() -> Callable[..., Any]:
    """The compiled ``f(pairs, order) -> None``: the shuffle of an epoch alone; resuming repeats past ones with it."""
    return compiled("bpr_shuffle", _shuffle, types.void(_PAIRS, _U))
