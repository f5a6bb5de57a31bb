"""LibRec's check-ins: ``USER_x LOC_y count``, as its Foursquare files have them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from torchsse.data.formats.base import Format, Head, Table
from torchsse.data.formats.separated import open_separated

__all__ = ["LIBREC_CHECKINS"]

_LINE = re.compile(r"USER_\w+[ \t]+LOC_\w+(?:[ \t]+\d+(?:\.\d+)?)?\s*\Z")


def _matches(head: Head) -> bool:
    return head.all(_LINE.match)


def _open(paths: Sequence[Path], encoding: str) -> Table:
    return open_separated(paths, " ", (2, 3), ("user", "item", "rating"), encoding, feedback="implicit")


LIBREC_CHECKINS = Format(
    name="foursquare-librec",
    title="LibRec's Foursquare: a user, a location and how often; implicit unless explicit counts are asked for",
    form="USER_894 LOC_5032 1.0",
    matches=_matches,
    open=_open,
)
