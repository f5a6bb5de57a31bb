"""Dropout in one pass on the CPU, whose coins come of a stream of its own: a fraction of the time of torch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from torchsse.recsys.kernels.drop import BLOCK, SIDES, drop
from torchsse.recsys.sequence.passes import KINDS, by_kernel, key_of, numbers, spread

__all__ = ["Dropout", "kept_scale"]


def kept_scale(threshold: int) -> np.float32:
    """What is kept is multiplied by this where `threshold` of SIDES are dropped.

    >>> float(kept_scale(1 << 15))
    2.0
    """
    return np.float32(SIDES / (SIDES - threshold))


class _Drop(torch.autograd.Function):
    """x times a mask that is 0 or 1 / kept; the gradient makes the mask again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: int, key: np.uint64) -> Tensor:
        ctx.threshold, ctx.key = threshold, key
        out = torch.empty_like(x)
        kernel, given, found = drop(KINDS[x.dtype]), numbers(x).reshape(-1), numbers(out).reshape(-1)
        scale = kept_scale(threshold)
        spread(lambda start, stop: kernel(given, found, start, stop, key, threshold, scale), x.numel(), BLOCK)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        found: Tensor = _Drop.apply(grads[0].contiguous(), ctx.threshold, ctx.key)  # type: ignore[no-untyped-call]
        return found, None, None


class Dropout(nn.Module):
    """Zeroes each number with chance p and scales the rest by 1 / (1 - p), in training.

    On the CPU in eager mode, fp32 or bf16, p is rounded to a multiple of 2^-16, for the zeros and the scale alike;
    elsewhere this is `torch.nn.functional.dropout`. Randomness: `generator` there, so that fits on several threads of a
    process do not share their coins; where that is None, and elsewhere, the device's default generator.

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
        if not by_kernel(x):
            return functional.dropout(x, self.p)
        threshold = round(self.p * SIDES)
        if threshold >= SIDES:
            return x * 0.0
        key = key_of(self.generator)
        out: Tensor = _Drop.apply(x.contiguous(), threshold, key)  # type: ignore[no-untyped-call]
        return out

    def extra_repr(self) -> str:
        return f"p={self.p:g}"
