"""Sequences: what each user did, in the order of time, as codes; packed in two arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from torchsse.data.idmap import IdMap
from torchsse.data.ratings import Ratings
from torchsse.data.read import ratings_from_table, read_ratings
from torchsse.errors import ConfigError, DataError

__all__ = ["Order", "Sequences", "as_sequences", "read_sequences"]

Order = Literal["timestamp", "file"]


@dataclass(frozen=True, eq=False, repr=False)
class Sequences:
    """The items of every user in the order of time; repeated items stay. Frozen.

    Args:
        offsets: int64, shape (num_users + 1,): user u did items[offsets[u]:offsets[u + 1]], the earliest first.
        items: codes of the items, int32, shape (n,).
        user_ids: code to raw id of the users; users without an action here may be among them (parts of a split).
        item_ids: the same for the items.
        timestamps: of each action, rising within a user; None if only the order is known.

    Raises:
        DataError: offsets or codes that do not fit the maps, a timestamp that falls or is missing.

    Relations: `read_sequences` reads files, `as_sequences` takes whatever holds actions, `leave_last_out` and
    `split_by_time` of `torchsse.data.sequence_split` divide them; parts keep the id maps of the whole.

    >>> s = Sequences.from_arrays(["ann", "bob", "ann", "ann"], [7, 7, 9, 7])
    >>> s, s.of(0).tolist(), s.lengths.tolist()
    (Sequences(4 actions, 2 users, 2 items), [0, 1, 0], [3, 1])
    """

    offsets: npt.NDArray[np.int64]
    items: npt.NDArray[np.int32]
    user_ids: IdMap
    item_ids: IdMap
    timestamps: npt.NDArray[np.int64] | npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        offsets, items = np.asarray(self.offsets, dtype=np.int64), np.asarray(self.items)
        if offsets.shape != (len(self.user_ids) + 1,) or offsets[0] != 0 or offsets[-1] != len(items):
            raise DataError(f"offsets: expected {len(self.user_ids) + 1} values from 0 to {len(items)}")
        if (np.diff(offsets) < 0).any():
            raise DataError("offsets: expected values that never fall")
        if items.ndim != 1 or (items.size and items.dtype.kind not in "iu"):
            raise DataError(f"items: expected integer codes of one dimension, got {items.dtype} {items.shape}")
        if items.size and (items.min() < 0 or items.max() >= len(self.item_ids)):
            raise DataError(f"items: expected codes 0 to {len(self.item_ids) - 1}, got {items.min()} to {items.max()}")
        self._set("offsets", offsets)
        self._set("items", items.astype(np.int32, copy=False))
        if self.timestamps is not None:
            times = np.asarray(self.timestamps)
            if times.shape != items.shape:
                raise DataError(f"timestamps: expected {len(items)} values, one per action, got shape {times.shape}")
            later = np.diff(times) >= 0
            inner = offsets[1:-1]
            later[inner[(inner > 0) & (inner < len(items))] - 1] = True  # from one user to the next
            if not later.all() or np.isnan(times).any():
                raise DataError("timestamps: expected values that rise within each user and none missing")
            self._set("timestamps", times)

    def _set(self, name: str, array: npt.NDArray[Any]) -> None:
        view = array.view()
        view.flags.writeable = False
        object.__setattr__(self, name, view)

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"Sequences({len(self)} actions, {self.num_users} users, {self.num_items} items)"

    @property
    def num_users(self) -> int:
        """Users in `user_ids`, with actions here or not."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """Items in `item_ids`, seen here or not."""
        return len(self.item_ids)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Actions of each user, int64, shape (num_users,)."""
        return np.diff(self.offsets)

    @property
    def users(self) -> npt.NDArray[np.int64]:
        """The user of each action, shape (n,)."""
        return np.repeat(np.arange(self.num_users), self.lengths)

    def of(self, user: int) -> npt.NDArray[np.int32]:
        """The items of one user code, the earliest first."""
        return self.items[self.offsets[user] : self.offsets[user + 1]]

    def item_counts(self) -> npt.NDArray[np.int64]:
        """Actions on each item, int64, shape (num_items,)."""
        return np.bincount(self.items, minlength=self.num_items)

    def select(self, kept: npt.NDArray[np.bool_]) -> Sequences:
        """The actions where the mask of shape (n,) holds; every user stays, with none if need be."""
        counts = np.bincount(self.users[kept], minlength=self.num_users)
        times = None if self.timestamps is None else self.timestamps[kept]
        return Sequences(_offsets(counts), self.items[kept], self.user_ids, self.item_ids, times)

    def to_ratings(self) -> Ratings:
        """The actions as implicit `Ratings`, repeated pairs included."""
        return Ratings(self.users, self.items, None, self.timestamps, self.user_ids, self.item_ids)

    @classmethod
    def from_ratings(cls, ratings: Ratings, order: Order | None = None) -> Sequences:
        """Every row an action, whatever its rating.

        Args:
            ratings: the rows.
            order: ``"timestamp"`` (ties by the order of the rows), ``"file"``: rows are in the order of time already;
                None: by timestamp if there are any, else by rows.

        Raises:
            DataError: by timestamp, and one is missing. ConfigError: another word.
        """
        if order not in (None, "timestamp", "file"):
            raise ConfigError(f"order: expected 'timestamp', 'file' or None, got {order!r}")
        times = ratings.timestamps
        missing = len(ratings) if times is None else int(np.isnan(times).sum())
        if missing and order != "file" and (order == "timestamp" or missing < len(ratings)):
            raise DataError(
                f"order: expected a timestamp in every row, {missing:,} of {len(ratings):,} have none; order='file' "
                "takes rows as they stand"
            )
        if order == "file" or missing or times is None:
            rows, times = np.argsort(ratings.users, kind="stable"), None
        else:
            rows = np.lexsort((times, ratings.users))
        return cls(
            _offsets(ratings.user_counts()),
            ratings.items[rows].astype(np.int32, copy=False),
            ratings.user_ids,
            ratings.item_ids,
            None if times is None else times[rows],
        )

    @classmethod
    def from_arrays(cls, users: Any, items: Any, timestamps: Any = None) -> Sequences:
        """From columns of raw ids, and times or rows in the order of time."""
        return cls.from_ratings(
            Ratings.from_arrays(users, items, timestamps=timestamps, duplicates="keep", feedback="implicit")
        )


