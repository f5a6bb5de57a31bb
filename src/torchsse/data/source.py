"""One face for every source of columns: separated text, Parquet, and tables in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from torchsse.data.ids import require_pyarrow
from torchsse.data.text import TextTable
from torchsse.errors import DataError

__all__ = ["ArrowTable", "Source", "arrow_table", "open_source"]


class Source(Protocol):
    """Columns by position, and words for where things are."""

    source: str
    names: list[str] | None
    width: int
    first: list[str]

    def read(self, columns: Sequence[int], types: Sequence[Any]) -> list[Any]:
        """pyarrow columns."""

    def where(self, row: int) -> str:
        """Where the 0-based row lies."""

    def title(self, column: int) -> str:
        """How messages call the column."""


class ArrowTable:
    """A pyarrow table or Parquet file as a `Source`; columns named 0, 1, ... count as unnamed."""

    def __init__(self, source: str, names: Sequence[str], load: Any) -> None:
        self.source = source
        self.width = len(names)
        unnamed = bool(names) and all(name == str(i) for i, name in enumerate(names))
        self.names = None if unnamed else list(names)
        self.first = ["0"] * self.width
        self._load = load

    def read(self, columns: Sequence[int], types: Sequence[Any]) -> list[Any]:
        """The columns, with the types they have: `types` only steers text."""
        table = self._load(list(columns))
        if table.num_rows == 0:
            raise DataError(f"{self.source}: the table has no rows")
        return [table.column(i) for i in range(len(columns))]

    def where(self, row: int) -> str:
        """Tables count rows from 0."""
        return f"{self.source}, row {row}"

    def title(self, column: int) -> str:
        """How messages call the column."""
        return f"column {self.names[column]!r}" if self.names is not None else f"column {column + 1}"


def open_source(
    path: str | Path, *, separator: str | None = None, header: bool | None = None, encoding: str = "utf-8"
) -> Source:
    """Parquet by its first bytes, else text."""
    file = Path(path)
    if file.is_dir():
        raise DataError(f"{file}: expected a file, got a directory")
    try:
        with file.open("rb") as stream:
            magic = stream.read(4)
    except FileNotFoundError:
        raise DataError(f"{file}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror or error}") from None
    if magic == b"PAR1":
        return _open_parquet(file)
    if file.suffix in (".parquet", ".pq"):
        raise DataError(f"{file}: the name says Parquet, but the content is not (it begins with {magic!r})")
    return TextTable(file, separator=separator, header=header, encoding=encoding)


def _open_parquet(file: Path) -> ArrowTable:
    pa = require_pyarrow()
    import pyarrow.parquet

    try:
        parquet = pyarrow.parquet.ParquetFile(file)
        names = parquet.schema_arrow.names
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file}: the Parquet file is damaged: {str(error).splitlines()[0]}") from None

    def load(columns: list[int]) -> Any:
        wanted = [names[c] for c in columns]
        try:
            table = parquet.read(columns=list(dict.fromkeys(wanted)))
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{file}: the Parquet file is damaged: {str(error).splitlines()[0]}") from None
        return table.select(wanted)

    return ArrowTable(str(file), names, load)


def arrow_table(table: Any, source: str = "the table") -> ArrowTable:
    """A pandas, polars or Arrow table, anything with ``__arrow_c_stream__``, or a dict of columns.

    Raises:
        DataError: the object is none of these, or its columns cannot be taken.
    """
    pa = require_pyarrow()
    try:
        if isinstance(table, (pa.Table, pa.RecordBatch)):
            arrow = pa.table(table) if isinstance(table, pa.RecordBatch) else table
        elif isinstance(table, Mapping):
            arrow = pa.table({str(k): _arrow_column(v) for k, v in table.items()})
        elif type(table).__module__.split(".")[0] == "pandas" and hasattr(table, "columns"):
            arrow = pa.Table.from_pandas(table, preserve_index=False)
        elif hasattr(table, "__arrow_c_stream__"):
            arrow = pa.table(table)
        else:
            raise DataError(
                f"{source}: expected a pandas, polars or Arrow table or a dict of columns, got {type(table).__name__}"
            )
    except (pa.ArrowException, TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{source}: the columns cannot be taken: {str(error).splitlines()[0]}") from None
    return ArrowTable(source, arrow.column_names, arrow.select)


def _arrow_column(values: Any) -> Any:
    pa = require_pyarrow()
    if isinstance(values, np.ndarray) and values.dtype.kind in "UT":
        return pa.array(values.tolist(), type=pa.large_string())
    return values if isinstance(values, (pa.Array, pa.ChunkedArray)) else pa.array(values)
