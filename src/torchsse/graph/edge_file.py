"""Edge lists in CSV or Parquet whose ids are table rows already; raw ids are resolved by torchsse.data."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from torchsse.errors import DataError, MissingDependencyError
from torchsse.graph.arrays import Array

if TYPE_CHECKING:
    from torchsse.graph.csr import Graph

__all__ = ["from_edge_file"]


def from_edge_file(  # noqa: D417  (cls: bound in csr.py)
    cls: type[Graph],
    path: str | os.PathLike[str],
    num_nodes: int,
    *,
    weight: str | None = None,
    directed: bool = False,
) -> Graph:
    """A graph from a CSV, TSV (also .gz) or Parquet file of integer ids 0 .. num_nodes-1.

    For files of raw ids (titles, catalogue numbers) use `torchsse.data.read_edges`, which maps them.

    Args:
        path: the first two columns are the endpoints. The separator is a tab if the first line has one, else a comma. A
            first line of numbers only is an edge, any other is a header.
        num_nodes: rows of the embedding table.
        weight: name of a column of weights, which are divided by the largest. None: every weight is 1.
        directed: False: each edge counts in both directions.

    Raises:
        DataError: the file cannot be read, has fewer than two columns, ids that are no integers, no such weight column.
        GraphError: ids out of range, negative or NaN weights.
        MissingDependencyError: pyarrow is not installed.

    Example:
        >>> import pathlib, tempfile
        >>> from torchsse.graph import Graph
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "edges.csv").write_text("from,to,times\\n0,1,4\\n1,2,8\\n")
        >>> Graph.from_edge_file(folder / "edges.csv", num_nodes=3, weight="times").neighbors(1)
        (array([0, 2], dtype=int32), array([0.5, 1. ]))
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingDependencyError("this needs pyarrow: pip install 'torchsse[recsys]'") from error
    file = Path(path)
    try:
        table = _read_parquet(file) if file.suffix in (".parquet", ".pq") else _read_csv(file)
    except (OSError, EOFError, UnicodeDecodeError, pa.ArrowException) as error:
        raise DataError(f"{file}: cannot be read as an edge list: {error}") from None
    if table.num_columns < 2:
        raise DataError(f"{file}: an edge list has two columns of ids, got {table.num_columns} column(s)")
    src, dst = (_ids(file, table, column) for column in (0, 1))
    values = None
    if weight is not None:
        if weight not in table.column_names:
            raise DataError(f"{file}: no column {weight!r} for the weights; there are {', '.join(table.column_names)}")
        values = _numbers(file, table, weight)
        top = values.max(initial=0)
        if np.isfinite(top) and top > 0:  # NaN and the rest are named, edge by edge, by from_edges
            values = values / top
    return cls.from_edges(src, dst, num_nodes, values, directed=directed)


def _read_parquet(file: Path) -> Any:
    import pyarrow.parquet

    return pyarrow.parquet.read_table(file)


def _read_csv(file: Path) -> Any:
    import pyarrow.csv

    with gzip.open(file, "rt") if file.suffix == ".gz" else open(file, encoding="utf-8") as lines:
        first = lines.readline().rstrip("\r\n")
    if not first:
        raise OSError("the file is empty")
    separator = "\t" if "\t" in first else ","
    return pyarrow.csv.read_csv(
        file,
        read_options=pyarrow.csv.ReadOptions(autogenerate_column_names=all(map(_is_number, first.split(separator)))),
        parse_options=pyarrow.csv.ParseOptions(delimiter=separator),
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _ids(file: Path, table: Any, column: int) -> Array:
    import pyarrow as pa

    values, name = table.column(column), table.column_names[column]
    if not pa.types.is_integer(values.type) or values.null_count:
        found = f"{values.null_count} empty fields" if values.null_count else str(values.type)
        raise DataError(
            f"{file}: column {name!r} must hold integer ids, got {found}; for raw ids use torchsse.data.read_edges"
        )
    return np.asarray(values.to_numpy())


def _numbers(file: Path, table: Any, name: str) -> Array:
    import pyarrow as pa

    values = table.column(name)
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise DataError(f"{file}: column {name!r} must hold numbers, got {values.type}")
    return np.asarray(values.to_numpy(), dtype=np.float64)
