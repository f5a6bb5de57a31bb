"""Items to compare a target with: uniform over those that the user has not in train."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["UnseenItems"]


class UnseenItems:
    """Draws items that users do not have; memory and time by the pairs there are, not by users times items.

    Args:
        indptr: int64, (users + 1,).
        items: codes that each user has, repetitions allowed.
        num_items: items there are.
        device: where draws are made.
    """

    def __init__(
        self, indptr: npt.NDArray[np.int64], items: npt.NDArray[np.int32], num_items: int, device: torch.device
    ) -> None:
        owner = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        pairs = np.unique(owner * num_items + items)
        self._pairs, self._num_items = torch.from_numpy(pairs).to(device), num_items
        owner, seen = pairs // num_items, pairs % num_items
        degree = np.bincount(owner, minlength=len(indptr) - 1)
        start = np.cumsum(degree) - degree
        # seen item t of a user has items[t] - t unseen ones before it; one key per pair orders all users together
        keys = owner * (num_items + 1) + (seen - (np.arange(len(seen)) - start[owner]))
        self._stride = num_items + 1
        columns = keys, start, num_items - degree
        self._keys, self._start, self._unseen = (torch.from_numpy(np.ascontiguousarray(c)).to(device) for c in columns)

    def some(self) -> npt.NDArray[np.bool_]:
        """Which users have an unseen item at all."""
        found: npt.NDArray[np.bool_] = (self._unseen > 0).cpu().numpy()
        return found

    def seen(self, users: Tensor, items: Tensor) -> Tensor:
        """Which of the users has which of the items, (len(users), len(items)), bool."""
        keys = users[:, None] * self._num_items + items
        place = torch.searchsorted(self._pairs, keys).clamp(max=len(self._pairs) - 1)
        return self._pairs[place] == keys

    def draw(self, users: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """(len(users), count) items, each uniform over those its user has not; over all items for who has them all."""
        unit = torch.rand((len(users), count), dtype=torch.float64, device=users.device, generator=generator)
        unseen = self._unseen[users, None]
        rank = torch.minimum((unit * unseen).long(), unseen - 1).clamp(min=0)
        before = torch.searchsorted(self._keys, users[:, None] * self._stride + rank, right=True)
        found = rank + before - self._start[users, None]
        anything = (unit * (self._stride - 1)).long().clamp(max=self._stride - 2)
        return torch.where(unseen > 0, found, anything)