def read_sequences(path: str | Path, *, order: Order | None = None, **words: Any) -> Sequences:
    """Read sequences from a file.

    Args:
        path: whatever `read_ratings` reads: rows `user item` in the order of time, columns with a timestamp, a user in
            each line (`format="user-lines"` where the ids are text), a published data set. Repeated items stay.
        order: see `Sequences.from_ratings`.
        **words: columns and other words of `read_ratings`.

    Raises:
        DataError: the file is missing, empty or damaged.
    """
    return Sequences.from_ratings(read_ratings(path, duplicates="keep", **words), order)


def as_sequences(data: Any, order: Order | None = None) -> Sequences:
    """Sequences from whatever holds actions.

    Args:
        data: `Sequences` (returned as they are), `Ratings`, a path, a tuple of columns (users, items[, timestamps]) of
            raw ids, or a table of raw ids as `torchsse.data.as_ratings` takes.
        order: see `Sequences.from_ratings`.

    Raises:
        DataError: `data` is none of these; a sparse matrix, which knows no order.
    """
    if isinstance(data, Sequences):
        return data
    if isinstance(data, Ratings):
        return Sequences.from_ratings(data, order)
    if isinstance(data, (str, Path)):
        return read_sequences(data, order=order)
    if isinstance(data, (tuple, list)):
        if len(data) not in (2, 3):
            raise DataError(f"expected columns (users, items[, timestamps]), got {len(data)} of them")
        return Sequences.from_arrays(*data)
    if data is None or type(data).__module__.startswith("scipy.sparse"):
        raise DataError(f"expected actions in the order of time, got {type(data).__name__}, which has no order")
    return Sequences.from_ratings(ratings_from_table(data, duplicates="keep"), order)


def _offsets(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
