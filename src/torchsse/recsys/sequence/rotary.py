"""Rotary positions (Su et al. 2021): what a query and a key have in common depends on how far apart they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchsse.recsys.kernels.turn import turn
from torchsse.recsys.sequence.passes import KINDS, by_kernel, numbers, spread

__all__ = ["Turn"]


class Turn:
    """Turns queries and keys by their places: pair i of a head's numbers by place * base^(-i / pairs) radians.

    The product of a query and a key turned so depends on the distance of their places alone, so every place of a
    history learns what holds at its end, where the next item is asked for. A table of positions counted from the end
    learns its first row from one target of each user.

    Args:
        left: place of each slot, counted from the end, (slots,).
        size: numbers of a head, even.
        base: longest history: over it the slowest pair turns by about one radian.

    >>> Turn(torch.arange(3), size=4, base=200).of(torch.ones(3, 1, 4))[0].tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """

    def __init__(self, left: Tensor, size: int, base: int) -> None:
        pairs = size // 2
        self.size = size
        speeds = float(base) ** (-torch.arange(pairs, device=left.device) / pairs)
        # earlier actions have the larger `left`
        angles = -left[:, None, None] * speeds
        self.cos, self.sin = angles.cos(), angles.sin()

    def of(self, x: Tensor) -> Tensor:
        """x turned, (slots, heads, size), in its dtype: number i of a head and number i + size / 2 are a pair."""
        first, second = x.chunk(2, -1)
        turned = [first * self.cos - second * self.sin, first * self.sin + second * self.cos]
        return torch.cat(turned, -1).to(x.dtype)

    def leading(self, x: Tensor, columns: int) -> Tensor:
        """x, (slots, width), whose first `columns` columns, the heads side by side, are turned.

        On the CPU in eager mode this is one pass that overwrites x, a tenth of the time: give it what nothing else
        holds and whose making did not keep it, as a linear layer's output.
        """
        if not by_kernel(x) or not x.is_contiguous():
            both, rest = x[:, :columns], x[:, columns:]
            return torch.cat([self.of(both.reshape(len(x), -1, self.size)).reshape(both.shape), rest], 1)
        out: Tensor = _Turned.apply(x, self.cos[:, 0], self.sin[:, 0], columns, 1.0)  # type: ignore[no-untyped-call]
        return out


class _Turned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor, columns: int, sign: float) -> Tensor:
        ctx.mark_dirty(x)
        ctx.save_for_backward(cos, sin)
        ctx.columns, ctx.sign = columns, sign
        kernel, tables = turn(KINDS[x.dtype]), (cos.numpy(), sin.numpy())
        given = numbers(x)
        spread(lambda start, stop: kernel(given, start, stop, *tables, columns, np.float32(sign)), len(x))
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        # a turn's transpose is the turn back
        cos, sin = ctx.saved_tensors
        copy = grads[0].clone(memory_format=torch.contiguous_format)
        found: Tensor = _Turned.apply(copy, cos, sin, ctx.columns, -ctx.sign)  # type: ignore[no-untyped-call]
        return found, None, None, None, None
