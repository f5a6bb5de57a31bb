"""Names for raw ids, so that people can read what is recommended."""

from __future__ import annotations

import csv
from pathlib import Path

from torchsse.data.text import load_bytes
from torchsse.errors import DataError

__all__ = ["read_titles"]

_SEPARATORS = ("::", "\t", ",", ";", "|")


def read_titles(path: str | Path) -> dict[str, str]:
    """id -> title from a file whose first two columns are that: CSV (quoted where needed), TSV, ``::``; gzip or plain.

    A first line whose id is "id", "item", "movie" or ends in "id" is a header. Text that is no UTF-8 is read as
    Latin-1, as MovieLens writes it. The first title of an id counts.

    Raises:
        DataError: the file is missing, no text, or a line has one column only.
    """
    file = Path(path)
    data = load_bytes(file)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    lines = text.splitlines()
    # the first that occurs: titles hold commas and colons
    separator = min((s for s in _SEPARATORS if s in lines[0]), key=lines[0].index, default=None)
    if separator is None:
        raise DataError(
            f"{file}, line 1: expected an id and a title with one of :: TAB , ; | between, got {lines[0]!r}"
        )
    if separator in ("::", "\t", "|"):  # these files hold bare quotes
        rows = [line.split(separator) for line in lines]
    else:
        try:
            rows = list(csv.reader(lines, delimiter=separator))
        except csv.Error as error:
            raise DataError(f"{file}: {error}") from None
    titles: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) < 2:
            raise DataError(f"{file}, line {number}: expected an id and a title, got {row[0][:80]!r}")
        name = row[0].strip()
        if number == 1 and (name.lower() in ("id", "item", "movie") or name.lower().endswith("id")):
            continue
        titles.setdefault(name, row[1].strip())
    return titles
