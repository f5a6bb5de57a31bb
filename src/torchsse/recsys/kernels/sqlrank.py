"""The fused kernel of SQL-Rank with SSE: queue, negatives, coins, draws and listwise updates.

An epoch queues the items of every user afresh, visits the lists in a fresh order and takes each in four small loops:
(1) draw its negatives and swap its ids, (2) scores, (3) from the last position to the first the chance of each item to
be the next, (4) update rows. Order, coins, negatives and dropout have streams of their own.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import from_dtype, njit, types

from torchsse.recsys.kernels.cache import MATH, compiled
from torchsse.recsys.kernels.draw import SWAPS, draw
from torchsse.recsys.kernels.memory import prefetch_row
from torchsse.recsys.kernels.negatives import SEEN, negative
from torchsse.recsys.kernels.rng import GOLDEN, high, mix

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LIST", "epoch", "given", "plan"]

#: One list: its user, and where in the queue its observed items lie. The lists of a user lie side by side.
LIST = np.dtype([("start", np.int64), ("size", np.int32), ("user", np.int32)])
#: Rows are asked for this many positions before their turn.
AHEAD = 4
_HALF = np.uint64(0xFFFFFFFF)


@njit(error_model="numpy")
def _shuffle(values: Any, state: Any) -> Any:
    """Fisher-Yates."""
    n = np.uint64(values.shape[0])
    for q in range(n):
        state += GOLDEN
        j = q + high(mix(state), n - q)
        values[q], values[j] = values[j], values[q]
    return state


@njit(error_model="numpy")
def _queue(items: Any, levels: Any, lists: Any, queued: Any, state: Any) -> Any:
    """Stochastic queuing: every user's items, best level first, ties in a fresh uniform order, cut into lists.

    A user with several lists has the items dealt out to them uniformly; each list keeps the order of the whole.
    """
    n = items.shape[0]
    queued[:] = items
    start = 0
    for q in range(1, n + 1):
        if q == n or levels[q] != levels[start]:  # levels differ from user to user
            state = _shuffle(queued[start:q], state)
            start = q
    first = 0
    while first < lists.shape[0]:
        last = first
        while last < lists.shape[0] and lists[last].user == lists[first].user:
            last += 1
        base = lists[first].start
        end = lists[last - 1].start + lists[last - 1].size
        # items of one level lie in a uniform order, and may be cut as they are
        if last - first > 1 and levels[base] != levels[end - 1]:
            dealt, places = np.empty(end - base, np.int32), np.empty(last - first, np.int64)
            for t in range(first, last):
                places[t - first] = lists[t].start
                dealt[lists[t].start - base : lists[t].start - base + lists[t].size] = t - first
            state = _shuffle(dealt, state)
            whole = queued[base:end].copy()
            for q in range(end - base):
                queued[places[dealt[q]]] = whole[q]
                places[dealt[q]] += 1
        first = last
    return state


@njit(error_model="numpy")
def _draw_list(
    entry: Any, queued: Any, count: Any, seen: Any, by_user: Any, by_item: Any, swap_negatives: Any, coin: Any,
    chance: Any, ids: Any,
) -> Any:  # fmt: skip
    """Write the ids of a list after the swap: its observed items in their order, then its negatives.

    Returns user, observed items, all items, and the states.
    """
    user, n = np.uint64(entry.user), np.int64(entry.size)
    user_coin, item_coin = by_user.coin, by_item.coin
    start = seen.indptr[user]
    left = np.int64(seen.num_items) - (seen.indptr[user + np.uint64(1)] - start)
    total = n + n * count if left > 0 else n
    for t in range(total):
        if t < n:
            j = np.uint64(queued[entry.start + t])
        else:
            j, chance = negative(seen, user, chance)
        if t < n or swap_negatives:
            coin += GOLDEN
            if (mix(coin) & _HALF) < item_coin[np.uint64(by_item.step) * j]:
                k, coin = draw(by_item, np.int64(j), coin)
                j = np.uint64(k)
        ids[t] = j
    coin += GOLDEN
    if (mix(coin) & _HALF) < user_coin[np.uint64(by_user.step) * user]:
        k, coin = draw(by_user, np.int64(user), coin)
        user = np.uint64(k)
    return user, n, total, coin, chance


@njit(error_model="numpy")
def _exchange(order: Any, q: Any, state: Any) -> Any:
    """One step of Fisher-Yates: what is at place q from now on."""
    state += GOLDEN
    here = np.uint64(q)
    j = here + high(mix(state), np.uint64(order.shape[0]) - here)
    order[here], order[j] = order[j], order[here]
    return state


@njit(**MATH)
def _chances(scores: Any, ranked: Any, total: Any, nexts: Any, rests: Any) -> Any:
    """What each position contributes, from suffix sums of exp(score).

    Position t is the next among t, t+1, ... with chance nexts[t] = exp(s_t) / sum over l >= t of exp(s_l);
    rests[t] = 1 - nexts[t] without its cancellation. Sums are scaled by the largest score so far. Returns the sum of
    -log nexts over the `ranked` first positions.
    """
    loss, highest, sum_ = 0.0, -np.inf, 0.0
    for back in range(total):
        t = total - 1 - back
        score = np.float64(scores[t])
        if score > highest:
            rest = sum_ * math.exp(highest - score)
            highest, own = score, 1.0
        else:
            rest, own = sum_, math.exp(score - highest)
        sum_ = rest + own
        nexts[t], rests[t] = own / sum_, rest / sum_
        if t < ranked:
            loss += highest - score + math.log(sum_)
    return loss


def _updater(width: int) -> Callable[..., Any]:
    """The update rule. A width known to the compiler unrolls rows into vector registers."""

    @njit(**MATH)
    def draw_masks(total: Any, drop: Any, keep_scale: Any, state: Any, masks: Any) -> Any:
        # one word a factor for the user's row, then one for each item's; a row of masks has the product of both
        state += GOLDEN
        own = mix(state)
        for t in range(total):
            state += GOLDEN
            key = mix(state)
            for f in range(width):
                kept = (mix(own + np.uint64(f) * GOLDEN) & _HALF) >= drop
                kept = kept and (mix(key + np.uint64(f) * GOLDEN) & _HALF) >= drop
                masks[t, f] = keep_scale * keep_scale if kept else np.float32(0)
        return state

    @njit(**MATH)
    def update(
        u: Any, ids: Any, ranked: Any, total: Any, P: Any, Q: Any, rate: Any, decay: Any, drop: Any, keep_scale: Any,
        state: Any, masks: Any, scores: Any, nexts: Any, rests: Any, pull: Any,
    ) -> Any:  # fmt: skip
        a = P[u]
        if drop:
            state = draw_masks(total, drop, keep_scale, state, masks)
        for t in range(total):
            prefetch_row(Q, np.int64(ids[min(t + AHEAD, total - 1)]), width)
            b = Q[ids[t]]
            score = np.float32(0)
            if drop:
                for f in range(width):
                    score += masks[t, f] * a[f] * b[f]
            else:
                for f in range(width):
                    score += a[f] * b[f]
            scores[t] = score
        loss = _chances(scores, ranked, total, nexts, rests)
        pull[:] = 0
        # turns = sum over the places k <= t, k < ranked, of (exp-sum from t on) / (exp-sum from k on); times nexts[t]
        # it is how often t was expected to be drawn so far
        turns, left = 0.0, 0.0
        for t in range(total):
            turns *= left
            drawn = 0.0
            if t < ranked:
                turns += 1.0
                drawn = 1.0
            left = rests[t]
            step = rate * np.float32(drawn - nexts[t] * turns)
            b = Q[ids[t]]
            if drop:
                for f in range(width):
                    y, push = b[f], step * masks[t, f]
                    pull[f] += push * y
                    b[f] = y + (push * a[f] - decay * y)
            else:
                for f in range(width):
                    y = b[f]
                    pull[f] += step * y
                    b[f] = y + (step * a[f] - decay * y)
        own_decay = decay * np.float32(ranked)
        for f in range(width):
            a[f] += pull[f] - own_decay * a[f]
        return loss, state

    return update  # type: ignore[no-any-return]


@njit(error_model="numpy")
def _longest(lists: Any) -> Any:
    longest = np.int64(0)
    for t in range(lists.shape[0]):
        size = np.int64(lists[t].size)
        longest = size if size > longest else longest
    return longest


_ROWS, _F, _U, _I = types.float32[:, ::1], types.float32, types.uint64, types.int64
# P, Q; rate, rate * decay; drop threshold, 1 / (1 - dropout)
_MODEL = (_ROWS, _ROWS, _F, _F, _U, _F)
_LISTS = from_dtype(LIST)[::1]
# items, levels, lists; negatives an observed item; seen; laws of users and items; swap negatives
_SAMPLES = (types.int32[::1], types.int32[::1], _LISTS, _I, SEEN, SWAPS, SWAPS, types.bool_)


@lru_cache(maxsize=64)
def epoch(width: int) -> Callable[..., Any]:
    """One pass of SGD over all lists.

    The compiled ``f(items, levels, lists, count, seen, by_user, by_item, swap_negatives, P, Q, rate, decay, drop,
    keep_scale, order, coin, chance, mask) -> float64``: items and levels int32, those of a user side by side, levels in
    their order, another user's levels other numbers; `lists` of `LIST`, sorted by start; `count` negatives behind a
    list for each of its observed items, none for a user who has everything; P and Q float32 (N, width), C order;
    `decay` already times the rate; `drop` the dropout as a threshold of 32 bits; the last four the streams (see `rng`)
    of queue and order, swaps, negatives and dropout. Returns the sum of -log of the chance of each observed item to
    come next, taken just before the update of its list.
    """
    update = _updater(width)

    def sqlrank_epoch(
        items: Any, levels: Any, lists: Any, count: Any, seen: Any, by_user: Any, by_item: Any, swap_negatives: Any,
        P: Any, Q: Any, rate: Any, decay: Any, drop: Any, keep_scale: Any, order: Any, coin: Any, chance: Any,
        mask: Any,
    ) -> Any:  # fmt: skip
        most = _longest(lists) * (1 + count)
        ids, queued, visits = np.empty(most, np.uint64), np.empty_like(items), np.arange(lists.shape[0])
        scores, nexts, rests = np.empty(most, np.float32), np.empty(most), np.empty(most)
        masks, pull = np.empty((most if drop else 1, width), np.float32), np.empty(width, np.float32)
        loss = 0.0
        order = _queue(items, levels, lists, queued, order)
        for q in range(lists.shape[0]):
            order = _exchange(visits, q, order)
            u, ranked, total, coin, chance = _draw_list(
                lists[visits[q]], queued, count, seen, by_user, by_item, swap_negatives, coin, chance, ids
            )
            part, mask = update(
                u, ids, ranked, total, P, Q, rate, decay, drop, keep_scale, mask, masks, scores, nexts, rests, pull
            )
            loss += part
        return loss

    return compiled(f"sqlrank_epoch_{width}", sqlrank_epoch, types.float64(*_SAMPLES, *_MODEL, _U, _U, _U, _U))


@lru_cache(maxsize=64)
def given(width: int) -> Callable[..., Any]:
    """The update rule alone, on explicit lists in their order: what tests compare with an oracle.

    The compiled ``f(users uint64, bounds int64, ranked int64, ids uint64, P, Q, ..., keep_scale, mask) -> float64``:
    list q has the ids bounds[q] to bounds[q+1], of which the first ranked[q] are in order.
    """
    update = _updater(width)

    def sqlrank_given(
        users: Any, bounds: Any, ranked: Any, ids: Any, P: Any, Q: Any, rate: Any, decay: Any, drop: Any,
        keep_scale: Any, mask: Any,
    ) -> Any:  # fmt: skip
        most = ids.shape[0]
        scores, nexts, rests = np.empty(most, np.float32), np.empty(most), np.empty(most)
        masks, pull = np.empty((most if drop else 1, width), np.float32), np.empty(width, np.float32)
        loss = 0.0
        for q in range(users.shape[0]):
            some = ids[bounds[q] : bounds[q + 1]]
            part, mask = update(
                users[q], some, ranked[q], some.shape[0], P, Q, rate, decay, drop, keep_scale, mask, masks, scores,
                nexts, rests, pull,
            )  # fmt: skip
            loss += part
        return loss

    ints = _I[::1]
    return compiled(f"sqlrank_given_{width}", sqlrank_given, types.float64(_U[::1], ints, ints, _U[::1], *_MODEL, _U))


def _plan(
    items: Any, levels: Any, lists: Any, count: Any, seen: Any, by_user: Any, by_item: Any, swap_negatives: Any,
    order: Any, coin: Any, chance: Any, users: Any, bounds: Any, ranked: Any, ids: Any,
) -> None:  # fmt: skip
    queued, visits = np.empty_like(items), np.arange(lists.shape[0])
    order = _queue(items, levels, lists, queued, order)
    bounds[0] = 0
    for q in range(lists.shape[0]):
        order = _exchange(visits, q, order)
        users[q], ranked[q], total, coin, chance = _draw_list(
            lists[visits[q]], queued, count, seen, by_user, by_item, swap_negatives, coin, chance, ids[bounds[q] :]
        )
        bounds[q + 1] = bounds[q] + total


@lru_cache(maxsize=1)
def plan() -> Callable[..., Any]:
    """The lists of an epoch after their swaps, without its updates.

    The compiled ``f(items, levels, lists, count, seen, by_user, by_item, swap_negatives, order, coin, chance, users,
    bounds, ranked, ids) -> None``, the last four as `given` takes them, and written; ids at least as long as all lists.
    """
    ints = _I[::1]
    return compiled("sqlrank_plan", _plan, types.void(*_SAMPLES, _U, _U, _U, _U[::1], ints, ints, _U[::1]))
