"""Columns of raw ids: integers as int64, text as objects; checked, and turned into distinct values and codes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.errors import DataError, MissingDependencyError

__all__ = ["CodeArray", "IdColumn", "IntArray", "as_codes", "as_integers", "distinct", "id_column", "require_pyarrow"]

IntArray = npt.NDArray[np.int64]
CodeArray = npt.NDArray[np.int32] | npt.NDArray[np.int64]
#: A checked column of raw ids: int64, or an object array of str.
IdColumn = npt.NDArray[Any]

# Only the one way Python would print an integer counts as an integer: "007", "+7" and "7.0" are not "7".
CANONICAL_INTEGER = re.compile(r"(?:0|-?[1-9][0-9]{0,18})\Z")
# A table of codes beats a search while the ids are not spread much wider than there are rows.
_DENSE_FLOOR = 1 << 22
_INT64 = np.iinfo(np.int64)


def require_pyarrow() -> Any:
    """The pyarrow module, or a MissingDependencyError with the command that installs it."""
    try:
        import pyarrow
        import pyarrow.compute
    except ImportError as error:  # pragma: no cover - needs an environment without pyarrow
        raise MissingDependencyError(
            "reading ratings and text ids needs pyarrow: python -m pip install 'torchsse[recsys]'"
        ) from error
    return pyarrow


def as_codes(codes: npt.NDArray[Any], size: int) -> CodeArray:
    """Codes of a table of `size` rows in their type: int32 while they fit."""
    return codes.astype(np.int32, copy=False) if size < 2**31 else codes.astype(np.int64, copy=False)


def id_column(values: Any, what: str = "ids") -> IdColumn:
    """Check a column of raw ids and bring it to int64 or to an object array of str.

    Integers of any width become int64, text stays text (``"7"`` is not ``7`` here), whole floats, as pandas makes
    them of integers beside missing values, become integers. Missing values, bool, fractions, numbers beyond
    int64 and mixtures of text and numbers raise `DataError` naming `what` and the 0-based row.

    >>> id_column([3, 1, 2]).dtype, id_column(["b", "a"]).tolist()
    (dtype('int64'), ['b', 'a'])
    """
    if not hasattr(values, "__array__"):
        # np.asarray([1, "a"]) would quietly print the 1, so look at the objects themselves
        cells = list(values)
        return _objects(cells, what) if cells else np.empty(0, dtype=np.int64)
    array = np.asarray(values)
    if array.ndim != 1:
        raise DataError(f"{what}: expected one dimension, got shape {array.shape}")
    kind = array.dtype.kind
    if array.size == 0:
        return array.astype(np.int64 if kind in "iuf" else object)
    if kind in "OUT":
        return _objects(array.tolist(), what)
    if kind == "i":
        return array.astype(np.int64, copy=False)
    if kind == "u":
        if int(array.max()) > _INT64.max:
            row = int(np.argmax(array > np.uint64(_INT64.max)))
            raise _too_large(what, array[row], row)
        return array.astype(np.int64)
    if kind == "f":
        whole = np.isfinite(array) & (array == np.floor(array)) & (np.abs(array) < 2**53)
        if not whole.all():
            row = int(np.argmin(whole))
            missing = "is missing (NaN)" if np.isnan(array[row]) else f"is {array[row]}, not a whole number below 2^53"
            raise DataError(f"{what}: the id in row {row} {missing}")
        return array.astype(np.int64)
    raise DataError(f"{what}: expected integers or text, got dtype {array.dtype}")


def _objects(values: list[Any], what: str) -> IdColumn:
    """A list of Python objects: all integers, or all text."""
    types = set(map(type, values))
    if types == {str} and all(map(str.strip, values)):
        out = np.empty(len(values), dtype=object)
        out[:] = values
        return out
    if types <= {int}:
        try:
            return np.array(values, dtype=np.int64)
        except OverflowError:
            row = next(i for i, v in enumerate(values) if not _INT64.min <= v <= _INT64.max)
            raise _too_large(what, values[row], row) from None
    text = isinstance(values[0], str)
    for row, value in enumerate(values):
        if (
            value is None
            or (isinstance(value, float) and value != value)
            or (isinstance(value, str) and not value.strip())
        ):
            raise DataError(f"{what}: the id in row {row} is missing ({value!r})")
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (str, int, float, np.integer, np.floating)):
            raise DataError(f"{what}: expected integers or text, got {value!r} in row {row}")
        if isinstance(value, str) != text:
            raise DataError(f"{what}: text and numbers are mixed: {values[0]!r} in row 0, {value!r} in row {row}")
    if text:
        return _objects([str(v) for v in values], what)
    if any(isinstance(v, (float, np.floating)) for v in values):
        return id_column(np.array(values, dtype=np.float64), what)
    return _objects([int(v) for v in values], what)


def _too_large(what: str, value: Any, row: int) -> DataError:
    return DataError(f"{what}: {value} in row {row} is beyond 64-bit integers; give such ids as text")


def as_integers(column: IdColumn) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """The column as int64 and where that is lossless: for text, where it is written as Python prints an int64."""
    if column.dtype.kind == "i":
        return column, np.ones(len(column), dtype=bool)
    numbers = [int(v) if CANONICAL_INTEGER.match(v) else None for v in column.tolist()]
    valid = [n is not None and _INT64.min <= n <= _INT64.max for n in numbers]
    values = np.array([n if ok else 0 for n, ok in zip(numbers, valid)], dtype=np.int64)
    return values, np.array(valid, dtype=bool)


def distinct(raw: IdColumn) -> tuple[IdColumn, IntArray]:
    """Distinct values of a checked column, sorted (text by code point), and the code of each row."""
    if raw.dtype.kind != "i":
        texts = raw.tolist()
        ordered = sorted(set(texts))
        values = np.empty(len(ordered), dtype=object)
        values[:] = ordered
        code = {v: i for i, v in enumerate(ordered)}
        return values, np.fromiter(map(code.__getitem__, texts), dtype=np.int64, count=len(texts))
    if raw.size == 0:
        return raw, raw
    low, high = int(raw.min()), int(raw.max())
    if high - low >= max(4 * raw.size, _DENSE_FLOOR):
        values, codes = np.unique(raw, return_inverse=True)
        return values, codes
    present = np.zeros(high - low + 1, dtype=bool)
    present[raw - low] = True
    table = np.cumsum(present, dtype=np.int64) - 1
    return np.flatnonzero(present) + low, table[raw - low]
