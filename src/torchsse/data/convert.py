"""pyarrow columns as id maps with codes, numbers and times."""

from __future__ import annotations

from typing import Any

import numpy as np

from torchsse.data.build import Floats, Times, Where, as_numbers, as_times
from torchsse.data.idmap import IdMap, factorize
from torchsse.data.ids import CANONICAL_INTEGER, CodeArray, as_codes, id_column, require_pyarrow
from torchsse.errors import DataError

__all__ = ["ids_from_arrow", "numbers_from_arrow", "times_from_arrow"]

# Words that stand for a missing value when all other ids of the column are integers.
_MISSING_IDS = {"nan", "na", "n/a", "null", "none", "inf", "-inf"}


def ids_from_arrow(column: Any, what: str, where: Where, *, text_file: bool) -> tuple[IdMap, CodeArray]:
    """Distinct ids in sorted order, and the code of each row.

    In a text file (`text_file`) ids lose blanks at their ends, and a column of nothing but integers is int64; one id
    that is not written as Python prints an integer, such as ``007``, makes the whole column text, so that it stays
    apart from ``7``. Typed tables keep their types.
    """
    pa = require_pyarrow()
    kind = column.type
    if pa.types.is_dictionary(kind) and not pa.types.is_string(kind.value_type):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        if column.null_count:
            raise DataError(f"{where(_first_null(column))}: {what}: the id is missing")
        raw = column.to_numpy()
        try:
            return factorize(id_column(raw, what))
        except DataError:
            if raw.dtype.kind == "f":
                bad = ~(np.isfinite(raw) & (raw == np.floor(raw)) & (np.abs(raw) < 2**53))
                row = int(np.argmax(bad))
                raise DataError(f"{where(row)}: {what}: expected an id, got {raw[row]}") from None
            raise
    if not (
        pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_view(kind)
    ):
        raise DataError(f"{what}: expected ids (integers or text), got {kind}")
    if column.null_count:
        raise DataError(f"{where(_first_null(column))}: {what}: the id is missing")
    if not pa.types.is_dictionary(kind):
        column = (column.cast(pa.large_string()) if _is_view(kind) else column).dictionary_encode()
    array = column.unify_dictionaries().combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0)
    indices = array.indices.to_numpy(zero_copy_only=False)
    texts: list[str] = array.dictionary.to_pylist()
    if text_file:
        texts = [t.strip() for t in texts]
    plain = [CANONICAL_INTEGER.match(t) is not None for t in texts]
    mostly_integers = text_file and any(plain)
    others = {t.lower() for t, p in zip(texts, plain) if not p}
    absent = {""} | (_MISSING_IDS if mostly_integers and others <= _MISSING_IDS | {""} else set())
    if others & absent:
        bad_codes = [i for i, t in enumerate(texts) if t.strip().lower() in absent]
        rows = np.flatnonzero(np.isin(indices, bad_codes))
        if rows.size:
            shown = texts[indices[rows[0]]]
            raise DataError(f"{where(int(rows[0]))}: {what}: the id is missing" + (f" ({shown!r})" if shown else ""))
    integers = text_file and all(plain) and all(-(2**63) <= int(t) < 2**63 for t in texts)
    values = np.array([int(t) for t in texts], dtype=np.int64) if integers else np.array(texts, dtype=object)
    ids, code = factorize(values)
    return ids, as_codes(code[indices], len(ids))


def _is_view(kind: Any) -> bool:
    return str(kind) in ("string_view", "utf8_view")


def _first_null(column: Any) -> int:
    return int(np.argmax(column.is_null().to_numpy()))


def numbers_from_arrow(column: Any, what: str, where: Where) -> Floats:
    """Finite float64 numbers; text that is not a number, and missing values, raise `DataError`."""
    pa = require_pyarrow()
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        return as_numbers(column.cast(pa.float64(), safe=False).to_numpy(), what, where)
    if pa.types.is_boolean(column.type) or pa.types.is_temporal(column.type) or pa.types.is_nested(column.type):
        raise DataError(f"{what}: expected numbers, got {column.type}")
    return as_numbers(np.array(column.to_pylist(), dtype=object), what, where)


def times_from_arrow(column: Any, what: str, where: Where) -> Times:
    """Times as `as_times` has them."""
    pa = require_pyarrow()
    kind = column.type
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    if pa.types.is_timestamp(kind):
        if kind.tz is not None:
            column = column.cast(pa.timestamp(kind.unit))
        return as_times(column.to_numpy(), what, where)
    if pa.types.is_date(kind):
        return as_times(column.cast(pa.timestamp("s")).to_numpy(), what, where)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return as_times(column.to_numpy(), what, where)
    return as_times(np.array(column.to_pylist(), dtype=object), what, where)
