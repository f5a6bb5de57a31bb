"""Items to compare a target with: which of them the user has in train, and draws that are uniform over the others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["SeenItems", "UnseenItems"]


def _pairs(indptr: npt.NDArray[np.int64], items: npt.NDArray[np.int32], num_items: int) -> npt.NDArray[np.int64]:
    """user * num_items + item of every pair there is, sorted."""
    found: npt.NDArray[np.int64] = np.unique(np.repeat(np.arange(len(indptr) - 1), np.diff(indptr)) * num_items + items)
    return found


class SeenItems:
    """Tells which items users have; arguments as for `UnseenItems`.

    >>> have = SeenItems(np.array([0, 2, 3]), np.array([4, 1, 0], dtype=np.int32), 5, torch.device("cpu"))
    >>> have.of(torch.tensor([1, 0]), torch.tensor([0, 4])).tolist()
    [[True, False], [False, True]]
    """

    def __init__(
        self, indptr: npt.NDArray[np.int64], items: npt.NDArray[np.int32], num_items: int, device: torch.device
    ) -> None:
        self._pairs, self._num_items = torch.from_numpy(_pairs(indptr, items, num_items)).to(device), num_items

    def of(self, users: Tensor, items: Tensor) -> Tensor:
        """Which of the users has which of the items, (len(users), len(items)), bool."""
        keys = users[:, None] * self._num_items + items
        place = torch.searchsorted(self._pairs, keys).clamp(max=len(self._pairs) - 1)
        return self._pairs[place] == keys


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
        pairs = _pairs(indptr, items, num_items)
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

    def draw(self, users: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """(len(users), count) items, each uniform over those its user has not; over all items for who has them all."""
        unit = torch.rand((len(users), count), dtype=torch.float64, device=users.device, generator=generator)
        unseen = self._unseen[users, None]
        rank = torch.minimum((unit * unseen).long(), unseen - 1).clamp(min=0)
        before = torch.searchsorted(self._keys, users[:, None] * self._stride + rank, right=True)
        found = rank + before - self._start[users, None]
        anything = (unit * (self._stride - 1)).long().clamp(max=self._stride - 2)
        return torch.where(unseen > 0, found, anything)
