"""SSECrossEntropyLoss: SSE on the targets of a classifier, drawn or in expectation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchsse.errors import ConfigError, IdRangeError, IdTypeError
from torchsse.labels.expectation import Expectation
from torchsse.swap import swap
from torchsse.swap.coin import COIN_RANGE

if TYPE_CHECKING:
    from torchsse.modules import SSE

__all__ = ["SSECrossEntropyLoss"]

REDUCTIONS = ("mean", "sum", "none")


class SSECrossEntropyLoss(nn.Module):
    r"""Cross entropy with Stochastic Shared Embeddings on the labels (Algorithm 1, the table of labels).

    Labels are ids too. With p(y, k) the law of `sse` over the C classes, log q = log_softmax(input), w the class
    weights:

    * `exact=False`: each target y is replaced by a draw k from p(y, .), then l = -w_k log q_k.
    * `exact=True`: the expectation of that, l = -sum_k p(y, k) w_k log q_k, without drawing.

    `mean` divides the sum of l by the sum of w_y over the *given* targets y that are not ignored (their number without
    weights) in both forms, so that the first has the second as its mean, gradient included.

    With SSE-SE the exact form is torch's cross_entropy with `label_smoothing = p0 * C / (C - 1)`, with and without
    class weights, as long as that is at most 1 (p0 <= (C - 1) / C), no class is excluded and ignore_index is outside 0
    .. C-1. With a graph the mass of p0 goes to the neighbours of the true class first: label smoothing along the graph.

    In eval mode (`loss.eval()`, or of the module that holds it) this is plain cross entropy, so that validation losses
    of different p0 compare. (torch's label_smoothing smooths there too.)

    Args:
        sse: an SSE over the C classes. Its p0 may change at any time. It becomes a submodule without state.
        weight: (C,) class weights, or None for 1. Kept as a buffer, as in nn.CrossEntropyLoss.
        ignore_index: targets of this value add nothing to the loss or its divisor and are never swapped. When it is a
            class, 0 <= ignore_index < C, that class is excluded from swaps, so that it is not drawn either: a target
            swapped to it would silently vanish.
        reduction: "mean", "sum" or "none".
        exact: draw (False) or take the expectation (True).

    Shape:
        - input: (C,), (N, C) or (N, C, d1, ..., dK), floating. Exact form: float16 and bfloat16 are computed in
        float32.
        - target: (), (N,) or (N, d1, ..., dK), integers in 0 .. C-1 or ignore_index.
        - output: scalar, or the shape of target for reduction="none".

    Raises:
        ConfigError: unknown reduction, weight of another size; input whose class dimension is not C, or whose shape
            does not fit that of target.
        IdTypeError: target is not of integers (class probabilities are not supported).
        IdRangeError: a target outside 0 .. C-1 that is not ignore_index (on the CPU, not compiled).

    Relations:
        cost of the exact form for M targets: O(M C), plus the degrees of the targets with a graph. Walks and matrices
        compute a row of length C per distinct target (kept for C <= 2048). Compiled: the draw and SSE-SE exact form one
        graph; with a graph the exact form breaks it, as the number of edges depends on the targets.

    Example:
        >>> import torch
        >>> import torch.nn.functional as F
        >>> from torchsse import SSE, SSECrossEntropyLoss
        >>> logits, y = torch.randn(32, 10, dtype=torch.float64), torch.randint(10, (32,))
        >>> loss = SSECrossEntropyLoss(SSE(10, p0=0.09), exact=True)
        >>> torch.testing.assert_close(loss(logits, y), F.cross_entropy(logits, y, label_smoothing=0.1))
        >>> torch.testing.assert_close(loss.eval()(logits, y), F.cross_entropy(logits, y))
    """

    weight: Tensor | None

    def __init__(
        self,
        sse: SSE,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: Literal["mean", "sum", "none"] = "mean",
        exact: bool = False,
    ) -> None:
        super().__init__()
        classes = sse.num_embeddings
        if reduction not in REDUCTIONS:
            raise ConfigError(f"expected reduction to be one of {', '.join(REDUCTIONS)}, got {reduction!r}")
        if weight is not None and weight.shape != (classes,):
            raise ConfigError(f"expected class weights of shape ({classes},), got {tuple(weight.shape)}")
        self.sse = sse
        self.applied = sse.excluding([ignore_index]) if 0 <= ignore_index < classes else sse
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.exact = exact
        self._expectation = Expectation(self.applied.law) if exact else None

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        target = self._checked(input, target)
        if not self.training:
            return self._plain(input, target, self.reduction)
        kept = target != self.ignore_index
        # any class does in the place of an ignored target: its loss is cut out
        ids = torch.where(kept, target, 0)
        if not self.exact:
            target = torch.where(kept, swap(ids, self.applied), self.ignore_index)
            if (self.weight is None or self.reduction == "none") and input.dtype != torch.float16:
                return self._plain(input, target, self.reduction)
        # sums over a batch overflow float16 and lose digits in bfloat16
        wide = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
        weight = None if self.weight is None else self.weight.to(wide.dtype)
        if self.exact:
            losses = torch.where(kept, self._expected(wide, ids, weight), 0.0)
        else:
            losses = F.cross_entropy(wide, target, weight, ignore_index=self.ignore_index, reduction="none")
        if self.reduction == "mean":
            counted = kept if weight is None else torch.where(kept, weight[ids], 0.0)
            losses = losses.sum() / counted.sum()
        elif self.reduction == "sum":
            losses = losses.sum()
        return losses if torch.is_autocast_enabled(input.device.type) else losses.to(input.dtype)

    def _plain(self, input: Tensor, target: Tensor, reduction: str) -> Tensor:
        return F.cross_entropy(input, target, self.weight, ignore_index=self.ignore_index, reduction=reduction)

    def _checked(self, input: Tensor, target: Tensor) -> Tensor:
        if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
            raise IdTypeError(f"expected targets as class numbers (int64), got {target.dtype}")
        classes, where = self.sse.num_embeddings, 0 if input.dim() == 1 else 1
        if input.dim() == 0 or input.shape[where] != classes:
            raise ConfigError(f"expected logits with {classes} classes in dimension {where}, got {tuple(input.shape)}")
        expected = input.shape[:where] + input.shape[where + 1 :]
        if target.shape != expected:
            raise ConfigError(
                f"expected targets of shape {tuple(expected)} for logits {tuple(input.shape)}, "
                f"got {tuple(target.shape)}"
            )
        return target.long()

    def _expected(self, input: Tensor, ids: Tensor, weight: Tensor | None) -> Tensor:
        """-sum_k p(y, k) w_k log q_k for each target."""
        if not torch.compiler.is_compiling() and ids.device.type == "cpu" and ids.numel():
            low, high = int(ids.min()), int(ids.max())
            if low < 0 or high >= self.sse.num_embeddings:
                wrong = low if low < 0 else high
                raise IdRangeError(f"expected targets in 0 .. {self.sse.num_embeddings - 1}, got {wrong}")
        scores = F.log_softmax(input, dim=0 if input.dim() == 1 else 1)
        # (C,) -> (1, C); (N, C, d1, ...) -> (N d1 ..., C)
        scores = scores.unsqueeze(0) if input.dim() == 1 else scores.movedim(1, -1).flatten(0, -2)
        if weight is not None:
            scores = scores * weight
        y = ids.reshape(-1)
        own = scores.gather(1, y.unsqueeze(1)).squeeze(1)
        assert self._expectation is not None
        p0: Tensor | float
        if torch.compiler.is_compiling():  # p0 as a number would be baked into the graph
            p0 = (self.sse.coin(input.device).double() / (COIN_RANGE * self.sse.law.rate)).to(scores.dtype)
        elif self.sse.p0 == 0:
            return -own.view(ids.shape)
        else:
            p0 = self.sse.p0
        return -((1 - p0) * own + p0 * self._expectation(scores, y)).view(ids.shape)

    def extra_repr(self) -> str:
        return f"ignore_index={self.ignore_index}, reduction={self.reduction!r}, exact={self.exact}"
