"""One user per line, and LibRec's check-ins, on small files made here."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torchsse.data import Ratings, read_ratings
from torchsse.errors import ConfigError, DataError, TorchsseWarning


def write(folder: Path, content: str | bytes, name: str = "train.txt") -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def pairs(ratings: Ratings) -> list[tuple[object, object]]:
    return list(zip(ratings.raw_users.tolist(), ratings.raw_items.tolist()))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.dictionaries(
        st.integers(0, 2**62), st.lists(st.integers(0, 10**6), max_size=9, unique=True), min_size=1, max_size=12
    ),
    st.sampled_from([" ", "\t", "  "]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
def test_agrees_with_a_loop_over_lines(
    tmp_path: Path, table: dict[int, list[int]], blank: str, ending: str, packed: bool
) -> None:
    expected = [(user, item) for user, items in table.items() for item in items]
    data = "".join(blank.join(map(str, [user, *items])) + ending for user, items in table.items()).encode()
    file = write(tmp_path, gzip.compress(data) if packed else data)
    if not expected:
        with pytest.raises(DataError, match="got users without any item"):
            read_ratings(file, format="user-lines")
        return
    got = read_ratings(file, format="user-lines")
    assert pairs(got) == expected
    assert got.feedback == "implicit"


def test_found_by_content(tmp_path: Path) -> None:
    got = read_ratings(write(tmp_path, "0 1 2 3 4\n1 5 6 7 8 9 10\n2 7\n"))
    assert pairs(got)[:5] == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 5)]
    assert len(got) == 11


@pytest.mark.parametrize(
    "content",
    [
        "0 1 2 3 4\n0 5 6 7 8 9\n",  # a user twice: rather a broken table
        "1 2 3\n2 3\n",  # no wider than a table of ratings
        "1 2 3 4 x\n2 3 4 5 6 7\n",
        "1,2,3,4,5\n2,3,4\n",
    ],
)
def test_not_taken_for_it(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match=r"line 2: expected \d fields as in the first line"):
        read_ratings(write(tmp_path, content))


def test_a_table_is_still_a_table(tmp_path: Path) -> None:
    got = read_ratings(write(tmp_path, "1 2 5 9 7\n2 3 4 9 7\n"))
    assert (len(got), got.feedback) == (2, "explicit")
    # columns that are given mean a table as well
    with pytest.raises(DataError, match="expected 5 fields"):
        read_ratings(write(tmp_path, "0 1 2 3 4\n1 5 6 7 8 9 10\n"), user=0, item=1)


def test_ids_that_are_no_plain_integers(tmp_path: Path) -> None:
    got = read_ratings(write(tmp_path, "ann x y\nbob y\n"), format="lightgcn")
    assert pairs(got) == [("ann", "x"), ("ann", "y"), ("bob", "y")]
    got = read_ratings(write(tmp_path, "007 1 2\n7 1\n"), format="s3rec")
    assert pairs(got) == [("007", 1), ("007", 2), ("7", 1)]
    big = read_ratings(write(tmp_path, "1 99999999999999999999 2\n"), format="user-lines")
    assert pairs(big)[0] == (1, "99999999999999999999")
    got = read_ratings(write(tmp_path, "José é\n".encode("latin-1")), format="user-lines", encoding="latin-1")
    assert pairs(got) == [("José", "é")]
    with pytest.raises(DataError, match=r"train.txt, line 2: not utf-8 text"):
        read_ratings(write(tmp_path, "a b\nJosé é\n".encode("latin-1")), format="user-lines")
    with pytest.raises(ConfigError, match="encoding: expected a text encoding"):
        read_ratings(write(tmp_path, "a b\n"), format="user-lines", encoding="utf-9")


def test_repeated_items_are_told_with_their_line(tmp_path: Path) -> None:
    with pytest.warns(TorchsseWarning, match=r"1 of 4 rows repeat .*\(first: user 2, item 7, line 3 and line 3\)"):
        assert len(read_ratings(write(tmp_path, "1 5\n\n2 7 8 7\n"), format="user-lines")) == 3


def test_valid_and_test_share_the_codes_of_train(tmp_path: Path) -> None:
    train = read_ratings(write(tmp_path, "0 1 2 3 4\n1 5 6 7 8 9\n"))
    test = read_ratings(write(tmp_path, "0 6\n1 20\n", "test.txt"), like=train, format="user-lines")
    assert test.items.tolist() == [5, 9]
    assert test.raw_items.tolist() == [6, 20]


def test_check_ins_of_librec(tmp_path: Path) -> None:
    file = write(tmp_path, "USER_894 LOC_5032 1.0\nUSER_894 LOC_4398 3.0\nUSER_2 LOC_5032 2.0\n")
    got = read_ratings(file)
    assert pairs(got) == [("USER_894", "LOC_5032"), ("USER_894", "LOC_4398"), ("USER_2", "LOC_5032")]
    assert got.feedback == "implicit"
    counts = read_ratings(file, feedback="explicit", format="foursquare-librec")
    assert counts.values.tolist() == [1, 3, 2]
    bare = write(tmp_path, "USER_1 LOC_2\nUSER_1 LOC_3\n")
    assert len(read_ratings(bare)) == 2
    with pytest.raises(DataError, match="line 2: expected 3 fields as in the first line, got 2"):
        read_ratings(write(tmp_path, "USER_894 LOC_5032 1.0\nUSER_894 LOC_4398\n"), format="foursquare-librec")
    with pytest.raises(DataError, match="line 1: expected user item rating, got 4 fields"):
        read_ratings(write(tmp_path, "USER_894 LOC_5032 1.0 9\n"), format="foursquare-librec")


def test_wrong_options(tmp_path: Path) -> None:
    file = write(tmp_path, "0 1 2 3 4\n1 5 6 7 8 9\n")
    with pytest.raises(ConfigError, match=r"format: expected one of .*user-lines \(lightgcn, s3rec\).*, got 'gcn'"):
        read_ratings(file, format="gcn")
    with pytest.raises(ConfigError, match="user, separator: the format user-lines fixes the columns"):
        read_ratings(file, format="user-lines", user=0, separator=" ")
    with pytest.raises(DataError, match="there is no such file"):
        read_ratings(tmp_path / "none.txt", format="user-lines")
