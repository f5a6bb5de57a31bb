"""Ratings: columns, repeated pairs, feedback, alignment, matrices."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from torchsse.data import IdMap, Ratings, as_ratings, describe
from torchsse.errors import ConfigError, DataError, TorchsseWarning

ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 5), st.integers(0, 9)), min_size=1, max_size=50
)


def small() -> Ratings:
    return Ratings.from_arrays([3, 1, 3], ["b", "a", "a"], [4, 5, 2.5], [10, 30, 20])


def rows(ratings: Ratings) -> list[tuple[object, ...]]:
    return list(zip(ratings.raw_users.tolist(), ratings.raw_items.tolist(), ratings.values.tolist()))


def test_columns_keep_their_order_and_types() -> None:
    r = small()
    assert rows(r) == [(3, "b", 4.0), (1, "a", 5.0), (3, "a", 2.5)]
    assert (r.users.dtype, r.items.dtype, r.ratings.dtype, r.timestamps.dtype) == (
        np.int32,
        np.int32,
        np.float32,
        np.int64,
    )
    assert (r.num_users, r.num_items, len(r), r.feedback, r.rating_range) == (2, 2, 3, "explicit", (2.5, 5.0))
    assert r.user_counts().tolist() == [1, 2]
    assert r.item_counts().tolist() == [2, 1]
    with pytest.raises(ValueError, match="read-only"):
        r.users[0] = 1


@given(ROWS, st.sampled_from(["last", "first", "mean", "max"]), st.booleans())
def test_repeated_pairs_follow_the_rule(table: list[tuple[int, ...]], rule: str, timed: bool) -> None:
    users, items, values, times = (list(c) for c in zip(*table))
    groups: dict[tuple[int, int], list[int]] = {}
    for row, (u, i) in enumerate(zip(users, items)):
        groups.setdefault((u, i), []).append(row)
    expected: dict[tuple[int, int], float] = {}
    for pair, at in groups.items():
        picked = [values[row] for row in at]
        latest = max(at, key=lambda row: (times[row], row)) if timed else at[-1]
        expected[pair] = {
            "last": float(values[latest]),
            "first": float(picked[0]),
            "mean": float(np.float32(sum(picked) / len(picked))),
            "max": float(max(picked)),
        }[rule]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        r = Ratings.from_arrays(
            users,
            items,
            values,
            times if timed else None,
            duplicates=rule,
            feedback="explicit",  # type: ignore[arg-type]
        )
    assert {(u, i): v for u, i, v in rows(r)} == expected
    assert len(r) == len(expected)
    repeated = len(users) - len(expected)
    assert [f"{repeated} of {len(users)} rows repeat" in str(w.message) for w in caught] == [True] * bool(repeated)


def test_the_latest_counts_where_every_row_has_a_time() -> None:
    for times, latest in (([30, 10, 20], 3.0), ([10, 30, 30], 5.0), ([30, None, 20], 5.0), (None, 5.0)):
        with pytest.warns(TorchsseWarning, match="2 of 3 rows repeat"):
            r = Ratings.from_arrays([1, 1, 1], [2, 2, 2], [3, 4, 5], times, feedback="explicit")
        assert r.values.tolist() == [latest]


def test_kept_rows_stay_in_file_order() -> None:
    with pytest.warns(TorchsseWarning, match=r"1 of 4 rows repeat .*\(first: user 9, item 1, row 0 and row 2\)"):
        r = Ratings.from_arrays([9, 1, 9, 2], [1, 1, 1, 1], [1, 2, 3, 4])
    assert rows(r) == [(1, 1, 2.0), (9, 1, 3.0), (2, 1, 4.0)]
    with pytest.raises(DataError, match="1 of 4 rows repeat"):
        Ratings.from_arrays([9, 1, 9, 2], [1, 1, 1, 1], [1, 2, 3, 4], duplicates="error")


def test_feedback() -> None:
    assert Ratings.from_arrays([1, 2], [1, 1]).feedback == "implicit"
    assert Ratings.from_arrays([1, 2], [1, 1], [3, 3]).feedback == "implicit"
    assert Ratings.from_arrays([1, 2], [1, 1], [3, 3], feedback="explicit").feedback == "explicit"
    assert Ratings.from_arrays([1, 2], [1, 1], [3, 4]).feedback == "explicit"
    assert Ratings.from_arrays([1, 2], [1, 1], [3, 4], feedback="implicit").feedback == "implicit"
    with pytest.raises(DataError, match="needs a rating column"):
        Ratings.from_arrays([1], [1], feedback="explicit")
    # a test part whose ratings happen to agree is as explicit as its train set
    assert Ratings.from_arrays([1, 2], [1, 1], [3, 3], like=small_numbers()).feedback == "explicit"


def small_numbers() -> Ratings:
    return Ratings.from_arrays([1, 2], [1, 2], [3, 4])


def test_like_extends_the_maps_at_the_end() -> None:
    train = Ratings.from_arrays([5, 7], ["m", "k"], [1, 2])
    test = Ratings.from_arrays([6, 7, 1], ["k", "z", "a"], [3, 4, 5], like=train)
    assert test.user_ids.ids.tolist() == [5, 7, 1, 6]
    assert test.item_ids.ids.tolist() == ["k", "m", "a", "z"]
    assert rows(test) == [(6, "k", 3.0), (7, "z", 4.0), (1, "a", 5.0)]
    assert train.warm(test).tolist() == [False, False, False]
    both = Ratings.from_arrays([7, 7], ["k", "m"], [3, 4], like=train)
    assert both.user_ids is train.user_ids
    assert train.warm(both).tolist() == [True, True]
    # in the maps, but without a row of its own: cold
    assert train.select([0]).warm(both).tolist() == [False, False]
    with pytest.raises(DataError, match="do not begin with"):
        train.warm(Ratings.from_arrays([9], ["q"], [3]))
    with pytest.raises(DataError, match=r"row 1: user id 'x' does not fit the train set"):
        Ratings.from_arrays(["5", "x"], ["k", "k"], [1, 2], like=train)


def test_select_and_with_ids() -> None:
    r = small()
    assert rows(r.select([2, 0])) == [rows(r)[2], rows(r)[0]]
    assert rows(r.select(np.array([True, False, True]))) == [rows(r)[0], rows(r)[2]]
    assert rows(r.select(slice(1, None))) == rows(r)[1:]
    assert len(r.select([])) == 0
    assert r.select([0]).user_ids is r.user_ids
    with pytest.raises(DataError, match="mask of 3"):
        r.select(np.array([True]))
    moved = r.with_ids(IdMap([9, 3, 1]), r.item_ids)
    assert rows(moved) == rows(r)
    assert moved.users.tolist() == [1, 2, 1]
    with pytest.raises(DataError, match="user 1 is not in the new id map"):
        r.with_ids(IdMap([3]), r.item_ids)


@given(ROWS)
def test_csr_round_trip(table: list[tuple[int, ...]]) -> None:
    cells = {(u, i): float(v) for u, i, v, _ in table}
    users, items = zip(*cells)
    r = Ratings.from_arrays(users, items, list(cells.values()), feedback="explicit")
    matrix = r.to_csr()
    matrix.check_format()
    assert matrix.shape == (r.num_users, r.num_items)
    dense = np.zeros(matrix.shape)
    dense[r.users, r.items] = r.values
    assert np.array_equal(matrix.toarray(), dense)
    back = Ratings.from_csr(matrix, feedback="explicit")
    assert {(u, i): v for u, i, v in rows(back)} == {
        (int(u), int(i)): v for u, i, v in zip(r.users, r.items, r.values.tolist())
    }


def test_csr_keeps_empty_rows_and_refuses_dense() -> None:
    r = Ratings.from_csr(scipy.sparse.coo_array(([1.0, 2.0], ([0, 3], [1, 1])), shape=(5, 4)))
    assert (r.num_users, r.num_items, len(r)) == (5, 4, 2)
    assert as_ratings(scipy.sparse.csc_matrix(np.eye(3))).feedback == "implicit"
    with pytest.raises(DataError, match="expected a scipy sparse matrix, got ndarray"):
        Ratings.from_csr(np.eye(3))
    with pytest.raises(DataError, match="finite"):
        Ratings.from_csr(scipy.sparse.csr_matrix([[1.0, np.nan]]))


def test_as_ratings_takes_what_there_is() -> None:
    r = small_numbers()
    assert as_ratings(r) is r
    assert rows(as_ratings(([1, 2], [1, 2], [3, 4]))) == rows(r)
    assert rows(as_ratings({"user": [1, 2], "item": [1, 2], "rating": [3, 4]})) == rows(r)
    assert as_ratings(Ratings.from_arrays([2], [9], [3]), like=r).items.tolist() == [2]
    with pytest.raises(DataError, match="cannot be applied"):
        as_ratings(r, feedback="implicit")
    with pytest.raises(DataError, match="expected a pandas, polars or Arrow table"):
        as_ratings(3)
    with pytest.raises(DataError, match="got 1 of them"):
        as_ratings(([1],))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], [1]), "items: expected 2 values"),
        (([1], [1], [1, 2]), "ratings: expected 1 values"),
        (([1], [1], [1], [1, 2]), "timestamps: expected 1 values"),
        (([], []), "expected at least one rating"),
        (([1, 1], [1, 2], [1, float("nan")]), "row 1: ratings: expected a finite number, got nothing"),
        (([1, 1], [1, 2], [1, float("inf")]), "row 1: ratings: expected a finite number, got inf"),
        (([1, 1], [1, 2], [1, "x"]), "row [01]: ratings: expected a number"),
        (([1, 1], [1, 2], ["4", "x"]), "row 0: ratings: expected a number, got '4'"),
        (([1, 1], [1, 2], [1, 1e300]), "row 1: the rating 1e\\+300 is beyond float32"),
        (([1, None], [1, 2]), "users: the id in row 1 is missing"),
        (([1], [1], [1], ["yesterday"]), "row 0: timestamps: expected a number or an ISO date"),
        (([1], [1], [1], [float("inf")]), "row 0: timestamps: expected finite numbers"),
    ],
)
def test_bad_columns(arguments: tuple[list[object], ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Ratings.from_arrays(*arguments)


def test_bad_options_and_codes() -> None:
    with pytest.raises(ConfigError, match="duplicates: expected one of last"):
        Ratings.from_arrays([1], [1], duplicates="newest")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="feedback: expected 'explicit'"):
        Ratings.from_arrays([1], [1], feedback="both")  # type: ignore[arg-type]
    ids = IdMap([1, 2])
    with pytest.raises(DataError, match="users: expected codes 0 to 1, got 0 to 2"):
        Ratings(np.array([0, 2]), np.array([0, 1]), None, None, ids, ids)
    with pytest.raises(DataError, match="users: expected codes 0 to 1, got -1"):
        Ratings(np.array([-1, 1]), np.array([0, 1]), None, None, ids, ids)
    with pytest.raises(DataError, match="integer codes"):
        Ratings(np.array([0.0]), np.array([0]), None, None, ids, ids)
    with pytest.raises(DataError, match="finite float32"):
        Ratings(np.array([0]), np.array([0]), np.array([np.nan]), None, ids, ids)
    with pytest.raises(DataError, match="there are no ratings"):
        _ = small().select([]).rating_range


def test_times_of_all_kinds_agree() -> None:
    seconds = [978300760, 978302109]
    iso = ["2000-12-31T22:12:40", "2000-12-31 22:35:09Z"]
    for times in (
        seconds,
        iso,
        [str(s) for s in seconds],
        np.array(seconds, dtype="datetime64[s]"),
        np.array(seconds, dtype="datetime64[s]").astype("datetime64[ns]"),
        ["2001-01-01T00:12:40+02:00", 978302109.0],
    ):
        r = Ratings.from_arrays([1, 2], [1, 2], [3, 4], times)
        assert r.timestamps.dtype == np.int64
        assert r.timestamps.tolist() == seconds
    gaps = Ratings.from_arrays([1, 2], [1, 2], [3, 4], [None, "1970-01-02"]).timestamps
    assert np.isnan(gaps[0])
    assert gaps[1] == 86400


def test_pickle() -> None:
    r = pickle.loads(pickle.dumps(small()))  # noqa: S301  (our own bytes)
    assert rows(r) == rows(small())


def test_describe_by_hand() -> None:
    r = Ratings.from_arrays([1, 1, 2, 3], [5, 6, 5, 5], [4, 2, 5, 4], [9, 1, 2, None])
    d = r.describe()
    assert d == describe(r)
    assert (d["ratings"], d["active_users"], d["active_items"], d["density"]) == (4, 3, 2, 4 / 6)
    assert d["rating"]["counts"] == {"2": 1, "4": 2, "5": 1}
    assert d["rating"]["mean"] == pytest.approx(3.75)
    assert d["rating"]["std"] == pytest.approx(np.std([4, 2, 5, 4]))
    quantiles = d["per_user"].pop("quantiles")
    assert d["per_user"] == {"min": 1, "median": 1.0, "mean": 4 / 3, "max": 2}
    assert (quantiles["25"], quantiles["90"]) == (1.0, 1.8)
    # Gini of (1, 3): mean absolute difference over twice the mean = (2 * 2 / 4) / (2 * 2)
    curve = d["long_tail"].pop("curve")
    shares = {f"share_of_top_{p}_percent": 0.75 for p in (1, 10, 20)}
    assert d["long_tail"] == {"gini": pytest.approx(0.25), "items_for_half": 1, **shares}
    assert (curve[0], curve[-1], len(curve)) == ([0.0, 0.0], [1.0, 1.0], 51)
    assert curve[25] == [0.25, 0.375]
    assert d["timestamps"] == {"min": 1.0, "max": 9.0, "missing": 1, "first": None, "last": None}
    assert d["graphs"] == []
    dated = Ratings.from_arrays([1, 2], [1, 1], [1, 2], [0.999e9, 1e9]).describe()["timestamps"]
    assert (dated["first"], dated["last"]) == ("2001-08-28", "2001-09-09")
    empty = r.select([]).describe()
    assert (empty["ratings"], empty["users"], empty["active_users"], empty["density"]) == (0, 3, 0, 0.0)
    many = Ratings.from_arrays(range(50), range(50), np.linspace(0, 1, 50)).describe()["rating"]["counts"]
    assert sum(many.values()) == 50
    assert len(many) == 10
