"""Causal attention within groups of sequences, with dropout of its weights that a CPU can afford."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from torchsse.recsys.sequence.dropout import SIDES, kept
from torchsse.recsys.sequence.layout import Group

__all__ = ["Attention"]

#: Queries at a time, where a group has about ten sequences: scores of a tile stay in the cache.
_TILE = 64


def _tiles(length: int) -> list[tuple[int, int]]:
    return [(start, min(start + _TILE, length)) for start in range(0, length, _TILE)]


class _Dropped(torch.autograd.Function):
    """softmax(q k' / sqrt(d)), causal, times a mask of 0 and 1 / kept, times v.

    torch has no kernel for this on a CPU: its fallback draws the mask slowly and keeps every step of the way. Places
    are taken a tile at a time against those up to the tile's end, which leaves out most of what lies ahead.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, threshold: int, generator: torch.Generator | None) -> Tensor:
        length, scale, up = q.shape[1], q.shape[2] ** -0.5, SIDES / (SIDES - threshold)
        out = torch.empty_like(q, memory_format=torch.contiguous_format)
        held = []
        for start, end in _tiles(length):
            ahead = q.new_full((end - start, end), -torch.inf).triu_(start + 1)
            scores = torch.baddbmm(ahead, q[:, start:end], k[:, :end].transpose(1, 2), alpha=scale)
            share = torch.softmax(scores, -1, out=scores)
            dropped = kept(share.shape, threshold, generator).to(share.dtype).mul_(up).mul_(share)
            torch.bmm(dropped, v[:, :end], out=out[:, start:end])
            held += [share, dropped]
        ctx.save_for_backward(q, k, v, out, *held)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        q, k, v, out, *held = ctx.saved_tensors
        (grad,) = grads
        scale = q.shape[2] ** -0.5
        # a softmax takes off each row's mean gradient, which is that of its output along its output
        mean = (grad * out).sum(-1, keepdim=True)
        to_q = torch.empty_like(out)
        to_k, to_v = torch.zeros_like(out), torch.zeros_like(out)
        for (start, end), share, dropped in zip(_tiles(q.shape[1]), held[::2], held[1::2]):
            here = grad[:, start:end]
            to_v[:, :end].baddbmm_(dropped.transpose(1, 2), here)
            to_scores = torch.bmm(here, v[:, :end].transpose(1, 2)).mul_(dropped)
            to_scores.addcmul_(share, mean[:, start:end], value=-1.0).mul_(scale)
            torch.bmm(to_scores, k[:, :end], out=to_q[:, start:end])
            to_k[:, :end].baddbmm_(to_scores.transpose(1, 2), q[:, start:end])
        return to_q, to_k, to_v, None, None


class Attention(nn.Module):
    """What each place takes from those up to it; without parameters.

    Args:
        heads: they divide the width.
        p: dropout of attention weights, in training. On the CPU in eager mode p is rounded to a multiple of 2^-16 below
            1 and draws from `generator` (where that is None, from torch's default), as `Dropout` does.

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
        width = qkv.shape[1] // 3
        found = []
        # split, not slices: its backward writes each group's gradient once
        for part, (_, rows, length) in zip(torch.split(qkv, [g.rows * g.length for g in groups]), groups):
            # (3, rows, heads, length, width / heads)
            q, k, v = part.view(rows, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4).unbind()
            found.append(self._mixed(q, k, v).transpose(1, 2).reshape(rows * length, width))
        return torch.cat(found)

    def _mixed(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        chance = self.p if self.training else 0.0
        by_torch = not q.is_cpu or torch.compiler.is_compiling()
        threshold = min(round(chance * SIDES), SIDES - 1)
        if by_torch or not threshold:
            return scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=chance if by_torch else 0.0)
        flat = (x.flatten(0, 1) for x in (q, k, v))
        out: Tensor = _Dropped.apply(*flat, threshold, self.generator)  # type: ignore[no-untyped-call]
        return out.view(q.shape)

    def extra_repr(self) -> str:
        return f"heads={self.heads}, p={self.p:g}"
