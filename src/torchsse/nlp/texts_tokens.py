"""Texts as token ids: flat arrays, documents cut into pieces, batches of like length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torchsse.errors import ConfigError

__all__ = ["Pieces", "batches", "cut_documents", "draw_seed", "encode", "pad"]

BLOCK = 1000  # texts handed to a tokenizer at once
POOL = 50  # batches that are sorted by length together


@dataclass(frozen=True)
class Pieces:
    """Token ids of many texts in one array; text i is ids[offsets[i] : offsets[i + 1]]."""

    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Pieces:
        """
        >>> Pieces.of([[5, 6], [7]]).lengths.tolist()
        [2, 1]
        """
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        return cls(np.fromiter((id for row in rows for id in row), np.int32, int(offsets[-1])), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        return np.diff(self.offsets)

    def row(self, i: int) -> npt.NDArray[np.int32]:
        return self.ids[self.offsets[i] : self.offsets[i + 1]]


def encode(tokenizer: Any, texts: Sequence[str], max_length: int) -> Pieces:
    """Each text with its special tokens, cut at `max_length`."""
    rows: list[list[int]] = []
    for start in range(0, len(texts), BLOCK):
        block = list(texts[start : start + BLOCK])
        rows += tokenizer(block, truncation=True, max_length=max_length, verbose=False)["input_ids"]
    return Pieces.of(rows)


def cut_documents(tokenizer: Any, documents: Sequence[str], max_length: int) -> Pieces:
    """Documents as pieces of at most `max_length` tokens, special tokens included, all tokens used.

    A document of n tokens is cut into as few pieces as hold it, of like length: no short rests. No piece crosses
    from one document into the next.
    """
    before, after = _frame(tokenizer)
    room = max_length - len(before) - len(after)
    if room < 1:
        raise ConfigError(f"max_length: expected room for special tokens and one more, got {max_length}")
    rows: list[list[int]] = []
    for start in range(0, len(documents), BLOCK):
        block = list(documents[start : start + BLOCK])
        for ids in tokenizer(block, add_special_tokens=False, verbose=False)["input_ids"]:
            number = -(-len(ids) // room)
            edges = [len(ids) * cut // number for cut in range(number + 1)] if number else []
            rows += [[*before, *ids[left:right], *after] for left, right in pairwise(edges)]
    return Pieces.of(rows)


def _frame(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special tokens before and after a text."""
    word = "a"
    bare = tokenizer(word, add_special_tokens=False)["input_ids"]
    full = tokenizer(word)["input_ids"]
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return full[:start], full[start + len(bare) :]
    return [], []


def batches(lengths: npt.NDArray[np.int64], batch_size: int, seed: int, epoch: int) -> list[npt.NDArray[np.int64]]:
    """Every text once, in random batches of texts of like length, in random order; a function of seed and epoch.

    Shuffled, then sorted by length within pools of 50 batches: padding nearly vanishes and order stays random.

    >>> found = batches(np.array([3, 9, 3, 9, 3, 9]), 3, seed=0, epoch=0)
    >>> sorted(sorted(batch.tolist()) for batch in found)
    [[0, 2, 4], [1, 3, 5]]
    """
    rng = np.random.default_rng(draw_seed(seed, epoch))
    order = rng.permutation(len(lengths))
    found: list[npt.NDArray[np.int64]] = []
    for start in range(0, len(order), POOL * batch_size):
        pool = order[start : start + POOL * batch_size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        found += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    return [found[i] for i in rng.permutation(len(found))]


def pad(pieces: Pieces, rows: Sequence[int] | npt.NDArray[np.int64], pad_id: int) -> tuple[Tensor, Tensor]:
    """(ids, attention mask), both int64 of shape (rows, longest of them).

    >>> pad(Pieces.of([[5, 6], [7]]), [0, 1], pad_id=0)[0].tolist()
    [[5, 6], [7, 0]]
    """
    width = max(1, *(len(pieces.row(i)) for i in rows))
    ids = np.full((len(rows), width), pad_id, np.int64)
    mask = np.zeros((len(rows), width), np.int64)
    for place, i in enumerate(rows):
        row = pieces.row(i)
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return torch.from_numpy(ids), torch.from_numpy(mask)


def draw_seed(*words: int) -> int:
    """A seed that depends on all the numbers given, and is unlike those of its neighbours."""
    return int(np.random.SeedSequence([*words]).generate_state(1, np.uint64)[0] >> np.uint64(1))
