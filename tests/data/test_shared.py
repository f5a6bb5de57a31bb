"""Edges from shared attributes, coverage of graphs, and files that are written."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchsse.data import (
    AttributeTable,
    EdgeTable,
    Ratings,
    graph_coverage,
    read_pairs,
    read_ratings,
    shared_attribute_edges,
    write_ratings,
)
from torchsse.data.write import write_table
from torchsse.errors import ConfigError, DataError, TorchsseWarning
from torchsse.graph import Graph

ROWS = st.lists(st.tuples(st.integers(0, 8), st.sampled_from("abcdef")), min_size=1, max_size=40)


@settings(deadline=None)
@given(ROWS, st.integers(1, 3))
def test_against_a_loop_over_pairs(rows: list[tuple[int, str]], least: int) -> None:
    has: dict[int, set[str]] = {}
    for number, letter in rows:
        has.setdefault(number, set()).add(letter)
    expected = [
        (a, b, len(has[a] & has[b]))
        for a in sorted(has)
        for b in sorted(has)
        if a < b and len(has[a] & has[b]) >= least
    ]
    table = AttributeTable(np.array([n for n, _ in rows]), np.array([c for _, c in rows], dtype=object))
    got = shared_attribute_edges(table, min_shared=least)
    assert list(zip(got.src_raw.tolist(), got.dst_raw.tolist(), got.shared.tolist())) == expected


@settings(deadline=None, max_examples=30)
@given(ROWS, st.booleans())
def test_the_graph_is_that_of_from_attributes(rows: list[tuple[int, str]], weighted: bool) -> None:
    ids, letters = np.array([n for n, _ in rows]), np.array([c for _, c in rows], dtype=object)
    edges = shared_attribute_edges(AttributeTable(ids, letters)).edge_table(weighted=weighted)
    mine = Graph.from_edges(edges.src_raw, edges.dst_raw, 9, edges.weights)
    theirs = Graph.from_attributes(ids, letters, 9, weighted=weighted)
    for node in range(9):
        for a, b in zip(mine.neighbors(node), theirs.neighbors(node)):
            assert np.array_equal(a, b)


def test_large_groups_link_nothing_and_are_told() -> None:
    table = AttributeTable(np.arange(12) % 6, np.array(["all"] * 6 + ["x", "x", "y", "y", "z", "z"], dtype=object))
    with pytest.warns(TorchsseWarning, match="1 of 4 attributes belong to more than 5 ids .*'all' with 6"):
        got = shared_attribute_edges(table, max_group=5)
    assert list(zip(got.src_raw.tolist(), got.dst_raw.tolist())) == [(0, 1), (2, 3), (4, 5)]
    assert len(shared_attribute_edges(table, max_group=None)) == 15
    for options in ({"min_shared": 0}, {"max_group": 1}, {"min_shared": 1.5}):
        with pytest.raises(ConfigError, match="expected an integer of at least"):
            shared_attribute_edges(table, **options)  # type: ignore[arg-type]


def test_pairs(tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text("a,b,n,m\n2,1,1,5\n1,2,3,1\n3,3,9,9\n1,4,2.0,0\n")
    got = read_pairs(file, "n")
    assert list(zip(got.src_raw.tolist(), got.dst_raw.tolist(), got.shared.tolist())) == [(1, 2, 3), (1, 4, 2)]
    assert len(read_pairs(file, 3)) == 1
    assert len(read_pairs(file, "n", min_shared=3)) == 1
    file.write_text("a,b,n\n1,2,x\n")
    with pytest.raises(DataError, match="column 'n': expected numbers, got 'x'"):
        read_pairs(file, "n")


def test_coverage() -> None:
    ratings = Ratings.from_arrays([1, 1, 2, 2, 3], [5, 6, 6, 7, 8], [4, 3, 5, 1, 2])
    edges = EdgeTable([5, 6, 6, 7, 5], [6, 5, 6, 99, 6])
    got = graph_coverage(ratings, edges)
    assert (got["rows"], got["dropped"], got["links"], got["nodes"], got["with_neighbour"]) == (5, 1, 1, 4, 2)
    assert (got["share_of_nodes"], got["share_of_ratings"]) == (0.5, 0.6)
    assert got["degree"]["max"] == 1
    users = graph_coverage(ratings, EdgeTable([1], [2]), "user")
    assert (users["side"], users["with_neighbour"], users["share_of_ratings"]) == ("user", 2, 0.8)
    none = graph_coverage(ratings, EdgeTable([98], [99]))
    assert (none["links"], none["share_of_ratings"], none["degree"]) == (0, 0.0, None)
    part = ratings.select([0, 1])  # items 7 and 8 are in the map without a rating
    assert graph_coverage(part, EdgeTable([5, 7], [6, 8]))["nodes"] == 2
    assert ratings.describe()["graphs"] == []


ENDINGS = ["csv", "csv.gz", "parquet"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_written_and_read_again(tmp_path: Path, ending: str) -> None:
    cases = [
        Ratings.from_arrays(["a,b", 'q"', "ü"], [3, 1, 2], [4.5, 0.1, 3], [7, 8, 9]),
        Ratings.from_arrays([1, 2], [10**15, 5], [1, 2], [1.5, None]),
        Ratings.from_arrays([1, 2], ["x", "y"]),
    ]
    for number, ratings in enumerate(cases):
        file = tmp_path / f"r{number}.{ending}"
        write_ratings(ratings, file)
        got = read_ratings(file)
        assert got.raw_users.tolist() == ratings.raw_users.tolist()
        assert got.raw_items.tolist() == ratings.raw_items.tolist()
        assert got.values.tolist() == ratings.values.tolist()
        assert got.feedback == ratings.feedback
        if ratings.timestamps is None:
            assert got.timestamps is None
        else:
            assert np.array_equal(got.timestamps, ratings.timestamps, equal_nan=True)  # type: ignore[arg-type]
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"r{n}.{ending}" for n in range(3)]
    if ending == "csv.gz":
        assert gzip.decompress((tmp_path / "r2.csv.gz").read_bytes()).startswith(b"user,item\n")


def test_names_that_say_no_form(tmp_path: Path) -> None:
    for name in ("r.txt", "csv", "r.tsv.gz"):
        with pytest.raises(ConfigError, match=r"ends in \.csv, \.csv\.gz or \.parquet"):
            write_table({"a": np.arange(2)}, tmp_path / name)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ConfigError, match="found a directory"):
        write_table({"a": np.arange(2)}, tmp_path / "folder.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.csv"]
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file, not a directory"):
        write_table({"a": np.arange(2)}, tmp_path / "file" / "r.csv")
