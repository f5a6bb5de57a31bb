"""Vectorised draws in torch: plain traceable ops, integers and float64 only, no data-dependent shapes, no host sync.

Every function takes flat tensors. Rows of a table that does not hold any edge are clamped and their result is garbage:
the caller masks it.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["ints_like", "pick_equal", "pick_weighted", "row_span", "uniforms_like"]

# randint below 2^32 values reduces 32 random bits by a modulus, which is far from uniform for large tables; above it
# 64 bits.
_RANGE = 1 << 62
_MANTISSA = 53


def ints_like(ids: Tensor, generator: torch.Generator | None) -> Tensor:
    """Uniform int64 in 0 .. 2^62 - 1, the shape of `ids`; reduce with `%` at a bias below 2^-62 x modulus."""
    return _randint_like(_RANGE, ids, generator)


def uniforms_like(ids: Tensor, generator: torch.Generator | None) -> Tensor:
    """Uniform float64 in [0, 1) with 53 random bits. torch.rand would hold 24 under inductor, whatever the dtype."""
    return _randint_like(1 << _MANTISSA, ids, generator).to(torch.float64) * 2.0**-_MANTISSA


def _randint_like(high: int, ids: Tensor, generator: torch.Generator | None) -> Tensor:
    if generator is None:  # the overload with a generator cannot be traced with dynamic shapes, not even for None
        return torch.randint(high, ids.shape, dtype=torch.int64, device=ids.device)
    return torch.randint(high, ids.shape, dtype=torch.int64, device=ids.device, generator=generator)


def row_span(indptr: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """First flat position and length of each row, int64."""
    start = indptr.index_select(0, rows).to(torch.int64)
    return start, indptr.index_select(0, rows + 1) - start


def pick_equal(start: Tensor, count: Tensor, ints: Tensor, edges: int) -> Tensor:
    """A flat position uniform over each row."""
    return (start + ints % count.clamp(min=1)).clamp(max=edges - 1)


def pick_weighted(cumulative: Tensor, start: Tensor, count: Tensor, uniforms: Tensor, steps: int) -> Tensor:
    """A flat position of each row in proportion to its weights: binary search with a fixed number of steps.

    `steps` = bit length of (longest row - 1). The answer stays within the row, so a target that rounds up to the row's
    sum gives the last entry, whose weight is positive.
    """
    edges = cumulative.shape[0]
    low = start.clamp(max=edges - 1)
    high = (start + count.clamp(min=1) - 1).clamp(max=edges - 1)
    target = uniforms * cumulative.index_select(0, high)
    for _ in range(steps):
        middle = (low + high) >> 1
        right = cumulative.index_select(0, middle) <= target
        low = torch.where(right, torch.minimum(middle + 1, high), low)
        high = torch.where(right, high, middle)
    return low
