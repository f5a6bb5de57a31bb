"""Users and items beside the ratings: MovieLens' users.dat and u.user, movies.dat, u.item and movies.csv."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from torchsse.data.edges import AttributeTable
from torchsse.data.ids import CANONICAL_INTEGER, IdColumn, id_column
from torchsse.data.text import load_bytes
from torchsse.errors import ConfigError, DataError

__all__ = ["AGE_BANDS", "ItemTable", "UserTable", "read_items", "read_users", "user_groups"]

#: The first ages of MovieLens-1M's bands: under 18, 18-24, 25-34, 35-44, 45-49, 50-55, 56 and over.
AGE_BANDS = (1, 18, 25, 35, 45, 50, 56)
#: The flags at the end of a line of u.item, in their order.
_FLAGS_100K = """unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy Film-Noir Horror
    Musical Mystery Romance Sci-Fi Thriller War Western"""
_GENRES_100K = _FLAGS_100K.split()
_YEAR = re.compile(r"\((\d{4})(?:[-–]\d{0,4})?\)\s*\Z")


@dataclass(frozen=True, eq=False, repr=False)
class UserTable:
    """Users and what is known about them.

    Args:
        ids: raw ids, shape (n,).
        gender: ``"F"`` or ``"M"``.
        age: in years; in MovieLens-1M the first age of a band of `AGE_BANDS`.
        occupation: a code or a word, as the file has it.
    """

    ids: IdColumn
    gender: tuple[str, ...]
    age: tuple[int, ...]
    occupation: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"UserTable({len(self)} users)"


@dataclass(frozen=True, eq=False, repr=False)
class ItemTable:
    """Items with title, year and genres.

    Args:
        ids: raw ids, shape (n,).
        titles: as the file has them, the year included.
        years: from the end of the title, or None.
        genres: of each item; empty if none are known.
    """

    ids: IdColumn
    titles: tuple[str, ...]
    years: tuple[int | None, ...]
    genres: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"ItemTable({len(self)} items)"

    def genre_table(self) -> AttributeTable:
        """Item and genre, one pair a row: for a graph of shared genres."""
        counts = [len(g) for g in self.genres]
        return AttributeTable(np.repeat(self.ids, counts), np.array([g for row in self.genres for g in row], object))


def read_users(path: str | Path, *, encoding: str | None = None) -> UserTable:
    """Read MovieLens' users: ``users.dat`` (1M: id::gender::age::occupation::zip) or ``u.user`` (100K).

    Args:
        path: plain or gzip. Which of the two forms it is, the separator says.
        encoding: None: UTF-8 if it is that, else latin-1.

    Raises:
        DataError: another form; the message names the line.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "users.dat")
    ...     _ = file.write_text("7::F::25::3::00000\\n8::M::56::16::00000\\n")
    ...     users = read_users(file)
    >>> users.ids.tolist(), users.gender, users.age, users.occupation
    ([7, 8], ('F', 'M'), (25, 56), ('3', '16'))
    """
    file, lines = _lines(path, encoding)
    double = "::" in lines[0][1]
    form, where = ("id::gender::age::occupation::zip", (1, 2)) if double else ("id|age|gender|occupation|zip", (2, 1))
    ids, genders, ages, occupations = [], [], [], []
    for number, line in lines:
        cells = [cell.strip() for cell in line.split("::" if double else "|")]
        if len(cells) != 5:
            raise DataError(f"{file}, line {number}: expected {form}, got {_short(line)}")
        gender, age = cells[where[0]], cells[where[1]]
        if gender not in ("F", "M"):
            raise DataError(f"{file}, line {number}: expected the gender F or M in {form}, got {gender!r}")
        if not age.isdecimal():
            raise DataError(f"{file}, line {number}: expected an age in years in {form}, got {age!r}")
        ids.append(cells[0])
        genders.append(gender)
        ages.append(int(age))
        occupations.append(cells[3])
    return UserTable(_ids(ids, file), tuple(genders), tuple(ages), tuple(occupations))


def user_groups(users: UserTable, by: Sequence[str] = ("gender", "age", "occupation")) -> AttributeTable:
    """The group of each user: for a graph that links users of the same gender, age band and occupation.

    Args:
        users: from `read_users`.
        by: any of gender, age (its band of `AGE_BANDS`) and occupation; users that agree in all of them are a group.

    Returns:
        user and group, one row each: `AttributeTable.resolve` and `Graph.from_attributes` make the graph of it.

    Raises:
        ConfigError: `by` is empty or names something else.

    >>> users = UserTable(np.array([1, 2, 3]), ("F", "F", "M"), (18, 24, 18), ("4", "4", "4"))
    >>> user_groups(users).attributes_raw.tolist()
    ['F 18-24 4', 'F 18-24 4', 'M 18-24 4']
    >>> user_groups(users, ["occupation"]).attributes_raw.tolist()
    ['4', '4', '4']
    """
    columns: dict[str, list[str]] = {
        "gender": list(users.gender),
        "age": [_band(age) for age in users.age],
        "occupation": list(users.occupation),
    }
    wrong = [name for name in by if name not in columns]
    if wrong or not by or len(set(by)) != len(by):
        raise ConfigError(f"by: expected some of gender, age, occupation, each once, got {', '.join(by) or 'nothing'}")
    groups = [" ".join(cells) for cells in zip(*(columns[name] for name in by))]
    return AttributeTable(users.ids, np.array(groups, dtype=object))


def _band(age: int) -> str:
    at = int(np.searchsorted(AGE_BANDS, age, side="right")) - 1
    if at <= 0:
        return f"under {AGE_BANDS[1]}"
    return f"{AGE_BANDS[at]}-{AGE_BANDS[at + 1] - 1}" if at + 1 < len(AGE_BANDS) else f"{AGE_BANDS[at]}+"


def read_items(path: str | Path, *, encoding: str | None = None) -> ItemTable:
    """Read MovieLens' titles and genres: ``movies.dat`` (1M, 10M), ``u.item`` (100K), ``movies.csv`` (20M, 25M, 32M).

    Args:
        path: plain or gzip. Which of the three forms it is, the first line says.
        encoding: None: UTF-8 if it is that (10M, 20M and later), else latin-1 (100K and 1M).

    Raises:
        DataError: another form; the message names the line.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "movies.dat")
    ...     _ = file.write_bytes("1::Café Society (1999)::Comedy|Drama\\n".encode("latin-1"))
    ...     items = read_items(file)
    >>> items.ids.tolist(), items.titles, items.years, items.genres
    ([1], ('Café Society (1999)',), (1999,), (('Comedy', 'Drama'),))
    """
    file, lines = _lines(path, encoding)
    first = lines[0][1]
    if "::" in first:
        rows = [(n, _double_colon(file, n, line)) for n, line in lines]
    elif first.lower().replace(" ", "").startswith("movieid,title,genres"):
        rows = _movies_csv(file, lines)
    elif first.count("|") == 23:
        rows = [(n, _u_item(file, n, line)) for n, line in lines]
    else:
        raise DataError(
            f"{file}, line {lines[0][0]}: expected id::title::genres, the header movieId,title,genres or the 24 fields "
            f"of u.item, got {_short(first)}"
        )
    years = [_YEAR.search(title) for _, (_, title, _) in rows]
    return ItemTable(
        _ids([row[0] for _, row in rows], file),
        tuple(row[1] for _, row in rows),
        tuple(int(y[1]) if y else None for y in years),
        tuple(row[2] for _, row in rows),
    )


_Row = tuple[str, str, tuple[str, ...]]


def _genres(cell: str) -> tuple[str, ...]:
    return tuple(g for g in (part.strip() for part in cell.split("|")) if g and g != "(no genres listed)")


def _double_colon(file: Path, number: int, line: str) -> _Row:
    cells = line.split("::")
    if len(cells) < 3:
        raise DataError(f"{file}, line {number}: expected id::title::genres, got {_short(line)}")
    # a title may hold "::" itself
    return cells[0].strip(), "::".join(cells[1:-1]).strip(), _genres(cells[-1])


def _u_item(file: Path, number: int, line: str) -> _Row:
    cells = line.split("|")
    flags = cells[5:]
    if len(cells) != 24 or any(flag.strip() not in ("0", "1") for flag in flags):
        form = "id|title|release date|video date|URL|19 flags of 0 and 1"
        raise DataError(f"{file}, line {number}: expected {form}, got {_short(line)}")
    chosen = tuple(genre for genre, flag in zip(_GENRES_100K, flags) if flag.strip() == "1" and genre != "unknown")
    return cells[0].strip(), cells[1].strip(), chosen


def _movies_csv(file: Path, lines: list[tuple[int, str]]) -> list[tuple[int, _Row]]:
    reader = csv.reader(io.StringIO("\n".join(line for _, line in lines)))
    rows: list[tuple[int, _Row]] = []
    for at, cells in enumerate(reader):
        number = lines[min(reader.line_num, len(lines)) - 1][0]
        if at == 0:
            continue
        if len(cells) != 3:
            raise DataError(f"{file}, line {number}: expected movieId,title,genres, got {len(cells)} fields")
        rows.append((number, (cells[0].strip(), cells[1].strip(), _genres(cells[2]))))
    if not rows:
        raise DataError(f"{file}: the file holds a header and no data")
    return rows


def _lines(path: str | Path, encoding: str | None) -> tuple[Path, list[tuple[int, str]]]:
    file = Path(path)
    data = load_bytes(file)
    try:
        text = data.decode(encoding or "utf-8")
    except LookupError:
        raise ConfigError(f"encoding: expected a text encoding that Python knows, got {encoding!r}") from None
    except UnicodeDecodeError as error:
        if encoding is not None:
            at = data.count(b"\n", 0, error.start) + 1
            raise DataError(f"{file}, line {at}: not {encoding} text: {error.reason}") from None
        text = data.decode("latin-1")
    # \n only: latin-1 text may hold U+0085, at which str.splitlines would split
    lines = [(n, line.rstrip("\r")) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    return file, lines


def _ids(cells: list[str], file: Path) -> IdColumn:
    integers = all(CANONICAL_INTEGER.match(cell) for cell in cells)
    column = id_column([int(c) for c in cells] if integers else cells, str(file))
    if len(set(cells)) != len(cells):
        seen: set[str] = set()
        twice = next(c for c in cells if c in seen or seen.add(c))  # type: ignore[func-returns-value]
        raise DataError(f"{file}: the id {twice} occurs more than once")
    return column


def _short(line: str) -> str:
    return repr(line if len(line) <= 60 else line[:60] + "...")
