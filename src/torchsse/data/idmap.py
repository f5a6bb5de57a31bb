"""Raw ids (integers or text) to the codes 0 .. N-1 that embedding tables use, and back."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from torchsse.data.ids import CodeArray, IdColumn, IntArray, as_codes, as_integers, distinct, id_column
from torchsse.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["IdMap", "factorize"]


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
            return self._encode_integers(*as_integers(column))
        texts = column.tolist() if column.dtype.kind == "O" else [str(v) for v in column.tolist()]
        code = self._code_of_text()
        return np.array([code.get(v, -1) for v in texts], dtype=np.int64)

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
            values, valid = as_integers(new)
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


def factorize(column: Any) -> tuple[IdMap, CodeArray]:
    """Distinct ids of a column, sorted, and the code of each row (int32 where it fits).

    >>> ids, codes = factorize([30, 10, 30])
    >>> ids.ids.tolist(), codes.tolist()
    ([10, 30], [1, 0, 1])
    """
    values, codes = distinct(id_column(column))
    return IdMap(values), as_codes(codes, len(values))
