"""Users and items beside the ratings, in the forms MovieLens publishes, on small files made here."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from torchsse.data import ItemTable, UserTable, read_items, read_users, user_groups
from torchsse.data.idmap import IdMap
from torchsse.errors import ConfigError, DataError
from torchsse.graph import Graph


def write(folder: Path, content: str | bytes, name: str) -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


FLAGS = ["0"] * 19


def u_item(number: int, title: str, *genres: int) -> str:
    flags = [str(int(at in genres)) for at in range(19)]
    return "|".join([str(number), title, "01-Jan-1995", "", "http://example.org/?q=1", *flags])


def test_users_of_both_forms(tmp_path: Path) -> None:
    million = read_users(write(tmp_path, "1::F::1::10::48067\n2::M::56::16::70072-1234\r\n", "users.dat"))
    assert million.ids.tolist() == [1, 2]
    assert (million.gender, million.age, million.occupation) == (("F", "M"), (1, 56), ("10", "16"))
    old = read_users(write(tmp_path, gzip.compress(b"1|24|M|technician|85711\n2|53|F|other|94043\n"), "u.user"))
    assert (old.gender, old.age, old.occupation) == (("M", "F"), (24, 53), ("technician", "other"))
    assert (len(old), repr(old)) == (2, "UserTable(2 users)")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1::F::1::10\n", r"users.dat, line 1: expected id::gender::age::occupation::zip, got '1::F::1::10'"),
        ("1::F::1::10::0\n\n2::X::1::10::0\n", r"line 3: expected the gender F or M in .*, got 'X'"),
        ("1::F::old::10::0\n", r"line 1: expected an age in years in id::gender::age::occupation::zip, got 'old'"),
        ("1|F|24|other|0\n", r"line 1: expected the gender F or M in id\|age\|gender\|occupation\|zip, got '24'"),
        ("1::F::1::10::0\n1::M::1::10::0\n", "the id 1 occurs more than once"),
        ("", "the file is empty"),
        ("::F::1::10::0\n", "users.dat: the id in row 0 is missing"),
    ],
)
def test_wrong_users(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_users(write(tmp_path, content, "users.dat"))


def test_groups_of_users() -> None:
    users = UserTable(
        np.array([10, 20, 30, 40, 50]), ("F", "F", "M", "F", "F"), (18, 24, 18, 25, 17), ("4", "4", "4", "4", "4")
    )
    groups = user_groups(users)
    assert groups.attributes_raw.tolist() == ["F 18-24 4", "F 18-24 4", "M 18-24 4", "F 25-34 4", "F under 18 4"]
    ids, attributes, dropped = groups.resolve(IdMap([10, 20, 30, 40]))
    assert dropped == 1
    graph = Graph.from_attributes(ids, attributes, 4)
    assert graph.degree().tolist() == [1, 1, 0, 0]
    assert user_groups(users, ["gender"]).attributes_raw.tolist() == ["F", "F", "M", "F", "F"]
    ages = UserTable(np.arange(9), ("F",) * 9, (1, 18, 34, 35, 44, 45, 50, 55, 99), ("",) * 9)
    assert user_groups(ages, ["age"]).attributes_raw.tolist() == (
        ["under 18", "18-24", "25-34", "35-44", "35-44", "45-49", "50-55", "50-55", "56+"]
    )
    for by in ([], ["zip"], ["gender", "gender"]):
        with pytest.raises(ConfigError, match="by: expected some of gender, age, occupation, each once"):
            user_groups(users, by)


def test_items_of_all_forms(tmp_path: Path) -> None:
    latin = "1::Café (1995)::Comedy|Drama\n2::A::B, or: c (1994)::Sci-Fi\n3::No Year::(no genres listed)\n"
    for name, data in (("latin.dat", latin.encode("latin-1")), ("utf8.dat", latin.encode())):
        got = read_items(write(tmp_path, data, name))
        assert got.ids.tolist() == [1, 2, 3]
        assert got.titles == ("Café (1995)", "A::B, or: c (1994)", "No Year")
        assert got.years == (1995, 1994, None)
        assert got.genres == (("Comedy", "Drama"), ("Sci-Fi",), ())
    text = 'movieId,title,genres\n1,"Toy ""Tale"", A (1995)",Animation|IMAX\n2,Plain (1990–1994),(no genres listed)\n'
    got = read_items(write(tmp_path, text, "movies.csv"))
    assert got.titles == ('Toy "Tale", A (1995)', "Plain (1990–1994)")
    assert (got.years, got.genres) == ((1995, 1990), (("Animation", "IMAX"), ()))
    lines = [u_item(1, "Über (1995)", 3, 5), u_item(2, "unknown", 0)]
    got = read_items(write(tmp_path, "\n".join(lines).encode("latin-1"), "u.item"))
    assert got.titles == ("Über (1995)", "unknown")
    assert got.genres == (("Animation", "Comedy"), ())
    assert repr(got) == "ItemTable(2 items)"


def test_titles_with_a_next_line_character(tmp_path: Path) -> None:
    """0x85 is an ellipsis in Windows' latin-1 and a line break to str.splitlines."""
    got = read_items(write(tmp_path, b"1::And then\x85 (1999)::Drama\n2::B (2000)::Drama\n", "movies.dat"))
    assert len(got) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,Toy\n", r"movies.x, line 1: expected id::title::genres, the header movieId,title,genres or the 24 fields"),
        ("1::Toy (1995)::Comedy\n2::Jumanji\n", r"line 2: expected id::title::genres, got '2::Jumanji'"),
        ("movieId,title,genres\n1,a,b\n2,c\n", r"line 3: expected movieId,title,genres, got 2 fields"),
        ("movieId,title,genres\n", "holds a header and no data"),
        (u_item(1, "a") + "\n" + u_item(2, "b")[:-1] + "2\n", r"line 2: expected id\|title\|.*19 flags of 0 and 1"),
        ("1::a::b\n1::c::d\n", "the id 1 occurs more than once"),
    ],
)
def test_wrong_items(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_items(write(tmp_path, content, "movies.x"))


def test_encodings_that_are_given(tmp_path: Path) -> None:
    file = write(tmp_path, "1::Café (1995)::Comedy\n".encode("latin-1"), "movies.dat")
    with pytest.raises(DataError, match=r"movies.dat, line 1: not utf-8 text"):
        read_items(file, encoding="utf-8")
    with pytest.raises(ConfigError, match="encoding: expected"):
        read_items(file, encoding="utf-9")


def test_genres_as_attributes() -> None:
    items = ItemTable(np.array([5, 6, 7]), ("a", "b", "c"), (None,) * 3, (("Comedy", "Drama"), (), ("Drama",)))
    table = items.genre_table()
    assert table.ids_raw.tolist() == [5, 5, 7]
    assert table.attributes_raw.tolist() == ["Comedy", "Drama", "Drama"]
