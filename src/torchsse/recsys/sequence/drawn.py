"""Losses whose negatives are drawn for each target, without a row in memory for every negative."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, softplus

__all__ = ["drawn_loss"]

#: Targets whose rows are looked up at a time: they stay in the cache.
_CHUNK = 256


def drawn_loss(
    vectors: Tensor, targets: Tensor, negatives: Tensor, weight: Tensor, num_items: int, power: float | None,
    offset: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Mean of -power log sigma(s) - sum_k log(1 - sigma(s_k)), or of the sampled softmax.

    By autograd a step writes the rows of all negatives, (T, K, hidden), and as much again for their gradient. Here the
    gradients are made with the scores: that of a vector is a weighted sum of rows and that of the table a sum of
    weighted vectors, which an embedding bag and its backward are. On a CPU this takes half of the time at 8 negatives,
    under a third at 32.

    Args:
        vectors: (T, hidden).
        targets: (T,) codes.
        negatives: (T, K) codes.
        weight: (at least num_items, hidden).
        num_items: items that negatives are drawn from, and the target among them.
        power: of the target's part in binary cross-entropy; None: sampled softmax.
        offset: (T,), added to all scores of a target.

    >>> v, w = torch.randn(5, 4, requires_grad=True), torch.randn(9, 4, requires_grad=True)
    >>> y, n = torch.arange(5), torch.randint(9, (5, 3))
    >>> slow = softplus(-(v * w[y]).sum(1)) + softplus((v[:, None] * w[n]).sum(2)).sum(1)
    >>> bool(torch.isclose(drawn_loss(v, y, n, w, 9, 1.0), slow.mean(), atol=1e-6))
    True
    """
    codes = torch.cat([targets[:, None], negatives], 1)
    found: Tensor = _Drawn.apply(vectors, weight, codes, num_items, power, offset)  # type: ignore[no-untyped-call]
    return found


class _Drawn(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, vectors: Tensor, weight: Tensor, codes: Tensor, num_items: int, power: float | None,
        offset: Tensor | None,
    ) -> Tensor:  # fmt: skip
        scores = _scores(vectors, weight, codes)
        if offset is not None:
            scores += offset[:, None]
        loss, slope = _binary(scores, power) if power is not None else _softmax(scores, num_items)
        with torch.enable_grad():
            table = weight.detach().requires_grad_()
            bag = embedding_bag(codes, table, per_sample_weights=slope, mode="sum")
        (to_table,) = torch.autograd.grad(bag, table, vectors)
        ctx.save_for_backward(bag.detach(), to_table, slope.sum(1) if offset is not None else None)
        ctx.count = len(vectors)
        return loss / len(vectors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None, Tensor | None]:
        to_vectors, to_table, to_offset = ctx.saved_tensors
        scale = grads[0] / ctx.count
        return to_vectors * scale, to_table * scale, None, None, None, None if to_offset is None else to_offset * scale


def _scores(vectors: Tensor, weight: Tensor, codes: Tensor) -> Tensor:
    """Vectors times the rows of their codes, (T, 1 + K)."""
    out = vectors.new_empty(codes.shape)
    for start in range(0, len(codes), _CHUNK):
        part = codes[start : start + _CHUNK]
        rows = weight.index_select(0, part.reshape(-1)).view(*part.shape, -1)
        torch.bmm(rows, vectors[start : start + _CHUNK, :, None], out=out[start : start + _CHUNK, :, None])
    return out


def _binary(scores: Tensor, power: float) -> tuple[Tensor, Tensor]:
    """Sum of the losses, and what each score adds to it per unit."""
    positive, negative = scores[:, 0], scores[:, 1:]
    slope = torch.sigmoid(scores)
    slope[:, 0] = power * (slope[:, 0] - 1.0)
    return power * softplus(-positive).sum() + softplus(negative).sum(), slope


def _softmax(scores: Tensor, num_items: int) -> tuple[Tensor, Tensor]:
    """The same: the sum over the negatives stands for that over all other items."""
    positive, negative = scores[:, 0], scores[:, 1:]
    ahead = torch.logsumexp(negative, 1) + math.log((num_items - 1) / negative.shape[1]) - positive
    wrong = torch.sigmoid(ahead)[:, None]
    return softplus(ahead).sum(), torch.cat([-wrong, wrong * torch.softmax(negative, 1)], 1)
