"""Which ids take part: the active ids of a table, and their ranks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from torchsse.errors import ConfigError

__all__ = ["ActiveSet", "checked_size", "excluded_ids"]

Exclude = Iterable[int] | np.ndarray[Any, Any] | torch.Tensor | None


def checked_size(num_embeddings: object) -> int:
    """`num_embeddings` as an int of at least 1, else ConfigError."""
    if isinstance(num_embeddings, (bool, np.bool_)) or not isinstance(num_embeddings, (int, np.integer)):
        raise ConfigError(f"num_embeddings must be an integer of at least 1, got {num_embeddings!r}")
    if num_embeddings < 1:
        raise ConfigError(f"num_embeddings must be at least 1, got {num_embeddings}")
    return int(num_embeddings)


def excluded_ids(exclude: Exclude, num_embeddings: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """`exclude` as sorted distinct int64 ids within 0 .. num_embeddings - 1, else ConfigError."""
    if exclude is None:
        return np.empty(0, np.int64)
    if isinstance(exclude, (str, bytes)) or not isinstance(exclude, (Iterable, np.ndarray, torch.Tensor)):
        raise ConfigError(f"exclude must be a sequence of integer ids, got {exclude!r}")
    if isinstance(exclude, torch.Tensor):
        exclude = exclude.detach().cpu().numpy()
    try:
        ids = exclude if isinstance(exclude, np.ndarray) else np.asarray(list(exclude))
    except ValueError as error:  # nested lists of different lengths
        raise ConfigError(f"exclude must be a sequence of integer ids, got {exclude!r}") from error
    if ids.size == 0:
        return np.empty(0, np.int64)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        hint = "; for a mask pass the ids, numpy.flatnonzero(mask)" if ids.dtype.kind == "b" else ""
        raise ConfigError(
            f"exclude must be a flat sequence of integer ids, got dtype {ids.dtype} and shape {ids.shape}{hint}"
        )
    outside = (ids < 0) | (ids >= num_embeddings)
    if outside.any():
        raise ConfigError(f"exclude: id {ids[outside][0]} is outside 0 .. {num_embeddings - 1}")
    return np.unique(ids.astype(np.int64))


class ActiveSet:
    """The ids of a table that take part, in order. Without exclusions nothing is stored.

    Attributes:
        size: rows of the table.
        count: active ids.
        ids: (count,) int64, sorted; None if every id is active.
        position: (size,) rank among the active ids, -1 for an excluded id; None if every id is active.
        excluded: (size - count,) int64, sorted.
    """

    def __init__(self, num_embeddings: int, exclude: Exclude = None) -> None:
        self.size = num_embeddings
        self.excluded = excluded_ids(exclude, num_embeddings)
        self.count = num_embeddings - len(self.excluded)
        self.ids: np.ndarray[Any, np.dtype[np.int64]] | None = None
        self.position: np.ndarray[Any, Any] | None = None
        if len(self.excluded):
            mask = self.mask()
            self.ids = np.flatnonzero(mask)
            self.position = np.full(num_embeddings, -1, np.int32 if num_embeddings < 2**31 else np.int64)
            self.position[self.ids] = np.arange(self.count)

    def mask(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """(size,) bool, True where active."""
        mask = np.ones(self.size, np.bool_)
        mask[self.excluded] = False
        return mask

    def contains(self, ids: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Elementwise: is this id active?"""
        if self.position is None:
            return np.ones(np.shape(ids), np.bool_)
        return np.asarray(self.position[ids] >= 0)
