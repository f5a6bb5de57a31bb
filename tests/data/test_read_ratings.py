"""read_ratings on text: against the csv module, on every separator, header and kind of id."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torchsse.data import Ratings, read_ratings
from torchsse.data import text as text_module
from torchsse.errors import DataError, TorchsseWarning

ANY_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def write(folder: Path, content: str | bytes, name: str = "ratings.csv") -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def rows(ratings: Ratings) -> list[tuple[object, ...]]:
    return list(zip(ratings.raw_users.tolist(), ratings.raw_items.tolist(), ratings.values.tolist()))


TEXT_ID = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs")), min_size=1, max_size=8
)
QUOTED_ID = st.text(st.sampled_from("ab\"',; |\t\n7"), min_size=1, max_size=6).filter(str.strip)


@ANY_FOLDER
@given(
    st.lists(st.tuples(QUOTED_ID | TEXT_ID, QUOTED_ID | TEXT_ID, st.integers(1, 50)), min_size=1, max_size=20),
    st.sampled_from([",", ";", "|"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_quoted_text_agrees_with_the_csv_module(
    tmp_path: Path, table: list[tuple[str, str, int]], separator: str, ending: str
) -> None:
    pairs = {(u.strip(), i.strip()): (u, i, r) for u, i, r in table}
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator, lineterminator=ending, quoting=csv.QUOTE_ALL)
    writer.writerow(["user", "item", "rating"])
    writer.writerows(pairs.values())
    file = write(tmp_path, buffer.getvalue())
    with file.open(newline="", encoding="utf-8") as stream:
        oracle = [
            (row["user"].strip(), row["item"].strip(), float(row["rating"]))
            for row in csv.DictReader(stream, delimiter=separator)
        ]
    got = read_ratings(file, feedback="explicit")
    assert [(str(u), str(i), r) for u, i, r in rows(got)] == oracle


@ANY_FOLDER
@given(
    st.lists(
        st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 99), st.integers(1, 10), st.integers(0, 2**40)),
        min_size=1,
        max_size=20,
        unique_by=lambda row: row[:2],
    ),
    st.sampled_from(["::", "\t", ",", ";", "|", " ", "   ", " \t"]),
    st.booleans(),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
def test_numbers_without_header_on_every_separator(
    tmp_path: Path, table: list[tuple[int, ...]], separator: str, packed: bool, ending: str, last_ending: bool
) -> None:
    text = ending.join(separator.join(f"{v / 2}" if c == 2 else str(v) for c, v in enumerate(row)) for row in table)
    data = (text + ending * last_ending).encode()
    file = write(tmp_path, gzip.compress(data) if packed else data, "r.gz" if packed else "r.dat")
    got = read_ratings(file, feedback="explicit")
    assert rows(got) == [(u, i, r / 2) for u, i, r, _ in table]
    assert got.timestamps is not None
    assert got.timestamps.tolist() == [t for *_, t in table]
    assert got.user_ids.ids.tolist() == sorted({u for u, *_ in table})


@pytest.mark.parametrize(
    "header",
    [
        "user,item,rating,timestamp",
        "userId,movieId,rating,timestamp",
        "User ID,Movie-Id,Stars,Date",
        "user_id:token,item_id:token,rating:float,timestamp:float",
        "reviewerID,asin,overall,unixReviewTime",
        "UID,PRODUCT,SCORE,TIME",
        "\ufeffuser,item,rating,timestamp",
        '"user","item","rating","timestamp"',
    ],
)
def test_usual_names(tmp_path: Path, header: str) -> None:
    got = read_ratings(write(tmp_path, f"{header}\n4,7,3.5,100\n5,8,1,50\n"))
    assert rows(got) == [(4, 7, 3.5), (5, 8, 1.0)]
    assert got.timestamps is not None
    assert got.timestamps.tolist() == [100, 50]


def test_columns_in_any_order_with_others_between(tmp_path: Path) -> None:
    file = write(tmp_path, "stars,note,item,when,user\n5,x,1,9,a\n4,é,2,8,b\n")
    assert rows(read_ratings(file)) == [("a", 1, 5.0), ("b", 2, 4.0)]
    assert read_ratings(file).timestamps is None
    assert read_ratings(file, timestamp="WHEN").timestamps.tolist() == [9, 8]  # type: ignore[union-attr]
    assert rows(read_ratings(file, user=2, item="user", rating=3)) == [(1, "a", 9.0), (2, "b", 8.0)]


def test_the_surer_word_wins(tmp_path: Path) -> None:
    file = write(tmp_path, "username,user_id,title,item,votes,rating\nann,1,t,7,9,3\nbob,2,s,8,9,4\n")
    assert rows(read_ratings(file)) == [(1, 7, 3.0), (2, 8, 4.0)]


def test_positions_without_header(tmp_path: Path) -> None:
    file = write(tmp_path, "1\t2\t28\t4\t7\n3\t4\t28\t5\t7\n", "ciao.tsv")
    got = read_ratings(file, rating=3)
    assert rows(got) == [(1, 2, 4.0), (3, 4, 5.0)]
    assert got.timestamps is None
    assert rows(read_ratings(file, user="1", item="0", rating="3")) == [(2, 1, 4.0), (4, 3, 5.0)]


def test_what_is_a_header(tmp_path: Path) -> None:
    # a first line with a number is data, even beside text
    assert rows(read_ratings(write(tmp_path, "BUYER_894 LOC_1186 1.0\nBUYER_3 LOC_1 2.0\n"))) == [
        ("BUYER_894", "LOC_1186", 1.0),
        ("BUYER_3", "LOC_1", 2.0),
    ]
    pairs = write(tmp_path, "ann,matrix\nbob,alien\n")
    assert rows(read_ratings(pairs, header=False)) == [("ann", "matrix", 1.0), ("bob", "alien", 1.0)]
    assert rows(read_ratings(write(tmp_path, "1,2,3\n4,5,1\n4,6,2\n"), header=True, user=0, item=1, rating=2)) == [
        (4, 5, 1.0),
        (4, 6, 2.0),
    ]


@pytest.mark.parametrize(
    ("text", "words", "doubted"),
    [
        ("ann,matrix\nbob,alien\n", {"user": 0, "item": 1}, True),
        ("ann,matrix\nbob,alien\n", {"user": 0, "item": 1, "header": True}, False),
        ("ann,matrix\nbob,alien\n", {"user": 0, "item": 1, "header": False}, False),
        ("user,film\nbob,alien\n", {"user": 0, "item": 1}, False),
        ("who,item\nbob,alien\n", {"user": 0, "item": 1}, False),
        ("who,what\nbob,alien\n", {"user": "who", "item": "what"}, False),
        ("who,what\n1,2\n", {"user": 0, "item": 1}, False),
        ("who,what,stars\nbob,alien,3\n", {"user": 0, "item": 1}, False),
        ("ann,matrix,4\nbob,alien,3\n", {"user": 0, "item": 1, "rating": 2}, False),
    ],
)
def test_a_header_by_lack_of_numbers_alone_is_told(recwarn, tmp_path: Path, text, words, doubted) -> None:
    """Ids may all be text, and then a row would be lost without a word."""
    read_ratings(write(tmp_path, text), **words)
    told = [str(w.message) for w in recwarn if issubclass(w.category, TorchsseWarning)]
    assert len(told) == doubted, told
    assert not doubted or "the first line (ann, matrix) holds no number and was taken for a header" in told[0]


def test_a_fourth_column_that_is_no_time_is_left_alone(tmp_path: Path) -> None:
    assert read_ratings(write(tmp_path, "1,2,3,train\n1,3,4,test\n")).timestamps is None
    iso = read_ratings(write(tmp_path, "1,2,3,2001-01-01\n1,3,4,2001-01-02\n")).timestamps
    assert iso is not None
    assert iso.tolist() == [978307200, 978393600]


def test_ids_written_apart_stay_apart(tmp_path: Path) -> None:
    got = read_ratings(write(tmp_path, "007,1,3\n7,1,4\n"))
    assert got.user_ids.ids.tolist() == ["007", "7"]
    assert got.item_ids.ids.tolist() == [1]
    for ids in (["1", "+1"], ["1", "1.0"], ["0", "-0"], ["1", "1_0"], ["1", "99999999999999999999"], ["1", "١"]):
        file = write(tmp_path, "user,item,rating\n" + "".join(f"{u},1,{r}\n" for r, u in enumerate(ids)))
        assert read_ratings(file).user_ids.ids.tolist() == sorted(ids)
    file = write(tmp_path, "user,item,rating\n 7 ,1,3\n8,1,4\n")
    assert read_ratings(file).user_ids.ids.tolist() == [7, 8]


def test_comments_blank_lines_and_marks(tmp_path: Path) -> None:
    file = write(tmp_path, "\ufeff# SNAP\n% KONECT\n\n1 2 3\n\n1 3 4\n\n")
    assert rows(read_ratings(file)) == [(1, 2, 3.0), (1, 3, 4.0)]


def test_missing_times_are_nan(tmp_path: Path) -> None:
    got = read_ratings(write(tmp_path, "user,item,rating,timestamp\n1,2,3,\n1,3,4,17\n")).timestamps
    assert got is not None
    assert np.isnan(got[0])
    assert got[1] == 17


def test_times_that_cannot_be_read(tmp_path: Path) -> None:
    file = write(tmp_path, "user,item,rating,date\n1,2,3,01 1 2014\n1,3,4,2\n")
    with pytest.warns(TorchsseWarning, match="timestamps are left out: .*line 2: column 'date'.*got '01 1 2014'"):
        assert read_ratings(file).timestamps is None
    with pytest.raises(DataError, match=r"ratings.csv, line 2: column 'date': expected a number or an ISO date"):
        read_ratings(file, timestamp="date")


def test_a_type_that_changes_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pyarrow settles a column's type by its first block."""
    monkeypatch.setattr(text_module, "_BLOCK", 64)
    lines = [f"u{n},{n},{n % 5},{1000 + n}" for n in range(100)]
    got = read_ratings(write(tmp_path, "user,item,rating,timestamp\n" + "\n".join([*lines, "x,1,2,1.5", "y,1,2,"])))
    assert len(got) == 102
    assert got.timestamps is not None
    assert got.timestamps[:101].tolist() == [*range(1000, 1100), 1.5]
    assert np.isnan(got.timestamps[101])
    with pytest.raises(DataError, match="line 101: column 'rating': expected a number, got 'z'"):
        read_ratings(write(tmp_path, "user,item,rating\n" + "\n".join([*(f"{n},1,2" for n in range(99)), "1,1,z"])))


