"""Losses with one set of negatives for all targets, in blocks of targets whose scores stay in the cache.

Gradients are made with the scores, as in `losses.softmax_loss`: no score is kept, and none goes through memory more
than once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

__all__ = ["shared_loss"]

#: Targets in a block: on a CPU 256 scores each fit the cache; elsewhere launches cost more than memory.
_BLOCK, _BLOCK_ELSEWHERE = 512, 16384


def shared_loss(
    vectors: Tensor,
    targets: Tensor,
    negatives: Tensor,
    weight: Tensor,
    num_items: int,
    power: float | None,
    offset: Tensor | None = None,
    seen: Tensor | None = None,
    row: Tensor | None = None,
) -> Tensor:
    """Mean over targets of a loss of `losses.py` with shared negatives; one that is the target is left out there.

    Args:
        vectors: (T, hidden).
        targets: (T,) codes.
        negatives: (K,) codes.
        weight: the item table, (at least num_items, hidden).
        num_items: items that negatives are drawn from, and the target among them.
        power: beta of the binary cross-entropy; None: the sampled softmax.
        offset: (T,), added to all scores of a target; nothing to the sampled softmax, where it cancels.
        seen: which negatives count for nothing, (rows, K), bool: the sampled softmax is over the items left then.
        row: the row of `seen` of each target, (T,).
    """
    if power is None:
        offset = None
    found: Tensor = _Shared.apply(  # type: ignore[no-untyped-call]
        vectors, weight, offset, targets, negatives, num_items, power, seen, row
    )
    return found


class _Shared(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        vectors: Tensor,
        weight: Tensor,
        offset: Tensor | None,
        targets: Tensor,
        negatives: Tensor,
        num_items: int,
        power: float | None,
        seen: Tensor | None,
        row: Tensor | None,
    ) -> Tensor:
        rows, wanted = weight[negatives], weight[targets]
        positive = (vectors * wanted).sum(1)
        if offset is not None:
            positive += offset
        drawn = torch.zeros(len(weight), dtype=torch.bool, device=weight.device)
        drawn[negatives] = True
        hits = drawn[targets]  # few targets are among the negatives
        total = vectors.new_zeros((), dtype=torch.float64)
        to_vectors, to_rows, to_positive = torch.empty_like(vectors), torch.zeros_like(rows), torch.empty_like(positive)
        to_offset = None if offset is None else torch.empty_like(positive)
        block = _BLOCK if vectors.device.type == "cpu" else _BLOCK_ELSEWHERE
        for start in range(0, len(vectors), block):
            here = slice(start, start + block)
            part, plus = vectors[here], positive[here]
            scores = part @ rows.T
            if offset is not None:
                scores += offset[here, None]
            if seen is not None and row is not None:
                scores.masked_fill_(seen[row[here]], -torch.inf)
            counts = scores.new_full((len(part),), float(len(negatives)))
            hit = hits[here].nonzero()[:, 0]
            if len(hit):
                same = negatives == targets[here][hit, None]
                scores[hit] = scores[hit].masked_fill(same, -torch.inf)
                counts[hit] -= same.sum(1)
            if power is None:
                top = scores.amax(1, keepdim=True).clamp_(min=torch.finfo(scores.dtype).min)
                mass = scores.sub_(top).exp_().sum(1, keepdim=True)
                share = ((num_items - 1) / counts.clamp(min=1)).log()
                ahead = (mass.log() + top)[:, 0] + share - plus
                total += softplus(ahead).sum(dtype=torch.float64)
                wrong = ahead.sigmoid()
                scores.mul_(wrong[:, None] / mass.clamp(min=torch.finfo(scores.dtype).tiny))
                to_positive[here] = -wrong
            else:
                total += power * softplus(-plus).sum(dtype=torch.float64) + softplus(scores).sum(dtype=torch.float64)
                scores.sigmoid_()
                to_positive[here] = -power * (-plus).sigmoid()
            if to_offset is not None:
                to_offset[here] = scores.sum(1) + to_positive[here]
            to_vectors[here] = scores @ rows
            to_rows.addmm_(scores.T, part)
        to_vectors.addcmul_(wanted, to_positive[:, None])
        ctx.save_for_backward(vectors, targets, negatives, to_vectors, to_rows, to_positive, to_offset)
        ctx.table = len(weight)
        return (total / len(vectors)).to(vectors.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        vectors, targets, negatives, to_vectors, to_rows, to_positive, to_offset = ctx.saved_tensors
        scale, size = grads[0] / len(vectors), ctx.table
        # as the backward of a look-up: on a CPU the same bits every time
        to_table = torch.ops.aten.embedding_dense_backward
        to_weight = to_table(vectors * (to_positive * scale)[:, None], targets, size, -1, False)
        to_weight += to_table(to_rows * scale, negatives, size, -1, False)
        return to_vectors * scale, to_weight, None if to_offset is None else to_offset * scale, *[None] * 6
