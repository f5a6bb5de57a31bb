"""Train SQL-Rank factors with the fused kernel: lists, levels, seeds, threads, thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.recsys.factors import Factors
from torchsse.recsys.kernels import sqlrank
from torchsse.recsys.kernels.draw import COIN_BITS, Swaps, coins
from torchsse.recsys.kernels.negatives import Seen
from torchsse.recsys.kernels.rng import stream

__all__ = ["CHANCE", "COIN", "MASK", "ORDER", "ListRates", "SQLRankTrainer", "levels_of", "lists_of"]

#: What a stream of random words is for.
ORDER, COIN, CHANCE, MASK = 0, 1, 2, 3


@dataclass(frozen=True)
class ListRates:
    """The numbers of the update rule, by epoch where they change."""

    learning_rate: Callable[[int], float]
    p0_user: float
    p0_item: float
    swap_negatives: bool
    num_negatives: int
    weight_decay: float
    dropout: float
    seed: int


def levels_of(users: npt.NDArray[Any], values: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """A number for each run of equal user and value: ties have the same, everything else another.

    >>> levels_of(np.array([0, 0, 0, 1, 1]), np.array([5, 5, 3, 3, 2])).tolist()
    [0, 0, 1, 2, 3]
    """
    new = (users[1:] != users[:-1]) | (values[1:] != values[:-1])
    return np.concatenate([np.zeros(min(1, len(users)), np.int32), np.cumsum(new, dtype=np.int32)])


def lists_of(users: npt.NDArray[np.int64], longest: int | None) -> npt.NDArray[Any]:
    """Each user's run cut into as few lists of at most `longest` as it takes, of lengths that differ by one at most.

    Args:
        users: sorted, shape (n,).
        longest: None: one list each.

    >>> [(int(e["user"]), int(e["start"]), int(e["size"])) for e in lists_of(np.array([0, 0, 0, 0, 0, 2]), 3)]
    [(0, 0, 3), (0, 3, 2), (2, 5, 1)]
    """
    who, starts, sizes = np.unique(users, return_index=True, return_counts=True)
    count = np.ones_like(sizes) if longest is None else -(-sizes // longest)
    out = np.empty(int(count.sum()), dtype=sqlrank.LIST)
    within = np.arange(len(out)) - np.repeat(np.cumsum(count) - count, count)
    size, parts = np.repeat(sizes, count), np.repeat(count, count)
    # the first size % parts lists have one more
    out["user"] = np.repeat(who, count)
    out["start"] = np.repeat(starts, count) + within * (size // parts) + np.minimum(within, size % parts)
    out["size"] = size // parts + (within < size % parts)
    return out


class SQLRankTrainer:
    """SGD by `kernels.sqlrank.epoch`, on one thread or, without locks, on several.

    Threads own disjoint ranges of users, cut so that their items are as many; they share the item table. One thread is
    deterministic to the bit; several lose an update of an item row now and then (Hogwild, Niu et al. 2011).

    Args:
        factors: trained in place.
        users, items, values: the observed pairs, sorted by user and then from the highest value to the lowest.
        longest: observed items of a list at most, None: no limit.
        seen: the items that are not drawn as unobserved.
        by_user, by_item: the laws as kernels read them; their coins are set here.
    """

    def __init__(
        self,
        factors: Factors,
        users: npt.NDArray[np.int64],
        items: npt.NDArray[np.int64],
        values: npt.NDArray[Any],
        longest: int | None,
        seen: Seen,
        by_user: Swaps,
        by_item: Swaps,
        rates: ListRates,
        num_threads: int,
    ) -> None:
        self.factors, self._rates, self._seen = factors, rates, seen
        self._laws = by_user._replace(coin=coins(rates.p0_user)), by_item._replace(coin=coins(rates.p0_item))
        targets = [users[len(users) * part // num_threads] for part in range(1, num_threads)] if len(users) else []
        cuts = [0, *np.searchsorted(users, targets).tolist(), len(users)]
        self._parts = [
            (items[a:b].astype(np.int32), levels_of(users[a:b], values[a:b]), lists_of(users[a:b], longest))
            for a, b in pairwise(cuts)
            if b > a
        ]
        self._size = len(users)
        self._kernel = sqlrank.epoch(factors.P.shape[1])

    def epoch(self, epoch: int) -> float:
        """Train one epoch, counted from 0; the mean of -log of the chance of an observed item to come next."""
        rates, tables, single = self._rates, self.factors, np.float32
        rate = rates.learning_rate(epoch)
        constants = (
            rates.num_negatives, self._seen, *self._laws, rates.swap_negatives, tables.P, tables.Q,
            single(rate), single(rate * rates.weight_decay),
            np.uint64(round(rates.dropout * 2**COIN_BITS)), single(1.0 / (1.0 - rates.dropout)),
        )  # fmt: skip

        def run(thread: int) -> float:
            streams = (stream(rates.seed, epoch, thread, purpose) for purpose in (ORDER, COIN, CHANCE, MASK))
            return float(self._kernel(*self._parts[thread], *constants, *streams))

        if len(self._parts) <= 1:
            total = sum(run(thread) for thread in range(len(self._parts)))
        else:
            with ThreadPoolExecutor(len(self._parts)) as pool:
                total = sum(pool.map(run, range(len(self._parts))))
        return total / max(1, self._size) if math.isfinite(total) else math.nan

    def skip(self, epochs: int) -> None:
        """An epoch queues from the stored order: nothing is carried but the factors."""
