"""SSE-SE: any other active id, uniformly (Eq. 5 of the paper)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from torchsse.transition.active import ActiveSet
from torchsse.transition.base import Array, Law
from torchsse.transition.picks import Flat, choose, ints_like, take
from torchsse.transition.tables import DeviceTables

__all__ = ["CompleteLaw", "other_active"]


def other_active(ids: Flat, ints: Flat, count: int, tables: dict[str, Flat]) -> Flat:
    """An active id other than `ids`, uniform; excluded ids stay. Needs count >= 2.

    Drawing from count - 1 values and stepping over the own rank gives every other id the same chance in one draw.
    """
    other = ints % (count - 1)
    if "position" not in tables:
        return other + (other >= ids)
    rank = take(tables["position"], ids)  # -1: excluded
    return choose(rank >= 0, take(tables["active"], other + (other >= rank)), ids)


class CompleteLaw(Law):
    """q(j, k) = 1 / (n - 1) for every other active id k, n the number of active ids (Eq. 5).

    With fewer than two active ids every id stays. A draw is O(1); memory O(1), or O(N) with exclusions.
    """

    def __init__(self, active: ActiveSet) -> None:
        super().__init__(active)
        self._tables = DeviceTables(active=active.ids, position=active.position)

    @property
    def stays(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return ~self._active.mask() if self.num_active >= 2 else np.ones(self.num_embeddings, np.bool_)

    def jump(self, ids: Flat, generator: torch.Generator | None = None) -> Flat:
        if self.num_active < 2:
            return ids
        return other_active(ids, ints_like(ids, generator), self.num_active, self._tables.like(ids))

    def _row(self, j: int) -> Array:
        row = np.zeros(self.num_embeddings)
        if self.num_active < 2:
            row[j] = 1.0
            return row
        row[slice(None) if self.active is None else self.active] = 1.0 / (self.num_active - 1)
        row[j] = 0.0
        return row

    def _probability(self, j: Array, k: Array) -> Array:
        if self.num_active < 2:
            return np.asarray(j == k, np.float64)
        return np.where(j == k, 0.0, 1.0 / (self.num_active - 1))

    def __repr__(self) -> str:
        return f"CompleteLaw(num_embeddings={self.num_embeddings}, num_active={self.num_active})"
