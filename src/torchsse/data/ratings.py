"""Ratings: who rated what, as codes, with the maps back to raw ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt

from torchsse.data.idmap import IdMap
from torchsse.data.ids import CodeArray, IdColumn, as_codes
from torchsse.errors import DataError

if TYPE_CHECKING:
    import scipy.sparse

__all__ = ["Duplicates", "Feedback", "Ratings"]

Feedback = Literal["explicit", "implicit"]
Duplicates = Literal["last", "first", "mean", "max", "error", "keep"]


@dataclass(frozen=True, eq=False, repr=False)
class Ratings:
    """Observed (user, item) pairs of a table with ``num_users`` rows and ``num_items`` columns. Frozen.

    Args:
        users: codes of the users, shape (n,), int32 (int64 only for tables of 2^31 rows).
        items: codes of the items, shape (n,).
        ratings: float32, shape (n,), finite; None for implicit feedback, where each pair counts 1.
        timestamps: int64 or float64, shape (n,), in the file's unit (dates: seconds since 1970-01-01 UTC),
            NaN where the file has none; or None.
        user_ids: code to raw id of the users. May hold users without a row here (those of the other parts of a split).
        item_ids: the same for the items.

    Raises:
        DataError: lengths differ, a code is outside its map, a rating is not finite.

    Relations: `read_ratings` reads files, `as_ratings` takes whatever holds ratings, `torchsse.data.split` divides
    them; every part keeps the id maps of the whole, so codes agree between train, validation and test.

    >>> r = Ratings.from_arrays(["ann", "bob", "ann"], [10, 10, 30], [4, 5, 3])
    >>> r
    Ratings(3 explicit, 2 users, 2 items, range 3 to 5)
    >>> r.users.tolist(), r.items.tolist(), r.user_ids.decode(r.users).tolist()
    ([0, 1, 0], [0, 0, 1], ['ann', 'bob', 'ann'])
    """

    users: CodeArray
    items: CodeArray
    ratings: npt.NDArray[np.float32] | None
    timestamps: npt.NDArray[np.int64] | npt.NDArray[np.float64] | None
    user_ids: IdMap
    item_ids: IdMap

    def __post_init__(self) -> None:
        for name, ids in (("users", self.user_ids), ("items", self.item_ids)):
            codes = np.asarray(getattr(self, name))
            if codes.ndim != 1 or codes.dtype.kind not in "iu":
                raise DataError(f"{name}: expected integer codes of one dimension, got {codes.dtype} {codes.shape}")
            if codes.size and (codes.min() < 0 or codes.max() >= len(ids)):
                raise DataError(f"{name}: expected codes 0 to {len(ids) - 1}, got {codes.min()} to {codes.max()}")
            self._set(name, as_codes(codes, len(ids)))
        if self.ratings is not None:
            ratings = np.asarray(self.ratings)
            if ratings.dtype.kind not in "iuf":
                raise DataError(f"ratings: expected numbers, got dtype {ratings.dtype}")
            ratings = ratings.astype(np.float32, copy=False)
            if not np.isfinite(ratings).all():
                row = int(np.argmin(np.isfinite(ratings)))
                raise DataError(f"ratings: expected finite float32 numbers, got {ratings[row]} in row {row}")
            self._set("ratings", ratings)
        if self.timestamps is not None:
            stamps = np.asarray(self.timestamps)
            if stamps.dtype.kind not in "iuf":
                raise DataError(f"timestamps: expected numbers, got dtype {stamps.dtype}")
            self._set("timestamps", stamps.astype(np.float64 if stamps.dtype.kind == "f" else np.int64, copy=False))
        for name in ("items", "ratings", "timestamps"):
            column = getattr(self, name)
            if column is not None and column.shape != self.users.shape:
                raise DataError(f"{name}: expected {len(self.users)} values, one per user, got shape {column.shape}")

    def _set(self, name: str, array: npt.NDArray[Any]) -> None:
        view = array.view()
        view.flags.writeable = False
        object.__setattr__(self, name, view)

    def __len__(self) -> int:
        return len(self.users)

    def __repr__(self) -> str:
        span = (
            f", range {self.rating_range[0]:g} to {self.rating_range[1]:g}"
            if self.ratings is not None and len(self)
            else ""
        )
        return f"Ratings({len(self)} {self.feedback}, {self.num_users} users, {self.num_items} items{span})"

    @property
    def num_users(self) -> int:
        """Rows of the table: users in `user_ids`, seen here or not."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """Columns of the table: items in `item_ids`, seen here or not."""
        return len(self.item_ids)

    @property
    def feedback(self) -> Feedback:
        """``"implicit"`` without ratings, else ``"explicit"``."""
        return "implicit" if self.ratings is None else "explicit"

    @property
    def values(self) -> npt.NDArray[np.float32]:
        """The ratings, or ones for implicit feedback; float32, shape (n,)."""
        return np.ones(len(self), dtype=np.float32) if self.ratings is None else self.ratings

    @property
    def rating_range(self) -> tuple[float, float]:
        """Smallest and largest rating; (1, 1) for implicit feedback. `DataError` without rows."""
        if not len(self):
            raise DataError("rating_range: there are no ratings")
        return (1.0, 1.0) if self.ratings is None else (float(self.ratings.min()), float(self.ratings.max()))

    @property
    def raw_users(self) -> IdColumn:
        """Raw user id of each row."""
        return self.user_ids.decode(self.users)

    @property
    def raw_items(self) -> IdColumn:
        """Raw item id of each row."""
        return self.item_ids.decode(self.items)

    def user_counts(self) -> npt.NDArray[np.int64]:
        """Rows per user, int64, shape (num_users,); 0 marks a user without training examples."""
        return np.bincount(self.users, minlength=self.num_users)

    def item_counts(self) -> npt.NDArray[np.int64]:
        """Rows per item, int64, shape (num_items,)."""
        return np.bincount(self.items, minlength=self.num_items)

    def warm(self, test: Ratings) -> npt.NDArray[np.bool_]:
        """For each row of `test`: do its user and its item both have a row here? bool, shape (len(test),).

        `test` must share these id maps or extend them (`read_ratings(..., like=train)`, `aligned`, the splits).

        Raises:
            DataError: the id maps of `test` do not begin with these.
        """
        masks = []
        for what, mine, other, codes, counts in (
            ("user", self.user_ids, test.user_ids, test.users, self.user_counts()),
            ("item", self.item_ids, test.item_ids, test.items, self.item_counts()),
        ):
            n = len(mine)
            if mine is not other and not (len(other) >= n and np.array_equal(mine.ids, other.ids[:n])):
                raise DataError(
                    f"warm: the {what} ids of test do not begin with those of train; use test.aligned(train)"
                )
            seen = np.zeros(len(other), dtype=bool)
            seen[:n] = counts > 0
            masks.append(seen[codes])
        return masks[0] & masks[1]

    def select(self, index: Any) -> Ratings:
        """The rows at `index` (integers, a slice or a boolean mask of n), with the same id maps."""
        pick = np.asarray(index) if not isinstance(index, slice) else index
        if isinstance(pick, np.ndarray) and pick.dtype.kind == "b" and pick.shape != self.users.shape:
            raise DataError(f"select: expected a mask of {len(self)} values, got shape {pick.shape}")
        if isinstance(pick, np.ndarray) and pick.size == 0:
            pick = pick.astype(np.int64)
        return Ratings(
            self.users[pick],
            self.items[pick],
            None if self.ratings is None else self.ratings[pick],
            None if self.timestamps is None else self.timestamps[pick],
            self.user_ids,
            self.item_ids,
        )

    def with_ids(self, user_ids: IdMap, item_ids: IdMap) -> Ratings:
        """The same rows under other id maps, which must know every id that occurs.

        Raises:
            DataError: an id of these rows is not in the new map.
        """
        codes: list[CodeArray] = []
        for what, old, new, column in (
            ("user", self.user_ids, user_ids, self.users),
            ("item", self.item_ids, item_ids, self.items),
        ):
            if old is new or old == new:
                codes.append(column)
                continue
            moved = new.encode(old.ids)[column]
            if moved.size and moved.min() < 0:
                unknown = old.ids[column[np.argmin(moved)]]
                raise DataError(f"with_ids: {what} {unknown} is not in the new id map")
            codes.append(moved)
        return Ratings(codes[0], codes[1], self.ratings, self.timestamps, user_ids, item_ids)

    def aligned(self, like: Ratings) -> Ratings:
        """The same rows under `like`'s id maps, extended at the end by ids that only occur here.

        Cold users and items then have codes from ``like.num_users`` and ``like.num_items`` on.

        >>> train = Ratings.from_arrays([1, 2], [7, 8], [3, 4])
        >>> Ratings.from_arrays([2, 0], [9, 7], [5, 1]).aligned(train).users.tolist()
        [1, 2]
        """
        return self.with_ids(
            like.user_ids.extended(self.user_ids.ids[np.unique(self.users)]),
            like.item_ids.extended(self.item_ids.ids[np.unique(self.items)]),
        )

    def to_csr(self) -> scipy.sparse.csr_matrix:
        """A scipy CSR matrix (num_users, num_items) of float32; implicit pairs are 1. A rating of 0 stays stored."""
        import scipy.sparse

        order = np.lexsort((self.items, self.users))
        indptr = np.zeros(self.num_users + 1, dtype=np.int64)
        np.cumsum(self.user_counts(), out=indptr[1:])
        return scipy.sparse.csr_matrix(
            (self.values[order], self.items[order], indptr), shape=(self.num_users, self.num_items)
        )

    def describe(self) -> dict[str, Any]:
        """Counts, density, rating distribution and long tail as a dict: see `torchsse.data.describe`."""
        from torchsse.data.describe import describe

        return describe(self)

    @classmethod
    def from_arrays(
        cls,
        users: Any,
        items: Any,
        ratings: Any = None,
        timestamps: Any = None,
        *,
        duplicates: Duplicates = "last",
        feedback: Feedback | None = None,
        like: Ratings | None = None,
    ) -> Ratings:
        """Ratings from columns of raw ids (integers or text), numbers, and numbers or dates.

        Keywords and the rules for duplicates and feedback are those of `read_ratings`.
        """
        from torchsse.data.build import build_ratings

        return build_ratings(users, items, ratings, timestamps, duplicates=duplicates, feedback=feedback, like=like)

    @classmethod
    def from_csr(cls, matrix: Any, *, feedback: Feedback | None = None) -> Ratings:
        """Ratings from a scipy sparse matrix of any format: rows are users, columns items, stored entries ratings.

        Raw ids are the row and column numbers; empty rows and columns stay in the maps, so a `Graph` over the
        matrix's columns fits. Entries stored twice are summed, as scipy does. Feedback is implicit if all values
        are equal, unless `feedback` says otherwise.
        """
        import scipy.sparse

        if not scipy.sparse.issparse(matrix):
            raise DataError(f"from_csr: expected a scipy sparse matrix, got {type(matrix).__name__}")
        csr: Any = scipy.sparse.csr_matrix(cast(Any, matrix), copy=True)
        if csr.dtype.kind not in "iufb":
            raise DataError(f"from_csr: expected real numbers, got dtype {csr.dtype}")
        csr.sum_duplicates()
        users = np.repeat(np.arange(csr.shape[0], dtype=np.int64), np.diff(csr.indptr))
        values = csr.data.astype(np.float32)
        if feedback == "implicit" or (feedback is None and (values.size == 0 or bool((values == values[0]).all()))):
            values = None
        return cls(users, csr.indices, values, None, IdMap(np.arange(csr.shape[0])), IdMap(np.arange(csr.shape[1])))

    @classmethod
    def from_table(cls, table: Any, **keywords: Any) -> Ratings:
        """Ratings from a pandas, polars or Arrow table or a dict of columns; keywords as for `read_ratings`."""
        from torchsse.data.read import ratings_from_table

        return ratings_from_table(table, **keywords)
