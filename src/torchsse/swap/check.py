"""Checks of ids: their type always, their range on the CPU in eager mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchsse.errors import IdRangeError, IdTypeError

__all__ = ["checked_copy", "checked_ids"]

_UNSIGNED = {torch.int64: np.uint64, torch.int32: np.uint32}
_BLOCK = 1 << 18  # bytes: read from memory by the check, read again from the L2 cache by the copy
_HUGE = (
    1 << 22
)  # bytes from which numpy asks the kernel for huge pages; page faults are half the price of a fresh tensor


def checked_ids(ids: object) -> Tensor:
    """`ids` if it is an int32 or int64 tensor, else IdTypeError."""
    if not isinstance(ids, Tensor):
        raise IdTypeError(f"ids must be a tensor of int32 or int64, got {type(ids).__name__}")
    if ids.dtype != torch.int64 and ids.dtype != torch.int32:
        raise IdTypeError(f"ids must be int32 or int64, got {ids.dtype} of shape {tuple(ids.shape)}")
    return ids


def checked_copy(ids: Tensor, num_embeddings: int) -> tuple[Tensor, np.ndarray[Any, Any]]:
    """A fresh contiguous copy of CPU `ids`, each checked to be in 0 .. num_embeddings - 1, and its memory as an array.

    The array is flat. A negative id is a huge unsigned number, so one comparison checks both ends; long inputs are read
    from memory once, block by block.

    Raises:
        IdRangeError: names the first id outside, and where it is.
    """
    if ids.numel() * ids.itemsize <= _BLOCK:
        whole = ids.clone() if ids.is_contiguous() else ids.contiguous()
        flat = whole.numpy().reshape(-1)
        # The coins need these two calls as well: with the caches cold that is cheaper than a maximum.
        if (flat.view(_UNSIGNED[ids.dtype]) >= num_embeddings).nonzero()[0].size:
            _raise_outside(ids, num_embeddings)
        return whole, flat
    values = ids.contiguous().numpy().reshape(-1)
    unsigned = values.view(_UNSIGNED[ids.dtype])
    copy = np.empty(values.shape, values.dtype)
    step = _BLOCK // values.itemsize
    for start in range(0, len(values), step):
        block = slice(start, start + step)
        if int(unsigned[block].max()) >= num_embeddings:
            _raise_outside(ids, num_embeddings)
        copy[block] = values[block]
    return torch.from_numpy(copy).view(ids.shape), copy


def _raise_outside(ids: Tensor, num_embeddings: int) -> None:
    outside = (ids < 0) | (ids >= num_embeddings)
    where = tuple(int(i) for i in outside.nonzero()[0])
    raise IdRangeError(
        f"ids must be in 0 .. {num_embeddings - 1} (num_embeddings = {num_embeddings}), got {int(ids[where])} at "
        f"position {list(where)} of shape {tuple(ids.shape)}"
    )
