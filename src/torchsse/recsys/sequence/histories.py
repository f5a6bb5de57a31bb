"""What a fitted sequence model knows of each user: packed histories, lengthened without training, and test parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.data import IdMap, Sequences, as_sequences
from torchsse.errors import DataError

__all__ = ["History", "join", "last_known", "merge"]

Ints = npt.NDArray[np.int64]
History = tuple[Ints, npt.NDArray[np.int32]]


def join(first: History, second: History) -> History:
    """Every user's second part behind the first."""
    a, b = np.diff(first[0]), np.diff(second[0])
    indptr = np.concatenate([[0], np.cumsum(a + b)]).astype(np.int64)
    items = np.empty(indptr[-1], dtype=np.int32)
    for counts, before, values in ((a, np.zeros_like(a), first[1]), (b, a, second[1])):
        start = np.cumsum(counts) - counts
        items[np.repeat(indptr[:-1] + before - start, counts) + np.arange(counts.sum())] = values
    return indptr, items


def merge(known: History, more: Any, user_ids: IdMap, item_ids: IdMap) -> tuple[History, int]:
    """`known` lengthened by actions of any kind that `as_sequences` takes; and how many name unknown ids.

    Args:
        known: packed histories, a row for each of `user_ids`.
        more: later actions.
        user_ids: of the model.
        item_ids: of the model.
    """
    sequences: Sequences = as_sequences(more)
    users = user_ids.encode(sequences.user_ids.ids)[sequences.users]
    items = item_ids.encode(sequences.item_ids.ids)[sequences.items]
    kept = (users >= 0) & (items >= 0)
    order = np.argsort(users[kept], kind="stable")
    counts = np.bincount(users[kept], minlength=len(user_ids))
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return join(known, (indptr, items[kept][order].astype(np.int32))), int((~kept).sum())


def last_known(history: Any, item_ids: IdMap) -> npt.NDArray[np.int32]:
    """Codes of a typed history of raw ids; unknown items are left out.

    Raises:
        DataError: no item is known.
    """
    raw = list(history)
    codes = item_ids.encode(raw)
    if not len(raw) or codes.max() < 0:
        raise DataError(f"history: expected at least one item of the train set, got {raw[:5]!r}")
    return codes[codes >= 0].astype(np.int32)
