"""Batches of sentences of like length, with so many target tokens each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torchsse.nlp.bpe import Encoded

__all__ = ["Batch", "Batches", "collate"]

Rows = npt.NDArray[np.int64]


class Batches:
    """Training pairs cut into batches, in another order and composition each epoch.

    Pairs are sorted by target length, then source length, and cut so that a batch padded holds at most `tokens` tokens
    on each side. Pairs of one length are shuffled among each other, and then the batches. Lengths, and so the number
    of batches, are the same in every epoch: the number of steps is known beforehand.

    Args:
        source, target: the sentences.
        tokens: at most so many on each side of a batch, padding included; a longer single pair is a batch of its own.
        seed: an epoch's order depends on it and the epoch's number only.
    """

    def __init__(self, source: Encoded, target: Encoded, tokens: int, seed: int) -> None:
        self.source, self.target, self.seed = source, target, seed
        self._lengths = (source.lengths, target.lengths)
        order = np.lexsort(self._lengths)
        sources, targets = (lengths[order].tolist() for lengths in self._lengths)
        ends, longest, begin = [], 0, 0
        for row, (s, t) in enumerate(zip(sources, targets, strict=True)):
            longest = max(longest, s, t)
            if longest * (row + 1 - begin) > tokens and row > begin:
                ends.append(row)
                begin, longest = row, max(s, t)
        self._cuts = np.asarray([0, *ends, len(order)])
        self.target_tokens = int(self._lengths[1].sum())

    def __len__(self) -> int:
        return len(self._cuts) - 1

    def epoch(self, number: int) -> list[Rows]:
        """Rows of each batch of an epoch."""
        rng = np.random.default_rng([self.seed, number])
        order = np.lexsort((rng.random(len(self.source)), *self._lengths)).astype(np.int64)
        return [order[self._cuts[i] : self._cuts[i + 1]] for i in rng.permutation(len(self))]


@dataclass(frozen=True)
class Batch:
    """Tensors of one batch; sentences (rows) by positions, padded at the right.

    Attributes:
        source, source_mask: int64, shape (rows, source length).
        given: what the decoder sees, the target moved one to the right, shape (rows, target length).
        places: positions in the flattened target that are no padding, shape (tokens,).
        labels: the target ids there, shape (tokens,).
    """

    source: Tensor
    source_mask: Tensor
    given: Tensor
    places: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Batch:
        if device.type == "cpu":
            return self
        return Batch(*(t.pin_memory().to(device, non_blocking=True) for t in vars(self).values()))


def collate(source: Encoded, target: Encoded, rows: Rows, pad: int, start: int) -> Batch:
    """The batch of these rows; `start` is the first id that the decoder sees."""
    ids, mask = _padded(source, rows, pad)
    wanted, there = _padded(target, rows, pad)
    given = np.empty_like(wanted)
    given[:, 0], given[:, 1:] = start, wanted[:, :-1]
    places = np.flatnonzero(there)
    tensors = (ids, mask.astype(np.int64), given, places, wanted.ravel()[places])
    return Batch(*(torch.from_numpy(array) for array in tensors))


def _padded(encoded: Encoded, rows: Rows, pad: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    taken = encoded.take(rows)
    mask = np.arange(taken.lengths.max()) < taken.lengths[:, None]
    ids = np.full(mask.shape, pad, np.int64)
    ids[mask] = taken.ids
    return ids, mask
