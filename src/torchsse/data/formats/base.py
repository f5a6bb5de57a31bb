"""What a published format is: how a file or folder of it is known, and how it becomes columns."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from torchsse.data.ids import require_pyarrow
from torchsse.data.ratings import Feedback
from torchsse.data.source import Source
from torchsse.errors import DataError

__all__ = ["ColumnSource", "Format", "Head", "Roles", "Table", "named", "peek"]

_PEEK_BYTES = 1 << 18
_PEEK_LINES = 200


@dataclass(frozen=True)
class Roles:
    """Positions of the columns; `guessed` holds the roles that may be left out if they cannot be read."""

    user: int
    item: int
    rating: int | None = None
    timestamp: int | None = None
    guessed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Table:
    """An opened data set: a source of columns, which column is what, and the kind of feedback it holds by nature.

    `integer_ids` reads ids straight as int64: faster than by way of text where a format has nothing else.
    """

    source: Source
    roles: Roles
    feedback: Feedback | None = None
    integer_ids: bool = False


@dataclass(frozen=True)
class Head:
    """The beginning of a file: its name in small letters without ``.gz``, and its first lines that are not blank."""

    name: str
    lines: tuple[str, ...]
    whole: bool

    def all(self, test: Callable[[str], Any]) -> bool:
        """There are lines, and all of them pass."""
        return bool(self.lines) and all(test(line) for line in self.lines)


def _nothing(folder: Path) -> list[Path]:
    return []


@dataclass(frozen=True)
class Format:
    """A published format.

    Attributes:
        name: what ``format=`` calls it.
        title: what it is, for people.
        form: a line of it, for messages.
        matches: is this the beginning of such a file? True only where nothing else is likely.
        open: files to columns; `encoding` is of the text.
        members: the rating files of a folder in this format; empty if it is none.
        aliases: other names for the same format.
    """

    name: str
    title: str
    form: str
    matches: Callable[[Head], bool]
    open: Callable[[Sequence[Path], str], Table]
    members: Callable[[Path], list[Path]] = _nothing
    aliases: tuple[str, ...] = ()


class ColumnSource:
    """Columns that a format's reader has made, as a `Source`; `line` says where a row came from."""

    def __init__(self, source: str, names: Sequence[str], columns: Sequence[Any], line: Callable[[int], str]) -> None:
        pa = require_pyarrow()
        self.source = source
        self.names: list[str] | None = list(names)
        self.width = len(names)
        self.first = ["0"] * self.width
        self._columns = [pa.array(c) if isinstance(c, np.ndarray) else c for c in columns]
        self._line = line

    def read(self, columns: Sequence[int], types: Sequence[Any]) -> list[Any]:
        """The columns, with the types they have."""
        return [self._columns[c] for c in columns]

    def where(self, row: int) -> str:
        """File and line of a 0-based row."""
        return self._line(row)

    def title(self, column: int) -> str:
        """How messages call the column."""
        assert self.names is not None
        return f"the {self.names[column]}"


def peek(path: Path) -> Head:
    """The first lines of a text file; none where it cannot be read as text (the reader proper says why)."""
    name = path.name.lower().removesuffix(".gz")
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        if packed:
            with gzip.open(path) as stream:
                data = stream.read(_PEEK_BYTES)
        else:
            with path.open("rb") as stream:
                data = stream.read(_PEEK_BYTES)
    except (OSError, EOFError, zlib.error):
        return Head(name, (), False)
    whole = len(data) < _PEEK_BYTES
    if b"\x00" in data:
        return Head(name, (), whole)
    raw_lines = data.removeprefix(b"\xef\xbb\xbf").splitlines()
    if not whole:
        raw_lines = raw_lines[:-1]
    lines = [line.decode("latin-1") for line in raw_lines if line.strip()]
    return Head(name, tuple(lines[:_PEEK_LINES]), whole and len(lines) <= _PEEK_LINES)


def named(folder: Path, *names: str) -> list[Path]:
    """Files of a folder by name, plain or gzip, whatever the case; `DataError` if one is there in two forms."""
    found: dict[str, Path] = {}
    wanted = {name.lower() for name in names}
    for path in sorted(folder.iterdir()):
        plain = path.name.lower().removesuffix(".gz")
        if plain in wanted and path.is_file():
            if plain in found:
                raise DataError(f"{folder}: holds both {found[plain].name} and {path.name}; name the one to read")
            found[plain] = path
    return list(found.values())
