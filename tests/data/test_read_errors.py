"""Everything wrong with a file is one DataError that says where."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torchsse.data import Ratings, read_edges, read_ratings
from torchsse.errors import ConfigError, DataError

HEAD = "user,item,rating\n"
UTF8 = "é".encode()

FILES: list[tuple[str, str | bytes, dict[str, object], str]] = [
    ("empty", "", {}, r"ratings\.csv: the file is empty"),
    ("blank lines", "\n\n  \n", {}, "the file is empty"),
    ("comments only", "# a\n# b\n", {}, "holds comments only"),
    ("header only", HEAD, {}, "holds a header and no data"),
    ("header only, no line end", HEAD.strip(), {}, "holds a header and no data"),
    ("text in ratings", HEAD + 15 * "1,2,3\n" + "1,3,abc\n", {}, r"line 17: .* expected a number, got 'abc'"),
    ("text without header", "1,2,3\n1,3,good\n", {}, "line 2: column 3: expected a number, got 'good'"),
    ("decimal comma", HEAD.replace(",", ";") + "1;2;3,5\n", {}, "column 'rating': expected a number, got '3,5'"),
    ("true in ratings", HEAD + "1,2,true\n", {}, "line 2: column 'rating': expected a number, got 'true'"),
    ("empty rating", HEAD + "1,2,3\n1,3,\n", {}, "line 3: column 'rating': expected a finite number, got nothing"),
    ("NaN rating", HEAD + "1,2,3\n1,3,NaN\n", {}, "line 3: column 'rating': expected a finite number, got nothing"),
    ("inf rating", HEAD + "1,2,3\n1,3,-inf\n", {}, "line 3: column 'rating': expected a finite number, got -inf"),
    ("huge rating", HEAD + "1,2,3\n1,3,1e300\n", {}, r"line 3: the rating 1e\+300 is beyond float32"),
    ("infinite rating", HEAD + "1,2,3\n1,3,1e999\n", {}, "line 3: column 'rating': expected a finite number, got inf"),
    ("blank lines count", HEAD + "1,2,3\n\n\n1,3,x\n", {}, "line 5: column 'rating'"),
    ("comments count", "# one\n# two\n" + HEAD + "1,3,x\n", {}, "line 4: column 'rating'"),
    ("quoted line breaks count", HEAD + '"a\nb",2,3\n1,3,x\n', {}, "line 4: column 'rating'"),
    ("Windows line ends", HEAD.replace("\n", "\r\n") + "1,2,3\r\n1,3,x\r\n", {}, "line 3: column 'rating'"),
    ("in :: files", "1::2::3\n1::3::x\n", {}, "line 2: column 3: expected a number, got 'x'"),
    ("in blank files", "1  2   3\n\n1 3 x\n", {}, "line 3: column 3: expected a number, got 'x'"),
    ("empty user", HEAD + "1,2,3\n,3,4\n", {}, "line 3: column 'user': the id is missing"),
    ("blank item", HEAD + "1,2,3\n1, ,4\n", {}, "line 3: column 'item': the id is missing"),
    ("nan among integers", HEAD + "1,2,3\nNaN,3,4\n", {}, r"line 3: column 'user': the id is missing \('NaN'\)"),
    ("null among integers", HEAD + "1,2,3\n1,null,4\n", {}, r"line 3: column 'item': the id is missing \('null'\)"),
    ("too few fields", HEAD + "1,2,3\n1,2\n", {}, "line 3: expected 3 fields as in the header, got 2"),
    ("too many fields", HEAD + "1,2,3\n1,2,3,4\n", {}, "line 3: expected 3 fields as in the header, got 4"),
    ("ragged without header", "1 2 3\n1 2 3\n1 2\n", {}, "line 3: expected 3 fields as in the first line, got 2"),
    ("ragged :: file", "1::2::3\n1::2\n", {}, "line 2: expected 3 fields as in the first line, got 2"),
    ("lines of several lengths", "0 1 2 3\n0 5 6 7 8 9\n", {}, "line 2: expected 4 fields as in the first line, got 6"),
    ("header shorter than data", "user,item\n1,2,3\n", {}, "line 2: expected 2 fields as in the header, got 3"),
    ("open quote", HEAD + '"1,2,3\n', {}, "line 2: expected 3 fields"),
    ("one column", "a\nb\n", {}, r"line 1: expected fields separated by '::', tab, ',', ';', '\|' or blanks, got 'a'"),
    ("zero bytes", HEAD + "1,2,3\n1,\x00,4\n", {}, "line 3: expected text, got binary data"),
    ("PNG", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", {}, "expected text, got binary data"),
    ("latin-1 id", HEAD.encode() + b"1,2,3\nJos\xe9,3,4\n", {}, "line 3: column 'user' is not UTF-8 text"),
    ("not ASCII", HEAD.encode() + b"1,2,3\n" + UTF8 + b",3,4\n", {"encoding": "ascii"}, "line 3: not ascii text"),
    ("UTF-16", HEAD.encode("utf-16"), {}, "UTF-16 text: save it as UTF-8"),
    ("ZIP", b"PK\x03\x04rest", {}, "a ZIP archive: unpack it first"),
    ("bzip2", b"BZh91AY", {}, "bzip2-compressed"),
    ("NumPy", b"\x93NUMPY\x01", {}, r"\.npy file"),
    ("no user column", "a,item,rating\n1,2,3\n", {}, r"called like the user .*the columns are 'a', 'item', 'rating'"),
    ("no item column", "user,b,rating\n1,2,3\n", {}, r"called like the item .*the columns are 'user', 'b', 'rating'"),
    ("unknown name", HEAD + "1,2,3\n", {"rating": "stars"}, "no rating column 'stars': .* 'user', 'item', 'rating'"),
    ("name without header", "1,2,3\n", {"user": "user"}, "cannot be found by name.* a position from 0 to 2"),
    ("position out of range", HEAD + "1,2,3\n", {"user": 3}, "user column: expected a position from 0 to 2, got 3"),
    ("negative position", HEAD + "1,2,3\n", {"user": -1}, "expected a position from 0 to 2, got -1"),
    ("twice the same", HEAD + "1,2,3\n", {"user": "item", "item": "item"}, "cannot both be column 'item'"),
    ("ambiguous", "user,user,item\n1,2,3\n", {"user": "user"}, "'user' is ambiguous"),
    ("repeated pair", "1,2,3\n5,5,5\n1,2,4\n", {"duplicates": "error"}, r"1 of 3 rows repeat .*line 1 and line 3\)"),
    ("too few columns", "1,2,3\n", {"rating": 1}, "no column left for the item"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "options", "message"), [case[1:] for case in FILES], ids=[case[0] for case in FILES]
)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_wrong_files(
    tmp_path: Path, content: str | bytes, options: dict[str, object], message: str, packed: bool
) -> None:
    data = content.encode() if isinstance(content, str) else content
    file = tmp_path / "ratings.csv"
    file.write_bytes(gzip.compress(data) if packed else data)
    with pytest.raises(DataError, match=message) as caught:
        read_ratings(file, **options)  # type: ignore[arg-type]
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_same_file_mended_is_read(tmp_path: Path) -> None:
    """The control: what the cases above vary is what makes them fail."""
    file = tmp_path / "ratings.csv"
    file.write_text(HEAD + "1,2,3\n1,3,4\n")
    assert len(read_ratings(file)) == 2


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv: there is no such file"):
        read_ratings(tmp_path / "none.csv")
    with pytest.raises(DataError, match="expected a file, got a directory"):
        read_ratings(tmp_path)
    locked = tmp_path / "locked.csv"
    locked.write_text("1,2,3\n")
    locked.chmod(0)
    if not os.access(locked, os.R_OK):
        with pytest.raises(DataError, match="cannot be read: Permission denied"):
            read_ratings(locked)


def test_damaged_packing(tmp_path: Path) -> None:
    whole = gzip.compress((HEAD + "1,2,3\n" * 500).encode())
    for name, data, message in (
        ("plain.csv.gz", b"1,2,3\n", r"ends in \.gz, but the content is not gzip"),
        ("cut.csv.gz", whole[:-20], "damaged or cut short"),
        ("flipped.csv.gz", whole[:15] + bytes([whole[15] ^ 255]) + whole[16:], "damaged or cut short"),
        ("checksum.csv.gz", whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:], "damaged or cut short"),
        ("text.parquet", b"1,2,3\n", "the name says Parquet, but the content is not"),
        ("cut.parquet", b"PAR1" + bytes(100), "the Parquet file is damaged"),
    ):
        file = tmp_path / name
        file.write_bytes(data)
        with pytest.raises(DataError, match=message) as caught:
            read_ratings(file)
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"duplicates": "newest"}, "duplicates: expected one of last, first, mean, max, error, keep, got 'newest'"),
        ({"feedback": "binary"}, "feedback: expected 'explicit', 'implicit' or None, got 'binary'"),
        ({"encoding": "utf-9"}, "encoding: expected a text encoding that Python knows, got 'utf-9'"),
        ({"separator": "abc"}, "separator: expected one ASCII character or '::', got 'abc'"),
        ({"separator": ""}, "separator: expected one ASCII character or '::', got ''"),
        ({"separator": "\n"}, "separator: expected one ASCII character"),
        ({"separator": "é"}, "separator: expected one ASCII character"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, str], message: str) -> None:
    file = tmp_path / "ratings.csv"
    file.write_text("1,2,3\n")
    with pytest.raises(ConfigError, match=message):
        read_ratings(file, **options)  # type: ignore[arg-type]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(st.binary(max_size=80) | st.text(st.sampled_from('12,;:| \t\r\n"#%.x-naé\x1f'), max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "ratings.csv"
    file.write_bytes(data)
    for read in (lambda f: read_ratings(f, duplicates="error"), read_edges):
        try:
            got = read(file)
        except DataError as error:
            assert str(file) in str(error)  # noqa: PT017
        else:
            assert len(got) > 0
            assert not isinstance(got, Ratings) or got.num_users > 0
