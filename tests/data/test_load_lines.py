"""Lines of a text: they end at line feeds and nowhere else."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from torchsse.data.text import load_lines
from torchsse.errors import DataError


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\r\n\r\ntwo", ["one", "", "two"]),
        ("a\u0085b\u2028c\rd\n\n".encode(), ["a\u0085b\u2028c\rd", ""]),
        (b"\xef\xbb\xbfone\n", ["one"]),
    ],
)
def test_lines(tmp_path: Path, content: bytes, lines: list[str]) -> None:
    plain, packed = tmp_path / "a.txt", tmp_path / "a.txt.gz"
    plain.write_bytes(content)
    packed.write_bytes(gzip.compress(content))
    assert load_lines(plain) == load_lines(packed) == lines


def test_what_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"fine\n\xff\xfa\n")
    with pytest.raises(DataError, match=r"a\.txt, line 2: expected UTF-8 text"):
        load_lines(tmp_path / "a.txt")
