"""Yahoo! Music from Webscope: R1 (artists, 0 to 100), R2 (songs, 1 to 5) and R3 (songs, 1 to 5); user, item, rating."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torchsse.data.formats.base import Format, Head, Table
from torchsse.data.formats.separated import Derived, open_separated
from torchsse.data.ids import require_pyarrow
from torchsse.errors import TorchsseWarning

__all__ = ["YAHOO_MUSIC"]

_LINE = re.compile(r"\d+\t\d+\t\d+\s*\Z")
_PARTS = re.compile(r"train_\d+\.txt(?:\.gz)?", re.IGNORECASE)
_NEVER = 255.0


def _matches(head: Head) -> bool:
    return head.name.startswith("ydata-ymusic-") and head.all(_LINE.match)


def _members(folder: Path) -> list[Path]:
    ratings = sorted(folder.glob("ydata-ymusic-user-artist-ratings-*.txt*"))
    return ratings[:1] or sorted(p for p in folder.iterdir() if p.is_file() and _PARTS.fullmatch(p.name))


def _open(paths: Sequence[Path], encoding: str) -> Table:
    table = open_separated(paths, "\t", (3,), ("user", "item", "rating"), encoding, integer_ids=True)
    source = Derived(table.source, {2: (require_pyarrow().float64(), _never_again)})
    return Table(source, table.roles, "explicit", integer_ids=True)


def _never_again(column: Any, source: Derived) -> Any:
    pa = require_pyarrow()
    values = column.to_numpy()
    marked = values == _NEVER
    if not marked.any():
        return column
    warnings.warn(
        f"{source.source}: {int(marked.sum()):,} of {len(values):,} ratings are 255, Yahoo's mark for 'never play "
        "again'; they count as 0",
        TorchsseWarning,
        stacklevel=5,
    )
    values = values.copy()
    values[marked] = 0.0
    return pa.chunked_array([pa.array(values)])


YAHOO_MUSIC = Format(
    name="yahoo-music",
    title="Yahoo! Music R1, R2, R3 (Webscope): tab-separated; a folder of train_*.txt is read as one (R2)",
    form="user<tab>item<tab>rating",
    matches=_matches,
    open=_open,
    members=_members,
)
