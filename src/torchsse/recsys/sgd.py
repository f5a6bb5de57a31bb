"""Train factors with the fused kernel: seeds, threads, thresholds."""

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
from torchsse.recsys.kernels import mf
from torchsse.recsys.kernels.draw import COIN_BITS, Swaps, coins
from torchsse.recsys.kernels.rng import stream

__all__ = ["COIN", "MASK", "ORDER", "KernelTrainer", "Rates", "examples_of"]

#: What a stream of random words is for.
ORDER, COIN, MASK = 0, 1, 2


@dataclass(frozen=True)
class Rates:
    """The numbers of the update rule, by epoch where they change."""

    learning_rate: Callable[[int], float]
    p0_user: float | npt.NDArray[np.float64]
    p0_item: float | npt.NDArray[np.float64]
    p0_factor: Callable[[int], float]
    weight_decay: float
    bias_weight_decay: float
    dropout: float
    mean: float
    biases: bool
    seed: int


def examples_of(users: npt.NDArray[Any], items: npt.NDArray[Any], ratings: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Examples as the kernel reads them."""
    out = np.empty(len(users), dtype=mf.EXAMPLE)
    out["user"], out["item"], out["rating"] = users, items, ratings
    return out


class KernelTrainer:
    """SGD by `kernels.mf.epoch`, on one thread or, without locks, on several.

    Threads own disjoint ranges of users, cut so that their examples are as many; they share the items. One thread is
    deterministic to the bit; several lose an update of an item row now and then (Hogwild, Niu et al. 2011).

    Args:
        factors: trained in place.
        examples: sorted by user; shuffled in place.
        by_user, by_item: the laws as kernels read them; their coins are set here, epoch by epoch.
    """

    def __init__(
        self,
        factors: Factors,
        examples: npt.NDArray[Any],
        by_user: Swaps,
        by_item: Swaps,
        rates: Rates,
        num_threads: int,
    ) -> None:
        self.factors, self._rates = factors, rates
        self._laws = by_user, by_item
        self._parts = _by_user(examples, num_threads)
        self._size = len(examples)
        self._kernel = mf.epoch(factors.P.shape[1])

    def epoch(self, epoch: int) -> float:
        rates, tables = self._rates, self.factors
        rate, single = rates.learning_rate(epoch), np.float32
        factor = rates.p0_factor(epoch)
        by_user = self._laws[0]._replace(coin=coins(np.asarray(rates.p0_user) * factor))
        by_item = self._laws[1]._replace(coin=coins(np.asarray(rates.p0_item) * factor))
        constants = (
            by_user, by_item, tables.P, tables.Q, tables.bu, tables.bi,
            single(rates.mean), single(rate), single(rate * rates.weight_decay), single(rate * rates.bias_weight_decay),
            rates.biases, np.uint64(round(rates.dropout * 2**COIN_BITS)), single(1.0 / (1.0 - rates.dropout)),
        )  # fmt: skip

        def run(thread: int) -> float:
            streams = (stream(rates.seed, epoch, thread, purpose) for purpose in (ORDER, COIN, MASK))
            return float(self._kernel(self._parts[thread], *constants, *streams))

        if len(self._parts) == 1:
            total = run(0)
        else:
            with ThreadPoolExecutor(len(self._parts)) as pool:
                total = sum(pool.map(run, range(len(self._parts))))
        return math.sqrt(total / self._size) if math.isfinite(total) and total >= 0 else math.nan

    def skip(self, epochs: int) -> None:
        # the order of an epoch builds on the one before: repeat the shuffles, which costs a fifth of the training
        never = [law._replace(coin=coins(0.0), step=0) for law in self._laws]
        for thread, part in enumerate(self._parts):
            ids, ratings = np.empty((2, len(part)), np.uint64), np.empty(len(part), np.float32)
            for epoch in range(epochs):
                order = stream(self._rates.seed, epoch, thread, ORDER)
                mf.plan()(part, *never, order, np.uint64(0), ids[0], ids[1], ratings)


def _by_user(examples: npt.NDArray[Any], parts: int) -> list[npt.NDArray[Any]]:
    """Cut examples sorted by user into up to `parts` runs of about equal length, no user in two of them."""
    users = examples["user"]
    targets = [users[len(users) * part // parts] for part in range(1, parts)]
    cuts = [0, *np.searchsorted(users, targets).tolist(), len(users)]
    return [examples[a:b] for a, b in pairwise(cuts) if b > a]
