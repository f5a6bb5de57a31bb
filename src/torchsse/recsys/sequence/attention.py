"""Causal attention within groups of sequences, with dropout of its weights that a CPU can afford."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import scaled_dot_product_attention

from torchsse.recsys.kernels.attend import shares, slopes
from torchsse.recsys.kernels.drop import SIDES
from torchsse.recsys.sequence.dropout import kept_scale
from torchsse.recsys.sequence.layout import Group
from torchsse.recsys.sequence.passes import KINDS, by_kernel, key_of, numbers, spread

__all__ = ["Attention"]


def _parts(x: Tensor, group: Group, heads: int, count: int = 3) -> tuple[Tensor, ...]:
    """What lies side by side in (slots, count width), each (rows, heads, length, width / heads), a view."""
    start, rows, length = group
    part = x[start : start + rows * length].view(rows, length, count, heads, x.shape[1] // count // heads)
    return part.permute(2, 0, 3, 1, 4).unbind()


def _soften(scores: Tensor, scale: np.float32, threshold: int, generator: torch.Generator | None) -> Tensor:
    """Scores become shares, in place; shares times a mask of 0 and 1 / kept."""
    dropped = torch.empty_like(scores)
    kernel, words = shares(KINDS[scores.dtype]), (numbers(scores), numbers(dropped))
    coins = (scale, key_of(generator), threshold, kept_scale(threshold))
    spread(lambda start, stop: kernel(*words, start, stop, *coins), len(scores))
    return dropped


def _slope(grad: Tensor, share: Tensor, dropped: Tensor, mean: Tensor, scale: np.float32) -> None:
    """The gradient by the dropped shares becomes that by the products of queries and keys, in place."""
    kernel, words = slopes(KINDS[grad.dtype]), tuple(numbers(x) for x in (grad, share, dropped, mean))
    spread(lambda start, stop: kernel(*words, start, stop, scale), len(grad))


class _Dropped(torch.autograd.Function):
    """softmax(q k' / sqrt(d)), causal, times a mask of 0 and 1 / kept, times v; of all groups.

    torch has no kernel for this on a CPU: its fallback draws the mask slowly and keeps every step of the way. Here
    matrix products are torch's and what lies between them is one pass.
    """

    @staticmethod
    def forward(
        ctx: Any, qkv: Tensor, groups: Sequence[Group], heads: int, threshold: int, generator: torch.Generator | None
    ) -> Tensor:
        width = qkv.shape[1] // 3
        ctx.groups, ctx.heads, ctx.scale = groups, heads, np.float32((width // heads) ** -0.5)
        out, held = qkv.new_empty(len(qkv), width), []
        for group in groups:
            q, k, v = (x.flatten(0, 1) for x in _parts(qkv, group, heads))
            share = torch.bmm(q, k.transpose(1, 2))
            dropped = _soften(share, ctx.scale, threshold, generator)
            (place,) = _parts(out, group, heads, 1)
            place.copy_(torch.bmm(dropped, v).view(place.shape))
            held += [share, dropped]
        ctx.save_for_backward(qkv, out, *held)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        qkv, out, *held = ctx.saved_tensors
        (grad,) = grads
        to = torch.empty_like(qkv)
        # a softmax takes off each row's mean gradient, which is that of its output along its output
        means = (grad * out).view(len(out), ctx.heads, -1).sum(-1, dtype=torch.float32)
        for group, share, dropped in zip(ctx.groups, held[::2], held[1::2]):
            q, k, v = (x.flatten(0, 1) for x in _parts(qkv, group, ctx.heads))
            here, mean = (x.flatten(0, 1) for (x,) in (_parts(y, group, ctx.heads, 1) for y in (grad, means)))
            slope = torch.bmm(here, v.transpose(1, 2))
            _slope(slope, share, dropped, mean[..., 0].contiguous(), ctx.scale)
            found = (torch.bmm(slope, k), torch.bmm(slope.transpose(1, 2), q), torch.bmm(dropped.transpose(1, 2), here))
            for place, gradient in zip(_parts(to, group, ctx.heads), found):
                place.copy_(gradient.view(place.shape))
        return to, None, None, None, None


class Attention(nn.Module):
    """What each place takes from those up to it; without parameters.

    Args:
        heads: they divide the width.
        p: dropout of attention weights, in training. On the CPU in eager mode, fp32 or bf16, p is rounded to a multiple
            of 2^-16 below 1 and draws from `generator` (where that is None, from torch's default), as `Dropout` does.

    Shape:
        queries, keys and values side by side, (slots, 3 width), and the groups that the slots lie in -> (slots, width).

    >>> Attention(2)(torch.zeros(6, 12), [Group(0, 2, 3)]).shape
    torch.Size([6, 4])
    """

    def __init__(self, heads: int, p: float = 0.0) -> None:
        super().__init__()
        self.heads, self.p = heads, p
        self.generator: torch.Generator | None = None

    def forward(self, qkv: Tensor, groups: Sequence[Group]) -> Tensor:
        chance = self.p if self.training else 0.0
        threshold = min(round(chance * SIDES), SIDES - 1)
        if threshold and by_kernel(qkv):
            out: Tensor = _Dropped.apply(  # type: ignore[no-untyped-call]
                qkv.contiguous(), groups, self.heads, threshold, self.generator
            )
            return out
        width = qkv.shape[1] // 3
        found = []
        # split, not slices: its backward writes each group's gradient once
        for part, group in zip(torch.split(qkv, [g.rows * g.length for g in groups]), groups):
            q, k, v = _parts(part, group._replace(start=0), self.heads)
            mixed = scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=chance if threshold else 0.0)
            found.append(mixed.transpose(1, 2).reshape(len(part), width))
        return torch.cat(found)

    def extra_repr(self) -> str:
        return f"heads={self.heads}, p={self.p:g}"
