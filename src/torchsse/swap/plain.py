"""The plain path, for CUDA and torch.compile: elementwise ops on every id, no data-dependent shape, no host sync."""

from __future__ import annotations

import torch
from torch import Tensor

from torchsse.transition import Law
from torchsse.transition.picks import ints_like

__all__ = ["swap_plain"]


def swap_plain(ids: Tensor, law: Law, threshold: Tensor, generator: torch.Generator | None) -> Tensor:
    """Fresh tensor with each id replaced by a jump of `law` where a coin below COIN_RANGE is below `threshold`.

    Ids outside the table pass through, so that the look-up itself fails. Ids whose coin did not fall read the tables
    at row
    0: one cache line instead of one for each id.
    """
    flat = ids.reshape(-1)
    fallen = (ints_like(flat, generator) < threshold) & (flat >= 0) & (flat < law.num_embeddings)
    source = torch.where(fallen, flat, 0).to(torch.int64)
    new = law.jump(source, generator).to(ids.dtype)
    return torch.where(fallen, new, flat).reshape(ids.shape)
