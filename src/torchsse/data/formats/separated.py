"""Formats that are separated text with known columns, in one file or in several of the same form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from torchsse.data.formats.base import Roles, Table
from torchsse.data.ids import require_pyarrow
from torchsse.data.ratings import Feedback
from torchsse.data.source import Source
from torchsse.data.text import TextTable
from torchsse.errors import DataError

__all__ = ["Chain", "Derived", "open_separated"]


def open_separated(
    paths: Sequence[Path],
    separator: str,
    widths: Sequence[int],
    columns: Sequence[str],
    encoding: str,
    *,
    header: Sequence[str] | None = None,
    feedback: Feedback | None = None,
    integer_ids: bool = False,
) -> Table:
    """Files of a fixed separator whose columns are known by position.

    Args:
        paths: one file, or the parts of one table.
        separator: as for `TextTable`.
        widths: how many fields a line may have.
        columns: what each column is: user, item, rating, timestamp, or anything else.
        encoding: of the text.
        header: the first line that is expected; None: there is none.
        feedback: the kind the data is by nature.
        integer_ids: ids are integers.

    Raises:
        DataError: a file has other fields than these.
    """
    tables = [_open(path, separator, widths, columns, encoding, header) for path in paths]
    for table in tables[1:]:
        if table.width != tables[0].width:
            raise DataError(f"{table.source}: expected {tables[0].width} fields as in {paths[0]}, got {table.width}")
    places = {name: at for at, name in enumerate(columns) if at < tables[0].width}
    roles = Roles(places["user"], places["item"], places.get("rating"), places.get("timestamp"))
    return Table(tables[0] if len(tables) == 1 else Chain(tables), roles, feedback, integer_ids)


def _open(
    path: Path,
    separator: str,
    widths: Sequence[int],
    columns: Sequence[str],
    encoding: str,
    header: Sequence[str] | None,
) -> TextTable:
    table = TextTable(path, separator=separator, header=header is not None, encoding=encoding)
    if table.width not in widths:
        mark = {" ": " ", "\t": "<tab>"}.get(separator, separator)
        form = mark.join(columns)
        raise DataError(f"{path}, line {table.line}: expected {form}, got {table.width} fields")
    if header is not None and [name.strip().lower() for name in table.names or []] != [n.lower() for n in header]:
        raise DataError(f"{path}, line {table.line}: expected the header {','.join(header)}, got {table.names}")
    return table


class Chain:
    """Several sources of the same columns, one after the other."""

    def __init__(self, parts: Sequence[Source]) -> None:
        self._parts = parts
        self._ends: Any = None
        self.source = f"{parts[0].source} and {len(parts) - 1} more"
        self.names, self.width, self.first = parts[0].names, parts[0].width, parts[0].first

    def read(self, columns: Sequence[int], types: Sequence[Any]) -> list[Any]:
        """The columns of all parts."""
        pa = require_pyarrow()
        read = [part.read(columns, types) for part in self._parts]
        self._ends = np.cumsum([len(part[0]) for part in read])
        return [pa.chunked_array([c for part in read for c in part[at].chunks]) for at in range(len(columns))]

    def where(self, row: int) -> str:
        """File and line of a 0-based row of them all."""
        part = int(np.searchsorted(self._ends, row, side="right"))
        return self._parts[part].where(row - int(self._ends[part - 1]) if part else row)

    def title(self, column: int) -> str:
        """How messages call the column."""
        return self._parts[0].title(column)


class Derived:
    """A source some of whose columns are read as another type and then made into what they mean.

    Args:
        inner: the source.
        made: position -> (pyarrow type to read, function of the column and this source).
    """

    def __init__(self, inner: Source, made: Mapping[int, tuple[Any, Callable[[Any, Derived], Any]]]) -> None:
        self._inner, self._made = inner, made
        self.source, self.names, self.width, self.first = inner.source, inner.names, inner.width, inner.first

    def read(self, columns: Sequence[int], types: Sequence[Any]) -> list[Any]:
        """The columns of the inner source, some of them changed."""
        kinds = [self._made[c][0] if c in self._made else t for c, t in zip(columns, types)]
        read = self._inner.read(columns, kinds)
        return [self._made[c][1](value, self) if c in self._made else value for c, value in zip(columns, read)]

    def where(self, row: int) -> str:
        """File and line of a 0-based row."""
        return self._inner.where(row)

    def title(self, column: int) -> str:
        """How messages call the column."""
        return self._inner.title(column)
