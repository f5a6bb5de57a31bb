"""Negative items inside kernels: uniform over what a user has not seen, one random word each.

Two views of the same pairs. A bitset answers "seen?" with one look; a word that falls on a seen item is drawn again, so
that a draw takes fewer than two words on average. Where the bitset would be large, or a user has seen more than half of
the items, the rank of the negative among the unseen items is drawn and found by binary search in the user's sorted row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, types

from torchsse.recsys.kernels.cache import compiled
from torchsse.recsys.kernels.draw import frozen
from torchsse.recsys.kernels.rng import GOLDEN, below, high, mix

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BITSET_BYTES", "SEEN", "Seen", "draw_negatives", "negative", "seen_pairs"]

#: A bitset may take this much memory: beyond it a look misses the caches and a search in the row costs as much.
BITSET_BYTES = 1 << 24


class Seen(NamedTuple):
    """Which items each user has in train."""

    num_items: np.uint64
    words: int  # 64-bit words a user; 0: no bitset
    bits: npt.NDArray[np.uint64]  # (num_users * words,)
    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]  # ascending within a row


def _readonly(dtype: Any) -> types.Array:
    return types.Array(dtype, 1, "C", readonly=True)


#: The numba type of `Seen`.
SEEN = types.NamedTuple(
    (types.uint64, types.int64, _readonly(types.uint64), _readonly(types.int64), _readonly(types.int32)), Seen
)


def seen_pairs(indptr: npt.NDArray[Any], indices: npt.NDArray[Any], num_items: int, limit: int = BITSET_BYTES) -> Seen:
    """The kernel's view of a CSR matrix with ascending, distinct columns in each row; bitset up to `limit` bytes."""
    users, words = len(indptr) - 1, -(-num_items // 64)
    if users * words * 8 > limit:
        words = 0
    bits = np.zeros(users * words, dtype=np.uint64)
    if words:
        rows = np.repeat(np.arange(users), np.diff(indptr))
        columns = indices.astype(np.int64)
        np.bitwise_or.at(bits, rows * words + (columns >> 6), np.uint64(1) << (columns & 63).astype(np.uint64))
    return Seen(
        np.uint64(num_items), words, frozen(bits, np.uint64), frozen(indptr, np.int64), frozen(indices, np.int32)
    )


@njit(error_model="numpy")
def negative(seen: Any, user: Any, state: Any) -> Any:
    """An item that `user` has not seen, and the new state of the generator. The user must have left one out."""
    start = seen.indptr[user]
    degree = seen.indptr[user + np.uint64(1)] - start
    if seen.words and np.uint64(2 * degree) <= seen.num_items:
        base = user * np.uint64(seen.words)
        while True:
            state += GOLDEN
            j = high(mix(state), seen.num_items)
            if not (seen.bits[base + (j >> np.uint64(6))] >> (j & np.uint64(63))) & np.uint64(1):
                return j, state
    state += GOLDEN
    rank = below(mix(state), seen.num_items - np.uint64(degree))
    # the item at this rank among the unseen: seen item t has indices[t] - t unseen ones before it
    low, top = np.int64(0), degree
    while low < top:
        middle = (low + top) >> 1
        if seen.indices[start + middle] - middle > rank:
            top = middle
        else:
            low = middle + 1
    return np.uint64(rank + low), state


def _draw_negatives(users: Any, seen: Any, state: Any, out: Any) -> None:
    for q in range(users.shape[0]):
        out[q], state = negative(seen, users[q], state)


def draw_negatives() -> Callable[..., Any]:
    """The compiled ``f(users uint64, seen Seen, state uint64, out uint64) -> None``: `negative` for each user."""
    unsigned = types.uint64[::1]
    return compiled("draw_negatives", _draw_negatives, types.void(unsigned, SEEN, types.uint64, unsigned))
