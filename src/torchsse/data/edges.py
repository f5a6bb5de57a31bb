"""Edges and attributes of raw ids, and their resolution against an id map."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchsse.data.build import as_numbers
from torchsse.data.columns import find_column
from torchsse.data.convert import ids_from_arrow, numbers_from_arrow
from torchsse.data.idmap import IdMap, factorize
from torchsse.data.ids import IdColumn, id_column, require_pyarrow
from torchsse.data.source import Source, arrow_table, open_source
from torchsse.data.text import TextTable
from torchsse.errors import DataError, TorchsseWarning

__all__ = [
    "AttributeTable",
    "EdgeTable",
    "ResolvedAttributes",
    "ResolvedEdges",
    "as_edges",
    "read_attributes",
    "read_edges",
]

IntArray = npt.NDArray[np.int64]


class ResolvedEdges(NamedTuple):
    """Edges as codes: `src`, `dst` int64, `weights` float64 or None, and how many edges had an unknown id."""

    src: IntArray
    dst: IntArray
    weights: npt.NDArray[np.float64] | None
    dropped: int


class ResolvedAttributes(NamedTuple):
    """Attributes as codes: `ids`, `attributes` int64, and how many rows had an unknown id."""

    ids: IntArray
    attributes: IntArray
    dropped: int


@dataclass(frozen=True, eq=False, repr=False)
class EdgeTable:
    """Edges between raw ids, as a file lists them: not merged, not checked against any table.

    Args:
        src_raw: raw ids, shape (E,), int64 or text.
        dst_raw: raw ids, shape (E,).
        weights: in [0, 1], shape (E,), float64; None: every weight is 1.

    Raises:
        DataError: lengths differ, an id is missing, a weight is outside [0, 1].

    >>> edges = EdgeTable([10, 20, 10], [20, 30, 99])
    >>> src, dst, weights, dropped = edges.resolve(IdMap([10, 20, 30]))
    >>> src.tolist(), dst.tolist(), weights, dropped
    ([0, 1], [1, 2], None, 1)
    """

    src_raw: IdColumn
    dst_raw: IdColumn
    weights: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        for name in ("src_raw", "dst_raw"):
            object.__setattr__(self, name, id_column(getattr(self, name), name))
        if self.weights is not None:
            weights = as_numbers(self.weights, "weights")
            if weights.size and not 0 <= weights.min() <= weights.max() <= 1:
                raise DataError(f"weights: expected numbers in [0, 1], got {weights.min()} to {weights.max()}")
            object.__setattr__(self, "weights", weights)
        for name, column in (("dst_raw", self.dst_raw), ("weights", self.weights)):
            if column is not None and column.shape != self.src_raw.shape:
                raise DataError(f"{name}: expected {len(self)} values, one per source, got shape {column.shape}")

    def __len__(self) -> int:
        return len(self.src_raw)

    def __repr__(self) -> str:
        return f"EdgeTable({len(self)} edges, {'weighted' if self.weights is not None else 'every weight 1'})"

    def resolve(self, ids: IdMap) -> ResolvedEdges:
        """The edges as codes of `ids`. An edge with an unknown id is dropped and counted."""
        src, dst = ids.encode(self.src_raw), ids.encode(self.dst_raw)
        known = (src >= 0) & (dst >= 0)
        weights = None if self.weights is None else self.weights[known]
        return ResolvedEdges(src[known], dst[known], weights, int(len(self) - known.sum()))

    @classmethod
    def from_table(cls, table: Any, *, weight: str | int | None = None) -> EdgeTable:
        """Edges from a pandas, polars or Arrow table or a dict of columns; rules as for `read_edges`.

        >>> EdgeTable.from_table({"a": [1, 2], "b": [2, 3], "shared": [4, 1]}, weight="shared").weights.tolist()
        [1.0, 0.25]
        """
        return _edges(arrow_table(table), weight, text_file=False)


@dataclass(frozen=True, eq=False, repr=False)
class AttributeTable:
    """Which id has which attribute (movie, actor), as a file lists it; an id may have many.

    >>> table = AttributeTable([1, 1, 2], ["Don Rickles", "Jim Varney", "Jim Varney"])
    >>> ids, attributes, dropped = table.resolve(IdMap([1, 2]))
    >>> ids.tolist(), attributes.tolist(), dropped
    ([0, 0, 1], [0, 1, 1], 0)
    """

    ids_raw: IdColumn
    attributes_raw: IdColumn

    def __post_init__(self) -> None:
        for name in ("ids_raw", "attributes_raw"):
            object.__setattr__(self, name, id_column(getattr(self, name), name))
        if self.attributes_raw.shape != self.ids_raw.shape:
            raise DataError(f"attributes_raw: expected {len(self)} values, got shape {self.attributes_raw.shape}")

    def __len__(self) -> int:
        return len(self.ids_raw)

    def __repr__(self) -> str:
        return f"AttributeTable({len(self)} rows)"

    def resolve(self, ids: IdMap) -> ResolvedAttributes:
        """Codes of the ids, and of the attributes in sorted order: what `Graph.from_attributes` takes.

        Rows with an unknown id are dropped and counted.
        """
        codes = ids.encode(self.ids_raw)
        known = codes >= 0
        attributes = factorize(self.attributes_raw)[1].astype(np.int64, copy=False)
        return ResolvedAttributes(codes[known], attributes[known], int(len(self) - known.sum()))


def read_edges(
    path: str | Path,
    weight: str | int | None = None,
    *,
    separator: str | None = None,
    header: bool | None = None,
    encoding: str = "utf-8",
) -> EdgeTable:
    """Read a graph's edges: the first two columns are raw ids, whatever they are called.

    Args:
        path: text (CSV, TSV, ``::``, blanks; plain or gzip) or Parquet, as `read_ratings` takes them.
        weight: a column by name or 0-based position; its values are divided by their maximum. None: every weight is 1.
        separator: as for `read_ratings`.
        header: as for `read_ratings`: None takes a first line without numbers for a header, and warns if its first two
            names are ids of edges too.
        encoding: of the text.

    Raises:
        DataError: as for `read_ratings`; also a negative weight, or no positive one.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "edges.csv")
    ...     _ = file.write_text("movie_a,movie_b,shared\\n1,16,2\\n1,150,1\\n")
    ...     read_edges(file).weights, read_edges(file, weight="shared").weights.tolist()
    (None, [1.0, 0.5])
    """
    source = open_source(path, separator=separator, header=header, encoding=encoding)
    found = _edges(source, weight, text_file=True)
    if isinstance(source, TextTable) and source.names is not None and source.doubtful:
        _doubt(source, source.names[:2], found)
    return found


def _doubt(source: TextTable, names: list[str], found: EdgeTable) -> None:
    """A warning where the names of a supposed header are ids of edges: it may be an edge."""
    if all((found.src_raw == name).any() or (found.dst_raw == name).any() for name in names):
        warnings.warn(
            f"{source.source}: the first line ({', '.join(names)}) holds no number and was taken for a header, but its "
            "names are ids of edges too: write a line with names above it, or give header=False",
            TorchsseWarning,
            stacklevel=3,
        )


def as_edges(data: Any, *, weight: str | int | None = None) -> EdgeTable:
    """An `EdgeTable` from one, a path, a tuple of columns (src, dst[, weights in [0, 1]]), or a table.

    >>> as_edges(([1, 2], [2, 3]))
    EdgeTable(2 edges, every weight 1)
    """
    if isinstance(data, EdgeTable):
        return data
    if isinstance(data, (str, Path)):
        return read_edges(data, weight)
    if isinstance(data, (tuple, list)):
        if not 2 <= len(data) <= 3:
            raise DataError(f"expected columns (src, dst[, weights]), got {len(data)} of them")
        return EdgeTable(*data)
    return EdgeTable.from_table(data, weight=weight)


def read_attributes(
    path: str | Path,
    *,
    id: str | int = 0,
    attribute: str | int = 1,
    only: Mapping[str | int, str] | None = None,
    separator: str | None = None,
    header: bool | None = None,
    encoding: str = "utf-8",
) -> AttributeTable:
    """Read which id has which attribute, one pair per line, for a graph of shared attributes.

    Args:
        path: as for `read_ratings`.
        id: the column of raw ids, by name or 0-based position.
        attribute: the column of attributes.
        only: keep rows whose column holds this text, for example ``{"relation": "starring"}``.
        separator: as for `read_ratings`.
        header: as for `read_ratings`.
        encoding: of the text.

    Raises:
        DataError: as for `read_ratings`; no row is left by `only`.
    """
    source = open_source(path, separator=separator, header=header, encoding=encoding)
    places = [
        find_column(c, source.names, source.width, what, source.source)
        for c, what in ((id, "id"), (attribute, "attribute"))
    ]
    tests = [
        (find_column(c, source.names, source.width, "only", source.source), text) for c, text in (only or {}).items()
    ]
    wanted = list(dict.fromkeys([*places, *(c for c, _ in tests)]))
    columns = dict(zip(wanted, source.read(wanted, [_text_ids()] * len(wanted))))
    raw = {c: _raw(column, c, source, text_file=True) for c, column in columns.items()}
    keep = np.ones(len(raw[places[0]]), dtype=bool)
    for c, text in tests:
        keep &= np.array([str(v) == text for v in raw[c].tolist()], dtype=bool)
    if not keep.any():
        raise DataError(f"{source.source}: no row has {', '.join(f'{k} = {v!r}' for k, v in (only or {}).items())}")
    return AttributeTable(raw[places[0]][keep], raw[places[1]][keep])


def _edges(source: Source, weight: str | int | None, *, text_file: bool) -> EdgeTable:
    pa = require_pyarrow()
    if source.width < 2:
        raise DataError(f"{source.source}: expected at least two columns of ids, got {source.width}")
    wanted, types = [0, 1], [_text_ids()] * 2
    if weight is not None:
        wanted.append(find_column(weight, source.names, source.width, "weight", source.source))
        types.append(pa.float64())
    columns = source.read(wanted, types)
    src, dst = (_raw(columns[i], i, source, text_file=text_file) for i in (0, 1))
    if weight is None:
        return EdgeTable(src, dst)
    title = source.title(wanted[2])
    values = numbers_from_arrow(columns[2], title, source.where)
    if values.min() < 0:
        row = int(np.argmin(values >= 0))
        raise DataError(f"{source.where(row)}: {title}: expected a weight of at least 0, got {values[row]:g}")
    if values.max() == 0:
        raise DataError(f"{source.source}: {title}: every weight is 0")
    return EdgeTable(src, dst, values / values.max())


def _text_ids() -> Any:
    pa = require_pyarrow()
    return pa.dictionary(pa.int32(), pa.string())


def _raw(column: Any, position: int, source: Source, *, text_file: bool) -> IdColumn:
    ids, codes = ids_from_arrow(column, source.title(position), source.where, text_file=text_file)
    return ids.decode(codes)
