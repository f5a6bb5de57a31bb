"""From checked columns to `Ratings`: common ids with a train set, repeated pairs, the kind of feedback."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt

from torchsse.data.columns import is_number
from torchsse.data.idmap import IdMap, factorize
from torchsse.data.ids import CodeArray, as_integers, id_column
from torchsse.data.ratings import Duplicates, Feedback, Ratings
from torchsse.errors import ConfigError, DataError, TorchsseWarning

if TYPE_CHECKING:
    from typing import TypeAlias

__all__ = ["Where", "as_numbers", "as_times", "build_ratings", "check_words", "finish"]

#: Says where a 0-based row lies: "row 3", "ratings.csv, line 5".
Where: TypeAlias = Callable[[int], str]
Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64] | npt.NDArray[np.float64]


def _row(row: int) -> str:
    return f"row {row}"


def check_words(duplicates: str, feedback: str | None) -> None:
    """Refuse misspelt options before any file is read."""
    if duplicates not in get_args(Duplicates):
        raise ConfigError(f"duplicates: expected one of {', '.join(get_args(Duplicates))}, got {duplicates!r}")
    if feedback is not None and feedback not in get_args(Feedback):
        raise ConfigError(f"feedback: expected 'explicit', 'implicit' or None, got {feedback!r}")


def as_numbers(values: Any, what: str, where: Where = _row) -> Floats:
    """A column of finite numbers as float64; `DataError` names the first value that is none."""
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        try:
            array = np.array([_number(v) for v in array.tolist()], dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            row, bad = next((i, v) for i, v in enumerate(array.tolist()) if not _is(_number, v))
            raise DataError(f"{where(row)}: {what}: expected a number, got {bad!r}") from None
    numbers: Floats = array.astype(np.float64, copy=False)
    finite = np.isfinite(numbers)
    if not finite.all():
        row = int(np.argmin(finite))
        shown = "nothing" if np.isnan(numbers[row]) else str(numbers[row])
        raise DataError(f"{where(row)}: {what}: expected a finite number, got {shown}")
    return numbers


def _number(value: Any) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, (str, bytes, bool)):
        raise TypeError
    return float(value)


def _seconds(value: Any) -> float:
    """A time as a number: dates as seconds since 1970, UTC unless they name an offset; NaN for None and blanks."""
    if isinstance(value, str):
        if not value.strip():
            return float("nan")
        if is_number(value):
            return float(value)
        value = datetime.fromisoformat(value.strip())
    if isinstance(value, date):
        moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return _number(value)


def _is(parse: Callable[[Any], float], value: Any) -> bool:
    try:
        parse(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def as_times(values: Any, what: str, where: Where = _row) -> Times:
    """Times as int64 if whole and complete, else float64 with NaN where missing; dates as seconds since 1970 UTC."""
    array = np.asarray(values)
    if array.dtype.kind in "OUT":
        cells = array.tolist()
        try:
            array = np.array([_seconds(v) for v in cells], dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            row, bad = next((i, v) for i, v in enumerate(cells) if not _is(_seconds, v))
            raise DataError(
                f"{where(row)}: {what}: expected a number or an ISO date such as 2001-09-28 12:30:00, got {bad!r}"
            ) from None
    if array.dtype.kind == "M":
        missing = np.isnat(array)
        seconds = array.astype("datetime64[us]").astype(np.int64) / 1e6
        array = np.where(missing, np.nan, seconds)
    if array.dtype.kind in "iu":
        return array.astype(np.int64, copy=False)
    if array.dtype.kind != "f":
        raise DataError(f"{what}: expected numbers or dates, got dtype {array.dtype}")
    if np.isinf(array).any():
        raise DataError(f"{where(int(np.argmax(np.isinf(array))))}: {what}: expected finite numbers, got inf")
    if array.size and bool((array == np.floor(array)).all()) and bool((np.abs(array) < 2**53).all()):
        return array.astype(np.int64)
    return array.astype(np.float64, copy=False)


def build_ratings(
    users: Any,
    items: Any,
    ratings: Any = None,
    timestamps: Any = None,
    *,
    duplicates: Duplicates = "last",
    feedback: Feedback | None = None,
    like: Ratings | None = None,
) -> Ratings:
    """`Ratings.from_arrays`: columns of raw ids to codes."""
    check_words(duplicates, feedback)
    user, item = id_column(users, "users"), id_column(items, "items")
    values = None if ratings is None else np.asarray(ratings)
    times = None if timestamps is None else as_times(timestamps, "timestamps")
    for name, column in (("items", item), ("ratings", values), ("timestamps", times)):
        if column is not None and column.shape != user.shape:
            raise DataError(f"{name}: expected {len(user)} values, one per user, got shape {column.shape}")
    user_ids, user_codes = factorize(user)
    item_ids, item_codes = factorize(item)
    return finish(
        user_ids, user_codes, item_ids, item_codes, values, times, duplicates=duplicates, feedback=feedback, like=like
    )


def finish(
    user_ids: IdMap,
    users: CodeArray,
    item_ids: IdMap,
    items: CodeArray,
    ratings: Any,
    timestamps: Times | None,
    *,
    duplicates: Duplicates,
    feedback: Feedback | None,
    like: Ratings | None,
    where: Where = _row,
    source: str = "the table",
) -> Ratings:
    """Settle the kind of feedback, align with `like`, resolve repeated pairs."""
    if len(users) == 0:
        raise DataError(f"{source}: expected at least one rating, got none")
    kind = feedback or (like.feedback if like is not None else None)
    if kind == "explicit" and ratings is None:
        raise DataError(f"{source}: explicit feedback needs a rating column, and there is none")
    values: Floats | None = None
    if ratings is not None and kind != "implicit":
        values = as_numbers(ratings, "ratings", where)
        if kind is None and bool((values == values[0]).all()):
            values = None
    if values is not None and float(np.abs(values).max()) > float(np.finfo(np.float32).max):
        row = int(np.argmax(np.abs(values)))
        raise DataError(f"{where(row)}: the rating {values[row]:g} is beyond float32")
    if like is not None:
        user_ids, users = _align(like.user_ids, user_ids, users, "user", where)
        item_ids, items = _align(like.item_ids, item_ids, items, "item", where)
    if duplicates != "keep":
        users, items, values, timestamps = _one_row_per_pair(
            users, items, values, timestamps, duplicates, user_ids, item_ids, where, source
        )
    floats = None if values is None else values.astype(np.float32)
    return Ratings(users, items, floats, timestamps, user_ids, item_ids)


def _align(known: IdMap, ids: IdMap, codes: CodeArray, what: str, where: Where) -> tuple[IdMap, CodeArray]:
    try:
        merged = known.extended(ids.ids)
    except DataError as error:
        # only a map of integers refuses, and only text that is no integer
        first = int(np.argmax((~as_integers(ids.ids)[1])[codes]))
        raise DataError(
            f"{where(first)}: {what} id {ids.ids[codes[first]]!r} does not fit the train set: {error}"
        ) from None
    return merged, merged.encode(ids.ids)[codes]


def _one_row_per_pair(
    users: CodeArray,
    items: CodeArray,
    values: Floats | None,
    times: Times | None,
    rule: Duplicates,
    user_ids: IdMap,
    item_ids: IdMap,
    where: Where,
    source: str,
) -> tuple[CodeArray, CodeArray, Floats | None, Times | None]:
    """Keep one row of every (user, item) pair, at its place in the file; warn if there was a choice."""
    key = users.astype(np.int64) * len(item_ids) + items
    ordered = np.sort(key)
    if not (ordered[1:] == ordered[:-1]).any():
        return users, items, values, times
    by_time = rule == "last" and times is not None and not np.isnan(times).any()
    # stable: equal pairs stay in time order, equal times in file order
    order = np.lexsort((times, key)) if by_time and times is not None else np.argsort(key, kind="stable")
    ordered = key[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    ends = np.r_[starts[1:], len(key)] - 1
    repeated = np.flatnonzero(ends > starts)
    example = repeated[np.argmin([order[starts[i] : ends[i] + 1].min() for i in repeated.tolist()])]
    rows = np.sort(order[starts[example] : ends[example] + 1])
    pair = f"user {user_ids.ids[users[rows[0]]]}, item {item_ids.ids[items[rows[0]]]}"
    places = [where(row).removeprefix(f"{source}, ") for row in rows[:2].tolist()]
    found = (
        f"{source}: {len(key) - len(starts):,} of {len(key):,} rows repeat a (user, item) pair "
        f"(first: {pair}, {places[0]} and {places[1]})"
    )
    if rule == "error":
        raise DataError(found)
    told = {"mean": "the mean of their ratings", "max": "the largest of their ratings", "first": "the first"}
    kept_by = told.get(rule, "the latest by timestamp" if by_time else "the last in the file")
    warnings.warn(f"{found}; of each, {kept_by} counts (duplicates={rule!r})", TorchsseWarning, stacklevel=5)
    kept = order[starts] if rule == "first" else order[ends]
    if values is not None and rule in ("mean", "max"):
        if rule == "mean":
            merged = np.add.reduceat(values[order], starts) / (ends - starts + 1)
        else:
            merged = np.maximum.reduceat(values[order], starts)
        values = values.copy()
        values[kept] = merged
    kept = np.sort(kept)
    return (
        users[kept],
        items[kept],
        None if values is None else values[kept],
        None if times is None else times[kept],
    )