def test_feedback_and_like(tmp_path: Path) -> None:
    equal = write(tmp_path, "1 2 1\n1 3 1\n", "equal.txt")
    assert read_ratings(equal).feedback == "implicit"
    assert read_ratings(equal, feedback="explicit").feedback == "explicit"
    junk = write(tmp_path, "user,item,rating\n1,2,x\n1,3,y\n", "junk.csv")
    assert read_ratings(junk, feedback="implicit").feedback == "implicit"
    with pytest.raises(DataError, match="explicit feedback needs a rating column"):
        read_ratings(write(tmp_path, "user,item\n1,2\n"), feedback="explicit")
    train = read_ratings(write(tmp_path, "1,2,3\n5,9,4\n", "train.csv"))
    test = read_ratings(write(tmp_path, "5,2,4\n3,9,4\n", "test.csv"), like=train)
    assert (test.feedback, test.users.tolist(), test.items.tolist()) == ("explicit", [1, 2], [0, 1])
    with pytest.raises(DataError, match=r"test.csv, line 3: item id 'b' does not fit the train set: .*integers"):
        read_ratings(write(tmp_path, "user,item,rating\n1,2,3\n1,b,4\n", "test.csv"), like=train)
    named = read_ratings(write(tmp_path, "user,item,rating\n007,2,3\n5,9,4\n", "train.csv"))
    assert read_ratings(write(tmp_path, "5,2,3\n6,2,4\n", "test.csv"), like=named).user_ids.ids.tolist() == [
        "007",
        "5",
        "6",
    ]


def test_order_of_the_lines_does_not_change_the_codes(tmp_path: Path) -> None:
    lines = [f"{u},{i},{(u * i) % 5}" for u in range(9) for i in range(7)]
    a = read_ratings(write(tmp_path, "\n".join(lines)))
    b = read_ratings(write(tmp_path, "\n".join(reversed(lines))))
    assert a.user_ids == b.user_ids
    assert (a.to_csr() != b.to_csr()).nnz == 0


def test_other_encodings(tmp_path: Path) -> None:
    data = "user,item,rating\nJosé,1,3\nZoë,1,4\n"
    for encoding in ("latin-1", "cp1252", "UTF_8"):
        file = write(tmp_path, data.encode(encoding))
        assert read_ratings(file, encoding=encoding).user_ids.ids.tolist() == ["José", "Zoë"]
