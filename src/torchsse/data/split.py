"""Ways to hold out a part of the ratings. Every part keeps the id maps of the whole and the order of its rows.

All are deterministic: the random ones for a given seed (and numpy's PCG64), the others by timestamp or order.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from torchsse.data.ratings import Ratings
from torchsse.errors import ConfigError, DataError

__all__ = ["by_time", "leave_last_out", "per_user", "random"]

Order = Literal["timestamp", "file"]


def random(ratings: Ratings, fraction: float = 0.1, *, seed: int = 0) -> tuple[Ratings, Ratings]:
    """Hold out a uniformly random part of the rows.

    Args:
        ratings: n rows.
        fraction: of the rows to hold out, strictly between 0 and 1: round(n * fraction) rows, from 1 to n - 1.
        seed: of the draw.

    Returns:
        (train, holdout). Users and items may be cold in the holdout: their rows are all there.

    Raises:
        ConfigError: fraction is outside (0, 1). DataError: there are fewer than two rows.

    >>> train, held = random(Ratings.from_arrays([1, 2, 3, 4], [1, 1, 2, 2], [1, 2, 3, 4]), 0.25)
    >>> len(train), len(held), held.num_users
    (3, 1, 4)
    """
    _check_fraction(fraction)
    n = len(ratings)
    if n < 2:
        raise DataError(f"split.random: expected at least two ratings, got {n}")
    count = min(max(round(n * fraction), 1), n - 1)
    held = np.zeros(n, dtype=bool)
    held[np.random.default_rng(seed).permutation(n)[:count]] = True
    return _parts(ratings, held)


def per_user(
    ratings: Ratings, fraction: float | None = None, *, count: int | None = None, seed: int = 0
) -> tuple[Ratings, Ratings]:
    """Hold out rows of every user at random: the same share (or number) of each.

    Args:
        ratings: the rows.
        fraction: of each user's rows to hold out, strictly between 0 and 1; of m rows floor(m * fraction + u) with one
            uniform u per user, so that the share is right on average for users with few rows as well.
        count: instead, how many of each user's rows. Exactly one of the two.
        seed: of the draw.

    Returns:
        (train, holdout). Every user keeps at least one row in train: of m rows at most m - 1 are held out.

    Raises:
        ConfigError: fraction or count is missing, both are given, or out of range.
        DataError: no user has two rows.
    """
    if (fraction is None) == (count is None):
        raise ConfigError(f"split.per_user: expected either fraction or count, got {fraction!r} and {count!r}")
    rng = np.random.default_rng(seed)
    sizes = ratings.user_counts()
    if fraction is not None:
        _check_fraction(fraction)
        wanted = np.floor(sizes * fraction + rng.random(len(sizes))).astype(np.int64)
    else:
        _check_count(count)
        wanted = np.full(len(sizes), count)
    order = np.lexsort((rng.random(len(ratings)), ratings.users))
    return _last_of_each(ratings, order, sizes, wanted, "per_user")


def leave_last_out(ratings: Ratings, count: int = 1, *, order: Order | None = None) -> tuple[Ratings, Ratings]:
    """Hold out the last `count` rows of every user.

    Args:
        ratings: the rows.
        count: rows per user to hold out, at least 1.
        order: ``"timestamp"`` (ties in file order), ``"file"`` for files whose rows are in time order, or None: by
            timestamp if there are timestamps, else in file order.

    Returns:
        (train, holdout). Every user keeps at least one row in train.

    Raises:
        ConfigError: count below 1, or an unknown order.
        DataError: a timestamp is missing, or no user has two rows.

    >>> r = Ratings.from_arrays([1, 1, 1], [5, 6, 7], [3, 4, 5], [30, 10, 20])
    >>> leave_last_out(r)[1].raw_items.tolist(), leave_last_out(r, order="file")[1].raw_items.tolist()
    ([5], [7])
    """
    _check_count(count)
    if order not in (None, "timestamp", "file"):
        raise ConfigError(f"split.leave_last_out: order: expected 'timestamp', 'file' or None, got {order!r}")
    if order == "file" or (order is None and ratings.timestamps is None):
        rows = np.argsort(ratings.users, kind="stable")
    else:
        rows = np.lexsort((_times(ratings, "leave_last_out"), ratings.users))
    sizes = ratings.user_counts()
    return _last_of_each(ratings, rows, sizes, np.full(len(sizes), count), "leave_last_out")


def by_time(ratings: Ratings, fraction: float | None = None, *, at: float | None = None) -> tuple[Ratings, Ratings]:
    """Hold out the latest rows of all users together: train on the past, test on the future.

    Args:
        ratings: rows with timestamps.
        fraction: the share of rows to hold out, strictly between 0 and 1. Rows of equal time stay together: the cut
            falls at the time that brings the share nearest to `fraction`.
        at: instead, the first time that is held out, in the unit of the timestamps. Exactly one of the two.

    Returns:
        (train, holdout): every timestamp of train is before every timestamp of the holdout.

    Raises:
        ConfigError: fraction or at is missing, or both are given.
        DataError: timestamps are missing, or one side would be empty.
    """
    if (fraction is None) == (at is None):
        raise ConfigError(f"split.by_time: expected either fraction or at, got {fraction!r} and {at!r}")
    times = _times(ratings, "by_time")
    if fraction is not None:
        _check_fraction(fraction)
        distinct, counts = np.unique(times, return_counts=True)
        if len(distinct) < 2:
            raise DataError("split.by_time: all timestamps are equal, so there is no earlier and later")
        later = np.cumsum(counts[::-1])[::-1][1:]  # rows at or after distinct[1], distinct[2], ...
        at = float(distinct[1 + int(np.argmin(np.abs(later - fraction * len(times))))])
    assert at is not None
    held = times >= at
    if not held.any() or held.all():
        raise DataError(
            f"split.by_time: expected a time in {times.min()} to {times.max()} with rows on both sides, got {at}"
        )
    return _parts(ratings, held)


def _last_of_each(
    ratings: Ratings,
    order: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    wanted: npt.NDArray[np.int64],
    name: str,
) -> tuple[Ratings, Ratings]:
    """Hold out the last wanted[u] rows of each user u in an order that groups users, but never all of them."""
    starts = np.cumsum(sizes) - sizes
    users = ratings.users[order]
    rank = np.arange(len(ratings)) - starts[users]
    kept = np.maximum(sizes - wanted, 1)
    held = np.zeros(len(ratings), dtype=bool)
    held[order] = rank >= kept[users]
    if not held.any():
        raise DataError(f"split.{name}: expected users with several ratings, got at most {sizes.max(initial=0)} each")
    return _parts(ratings, held)


def _parts(ratings: Ratings, held: npt.NDArray[np.bool_]) -> tuple[Ratings, Ratings]:
    return ratings.select(~held), ratings.select(held)


def _times(ratings: Ratings, name: str) -> npt.NDArray[np.int64] | npt.NDArray[np.float64]:
    if ratings.timestamps is None:
        raise DataError(f"split.{name}: expected ratings with timestamps, got none")
    missing = int(np.isnan(ratings.timestamps).sum())
    if missing:
        raise DataError(
            f"split.{name}: {missing:,} of {len(ratings):,} timestamps are missing; order by another column"
        )
    return ratings.timestamps


def _check_fraction(fraction: float) -> None:
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float, np.floating)) or not 0 < fraction < 1:
        raise ConfigError(f"fraction: expected a number strictly between 0 and 1, got {fraction!r}")


def _check_count(count: int | None) -> None:
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
        raise ConfigError(f"count: expected an integer of at least 1, got {count!r}")
