"""One user per line, ``user item item ...``: LightGCN's Gowalla, Yelp and Amazon-book, S3-Rec's sequences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.data.formats.base import ColumnSource, Format, Head, Roles, Table
from torchsse.data.ids import require_pyarrow
from torchsse.data.text import load_bytes
from torchsse.errors import ConfigError, DataError

__all__ = ["USER_LINES"]

_INTEGERS = re.compile(r"\s*\d+(?:[ \t]+\d+)*\s*\Z")
_AWKWARD = re.compile(rb"\d{19}|(?<!\d)0\d")  # beyond int64, or written as no integer is printed
_WIDEST_TABLE = 4  # user, item, rating, timestamp


def _matches(head: Head) -> bool:
    """Lines of integers of several lengths, some longer than any table of ratings, each of another user."""
    if not head.all(_INTEGERS.match):
        return False
    cells = [line.split() for line in head.lines]
    counts = [len(row) for row in cells]
    users = {row[0] for row in cells}
    return len(users) == len(cells) and len(set(counts)) > 1 and max(counts) > _WIDEST_TABLE


def _open(paths: Sequence[Path], encoding: str) -> Table:
    if len(paths) != 1:
        raise DataError(f"{paths[0].parent}: expected one file of user lines, got {len(paths)}")
    path = paths[0]
    data = load_bytes(path)
    counts, numbers = _count(data)
    plain = not data.translate(None, b"0123456789 \t\r\n") and not _AWKWARD.search(data)
    users, items = _integers(data, counts) if plain else _texts(path, data, counts, encoding)
    if not len(users):
        raise DataError(f"{path}: expected lines 'user item item ...', got users without any item")
    ends = np.cumsum(np.maximum(counts - 1, 0))

    def line(row: int) -> str:
        return f"{path}, line {numbers[int(np.searchsorted(ends, row, side='right'))]}"

    return Table(ColumnSource(str(path), ("user", "item"), (users, items), line), Roles(0, 1), "implicit")


def _count(data: bytes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Fields of every line that has any, and its number."""
    counts = np.array([len(line.split()) for line in data.splitlines()], dtype=np.int64)
    numbers = np.flatnonzero(counts > 0) + 1
    return counts[numbers - 1], numbers


def _integers(data: bytes, counts: npt.NDArray[np.int64]) -> tuple[Any, Any]:
    values = np.fromstring(data.decode(), dtype=np.int64, sep=" ")
    starts = np.cumsum(counts) - counts
    is_item = np.ones(len(values), dtype=bool)
    is_item[starts] = False
    return np.repeat(values[starts], counts - 1), values[is_item]


def _texts(path: Path, data: bytes, counts: npt.NDArray[np.int64], encoding: str) -> tuple[Any, Any]:
    pa = require_pyarrow()
    try:
        cells = data.decode(encoding).split()
    except LookupError:
        raise ConfigError(f"encoding: expected a text encoding that Python knows, got {encoding!r}") from None
    except UnicodeDecodeError as error:
        at = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {at}: not {encoding} text; give its encoding") from None
    if len(cells) != int(counts.sum()):
        raise DataError(f"{path}: expected fields separated by blanks, got other separators such as U+00A0")
    starts = (np.cumsum(counts) - counts).tolist()
    users: list[str] = []
    items: list[str] = []
    for start, count in zip(starts, counts.tolist()):
        users += [cells[start]] * (count - 1)
        items += cells[start + 1 : start + count]
    return (pa.array(column, type=pa.string()) for column in (users, items))  # type: ignore[return-value]


USER_LINES = Format(
    name="user-lines",
    title="one user per line (LightGCN's Gowalla, Yelp2018, Amazon-book; S3-Rec), the items in time order if the "
    "source says so",
    form="user item item ...",
    matches=_matches,
    open=_open,
    aliases=("lightgcn", "s3rec"),
)
