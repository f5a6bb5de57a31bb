"""Train BPR factors with the fused kernel: seeds, threads, thresholds."""

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
from torchsse.recsys.kernels import bpr
from torchsse.recsys.kernels.draw import Swaps, coins
from torchsse.recsys.kernels.negatives import Seen
from torchsse.recsys.kernels.rng import stream

__all__ = ["CHANCE", "COIN", "MASK", "ORDER", "BPRKernelTrainer", "RankingRates", "pairs_of"]

#: What a stream of random words is for.
ORDER, COIN, CHANCE, MASK = 0, 1, 2, 3


@dataclass(frozen=True)
class RankingRates:
    """The numbers of the update rule, by epoch where they change."""

    learning_rate: Callable[[int], float]
    p0_user: float
    p0_item: float
    swap_negatives: bool
    num_negatives: int
    hard_negatives: bool
    weight_decay: float
    bias_weight_decay: float
    dropout: float
    biases: bool
    seed: int


def pairs_of(users: npt.NDArray[Any], items: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(user, positive) pairs as the kernel reads them."""
    out = np.empty(len(users), dtype=bpr.PAIR)
    out["user"], out["item"] = users, items
    return out


class BPRKernelTrainer:
    """SGD by `kernels.bpr.epoch`, on one thread or, without locks, on several.

    Threads own disjoint ranges of users, cut so that their pairs are as many; they share the items. One thread is
    deterministic to the bit; several lose an update of an item row now and then (Hogwild, Niu et al. 2011).

    Args:
        factors: trained in place.
        pairs: sorted by user; shuffled in place. Every user in it has left an item out.
        seen: the items that are not drawn as negatives.
        by_user, by_item: the laws as kernels read them; their coins are set here.
    """

    def __init__(
        self,
        factors: Factors,
        pairs: npt.NDArray[Any],
        seen: Seen,
        by_user: Swaps,
        by_item: Swaps,
        rates: RankingRates,
        num_threads: int,
    ) -> None:
        self.factors, self._rates, self._seen = factors, rates, seen
        self._laws = by_user._replace(coin=coins(rates.p0_user)), by_item._replace(coin=coins(rates.p0_item))
        users = pairs["user"]
        targets = [users[len(users) * part // num_threads] for part in range(1, num_threads)] if len(users) else []
        cuts = [0, *np.searchsorted(users, targets).tolist(), len(users)]
        self._parts = [pairs[a:b] for a, b in pairwise(cuts) if b > a]
        self._size = len(pairs) * (1 if rates.hard_negatives else rates.num_negatives)
        self._kernel = bpr.epoch(factors.P.shape[1])

    def epoch(self, epoch: int) -> float:
        """Train one epoch, counted from 0; the mean of -log sigmoid(difference) over its triplets, 0 without any."""
        rates, tables, single = self._rates, self.factors, np.float32
        rate = rates.learning_rate(epoch)
        constants = (
            rates.num_negatives, rates.hard_negatives, self._seen, *self._laws, rates.swap_negatives,
            tables.P, tables.Q, tables.bi,
            single(rate), single(rate * rates.weight_decay), single(rate * rates.bias_weight_decay), rates.biases,
            np.uint64(round(rates.dropout * 2**bpr.DROP_BITS)), single(1.0 / (1.0 - rates.dropout)),
        )  # fmt: skip

        def run(thread: int) -> float:
            streams = (stream(rates.seed, epoch, thread, purpose) for purpose in (ORDER, COIN, CHANCE, MASK))
            return float(self._kernel(self._parts[thread], *constants, *streams))

        if len(self._parts) <= 1:
            total = sum(run(thread) for thread in range(len(self._parts)))
        else:
            with ThreadPoolExecutor(len(self._parts)) as pool:
                total = sum(pool.map(run, range(len(self._parts))))
        return total / max(1, self._size) if math.isfinite(total) else math.nan

    def skip(self, epochs: int) -> None:
        # the order of an epoch builds on the one before: repeat the shuffles
        for thread, part in enumerate(self._parts):
            for epoch in range(epochs):
                bpr.shuffle()(part, stream(self._rates.seed, epoch, thread, ORDER))
