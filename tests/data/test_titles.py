"""Titles in the forms that data sets have them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from torchsse.data.titles import read_titles
from torchsse.errors import DataError


@pytest.mark.parametrize(
    "content",
    [
        b'movieId,title,genres\n1,"Alien, the film",Horror\n2,Brazil,\n',
        b'1,"Alien, the film"\n2,Brazil\n\n1,Second\n',
        b"1::Alien, the film::Horror\r\n2::Brazil::Drama\r\n",
        b"id\ttitle\n1\tAlien, the film\n2\tBrazil\n",
        b"1|Alien, the film|01-Jan-1979\n2|Brazil|\n",
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_forms(tmp_path: Path, content: bytes, packed: bool) -> None:
    path = tmp_path / ("titles.gz" if packed else "titles")
    path.write_bytes(gzip.compress(content) if packed else content)
    assert read_titles(path) == {"1": "Alien, the film", "2": "Brazil"}


def test_latin_1(tmp_path: Path) -> None:
    (tmp_path / "movies.dat").write_bytes("7::Misérables, Les (1995)::Drama\n".encode("latin-1"))
    assert read_titles(tmp_path / "movies.dat") == {"7": "Misérables, Les (1995)"}


@pytest.mark.parametrize("content", [b"1\n2\n", b"1,a\n2\n", b"", b'1,"' + b"x" * 200_000])
def test_no_titles(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "titles.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"titles\.csv"):
        read_titles(tmp_path / "titles.csv")
