"""Raw ids (integers or text) to the codes 0 .. N-1 that embedding tables use, and back."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from torchsse.errors import DataError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["IdMap", "as_codes", "factorize", "id_column"]

IntArray = npt.NDArray[np.int64]
CodeArray = npt.NDArray[np.int32] | npt.NDArray[np.int64]
#: A checked column of raw ids: int64, or an object array of str.
IdColumn = npt.NDArray[Any]

# Only the one way Python would print an integer counts as an integer: "007", "+7" and "7.0" are not "7".
CANONICAL_INTEGER = re.compile(r"(?:0|-?[1-9][0-9]{0,18})\Z")
# A table of codes beats a search while the ids are not spread much wider than there are rows.
_DENSE_FLOOR = 1 << 22


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
    array = values if isinstance(values, np.ndarray) else np.asarray(values if _sized(values) else list(values))
    if array.ndim != 1:
        raise DataError(f"{what}: expected one dimension, got shape {array.shape}")
    kind = array.dtype.kind
    if kind == "O" or (kind in "US" and not isinstance(values, np.ndarray)):
        # np.asarray([1, "a"]) would quietly print the 1, so look at the objects themselves
        return _objects(list(values), what)
    if array.size == 0:
        return array.astype(np.int64) if kind in "iuf" else array.astype(object)
    if kind == "i":
        return array.astype(np.int64, copy=False)
    if kind == "u":
        if int(array.max()) > np.iinfo(np.int64).max:
            row = int(np.argmax(array > np.uint64(np.iinfo(np.int64).max)))
            raise DataError(f"{what}: {array[row]} in row {row} is beyond 64-bit integers; give such ids as text")
        return array.astype(np.int64)
    if kind == "f":
        whole = np.isfinite(array) & (array == np.floor(array)) & (np.abs(array) < 2**53)
        if not whole.all():
            row = int(np.argmin(whole))
            missing = "is missing (NaN)" if np.isnan(array[row]) else f"is {array[row]}, not a whole number below 2^53"
            raise DataError(f"{what}: the id in row {row} {missing}")
        return array.astype(np.int64)
    if kind in "UT":
        return _objects(array.tolist(), what)
    raise DataError(f"{what}: expected integers or text, got dtype {array.dtype}")


def _sized(values: Any) -> bool:
    return hasattr(values, "__array__") or hasattr(values, "__len__")


def _objects(values: list[Any], what: str) -> IdColumn:
    """A list of Python objects: all integers, or all text."""
    if all(type(v) is int for v in values):
        try:
            return np.array(values, dtype=np.int64)
        except OverflowError:
            row = next(i for i, v in enumerate(values) if not -(2**63) <= v < 2**63)
            raise DataError(
                f"{what}: {values[row]} in row {row} is beyond 64-bit integers; give such ids as text"
            ) from None
    text = isinstance(values[0], str)
    for row, value in enumerate(values):
        if value is None or value != value or (isinstance(value, str) and not value.strip()):
            raise DataError(f"{what}: the id in row {row} is missing ({value!r})")
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (str, int, float, np.integer, np.floating)):
            raise DataError(f"{what}: expected integers or text, got {value!r} in row {row}")
        if isinstance(value, str) != text:
            raise DataError(f"{what}: text and numbers are mixed: {values[0]!r} in row 0, {value!r} in row {row}")
    if not text:
        return id_column(
            np.array(values, dtype=np.float64 if any(isinstance(v, float) for v in values) else np.int64), what
        )
    out = np.empty(len(values), dtype=object)
    out[:] = [str(v) for v in values]
    return out


class IdMap:
    """The raw ids of one table: code c stands for ``ids[c]``. Frozen; equal maps compare equal.

    Args:
        ids: distinct integers or distinct text, in the order of their codes.

    Raises:
        DataError: an id is missing, repeated, or neither an integer nor text.

    Relations: `factorize` makes a map from a column with repetitions, in sorted order (numbers by value, text by
    code point), so the codes do not depend on the order of the rows; `extended` appends new ids and keeps old codes.

    >>> ids = IdMap([10, 20, 40])
    >>> ids.encode([40, 10, 30]).tolist()      # -1: unknown
    [2, 0, -1]
    >>> ids.decode([2, 0]).tolist()
    [40, 10]
    >>> ids.extended([40, 7]).ids.tolist()
    [10, 20, 40, 7]
    """

    __slots__ = ("__dict__", "ids")

    ids: IdColumn

    def __init__(self, ids: Iterable[Any]) -> None:
        column = id_column(ids)
        column = column.copy() if column is ids or column.base is not None else column
        column.flags.writeable = False
        object.__setattr__(self, "ids", column)
        if self.is_integer:
            order = np.argsort(column, kind="stable")
            repeated = np.flatnonzero(np.diff(column[order]) == 0)
            if repeated.size:
                raise DataError(f"ids: {column[order[repeated[0]]]} occurs more than once")
        elif len(set(column.tolist())) != len(column):
            ordered = sorted(column.tolist())
            twice = next(a for a, b in itertools.pairwise(ordered) if a == b)
            raise DataError(f"ids: {twice!r} occurs more than once")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("IdMap is frozen")

    @property
    def is_integer(self) -> bool:
        """True: the raw ids are int64. False: they are text."""
        return self.ids.dtype.kind == "i"

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, raw: object) -> bool:
        try:
            return bool(self.encode([raw])[0] >= 0)
        except DataError:
            return False

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IdMap):
            return NotImplemented
        return self is other or (self.is_integer == other.is_integer and np.array_equal(self.ids, other.ids))

    def __hash__(self) -> int:
        return hash((len(self.ids), self.is_integer, *self.ids[:8].tolist()))

    def __reduce__(self) -> tuple[Any, ...]:
        return IdMap, (np.array(self.ids),)

    def __repr__(self) -> str:
        shown = ", ".join(repr(v) for v in self.ids[:3].tolist()) + (", ..." if len(self) > 3 else "")
        return f"IdMap({len(self)} {'integers' if self.is_integer else 'texts'}: {shown})"

    def encode(self, raw: Any) -> IntArray:
        """Codes of raw ids, int64, -1 where the id is unknown.

        Text is looked up among integers if it is written as Python prints an integer (``"7"``, not ``"007"``), and
        integers among text the same way: ids typed on a command line find their row.

        Raises:
            DataError: a raw id is missing or neither a whole number nor text.
        """
        column = id_column(raw)
        if len(self) == 0 or len(column) == 0:
            return np.full(len(column), -1, dtype=np.int64)
        if self.is_integer:
            return self._encode_integers(*_as_integers(column))
        texts = column.tolist() if column.dtype.kind == "O" else [str(v) for v in column.tolist()]
        if len(texts) < 1000:
            code = self._code_of_text()
            return np.array([code.get(v, -1) for v in texts], dtype=np.int64)
        pa = require_pyarrow()
        return self.encode_arrow(pa.array(texts, type=pa.large_string()))

    def encode_arrow(self, texts: Any) -> IntArray:
        """`encode` for a pyarrow string array, in a map of text."""
        pa = require_pyarrow()
        found = pa.compute.index_in(texts, value_set=pa.array(self.ids.tolist(), type=texts.type))
        out: IntArray = pa.compute.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        return out

    def decode(self, codes: Any) -> IdColumn:
        """Raw ids of codes.

        Raises:
            DataError: a code is outside 0 .. len - 1 (a negative code never wraps around).
        """
        code = np.asarray(codes)
        if code.size == 0:
            return self.ids[:0].reshape(code.shape)
        if code.dtype.kind not in "iu":
            raise DataError(f"codes: expected integers, got dtype {code.dtype}")
        if code.min() < 0 or code.max() >= len(self):
            raise DataError(f"codes: expected 0 to {len(self) - 1}, got {code.min()} to {code.max()}")
        raw: IdColumn = self.ids[code]
        return raw

    def extended(self, raw: Any) -> IdMap:
        """This map with the unknown ids of `raw` appended in sorted order; old codes stay.

        Raises:
            DataError: the map holds integers and `raw` holds text that is no integer.
        """
        column = id_column(raw)
        new = column[self.encode(column) < 0]
        if not new.size:
            return self
        if self.is_integer and new.dtype.kind == "O":
            values, valid = _as_integers(new)
            if not valid.all():
                raise DataError(
                    f"the known ids are integers ({self.ids[0]}, ...), but {new[~valid][0]!r} is not written as one"
                )
            new = values
        elif not self.is_integer and new.dtype.kind == "i":
            new = np.array([str(v) for v in new.tolist()], dtype=object)
        return IdMap(np.concatenate([self.ids, factorize(new)[0].ids])) if len(self) else factorize(new)[0]

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values for `json.dump`; `from_json` reads it back.

        >>> IdMap.from_json(IdMap(["a", "b"]).to_json()) == IdMap(["a", "b"])
        True
        """
        return {"kind": "integer" if self.is_integer else "text", "ids": self.ids.tolist()}

    @classmethod
    def from_json(cls, value: Any) -> IdMap:
        """The map that `to_json` described; `DataError` if the value is something else."""
        if not isinstance(value, dict) or value.get("kind") not in ("integer", "text") or "ids" not in value:
            raise DataError(f"expected an id map {{'kind': 'integer' or 'text', 'ids': [...]}}, got {str(value)[:80]}")
        ids = value["ids"]
        wanted = int if value["kind"] == "integer" else str
        if not isinstance(ids, list) or not all(type(v) is wanted for v in ids):
            raise DataError(f"expected a list of {value['kind']} ids, got {str(ids)[:80]}")
        return cls(np.array(ids, dtype=np.int64 if wanted is int else object))

    def _encode_integers(self, values: IntArray, valid: npt.NDArray[np.bool_]) -> IntArray:
        order, ordered = self._sorted()
        place = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
        found = valid & (ordered[place] == values)
        return np.where(found, order[place], -1)

    def _sorted(self) -> tuple[IntArray, IntArray]:
        cached: tuple[IntArray, IntArray] | None = self.__dict__.get("sorted")
        if cached is None:
            order = np.argsort(self.ids, kind="stable")
            cached = self.__dict__["sorted"] = (order, self.ids[order])
        return cached

    def _code_of_text(self) -> dict[str, int]:
        cached: dict[str, int] | None = self.__dict__.get("text")
        if cached is None:
            cached = self.__dict__["text"] = {v: i for i, v in enumerate(self.ids.tolist())}
        return cached


