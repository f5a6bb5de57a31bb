"""Published formats of rating data: known by name and content where that is safe, or named by ``format=``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torchsse.data.formats.base import Format, Table, peek
from torchsse.data.formats.douban import DOUBAN, DOUBAN_REVIEWS
from torchsse.data.formats.foursquare import FOURSQUARE
from torchsse.data.formats.gowalla import GOWALLA
from torchsse.data.formats.kddcup import KDD_CUP_2011
from torchsse.data.formats.librec import LIBREC_CHECKINS
from torchsse.data.formats.movielens import MOVIELENS_100K, MOVIELENS_CSV, MOVIELENS_DAT
from torchsse.data.formats.netflix import NETFLIX
from torchsse.data.formats.user_lines import USER_LINES
from torchsse.data.formats.yahoo import YAHOO_MUSIC
from torchsse.errors import ConfigError, DataError

__all__ = ["FORMATS", "Format", "Table", "detect", "format_named", "open_format"]

FORMATS: tuple[Format, ...] = (
    MOVIELENS_100K,
    MOVIELENS_DAT,
    MOVIELENS_CSV,
    NETFLIX,
    DOUBAN,
    DOUBAN_REVIEWS,
    YAHOO_MUSIC,
    KDD_CUP_2011,
    FOURSQUARE,
    LIBREC_CHECKINS,
    GOWALLA,
    USER_LINES,
)
"""Every format, in the order in which lists show them."""


def format_named(name: str) -> Format:
    """The format of that name or alias; `ConfigError` lists all names."""
    for known in FORMATS:
        if name == known.name or name in known.aliases:
            return known
    names = ", ".join(f.name + (f" ({', '.join(f.aliases)})" if f.aliases else "") for f in FORMATS)
    raise ConfigError(f"format: expected one of {names}, got {name!r}")


def detect(path: Path) -> Format | None:
    """The published format of a file or folder; None for a file that is read by its separators and columns.

    Raises:
        DataError: several formats fit, or a folder holds files of none.
    """
    if path.is_dir():
        found = [known for known in FORMATS if known.members(path)]
        if not found:
            files = sorted(p.name for p in path.iterdir())
            shown = ", ".join(files[:6]) + (f" and {len(files) - 6} more" if len(files) > 6 else "") or "nothing"
            raise DataError(
                f"{path}: expected a file, got a directory without rating files of a known format (it holds {shown}); "
                "name the file"
            )
    else:
        head = peek(path)
        found = [known for known in FORMATS if known.matches(head)]
    if len(found) > 1:
        names = ", ".join(f.name for f in found)
        raise DataError(f"{path}: several formats fit ({names}); name one of them as the format")
    return found[0] if found else None


def open_format(path: Path, format: Format, encoding: str = "utf-8") -> Table:
    """A file or folder in a format that is known."""
    paths: Sequence[Path] = [path]
    if path.is_dir():
        paths = format.members(path)
        if not paths:
            raise DataError(f"{path}: the directory holds no file of format {format.name}; name the file")
    return format.open(paths, encoding)
