"""Yahoo! Music in KDD Cup 2011: trainIdx1.txt, trainIdx2.txt and the validation files; ``user|n``, then n rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from torchsse.data.formats.base import ColumnSource, Format, Head, Roles, Table, named, peek
from torchsse.data.formats.blocks import BlockForm, read_blocks
from torchsse.data.ids import require_pyarrow

__all__ = ["KDD_CUP_2011"]

_HEAD = re.compile(r"\d+\|\d+\s*\Z")
_DAY = 86_400


def _matches(head: Head) -> bool:
    return bool(head.lines) and _HEAD.match(head.lines[0]) is not None


def _open(paths: Sequence[Path], encoding: str) -> Table:
    """Track 1 has day and time of each rating; track 2 only scores. Test files hold no scores and are refused."""
    pa = require_pyarrow()
    rows = [line for line in peek(paths[0]).lines if not _HEAD.match(line)]
    timed = not rows or len(rows[0].split("\t")) > 2
    head, words = re.compile(rb"(\d{1,18})\|(\d{1,18})"), "'user|n' or 'item<tab>score"
    columns = {"item": pa.int64(), "score": pa.int16()}
    row = rb"\d{1,18}\t\d{1,3}"
    if timed:
        columns |= {"day": pa.int32(), "time": pa.time32("s")}
        row, words = row + rb"\t\d{1,6}\t\d\d:\d\d:\d\d", words + "<tab>day<tab>hh:mm:ss"
    form = BlockForm(b"|", head, re.compile(row), columns, "\t", words + "'", counted=True)
    got = read_blocks(paths, form)
    names, values = ["user", "item", "rating"], [got.heads, got.columns["item"], got.columns["score"]]
    if timed:
        seconds = got.columns["time"].cast(pa.int32()).to_numpy().astype(np.int64)
        names.append("timestamp")
        values.append(got.columns["day"].to_numpy().astype(np.int64) * _DAY + seconds)
    roles = Roles(0, 1, 2, 3 if timed else None)
    return Table(ColumnSource(str(paths[0]), names, values, got.line), roles, "explicit")


KDD_CUP_2011 = Format(
    name="kddcup2011",
    title="Yahoo! Music of KDD Cup 2011: trainIdx1.txt (with times, counted in seconds from day 0) or trainIdx2.txt",
    form="user|n / item<tab>score<tab>day<tab>time",
    matches=_matches,
    open=_open,
    members=lambda folder: named(folder, "trainIdx1.txt") or named(folder, "trainIdx2.txt"),
)
