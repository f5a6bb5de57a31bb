"""Swapped one-hot targets on average, as a tensor: label smoothing along the law, for any loss on soft targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torchsse.errors import IdRangeError, IdTypeError

if TYPE_CHECKING:
    from torchsse.modules import SSE

__all__ = ["expected_targets"]


def expected_targets(targets: Tensor, sse: SSE, dtype: torch.dtype | None = None) -> Tensor:
    """The row p(y, .) for each target y: what one-hot targets become on average under SSE (Eq. 5; Eq. 3 with a graph).

    For losses that take probabilities (binary cross entropy per class, KL divergence, distillation). For cross entropy
    `SSECrossEntropyLoss(exact=True)` does the same without this tensor.

    Args:
        targets: class numbers, int32 or int64, any shape.
        sse: SSE over the C classes; its p0 counts whatever its mode.
        dtype: of the result. Default: torch's default dtype.

    Returns:
        targets.shape + (C,), on the device of `targets`; sums to 1 over the last dimension.

    Raises:
        IdTypeError: targets that are no integers. IdRangeError: targets outside 0 .. C-1.

    Example:
        >>> import torch
        >>> from torchsse import SSE
        >>> from torchsse.labels import expected_targets
        >>> expected_targets(torch.tensor([2]), SSE(4, p0=0.3))
        tensor([[0.1000, 0.1000, 0.7000, 0.1000]])
    """
    if targets.dtype not in (torch.int32, torch.int64):
        raise IdTypeError(f"expected targets as class numbers (int32 or int64), got {targets.dtype}")
    dtype = torch.get_default_dtype() if dtype is None else dtype
    if not targets.numel():
        return torch.zeros(*targets.shape, sse.num_embeddings, dtype=dtype, device=targets.device)
    occurring, which = torch.unique(targets, return_inverse=True)
    labels = occurring.tolist()
    if labels[0] < 0 or labels[-1] >= sse.num_embeddings:
        wrong = labels[0] if labels[0] < 0 else labels[-1]
        raise IdRangeError(f"expected targets in 0 .. {sse.num_embeddings - 1}, got {wrong}")
    rows = torch.stack([sse.row(label) for label in labels])
    return rows.to(device=targets.device, dtype=dtype)[which]
