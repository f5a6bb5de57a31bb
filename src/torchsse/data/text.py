"""Separated text as columns: what separates, is there a header, and on which line something is wrong.

pyarrow parses; this module decides how, and when something is wrong reads the file again, slowly, to name the line.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torchsse.data.columns import is_number, looks_like_header
from torchsse.data.ids import require_pyarrow
from torchsse.errors import ConfigError, DataError

__all__ = ["SEPARATORS", "TextTable", "load_bytes", "load_lines"]

#: What may separate fields, the surer sign first. A blank stands for any run of blanks and tabs.
SEPARATORS = ("::", "\t", ",", ";", "|", " ")
_QUOTING = (",", ";", "|")  # tab files hold bare quotes more often than quoted fields
_BLOCK = 8 << 20
_BLANKS = " \t\r\n\v\f"
_SAMPLE_LINES = 100
_INNER = "\x1f"  # stands in for "::", since pyarrow splits at one byte
MISSING_CELLS = ("", "nan", "NaN", "NA", "null", "NULL", "None")
_MAGIC = {
    b"PK\x03\x04": "a ZIP archive: unpack it first",
    b"\xfd7zXZ": "xz-compressed: unpack it first",
    b"BZh": "bzip2-compressed: unpack it first",
    b"(\xb5/\xfd": "zstd-compressed: unpack it first",
    b"\x89HDF": "an HDF5 file: save it as CSV or Parquet",
    b"\x93NUMPY": "a .npy file: load it with numpy and pass the arrays",
    b"\xff\xfe": "UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as UTF-8",
}


def load_bytes(path: Path) -> bytes:
    """The content of a text file, unpacked if it is gzip, without a byte-order mark; `DataError` if it is no text."""
    name = str(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{name}: there is no such file") from None
    except IsADirectoryError:
        raise DataError(f"{name}: expected a file, got a directory") from None
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror or error}") from None
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise DataError(f"{name}: the gzip data is damaged or cut short: {error}") from None
    elif path.suffix == ".gz" and data:
        raise DataError(f"{name}: the name ends in .gz, but the content is not gzip (it begins with {data[:12]!r})")
    for magic, told in _MAGIC.items():
        if data.startswith(magic):
            raise DataError(f"{name}: expected text or Parquet, got {told}")
    if data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
    if _is_blank(data):
        raise DataError(f"{name}: the file is empty")
    if b"\x00" in data:
        line = data.count(b"\n", 0, data.index(b"\x00")) + 1
        raise DataError(f"{name}, line {line}: expected text, got binary data (a zero byte)")
    return data


def load_lines(path: Path) -> list[str]:
    """The lines of a text file in UTF-8, without their ends; `DataError` if it is none.

    Lines end at a line feed, with a carriage return before it or not, and at nothing else: sentences hold U+0085 and
    U+2028, at which `splitlines` would cut. A line feed at the end of the file begins no further line.
    """
    data = load_bytes(path)
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: expected UTF-8 text: {error.reason}") from None
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


class TextTable:
    """The columns of a separated text file.

    Attributes:
        names: the header, or None.
        width: fields per line.
        first: the fields of the first line of data; empty if there is none.
        separator: one of `SEPARATORS`, or what the caller gave.
        line: number of the first line, header or data.

    Args:
        path: the file.
        separator: None finds it from the first 100 lines: of `SEPARATORS` the one at which most of these lines fall
            into as many fields as the first.
        header: None: the first line is a header if none of its fields is a number.
        encoding: of the text; anything Python knows.
        quoted: whether quotes enclose fields. None: with comma, semicolon and ``|``.
    """

    def __init__(
        self,
        path: Path,
        *,
        separator: str | None = None,
        header: bool | None = None,
        encoding: str = "utf-8",
        quoted: bool | None = None,
    ) -> None:
        self.source = str(path)
        if separator not in (None, "::") and (len(str(separator).encode()) != 1 or str(separator) in '\r\n"'):
            raise ConfigError(f"separator: expected one ASCII character or '::', got {separator!r}")
        self._path, self._encoding = path, encoding
        self._start_line = 1
        self._kept: bytes | None = None
        sample = self._sample()
        self.separator = separator if separator is not None else self._find_separator(sample)
        self._quoted = (self.separator in _QUOTING if quoted is None else quoted) and b'"' in self._data
        rows = self.rows()
        line, cells = next(rows)
        self.line = line
        self.names = [c.strip() for c in cells] if (looks_like_header(cells) if header is None else header) else None
        self.width = len(cells)
        if self.names is not None:
            line, cells = next(rows, (0, []))
            if not line:
                raise DataError(f"{self.source}: the file holds a header and no data")
        self.first: list[str] = cells
        #: Whether the first line counts as a header only because it holds no number, as the next one does not either.
        self.doubtful = header is None and self.names is not None and looks_like_header(cells)

    @property
    def _data(self) -> bytes:
        """The text in UTF-8 from its first line that is no comment. `read` lets go of it: a table may be large."""
        if self._kept is None:
            data = load_bytes(self._path)
            if self._encoding.lower().replace("_", "-") not in ("utf-8", "utf8"):
                data = self._decoded(data)
            self._start_line, start = _skip_comments(data)
            self._kept = data[start:] if start else data
            if _is_blank(self._kept):
                raise DataError(f"{self.source}: the file holds comments only")
        return self._kept

    def _decoded(self, data: bytes) -> bytes:
        try:
            return data.decode(self._encoding).encode()
        except LookupError:
            raise ConfigError(f"encoding: expected a text encoding that Python knows, got {self._encoding!r}") from None
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise DataError(f"{self.source}, line {line}: not {self._encoding} text: {error.reason}") from None

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """(line number, fields) of every line that is not blank, header included: the slow, exact way."""
        text = io.TextIOWrapper(io.BytesIO(self._data), encoding="utf-8", errors="surrogateescape", newline="")
        if self.separator == "::" or self.separator == " ":
            blanks = self.separator == " "
            for number, line in enumerate(text, self._start_line):
                stripped = line.rstrip("\r\n")
                if blanks:
                    stripped = stripped.strip(" \t")
                if stripped:
                    yield number, re.split("[ \t]+", stripped) if blanks else stripped.split("::")
            return
        if self._quoted:
            reader = csv.reader(text, delimiter=self.separator)
        else:
            reader = csv.reader(text, delimiter=self.separator, quoting=csv.QUOTE_NONE)
        before = 0
        try:
            for cells in reader:
                if cells:
                    yield self._start_line + before, cells
                before = reader.line_num
        except csv.Error as error:
            raise DataError(f"{self.source}, line {self._start_line + before}: {error}") from None

    def data_rows(self) -> Iterator[tuple[int, list[str]]]:
        """`rows` without the header."""
        rows = self.rows()
        if self.names is not None:
            next(rows)
        return rows

    def where(self, row: int) -> str:
        """File and 1-based line of a 0-based row of data."""
        for i, (line, _) in enumerate(self.data_rows()):
            if i == row:
                return f"{self.source}, line {line}"
        return f"{self.source}, row {row}"  # pragma: no cover - pyarrow and csv count alike

    def title(self, column: int) -> str:
        """How messages call a column."""
        return f"column {self.names[column]!r}" if self.names is not None else f"column {column + 1}"

    def read(self, columns: Sequence[int], types: Sequence[Any]) -> list[Any]:
        """The columns as pyarrow chunked arrays of the given types; None lets pyarrow choose.

        Raises:
            DataError: a line has another number of fields, or a field does not fit its type.
        """
        pa = require_pyarrow()
        import pyarrow.csv

        names = [str(i) for i in range(self.width)]
        data: Any = self._data
        delimiter = self.separator
        if self.separator == "::":
            data, delimiter = data.replace(b"::", _INNER.encode()), _INNER
        elif self.separator == " ":
            data = _single_blanks(data)
        try:
            table = pyarrow.csv.read_csv(
                pa.BufferReader(data),
                read_options=pyarrow.csv.ReadOptions(
                    # small files on this thread: Arrow's pool can abort a process that ends right after a read
                    use_threads=len(data) > _BLOCK,
                    column_names=names,
                    skip_rows_after_names=int(self.names is not None),
                    block_size=_BLOCK,
                ),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=delimiter,
                    quote_char='"' if self._quoted else False,
                    newlines_in_values=self._quoted,
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    include_columns=[names[c] for c in columns],
                    column_types={names[c]: t for c, t in zip(columns, types) if t is not None},
                    null_values=list(MISSING_CELLS),
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowException as error:
            self.complain(columns, types)
            if None in types:  # pyarrow chose by the first block, and a later one does not agree
                return self.read(columns, [t or pa.string() for t in types])
            raise DataError(f"{self.source}: {str(error).splitlines()[0]}") from None
        self._kept = None
        return [table.column(names[c]) for c in columns]

    def complain(self, columns: Sequence[int], types: Sequence[Any]) -> None:
        """Raise `DataError` for the first line with too few or many fields, bad UTF-8, or text for a number."""
        pa = require_pyarrow()
        numeric = [c for c, t in zip(columns, types) if t is not None and pa.types.is_floating(t)]
        whole = [c for c, t in zip(columns, types) if t is not None and pa.types.is_integer(t)]
        for line, cells in self.data_rows():
            at = f"{self.source}, line {line}"
            if len(cells) != self.width:
                than = "the header" if self.names is not None else "the first line"
                raise DataError(f"{at}: expected {self.width} fields as in {than}, got {len(cells)}")
            for c in columns:
                if not cells[c].isascii() and any("\udc80" <= ch <= "\udcff" for ch in cells[c]):
                    raise DataError(
                        f"{at}: {self.title(c)} is not UTF-8 text; save the file as UTF-8 or give its encoding"
                    )
            for c in numeric:
                if not is_number(cells[c]):
                    got = f"{cells[c]!r}" if cells[c].strip() else "nothing"
                    raise DataError(f"{at}: {self.title(c)}: expected a number, got {got}")
            for c in whole:
                if not _is_int64(cells[c]):
                    got = f"{cells[c]!r}" if cells[c].strip() else "nothing"
                    raise DataError(f"{at}: {self.title(c)}: expected an integer, got {got}")

    def _sample(self) -> list[str]:
        lines: list[str] = []
        for line in io.TextIOWrapper(io.BytesIO(self._data[: 1 << 20]), encoding="utf-8", errors="replace", newline=""):
            if line.strip(_BLANKS):
                lines.append(line.rstrip("\r\n"))
                if len(lines) == _SAMPLE_LINES:
                    return lines
        return lines[:-1] if len(self._data) > 1 << 20 and len(lines) > 1 else lines

    def _find_separator(self, sample: list[str]) -> str:
        best, best_share = "", 0.0
        for separator in SEPARATORS:
            if separator in _QUOTING:
                try:
                    counts = [len(next(csv.reader([line], delimiter=separator), [])) for line in sample]
                except csv.Error:
                    continue
            else:
                parts = re.compile("[ \t]+" if separator == " " else separator)
                counts = [len(parts.split(line.strip(" \t") if separator == " " else line)) for line in sample]
            share = sum(n == counts[0] for n in counts) / len(counts) if counts[0] >= 2 else 0.0
            if share > best_share:
                best, best_share = separator, share
        if not best:
            shown = sample[0] if len(sample[0]) <= 60 else sample[0][:60] + "..."
            raise DataError(
                f"{self.source}, line {self._start_line}: expected fields separated by '::', tab, ',', ';', '|' or "
                f"blanks, got {shown!r}"
            )
        return best


def _is_blank(data: bytes) -> bool:
    """Nothing but blanks; a strip of everything would copy a large file."""
    return not data[:4096].strip(_BLANKS.encode()) and not data.strip(_BLANKS.encode())


def _is_int64(cell: str) -> bool:
    return re.fullmatch(r"-?[0-9]{1,19}", cell) is not None and -(2**63) <= int(cell) < 2**63


def _skip_comments(data: bytes) -> tuple[int, int]:
    """(line, offset) of the first line that is neither blank nor begins with # or %, as edge lists often do."""
    line, start = 1, 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        head = data[start : min(end, start + 200)].strip()
        if head and head[:1] not in (b"#", b"%"):
            break
        line, start = line + 1, end + 1
    return line, start


def _single_blanks(data: bytes) -> bytes:
    """Every run of blanks and tabs as one blank, none at the ends of a line."""
    if b"\t" in data or b"  " in data or b" \n" in data or b"\n " in data or b" \r" in data or data[:1] == b" ":
        data = re.sub(rb"[ \t]+", b" ", data)
        data = re.sub(rb"(?m)^ +| +(?=\r?$)", b"", data)
    return data.rstrip(b" ")
