"""Vectorised draws, written once for torch tensors and for numpy arrays.

Tensors: plain traceable ops, integers and float64 only, no data-dependent shapes, no host sync. Arrays are the eager
CPU path: in a training step, whose matrices have flushed the caches, a numpy call costs less than a torch call. The
random numbers are torch's on both, so that a seed or a generator fixes the draw.

Every function takes flat ids. Rows of a table that does not hold any edge are clamped and their result is garbage: the
caller masks it.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

__all__ = ["Flat", "choose", "ints_like", "pick_equal", "pick_weighted", "row_span", "take", "uniforms_like"]

Array = np.ndarray[Any, Any]
Flat = TypeVar("Flat", Tensor, Array)

# randint below 2^32 values reduces 32 random bits by a modulus, which is far from uniform for large tables; above it
# 64 bits.
INT_RANGE = 1 << 62
_MANTISSA = 53


def ints_like(ids: Flat, generator: torch.Generator | None) -> Flat:
    """Uniform int64 in 0 .. 2^62 - 1, the shape of `ids`; reduce with `%` at a bias below 2^-62 x modulus."""
    return _randint_like(INT_RANGE, ids, generator)


def uniforms_like(ids: Flat, generator: torch.Generator | None) -> Flat:
    """Uniform float64 in [0, 1) with 53 random bits. torch.rand would hold 24 under inductor, whatever the dtype."""
    ints = _randint_like(1 << _MANTISSA, ids, generator)
    if isinstance(ints, Tensor):
        return ints.to(torch.float64) * 2.0**-_MANTISSA
    return ints * 2.0**-_MANTISSA


def _randint_like(high: int, ids: Flat, generator: torch.Generator | None) -> Flat:
    if not isinstance(ids, Tensor):
        return torch.randint(high, ids.shape, dtype=torch.int64, device="cpu", generator=generator).numpy()
    if generator is None:  # the overload with a generator cannot be traced with dynamic shapes, not even for None
        return torch.randint(high, ids.shape, dtype=torch.int64, device=ids.device)
    return torch.randint(high, ids.shape, dtype=torch.int64, device=ids.device, generator=generator)


def take(table: Flat, index: Flat) -> Flat:
    """table[index] for indices within the table."""
    if isinstance(table, Tensor):
        return table.index_select(0, index)
    return table.take(index, mode="clip")  # the quickest mode; `_within` relies on it


def choose(condition: Flat, yes: Flat, no: Flat) -> Flat:
    """`yes` where the condition holds, else `no`."""
    if isinstance(condition, Tensor):
        return torch.where(condition, yes, no)
    return np.where(condition, yes, no)


def row_span(indptr: Flat, rows: Flat) -> tuple[Flat, Flat]:
    """First flat position and length of each row, in the dtype of `indptr`."""
    start = take(indptr, rows)
    return start, take(indptr, rows + 1) - start


def pick_equal(start: Flat, count: Flat, ints: Flat, edges: int) -> Flat:
    """A flat position uniform over each row."""
    return _within(start + ints % _at_least_one(count), edges)


def pick_weighted(cumulative: Flat, start: Flat, count: Flat, uniforms: Flat, steps: int) -> Flat:
    """A flat position of each row in proportion to its weights: binary search with a fixed number of steps.

    `steps` = bit length of (longest row - 1). The answer stays within the row, so a target that rounds up to the row's
    sum gives the last entry, whose weight is positive.
    """
    edges = cumulative.shape[0]
    low = _within(start, edges)
    high = _within(start + (_at_least_one(count) - 1), edges)
    target = uniforms * take(cumulative, high)
    for _ in range(steps):
        middle = (low + high) >> 1
        right = take(cumulative, middle) <= target
        low = choose(right, _smaller(middle + 1, high), low)
        high = choose(right, high, middle)
    return low


def _at_least_one(count: Flat) -> Flat:
    if isinstance(count, Tensor):
        return count.clamp(min=1)
    filled: Array = np.maximum(count, 1)
    return filled


def _within(position: Flat, edges: int) -> Flat:
    """An empty last row starts one past the table. Of arrays `take` clips such a position itself."""
    return position.clamp(max=edges - 1) if isinstance(position, Tensor) else position


def _smaller(one: Flat, other: Flat) -> Flat:
    if isinstance(one, Tensor):
        return torch.minimum(one, other)
    smaller: Array = np.minimum(one, other)
    return smaller
