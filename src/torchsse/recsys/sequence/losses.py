"""What a prediction costs: one or several negatives with binary cross-entropy, sampled or full softmax.

Every loss is the mean over the targets of

========================  ============================================================================================
``bce``                   -log sigma(s) - sum_k log(1 - sigma(s_k)); with one negative the loss of SASRec
``gbce``                  -beta log sigma(s) - sum_k log(1 - sigma(s_k)), calibrated for the number of negatives (Petrov
                          and Macdonald 2023, gSASRec): beta = a (t (1 - 1 / a) + 1 / a), a = K / (N - 1), t the
                          `calibration`: at t = 0 ``bce``, at t = 1 the probabilities are those of all negatives
``sampled-softmax``       -s + log(e^s + (N - 1) / K sum_k e^(s_k)): the sum over uniform negatives stands for the sum
                          over all other items
``softmax``               -s + log sum over all items of e^(s_j)
========================  ============================================================================================

s the score of the target, s_k those of K negatives, N the number of items. Negatives are either drawn for each target,
or one set is shared by the batch; a shared one that is the target is left out there.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from torchsse.recsys.sequence.drawn import drawn_loss
from torchsse.recsys.sequence.shared import shared_loss

__all__ = ["LOSSES", "calibration_power", "sampled_loss", "softmax_loss"]

LOSSES = ("bce", "gbce", "sampled-softmax", "softmax")

#: Targets of the full softmax that are scored at a time: their scores stay in the cache.
_CHUNK = 512


def calibration_power(num_negatives: int, num_items: int, calibration: float) -> float:
    """beta of ``gbce``.

    >>> calibration_power(9, 10, 0.5), calibration_power(1, 5, 1.0), calibration_power(1, 5, 0.0)
    (1.0, 0.25, 1.0)
    """
    alpha = num_negatives / max(1, num_items - 1)
    return alpha * (calibration * (1.0 - 1.0 / alpha) + 1.0 / alpha)


def sampled_loss(
    kind: str,
    vectors: Tensor,
    targets: Tensor,
    negatives: Tensor,
    weight: Tensor,
    num_items: int,
    calibration: float = 0.75,
    offset: Tensor | None = None,
    seen: Tensor | None = None,
    row: Tensor | None = None,
) -> Tensor:
    """Mean loss with sampled negatives.

    Args:
        kind: "bce", "gbce" or "sampled-softmax".
        vectors: (T, hidden).
        targets: (T,) codes.
        negatives: (T, K) codes, or (K,) shared by all targets.
        weight: the item table, (at least num_items, hidden).
        num_items: items that negatives are drawn from, and the target among them.
        calibration: t of "gbce".
        offset: (T,), added to all scores of a target.
        seen: shared negatives that count for nothing, (rows, K): see `shared_loss`.
        row: of `seen`, for each target, (T,).
    """
    count = negatives.shape[-1]
    power = calibration_power(count, num_items, calibration) if kind == "gbce" else 1.0
    beta = None if kind == "sampled-softmax" else power
    if negatives.dim() == 1:
        return shared_loss(vectors, targets, negatives, weight, num_items, beta, offset, seen, row)
    if vectors.is_cpu and count > 1:
        return drawn_loss(vectors, targets, negatives, weight, num_items, beta, offset)
    positive = (vectors * torch.nn.functional.embedding(targets, weight)).sum(1)
    rows = torch.nn.functional.embedding(negatives, weight)
    if count > 1:
        negative = torch.matmul(rows, vectors[:, :, None])[..., 0]
    else:
        negative = vectors.mul(rows[:, 0]).sum(1, keepdim=True)
    if offset is not None:
        positive, negative = positive + offset, negative + offset[:, None]
    if kind == "sampled-softmax":
        others = torch.logsumexp(negative, 1) + math.log((num_items - 1) / count)
        return softplus(others - positive).mean()
    return (power * softplus(-positive) + softplus(negative).sum(1)).mean()


class _Softmax(torch.autograd.Function):
    """Cross-entropy over all items; the gradients are made with the scores, so no score is kept."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        total = vectors.new_zeros((), dtype=torch.float64)
        to_vectors, to_weight = torch.empty_like(vectors), torch.zeros_like(weight)
        for start in range(0, len(vectors), _CHUNK):
            part, wanted = vectors[start : start + _CHUNK], targets[start : start + _CHUNK, None]
            scores = part @ weight.T
            right = scores.gather(1, wanted)
            top = scores.amax(1, keepdim=True)
            scores.sub_(top).exp_()
            mass = scores.sum(1, keepdim=True)
            total += (mass.log() + top - right).sum(dtype=torch.float64)
            scores.div_(mass)
            scores.scatter_add_(1, wanted, scores.new_full(wanted.shape, -1.0))
            to_vectors[start : start + _CHUNK] = scores @ weight
            to_weight.addmm_(scores.T, part)
        ctx.save_for_backward(to_vectors, to_weight)
        ctx.count = len(vectors)
        return (total / len(vectors)).to(vectors.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        to_vectors, to_weight = ctx.saved_tensors
        scale = grads[0] / ctx.count
        return to_vectors * scale, to_weight * scale, None


def softmax_loss(vectors: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
    """Mean of -s + log sum_j e^(s_j), s_j = vectors @ weight[j], in memory for a few hundred targets at a time.

    >>> v, w = torch.randn(7, 4, requires_grad=True), torch.randn(9, 4, requires_grad=True)
    >>> y = torch.arange(7)
    >>> bool(torch.isclose(softmax_loss(v, y, w), torch.nn.functional.cross_entropy(v @ w.T, y), atol=1e-6))
    True
    """
    found: Tensor = _Softmax.apply(vectors, weight, targets)  # type: ignore[no-untyped-call]
    return found
