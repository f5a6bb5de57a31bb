"""Gowalla (and Brightkite) check-ins as SNAP publishes them: user, ISO time, latitude, longitude, location."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from torchsse.data.formats.base import Format, Head, Table, named
from torchsse.data.formats.separated import open_separated

__all__ = ["GOWALLA"]

_COLUMNS = ("user", "timestamp", "latitude", "longitude", "item")
_LINE = re.compile(r"\d+\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\t-?[\d.eE-]+\t-?[\d.eE-]+\t\w+\s*\Z")


def _matches(head: Head) -> bool:
    return head.all(_LINE.match)


def _open(paths: Sequence[Path], encoding: str) -> Table:
    return open_separated(paths, "\t", (5,), _COLUMNS, encoding, feedback="implicit")


GOWALLA = Format(
    name="gowalla",
    title="Gowalla and Brightkite check-ins (SNAP): loc-gowalla_totalCheckins.txt",
    form="user<tab>2010-10-19T23:55:27Z<tab>latitude<tab>longitude<tab>location",
    matches=_matches,
    open=_open,
    members=lambda folder: named(folder, "loc-gowalla_totalCheckins.txt"),
    aliases=("snap-checkins",),
)