def _as_integers(column: IdColumn) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """The column as int64 and where that is lossless."""
    if column.dtype.kind == "i":
        return column, np.ones(len(column), dtype=bool)
    numbers = [int(v) if CANONICAL_INTEGER.match(v) else None for v in column.tolist()]
    valid = np.array([n is not None and -(2**63) <= n < 2**63 for n in numbers], dtype=bool)
    return np.array([n if ok else 0 for n, ok in zip(numbers, valid.tolist())], dtype=np.int64), valid


def factorize(column: Any) -> tuple[IdMap, CodeArray]:
    """Distinct ids of a column, sorted, and the code of each row (int32 where it fits).

    >>> ids, codes = factorize([30, 10, 30])
    >>> ids.ids.tolist(), codes.tolist()
    ([10, 30], [1, 0, 1])
    """
    raw = id_column(column)
    if raw.dtype.kind == "i":
        values, codes = _factorize_integers(raw)
    else:
        pa = require_pyarrow()
        encoded = pa.array(raw.tolist(), type=pa.large_string()).dictionary_encode()
        values, codes = sort_dictionary(encoded.dictionary, encoded.indices.to_numpy())
    ids = IdMap(values)
    return ids, as_codes(codes, len(ids))


def _factorize_integers(raw: IntArray) -> tuple[IntArray, IntArray]:
    if raw.size == 0:
        return raw, raw
    low, high = int(raw.min()), int(raw.max())
    if high - low >= max(4 * raw.size, _DENSE_FLOOR):
        values, codes = np.unique(raw, return_inverse=True)
        return values, codes
    present = np.zeros(high - low + 1, dtype=bool)
    present[raw - low] = True
    values = np.flatnonzero(present) + low
    table = np.cumsum(present, dtype=np.int64) - 1
    return values, table[raw - low]


def sort_dictionary(dictionary: Any, indices: npt.NDArray[Any]) -> tuple[IdColumn, IntArray]:
    """Bring a pyarrow dictionary of distinct text into sorted order and rewrite the indices."""
    texts = np.array(dictionary.to_pylist(), dtype=object)
    # UTF-8 order is code point order, and so is Python's
    order = np.array(sorted(range(len(texts)), key=texts.__getitem__), dtype=np.int64)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return texts[order] if len(texts) else np.empty(0, dtype=object), rank[indices]
