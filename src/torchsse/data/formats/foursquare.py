"""Foursquare check-ins in New York and Tokyo, TSMC 2014: eight fields, the venue second, the UTC time last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from torchsse.data.formats.base import Format, Head, Table
from torchsse.data.formats.separated import Derived, open_separated
from torchsse.data.ids import require_pyarrow
from torchsse.errors import DataError

__all__ = ["FOURSQUARE"]

_COLUMNS = ("user", "item", "category id", "category", "latitude", "longitude", "offset", "timestamp")
_TIME = "%a %b %d %H:%M:%S +0000 %Y"
_LINE = re.compile(
    r"[^\t]+\t[^\t]+\t[^\t]*\t[^\t]*\t-?[\d.]+\t-?[\d.]+\t-?\d+\t[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d "
    r"\+0000 \d{4}\s*\Z"
)


def _matches(head: Head) -> bool:
    return head.all(_LINE.match)


def _open(paths: Sequence[Path], encoding: str) -> Table:
    table = open_separated(paths, "\t", (8,), _COLUMNS, encoding, feedback="implicit")
    source = Derived(table.source, {7: (require_pyarrow().string(), _times)})
    return Table(source, table.roles, "implicit")


def _times(column: Any, source: Derived) -> Any:
    import pyarrow.compute as pc

    times = pc.strptime(column, format=_TIME, unit="s", error_is_null=True)
    if times.null_count:
        row = int(np.argmax(times.is_null().to_numpy()))
        got = column[row].as_py()
        raise DataError(f"{source.where(row)}: expected a UTC time such as Tue Apr 03 18:00:09 +0000 2012, got {got!r}")
    return times


def _members(folder: Path) -> list[Path]:
    found = sorted(p for p in folder.iterdir() if p.is_file() and p.name.lower().startswith("dataset_tsmc2014_"))
    if len(found) > 1:
        raise DataError(f"{folder}: holds {' and '.join(p.name for p in found)}; name the file of one city")
    return found


FOURSQUARE = Format(
    name="foursquare",
    title="Foursquare NYC and Tokyo (TSMC 2014): check-ins with venue and UTC time",
    form="user<tab>venue<tab>category id<tab>category<tab>lat<tab>lon<tab>offset<tab>UTC time",
    matches=_matches,
    open=_open,
    members=_members,
    aliases=("tsmc2014",),
)
