"""MovieLens: u.data (100K), ratings.dat (1M, 10M) and ratings.csv (20M, 25M, 32M, latest)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from torchsse.data.formats.base import Format, Head, Table, named
from torchsse.data.formats.separated import open_separated

__all__ = ["MOVIELENS_100K", "MOVIELENS_CSV", "MOVIELENS_DAT"]

_COLUMNS = ("user", "item", "rating", "timestamp")
_HEADER = ("userId", "movieId", "rating", "timestamp")
_TABS = re.compile(r"\d+\t\d+\t[1-5]\t\d+\s*\Z")
_NAMES_100K = re.compile(r"u\.data|u[1-5ab]\.(?:base|test)")
_COLONS = re.compile(r"\d+::\d+::\d(?:\.\d)?::\d+\s*\Z")
_COMMAS = re.compile(r"\d+,\d+,\d(?:\.\d)?,\d+\s*\Z")


def _matches_100k(head: Head) -> bool:
    return _NAMES_100K.fullmatch(head.name) is not None and head.all(_TABS.match)


def _matches_dat(head: Head) -> bool:
    return head.name == "ratings.dat" and head.all(_COLONS.match)


def _matches_csv(head: Head) -> bool:
    if head.name != "ratings.csv" or len(head.lines) < 2:
        return False
    return head.lines[0].strip() == ",".join(_HEADER) and all(map(_COMMAS.match, head.lines[1:]))


def _open_100k(paths: Sequence[Path], encoding: str) -> Table:
    return open_separated(paths, "\t", (4,), _COLUMNS, encoding, integer_ids=True)


def _open_dat(paths: Sequence[Path], encoding: str) -> Table:
    return open_separated(paths, "::", (4,), _COLUMNS, encoding, integer_ids=True)


def _open_csv(paths: Sequence[Path], encoding: str) -> Table:
    return open_separated(paths, ",", (4,), _COLUMNS, encoding, header=_HEADER, integer_ids=True)


MOVIELENS_100K = Format(
    name="movielens-100k",
    title="MovieLens 100K: u.data, and its splits u1.base, u1.test, ...",
    form="user<tab>item<tab>rating<tab>timestamp",
    matches=_matches_100k,
    open=_open_100k,
    members=lambda folder: named(folder, "u.data"),
)
MOVIELENS_DAT = Format(
    name="movielens-1m",
    title="MovieLens 1M and 10M: ratings.dat, half stars in 10M",
    form="user::item::rating::timestamp",
    matches=_matches_dat,
    open=_open_dat,
    members=lambda folder: named(folder, "ratings.dat"),
    aliases=("movielens-10m",),
)
MOVIELENS_CSV = Format(
    name="movielens-20m",
    title="MovieLens 20M, 25M, 32M and latest: ratings.csv",
    form="userId,movieId,rating,timestamp",
    matches=_matches_csv,
    open=_open_csv,
    members=lambda folder: named(folder, "ratings.csv"),
    aliases=("movielens-25m", "movielens-32m", "movielens-latest"),
)
