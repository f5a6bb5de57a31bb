"""Splits: nothing lost, nothing twice, and each keeps its promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchsse.data import Ratings, split
from torchsse.errors import ConfigError, DataError


@st.composite
def tables(draw: st.DrawFn) -> Ratings:
    pairs = draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 15)), min_size=2, max_size=50, unique=True))
    times = draw(st.lists(st.integers(0, 9), min_size=len(pairs), max_size=len(pairs)))
    users, items = zip(*pairs)
    return Ratings.from_arrays(users, items, np.arange(len(pairs)) % 5, times, feedback="explicit")


def rows(ratings: Ratings) -> list[tuple[int, ...]]:
    assert ratings.timestamps is not None
    return list(zip(ratings.users.tolist(), ratings.items.tolist(), ratings.timestamps.tolist()))


def check_parts(whole: Ratings, train: Ratings, held: Ratings) -> None:
    assert sorted(rows(train) + rows(held)) == sorted(rows(whole))
    place = {row: k for k, row in enumerate(rows(whole))}
    for part in (train, held):
        assert len(part) > 0
        assert [place[row] for row in rows(part)] == sorted(place[row] for row in rows(part))
        assert part.user_ids is whole.user_ids
        assert part.item_ids is whole.item_ids


@given(tables(), st.floats(0.01, 0.99), st.integers(0, 3))
def test_random(whole: Ratings, fraction: float, seed: int) -> None:
    train, held = split.random(whole, fraction, seed=seed)
    check_parts(whole, train, held)
    assert len(held) == min(max(round(len(whole) * fraction), 1), len(whole) - 1)
    assert rows(split.random(whole, fraction, seed=seed)[1]) == rows(held)


@given(tables(), st.integers(1, 4), st.integers(0, 3))
def test_per_user_count(whole: Ratings, count: int, seed: int) -> None:
    if whole.user_counts().max() < 2:
        with pytest.raises(DataError, match="users with several ratings"):
            split.per_user(whole, count=count, seed=seed)
        return
    train, held = split.per_user(whole, count=count, seed=seed)
    check_parts(whole, train, held)
    assert held.user_counts().tolist() == np.minimum(count, np.maximum(whole.user_counts() - 1, 0)).tolist()
    assert rows(split.per_user(whole, count=count, seed=seed)[1]) == rows(held)


@given(tables(), st.integers(1, 3), st.sampled_from([None, "timestamp", "file"]))
def test_leave_last_out(whole: Ratings, count: int, order: str | None) -> None:
    if whole.user_counts().max() < 2:
        return
    train, held = split.leave_last_out(whole, count, order=order)  # type: ignore[arg-type]
    check_parts(whole, train, held)
    expected = set()
    for user in set(whole.users.tolist()):
        mine = [(t if order != "file" else 0, k) for k, (u, _, t) in enumerate(rows(whole)) if u == user]
        last = sorted(mine)[max(1, len(mine) - count) :]
        expected |= {rows(whole)[k] for _, k in last}
    assert set(rows(held)) == expected


@given(tables(), st.floats(0.05, 0.95))
def test_by_time(whole: Ratings, fraction: float) -> None:
    assert whole.timestamps is not None
    if len(set(whole.timestamps.tolist())) < 2:
        with pytest.raises(DataError, match="all timestamps are equal"):
            split.by_time(whole, fraction)
        return
    train, held = split.by_time(whole, fraction)
    check_parts(whole, train, held)
    assert train.timestamps is not None
    assert held.timestamps is not None
    assert train.timestamps.max() < held.timestamps.min()
    sizes = [int((whole.timestamps >= t).sum()) for t in set(whole.timestamps.tolist())]
    nearest = min(abs(n - fraction * len(whole)) for n in sizes if n < len(whole))
    assert abs(len(held) - fraction * len(whole)) == pytest.approx(nearest)
    again = split.by_time(whole, at=float(held.timestamps.min()))[1]
    assert rows(again) == rows(held)


def test_without_timestamps_the_file_gives_the_order() -> None:
    whole = Ratings.from_arrays([1, 1, 1], [3, 2, 1], [1, 2, 3])
    assert split.leave_last_out(whole)[1].raw_items.tolist() == [1]


def test_seeds_differ_and_shares_are_right_on_average() -> None:
    users = np.repeat(np.arange(2000), 3)
    whole = Ratings.from_arrays(users, np.tile(np.arange(3), 2000), np.arange(6000) % 5)
    a, b = (split.per_user(whole, 0.2, seed=s)[1] for s in (0, 1))
    assert not np.array_equal(np.c_[a.users, a.items][:300], np.c_[b.users, b.items][:300])
    # 2000 users each hold out 0 or 1 of 3 with mean 0.6: standard deviation of the sum 22
    assert abs(len(a) - 1200) < 5 * 22
    assert set(a.user_counts().tolist()) == {0, 1}
    # every place in a user's list is as likely as another: chi-square with 2 degrees of freedom, alpha 1e-6: 27.6
    counts = np.bincount(a.items, minlength=3)
    assert float(((counts - len(a) / 3) ** 2 / (len(a) / 3)).sum()) < 27.6
    assert not np.array_equal(split.random(whole, 0.2, seed=0)[1].users, split.random(whole, 0.2, seed=1)[1].users)


def test_one_rating_users_stay_in_train() -> None:
    whole = Ratings.from_arrays([1, 2, 2, 2], [1, 1, 2, 3], [1, 2, 3, 4])
    for train, _ in (split.per_user(whole, 0.99), split.per_user(whole, count=9), split.leave_last_out(whole, 9)):
        assert train.user_counts().tolist() == [1, 1]


WHOLE = Ratings.from_arrays([1, 1, 2], [1, 2, 1], [1, 2, 3], [5, 6, 7])
TIMELESS = Ratings.from_arrays([1, 1, 2], [1, 2, 1], [1, 2, 3])
GAPS = Ratings.from_arrays([1, 1, 2], [1, 2, 1], [1, 2, 3], [5.0, None, 7.0])


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan"), "half", True, None])
def test_wrong_fractions(fraction: object) -> None:
    for divide in (split.random, split.per_user, split.by_time):
        with pytest.raises(ConfigError, match="expected"):
            divide(WHOLE, fraction)  # type: ignore[operator]


def test_wrong_arguments() -> None:
    for count in (0, -1, 1.5, True):
        with pytest.raises(ConfigError, match="count: expected an integer of at least 1"):
            split.per_user(WHOLE, count=count)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="count: expected an integer of at least 1"):
            split.leave_last_out(WHOLE, count)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="either fraction or count"):
        split.per_user(WHOLE, 0.5, count=1)
    with pytest.raises(ConfigError, match="either fraction or at"):
        split.by_time(WHOLE)
    with pytest.raises(ConfigError, match="order: expected"):
        split.leave_last_out(WHOLE, order="random")  # type: ignore[arg-type]
    for ratings, message in ((TIMELESS, "expected ratings with timestamps"), (GAPS, "1 of 3 timestamps are missing")):
        with pytest.raises(DataError, match=message):
            split.by_time(ratings, 0.5)
        with pytest.raises(DataError, match=message):
            split.leave_last_out(ratings, order="timestamp")
    for at in (5, 8):
        with pytest.raises(DataError, match="with rows on both sides"):
            split.by_time(WHOLE, at=at)
    with pytest.raises(DataError, match="at least two ratings"):
        split.random(WHOLE.select([0]))
