"""Parquet and tables in memory: types stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from torchsse.data import EdgeTable, Ratings, as_edges, as_ratings, read_edges, read_ratings
from torchsse.errors import DataError

COLUMNS: dict[str, list[Any]] = {
    "note": ["x", "y", "z"],
    "movieId": [30, 10, 10],
    "userId": ["b", "b", "a"],
    "stars": [1.5, 2.0, 5.0],
    "date": ["2001-01-01", "2001-01-02", "2001-01-03"],
}
ROWS = [("b", 30, 1.5), ("b", 10, 2.0), ("a", 10, 5.0)]


def rows(ratings: Ratings) -> list[tuple[object, ...]]:
    return list(zip(ratings.raw_users.tolist(), ratings.raw_items.tolist(), ratings.values.tolist()))


class OnlyAStream:
    """What polars, DuckDB and others are to us."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize(
    "make",
    [
        dict,
        pa.table,
        lambda c: pa.table(c).to_batches()[0],
        lambda c: OnlyAStream(pa.table(c)),
        pd.DataFrame,
        lambda c: pd.DataFrame(c).astype({"userId": "category", "date": "datetime64[ns]", "movieId": "uint16"}),
        lambda c: pd.DataFrame(c, index=[7, 7, 7]).astype({"userId": object, "movieId": "Int64", "stars": "float32"}),
        lambda c: pa.table(c).cast(
            pa.schema(
                {
                    "note": pa.string(),
                    "movieId": pa.int16(),
                    "userId": pa.large_string(),
                    "stars": pa.float32(),
                    "date": pa.date32(),
                }
            )
        ),
        lambda c: pa.table({**c, "userId": pa.array(c["userId"], pa.string_view())}),
    ],
    ids=["dict", "Arrow", "batch", "stream", "pandas", "typed pandas", "nullable pandas", "typed Arrow", "views"],
)
def test_tables_of_every_kind(make: Any, tmp_path: Path) -> None:
    got = as_ratings(make(COLUMNS))
    assert rows(got) == ROWS
    assert got.timestamps is not None
    assert got.timestamps.tolist() == [978307200, 978393600, 978480000]


def test_parquet(tmp_path: Path) -> None:
    file = tmp_path / "no_suffix"
    pq.write_table(pa.table(COLUMNS), file, row_group_size=1)
    got = read_ratings(file)
    assert rows(got) == ROWS
    assert got.timestamps is not None
    assert rows(read_ratings(file, user="movieId", item="userId", rating=3)) == [(i, u, r) for u, i, r in ROWS]
    edges = tmp_path / "edges.parquet"
    pq.write_table(pa.table({"a": [1, 2], "b": [2, 3], "w": [2, 4]}), edges)
    assert read_edges(edges, weight="w").weights.tolist() == [0.5, 1.0]  # type: ignore[union-attr]


def test_text_that_looks_like_integers_stays_text_in_typed_tables() -> None:
    got = as_ratings({"user": ["1", "2"], "item": [1, 2], "rating": [1, 2]})
    assert got.user_ids.ids.tolist() == ["1", "2"]
    assert got.item_ids.ids.tolist() == [1, 2]


def test_unnamed_columns_go_by_order() -> None:
    assert rows(as_ratings(pd.DataFrame(np.array([[1, 2, 3], [1, 3, 4]])))) == [(1, 2, 3.0), (1, 3, 4.0)]


def test_whole_floats_are_integers_and_missing_ones_are_named() -> None:
    assert as_ratings({"user": [1.0, 2.0], "item": [1, 1]}).user_ids.ids.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"userId": ["b", None, "a"]}, "the table, row 1: column 'userId': the id is missing"),
        ({"userId": ["b", "", "a"]}, "the table, row 1: column 'userId': the id is missing"),
        ({"movieId": [1, None, 2]}, "row 1: column 'movieId': the id is missing"),
        ({"movieId": [1.0, float("nan"), 2]}, "row 1: column 'movieId': expected an id, got nan"),
        ({"movieId": [1.0, 1.5, 2]}, "row 1: column 'movieId': expected an id, got 1.5"),
        ({"movieId": [True, False, True]}, "column 'movieId': expected ids .integers or text., got bool"),
        ({"movieId": [[1], [2], [3]]}, "column 'movieId': expected ids .integers or text., got list"),
        ({"movieId": np.array([1, 2, 2**64 - 1], dtype=np.uint64)}, "row 2.* beyond 64-bit"),
        ({"stars": [1, None, 2]}, "row 1: column 'stars': expected a finite number, got nothing"),
        ({"stars": [1, float("inf"), 2]}, "row 1: column 'stars': expected a finite number, got inf"),
        ({"stars": ["1", "2", "x"]}, "row 0: column 'stars': expected a number, got '1'"),
        ({"stars": [True, False, True]}, "column 'stars': expected numbers, got bool"),
        ({"stars": [1, 2]}, "columns cannot be taken"),
        ({"userId": ["b", 1, "a"]}, "columns cannot be taken"),
    ],
)
def test_wrong_tables(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_ratings({**COLUMNS, **change})


def test_wrong_objects() -> None:
    with pytest.raises(DataError, match="the table has no rows"):
        as_ratings(pd.DataFrame({"user": [], "item": []}))
    with pytest.raises(DataError, match="the columns are 'a', 'b'"):
        as_ratings({"a": [1], "b": [2]})
    with pytest.raises(DataError, match="expected a pandas, polars or Arrow table"):
        as_ratings(object())
    with pytest.raises(DataError, match="expected at least two columns of ids, got 1"):
        as_edges({"a": [1]})


def test_edge_tables() -> None:
    for table in (
        pd.DataFrame({"a": ["x", "y"], "b": ["y", "z"], "n": [1, 4]}),
        {"a": ["x", "y"], "b": ["y", "z"], "n": [1, 4]},
    ):
        edges = as_edges(table, weight="n")
        assert isinstance(edges, EdgeTable)
        assert edges.src_raw.tolist() == ["x", "y"]
        assert edges.weights is not None
        assert edges.weights.tolist() == [0.25, 1.0]
