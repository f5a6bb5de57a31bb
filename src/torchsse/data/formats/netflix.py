"""Netflix Prize: training_set/mv_*.txt, one movie a file, or combined_data_*.txt; ``movie:``, then its ratings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from torchsse.data.formats.base import ColumnSource, Format, Head, Roles, Table
from torchsse.data.formats.blocks import BlockForm, read_blocks
from torchsse.data.ids import require_pyarrow

__all__ = ["NETFLIX"]

_HEAD = re.compile(r"\d+:\s*\Z")
_FILE = re.compile(r"(?:mv_\d+|combined_data_\d+)\.txt(?:\.gz)?", re.IGNORECASE)


def _matches(head: Head) -> bool:
    return bool(head.lines) and _HEAD.match(head.lines[0]) is not None


def _members(folder: Path) -> list[Path]:
    inner = folder / "training_set"
    for place in (folder, inner):
        if place.is_dir():
            found = sorted(p for p in place.iterdir() if p.is_file() and _FILE.fullmatch(p.name))
            if found:
                return found
    return []


def _open(paths: Sequence[Path], encoding: str) -> Table:
    pa = require_pyarrow()
    form = BlockForm(
        mark=b":",
        head=re.compile(rb"(\d{1,18}):"),
        row=re.compile(rb"\d{1,18},\d{1,2},\d{4}-\d\d-\d\d"),
        columns={"user": pa.int64(), "rating": pa.int8(), "date": pa.date32()},
        separator=",",
        words="'movie:' or 'user,rating,date' (probe and qualifying files hold no ratings)",
    )
    got = read_blocks(paths, form)
    source = str(paths[0]) if len(paths) == 1 else f"{paths[0].parent}"
    names = ("user", "item", "rating", "timestamp")
    columns = (got.columns["user"], got.heads, got.columns["rating"], got.columns["date"])
    return Table(ColumnSource(source, names, columns, got.line), Roles(0, 1, 2, 3), "explicit")


NETFLIX = Format(
    name="netflix",
    title="Netflix Prize: a folder of mv_*.txt or combined_data_*.txt, or one of these files",
    form="movie: / user,rating,date",
    matches=_matches,
    open=_open,
    members=_members,
)
