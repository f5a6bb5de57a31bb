"""Text in blocks: a head line (``movie:`` or ``user|n``), then the rows that belong to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.data.ids import require_pyarrow
from torchsse.data.text import load_bytes
from torchsse.errors import DataError

__all__ = ["BlockForm", "Blocks", "read_blocks"]

_BATCH = 64 << 20


@dataclass(frozen=True)
class BlockForm:
    """What the lines look like.

    Attributes:
        mark: a byte that stands in heads only.
        head: a head without its line end.
        row: a row, for the slow reading that names a wrong line.
        columns: name and pyarrow type of the fields of a row.
        separator: between them.
        words: head and row, for messages.
        counted: the second group of the head says how many rows follow.
    """

    mark: bytes
    head: re.Pattern[bytes]
    row: re.Pattern[bytes]
    columns: dict[str, Any]
    separator: str
    words: str
    counted: bool = False


@dataclass
class Blocks:
    """The rows of all blocks, column by column, and the id of each block's head repeated for its rows."""

    heads: npt.NDArray[np.int64]
    columns: dict[str, Any]
    line: Callable[[int], str]


@dataclass
class _Index:
    """Where the blocks are: file, first line of rows, number of rows, id."""

    paths: list[Path] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)


def read_blocks(paths: Sequence[Path], form: BlockForm) -> Blocks:
    """All files as one table. Files are taken one at a time and parsed in batches, so that text is not kept.

    Raises:
        DataError: a line is neither a head nor a row; a head says another number of rows than follow.
    """
    pa = require_pyarrow()
    index = _Index(list(paths))
    tables, pieces, size = [], [], 0
    batch: list[Path] = []
    for number, path in enumerate(paths):
        found = _split(path, number, form, index)
        pieces += found
        size += sum(map(len, found))
        batch.append(path)
        if size >= _BATCH or number == len(paths) - 1:
            tables.append(_parse(pieces, form, batch))
            pieces, size, batch = [], 0, []
    counts = np.array(index.counts, dtype=np.int64)
    ends = np.cumsum(counts)
    if not len(ends) or not ends[-1]:
        raise DataError(f"{paths[0]}: expected {form.words}, got heads without rows")
    table = pa.concat_tables(tables)

    def line(row: int) -> str:
        block = int(np.searchsorted(ends, row, side="right"))
        at = index.lines[block] + row - int(ends[block] - counts[block])
        return f"{index.paths[index.files[block]]}, line {at}"

    heads = np.repeat(np.array(index.ids, dtype=np.int64), counts)
    return Blocks(heads, {name: table.column(name) for name in form.columns}, line)


def _split(path: Path, number: int, form: BlockForm, index: _Index) -> list[bytes]:
    """The rows of each block of a file; what is known of the blocks goes into the index."""
    data = load_bytes(path).rstrip() + b"\n"
    pieces: list[bytes] = []
    line, start = 1, 0
    while start < len(data):
        end = data.index(b"\n", start)
        head = form.head.fullmatch(data[start:end].rstrip(b"\r"))
        if head is None:
            raise DataError(f"{path}, line {line}: expected {form.words}, got {_short(data[start:end])}")
        mark = data.find(form.mark, end)
        stop = len(data) if mark < 0 else data.rfind(b"\n", 0, mark) + 1
        piece = data[end + 1 : stop]
        count = piece.count(b"\n")
        if form.counted and int(head[2]) != count:
            raise DataError(
                f"{path}, line {line}: the head {head[0].decode()!r} says that {int(head[2])} rows follow, got {count}"
            )
        index.files.append(number)
        index.lines.append(line + 1)
        index.counts.append(count)
        index.ids.append(int(head[1]))
        pieces.append(piece)
        line, start = line + 1 + count, stop
    return pieces


def _parse(pieces: list[bytes], form: BlockForm, paths: Sequence[Path]) -> Any:
    pa = require_pyarrow()
    import pyarrow.csv

    body = b"".join(pieces)
    rows = sum(piece.count(b"\n") for piece in pieces)
    if not body:
        return pa.table({name: pa.array([], type=kind) for name, kind in form.columns.items()})
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(body),
            read_options=pyarrow.csv.ReadOptions(column_names=list(form.columns), use_threads=len(body) > 8 << 20),
            parse_options=pyarrow.csv.ParseOptions(delimiter=form.separator, quote_char=False),
            convert_options=pyarrow.csv.ConvertOptions(column_types=form.columns, null_values=[]),
        )
    except pa.ArrowException as error:
        _complain(paths, form)
        raise DataError(f"{paths[0]}: {str(error).splitlines()[0]}") from None
    if table.num_rows != rows:
        _complain(paths, form)
        raise DataError(f"{paths[0]}: expected {rows} rows, got {table.num_rows}")  # pragma: no cover
    return table


def _complain(paths: Sequence[Path], form: BlockForm) -> None:
    """Name the first line that is neither head nor row."""
    for path in paths:
        for number, line in enumerate(load_bytes(path).rstrip().split(b"\n"), 1):
            text = line.rstrip(b"\r")
            if not form.row.fullmatch(text) and not form.head.fullmatch(text):
                raise DataError(f"{path}, line {number}: expected {form.words}, got {_short(text)}")


def _short(line: bytes) -> str:
    text = line.decode("utf-8", "replace").rstrip("\r")
    return repr(text if len(text) <= 60 else text[:60] + "...") if text.strip() else "an empty line"
