"""Douban in two published forms: ``uir.index`` (Ma et al., WSDM 2011) and the cleaned reviews (Zhu et al.)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from torchsse.data.formats.base import Format, Head, Roles, Table, named, peek
from torchsse.data.formats.separated import open_separated
from torchsse.data.text import TextTable
from torchsse.errors import DataError

__all__ = ["DOUBAN", "DOUBAN_REVIEWS"]

_TRIPLE = re.compile(r"\d+[ \t]+\d+[ \t]+\d+(?:\.\d+)?\s*\Z")
_REVIEWS = re.compile(r"(?:movie|book|music)reviews_cleaned\.txt")
_ITEMS = ("movie_id", "book_id", "music_id")


def _matches(head: Head) -> bool:
    return head.name == "uir.index" and head.all(_TRIPLE.match)


def _open(paths: Sequence[Path], encoding: str) -> Table:
    return open_separated(paths, " ", (3,), ("user", "item", "rating"), encoding, integer_ids=True)


def _matches_reviews(head: Head) -> bool:
    return _REVIEWS.fullmatch(head.name) is not None


def _open_reviews(paths: Sequence[Path], encoding: str) -> Table:
    """The columns by name, with or without quotes round the header: user_id, movie_id (...), rating, time."""
    if len(paths) > 1:
        raise DataError(f"{paths[0].parent}: holds {' and '.join(p.name for p in paths)}; name one of them")
    quoted = any(line.startswith('"') for line in peek(paths[0]).lines[:1])
    table = TextTable(paths[0], separator="\t", header=True, encoding=encoding, quoted=quoted)
    names = [name.lower() for name in table.names or []]
    item = next((name for name in _ITEMS if name in names), None)
    if item is None or not {"user_id", "rating"} <= set(names):
        wanted = "user_id, movie_id (or book_id, music_id), rating, ..."
        raise DataError(f"{paths[0]}, line {table.line}: expected a header with {wanted}, got {', '.join(names)}")
    time = names.index("time") if "time" in names else None
    roles = Roles(names.index("user_id"), names.index(item), names.index("rating"), time, frozenset({"timestamp"}))
    return Table(table, roles, "explicit")


DOUBAN = Format(
    name="douban",
    title="Douban of Ma et al.: uir.index (its social.index is an edge file)",
    form="user item rating",
    matches=_matches,
    open=_open,
    members=lambda folder: named(folder, "uir.index"),
)
DOUBAN_REVIEWS = Format(
    name="douban-reviews",
    title="Douban of Zhu et al.: moviereviews_cleaned.txt, bookreviews_cleaned.txt, musicreviews_cleaned.txt",
    form="user_id<tab>movie_id<tab>rating<tab>...",
    matches=_matches_reviews,
    open=_open_reviews,
    members=lambda folder: named(folder, *(f"{kind}reviews_cleaned.txt" for kind in ("movie", "book", "music"))),
)
