"""The CPU path: touch only the ids that are replaced.

The gaps between fallen coins are geometric, so the cost is one copy, and work in proportion to p0. Above `_DENSE` the
coins themselves are cheaper than the gaps. Both give independent coins of exactly p0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from torchsse.swap.check import checked_copy
from torchsse.transition import Law
from torchsse.transition.tables import as_tensor

__all__ = ["coin_positions", "swap_cpu"]

_DENSE = (
    0.7  # from `benchmarks.swap_speed --crossover`: a coin for every id costs no more than gaps for the fallen ones
)
_BLOCK = 1 << 15  # positions at once: torch runs ops up to this size on one thread, and they stay in the cache


def swap_cpu(ids: Tensor, law: Law, p0: float, generator: torch.Generator | None) -> Tensor:
    """Fresh contiguous copy of CPU `ids` with each id replaced with chance `p0` by a jump of `law`."""
    out = checked_copy(ids, law.num_embeddings)
    flat = out.view(-1)
    for positions in coin_positions(flat.numel(), p0, generator):
        chosen = flat.index_select(0, positions)
        new = law.jump(chosen.to(torch.int64), generator)
        flat.scatter_(0, positions, new.to(flat.dtype))
    return out


def coin_positions(count: int, p0: float, generator: torch.Generator | None) -> Iterator[Tensor]:
    """Positions 0 .. count - 1, each taken independently with chance `p0`: rising int64, in bounded blocks."""
    if count == 0 or p0 <= 0.0:
        return iter(())
    return _dense(count, p0, generator) if p0 >= _DENSE else _gaps(count, p0, generator)


def _gaps(count: int, p0: float, generator: torch.Generator | None) -> Iterator[Tensor]:
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
                yield as_tensor(positions[:inside])
            return
        yield as_tensor(positions)
        last = int(positions[-1])


def _dense(count: int, p0: float, generator: torch.Generator | None) -> Iterator[Tensor]:
    threshold = round(p0 * 2**53)
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        if p0 >= 1.0:
            yield torch.arange(start, start + size, device="cpu")
            continue
        coins = torch.randint(1 << 53, (size,), dtype=torch.int64, device="cpu", generator=generator)
        positions = np.flatnonzero(coins.numpy() < threshold)
        if len(positions):
            positions += start
            yield as_tensor(positions)
