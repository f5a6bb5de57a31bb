"""The CPU path: touch only the ids that are replaced.

The gaps between fallen coins are geometric, so the cost is one copy, and work in proportion to p0. For short inputs,
and above `_DENSE`, the coins themselves are cheaper than the gaps. Both give independent coins of exactly p0.

In a training step the matrices flush the caches, and a short input costs some 5 to 20 us for each distinct call of
torch or numpy, whatever its size: hence numpy arrays throughout, whose calls are the cheaper ones, and few of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchsse.swap.check import checked_copy
from torchsse.swap.coin import COIN_RANGE
from torchsse.transition import Law

__all__ = ["coin_positions", "swap_cpu"]

Positions = np.ndarray[Any, np.dtype[np.int64]]

_DENSE = (
    0.7  # from `benchmarks.swap_speed --crossover`: a coin for every id costs no more than gaps for the fallen ones
)
_SHORT = 1 << 13  # ids; fewer calls for the coins of all of them than for the gaps
_BLOCK = 1 << 15  # positions at once: torch runs ops up to this size on one thread, and they stay in the cache


def swap_cpu(ids: Tensor, law: Law, p0: float, generator: torch.Generator | None) -> Tensor:
    """Fresh contiguous copy of CPU `ids` with each id replaced with chance `p0` by a jump of `law`."""
    out, flat = checked_copy(ids, law.num_embeddings)
    for positions in coin_positions(flat.size, p0, generator):
        flat[positions] = law.jump(flat[positions].astype(np.int64, copy=False), generator)
    return out


def coin_positions(count: int, p0: float, generator: torch.Generator | None) -> Iterable[Positions]:
    """Positions 0 .. count - 1, each taken independently with chance `p0`: rising int64, in bounded blocks."""
    if count == 0 or p0 <= 0.0:
        return ()
    return _dense(count, p0, generator) if count <= _SHORT or p0 >= _DENSE else _gaps(count, p0, generator)


def _gaps(count: int, p0: float, generator: torch.Generator | None) -> Iterator[Positions]:
    """P(gap >= g) = (1 - p0)^g: the floor of log(1 - u) / log(1 - p0), u uniform in [0, 1)."""
    scale = math.log1p(-p0)
    last = -1
    while True:
        expected = (count - 1 - last) * p0
        size = min(_BLOCK, int(expected + 3.0 * math.sqrt(expected)) + 4)
        gaps = torch.rand(size, dtype=torch.float64, device="cpu", generator=generator).numpy()
        np.negative(gaps, out=gaps)
        np.log1p(gaps, out=gaps)
        gaps /= scale
        np.minimum(gaps, count, out=gaps)  # a tiny p0 makes gaps that no int64 holds
        steps = gaps.astype(np.int64)
        steps += 1
        positions = np.cumsum(steps, out=steps)
        positions += last
        if positions[-1] >= count:
            inside = int(np.searchsorted(positions, count))
            if inside:
                yield positions[:inside]
            return
        yield positions
        last = int(positions[-1])


def _dense(count: int, p0: float, generator: torch.Generator | None) -> Iterator[Positions]:
    threshold = round(p0 * COIN_RANGE)
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        if p0 >= 1.0:
            yield np.arange(start, start + size)
            continue
        coins = torch.randint(COIN_RANGE, (size,), dtype=torch.int64, device="cpu", generator=generator)
        (positions,) = (coins.numpy() < threshold).nonzero()
        if start:
            positions += start
        if len(positions):
            yield positions
