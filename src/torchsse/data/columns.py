"""Which column is the user, the item, the rating, the timestamp: by name, by position, or by the usual words."""

from __future__ import annotations

import re

from torchsse.errors import DataError

__all__ = ["WORDS", "find_column", "is_number", "looks_like_header", "missing_role", "role_column"]

_USER = """
    user userid uid useridx reviewer reviewerid customer customerid member memberid account accountid visitor
    visitorid person personid profile profileid reader readerid listener listenerid session sessionid username
    userno u"""
_ITEM = """item itemid iid itemidx movie movieid mid film filmid product productid parentasin asin sku article articleid
    book bookid isbn song songid track trackid artist artistid album albumid business businessid restaurant restaurantid
    poi poiid place placeid venue venueid location locationid loc locid game gameid anime animeid recipe recipeid joke
    jokeid news newsid content contentid show showid video videoid itemno i"""
_RATING = "rating ratings score scores stars star overall reviewscore userrating ratingscore preference grade vote r"
_TIMESTAMP = """timestamp unixreviewtime unixtimestamp unixtime unix ts time datetime date ratedat createdat eventtime
    ratingtimestamp ratingtime ratingdate reviewtime reviewdate t"""

#: The usual names of a role, the surer first, written without case, blanks, "_", "-", "." and RecBole's ":type".
WORDS: dict[str, list[str]] = {
    "user": _USER.split(),
    "item": _ITEM.split(),
    "rating": _RATING.split(),
    "timestamp": _TIMESTAMP.split(),
}

_NUMBER = re.compile(r"\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\s*\Z")


def is_number(cell: str) -> bool:
    """Written as a finite decimal number."""
    return _NUMBER.match(cell) is not None


def looks_like_header(cells: list[str]) -> bool:
    """A header is a first line without any number; one that holds a number is data.

    >>> looks_like_header(["userId", "movieId"]), looks_like_header(["USER_894", "LOC_1186", "1.0"])
    (True, False)
    """
    return not any(is_number(cell) for cell in cells)


def _plain(name: str) -> str:
    """A name without case, type suffix and separators: "User_ID:token" is "userid"."""
    return re.sub(r"[\s_\-.]+", "", name.split(":")[0]).lower()


def find_column(asked: str | int, names: list[str] | None, width: int, what: str, source: str) -> int:
    """The position of the column that the caller asked for by name or 0-based position.

    Without a header a position may be given as text too, as a command line does.
    """
    if isinstance(asked, bool) or not isinstance(asked, (str, int)):
        raise DataError(f"{source}: {what} column: expected a name or a 0-based position, got {asked!r}")
    if isinstance(asked, int):
        if not 0 <= asked < width:
            raise DataError(f"{source}: {what} column: expected a position from 0 to {width - 1}, got {asked}")
        return asked
    if names is None and asked.isdecimal():
        return find_column(int(asked), names, width, what, source)
    if names is None:
        raise DataError(
            f"{source}: {what} column {asked!r} cannot be found by name: the first line holds numbers, so the file "
            f"has no header; give a position from 0 to {width - 1}"
        )
    for same in (lambda n: n == asked, lambda n: n.strip() == asked.strip(), lambda n: _plain(n) == _plain(asked)):
        matches = [i for i, name in enumerate(names) if same(name)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise DataError(f"{source}: {what} column {asked!r} is ambiguous: the columns are {_list(names)}")
    raise DataError(f"{source}: there is no {what} column {asked!r}: the columns are {_list(names)}")


def role_column(role: str, names: list[str], taken: set[int]) -> int | None:
    """The column whose name is the surest word for the role, or None."""
    plain = [_plain(name) for name in names]
    for word in WORDS[role]:
        for i, name in enumerate(plain):
            if name == word and i not in taken:
                return i
    return None


def missing_role(role: str, names: list[str], source: str) -> DataError:
    """The error for a header without the user or the item."""
    return DataError(
        f"{source}: no column of the header is called like the {role} ({', '.join(WORDS[role][:4])}, ...); the columns "
        f"are {_list(names)}. Give {role}= by name or position, or header=False if the first line is data (on the "
        f"command line --{role}-column, --no-header)"
    )


def _list(names: list[str]) -> str:
    shown = ", ".join(repr(n) for n in names[:20])
    return shown + (f" and {len(names) - 20} more" if len(names) > 20 else "")
