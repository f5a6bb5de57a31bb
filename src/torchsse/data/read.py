"""Ratings from files and tables."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

from torchsse.data.build import Times, check_words, finish
from torchsse.data.columns import find_column, is_number, missing_role, role_column
from torchsse.data.convert import ids_from_arrow, numbers_from_arrow, times_from_arrow
from torchsse.data.formats import Table, detect, format_named, open_format
from torchsse.data.formats.base import Roles
from torchsse.data.ids import require_pyarrow
from torchsse.data.ratings import Duplicates, Feedback, Ratings
from torchsse.data.source import Source, arrow_table, open_source
from torchsse.data.text import TextTable
from torchsse.errors import ConfigError, DataError, TorchsseWarning

__all__ = ["as_ratings", "ratings_from_table", "read_ratings"]

_DATE = re.compile(r"\s*\d{4}-\d\d-\d\d")
_ROLES = ("user", "item", "rating", "timestamp")


def read_ratings(
    path: str | Path,
    *,
    format: str | None = None,
    user: str | int | None = None,
    item: str | int | None = None,
    rating: str | int | None = None,
    timestamp: str | int | None = None,
    duplicates: Duplicates = "last",
    feedback: Feedback | None = None,
    like: Ratings | None = None,
    separator: str | None = None,
    header: bool | None = None,
    encoding: str = "utf-8",
) -> Ratings:
    """Read ratings from CSV, TSV, ``::``- or blank-separated text (plain or gzip), Parquet, or a published format.

    Args:
        path: the file, or the folder of a data set as it is published. Gzip and Parquet are known by their content.
            Leading lines that begin with # or % are skipped.
        format: a published format (`torchsse.data.formats.FORMATS`): ``"movielens-1m"``, ``"netflix"``,
            ``"user-lines"``, ... None: it is found by name and content where that is safe, and any other file is read
            by its separators and columns, as is every file for which a column, a separator or `header` is given.
        user: the column of user ids by name (case, blanks and underscores do not matter) or by 0-based position.
            None: with a header, the column with one of the role's usual names (``user_id``, ``uid``, ...,
            RecBole's ``user_id:token``); without one, the columns are user, item, rating, timestamp.
        item: the same for items (``item``, ``movieId``, ``product_id``, ``asin``, ...).
        rating: the same for ratings (``rating``, ``score``, ``stars``, ...); there may be none.
        timestamp: the same for times (``timestamp``, ``date``, ``unixReviewTime``, ...), numbers or ISO dates, or
            empty where unknown. Without a header the fourth column, if it holds a number or a date. Times that
            were not asked for and cannot be read are left out with a warning.
        duplicates: which of several rows for one (user, item) pair counts: ``"last"`` (by timestamp if every row has
            one, ties and else by the order of the file), ``"first"`` in the file, the ``"mean"`` or ``"max"`` of their
            ratings, or ``"error"``; ``"keep"`` keeps them all, as sequences need. What is dropped is reported by a
            `TorchsseWarning` with the number of rows and an example.
        feedback: ``"implicit"`` ignores the ratings, ``"explicit"`` keeps them. None: the kind of `like`; without
            it implicit if there is no rating column or all ratings are equal.
        like: a train set. Its id maps are extended at the end by ids that are new here, so that codes agree; new
            (cold) users and items have codes from ``like.num_users`` and ``like.num_items`` on.
        separator: one of ``::``, tab, comma, semicolon, ``|``, blank (any run of blanks and tabs), or another single
            character; None finds it from the first 100 lines. Quotes count with comma, semicolon and ``|`` only.
        header: whether the first line is a header. None: it is if none of its fields is a number.
        encoding: of the text.

    Returns:
        Ratings in the order of the file. Ids of a column of integers are int64, else text; in text files one id such
        as ``007`` or one beyond 64 bits makes the column text, so nothing is merged. Codes follow the sorted ids.

    Raises:
        DataError: the file is missing, empty, damaged, binary or in another encoding; a column is missing; a rating
            is not a finite number; an id is missing; a line has too few or too many fields. The message names file
            and line, counted from 1 as an editor does.
        ConfigError: an option has no such value.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "ratings.dat")
    ...     _ = file.write_text("1::1193::5::978300760\\n1::661::3::978302109\\n2::1193::4::978298413\\n")
    ...     read_ratings(file)
    Ratings(3 explicit, 2 users, 2 items, range 3 to 5)
    """
    check_words(duplicates, feedback)
    table = _open(
        Path(path),
        format,
        {"user": user, "item": item, "rating": rating, "timestamp": timestamp},
        {"separator": separator, "header": header},
        encoding,
    )
    if feedback is None and like is None:
        feedback = table.feedback
    return _read(table, duplicates, feedback, like, text_file=True)


def ratings_from_table(
    table: Any,
    *,
    user: str | int | None = None,
    item: str | int | None = None,
    rating: str | int | None = None,
    timestamp: str | int | None = None,
    duplicates: Duplicates = "last",
    feedback: Feedback | None = None,
    like: Ratings | None = None,
) -> Ratings:
    """`Ratings.from_table`: a pandas, polars or Arrow table or a dict of columns; keywords as for `read_ratings`.

    Ids keep their type: text that looks like integers stays text. Columns named 0, 1, ... count as unnamed.

    >>> ratings_from_table({"userId": ["a", "b"], "movieId": [1, 1], "stars": [4.5, 3]})
    Ratings(2 explicit, 2 users, 1 items, range 3 to 4.5)
    """
    check_words(duplicates, feedback)
    source = arrow_table(table)
    asked = {"user": user, "item": item, "rating": rating, "timestamp": timestamp}
    return _read(Table(source, _choose(source, asked)), duplicates, feedback, like, text_file=False)


def as_ratings(data: Any, **keywords: Any) -> Ratings:
    """Ratings from whatever holds them.

    Args:
        data: `Ratings` (returned as they are), a path, a scipy sparse matrix (rows are users), a tuple of columns
            (users, items[, ratings[, timestamps]]) of raw ids, or a table as in `ratings_from_table`.
        **keywords: as for `read_ratings`; for a sparse matrix and a tuple those that make sense there.

    Raises:
        DataError: `data` is none of these, or holds no ratings.

    >>> as_ratings(([1, 1, 2], [5, 6, 5]))
    Ratings(3 implicit, 2 users, 2 items)
    """
    if isinstance(data, Ratings):
        like = keywords.pop("like", None)
        if keywords:
            raise DataError(f"as_ratings: {', '.join(keywords)} cannot be applied to Ratings that exist already")
        return data if like is None else data.aligned(like)
    if isinstance(data, (str, Path)):
        return read_ratings(data, **keywords)
    if isinstance(data, (tuple, list)):
        if not 2 <= len(data) <= 4:
            raise DataError(f"expected columns (users, items[, ratings[, timestamps]]), got {len(data)} of them")
        return Ratings.from_arrays(*data, **keywords)
    if type(data).__module__.startswith("scipy.sparse"):
        return Ratings.from_csr(data, **keywords)
    return ratings_from_table(data, **keywords)


def _open(
    path: Path, format: str | None, columns: dict[str, str | int | None], layout: dict[str, Any], encoding: str
) -> Table:
    """The published format asked for or found, else text or Parquet with columns found one by one."""
    given = [name for name, value in (columns | layout).items() if value is not None]
    if format is not None:
        known = format_named(format)
        if given:
            raise ConfigError(f"{', '.join(given)}: the format {known.name} fixes the columns; give one or the other")
        return open_format(path, known, encoding)
    found = None if given else detect(path)
    if found is not None:
        return open_format(path, found, encoding)
    source = open_source(path, **layout, encoding=encoding)
    chosen = _choose(source, columns)
    if isinstance(source, TextTable) and source.names is not None and source.doubtful:
        _doubt(source, source.names, columns)
    return Table(source, chosen)


def _doubt(source: TextTable, names: list[str], columns: dict[str, str | int | None]) -> None:
    """A warning where nothing but the lack of a number says that the first line is a header: it may be data."""
    by_name = any(isinstance(column, str) for column in columns.values())
    if not by_name and all(role_column(role, names, set()) is None for role in _ROLES):
        warnings.warn(
            f"{source.source}: the first line ({', '.join(names[:4])}) holds no number and was taken for a header; if "
            "it is data, give header=False (on the command line --no-header)",
            TorchsseWarning,
            stacklevel=4,
        )


def _read(
    table: Table, duplicates: Duplicates, feedback: Feedback | None, like: Ratings | None, *, text_file: bool
) -> Ratings:
    pa = require_pyarrow()
    source, chosen = table.source, table.roles
    implicit = feedback == "implicit" or (feedback is None and like is not None and like.feedback == "implicit")
    wanted = [chosen.user, chosen.item]
    types = [pa.int64() if table.integer_ids else pa.dictionary(pa.int32(), pa.string())] * 2
    if chosen.rating is not None and not implicit:
        wanted.append(chosen.rating)
        types.append(pa.float64())
    if chosen.timestamp is not None:
        wanted.append(chosen.timestamp)
        types.append(None)
    columns = dict(zip(wanted, source.read(wanted, types)))
    # each column goes as soon as it is not needed any more: tables of ratings may be large
    user_ids, users = ids_from_arrow(
        columns.pop(chosen.user), source.title(chosen.user), source.where, text_file=text_file
    )
    item_ids, items = ids_from_arrow(
        columns.pop(chosen.item), source.title(chosen.item), source.where, text_file=text_file
    )
    ratings = None
    if chosen.rating is not None and not implicit:
        ratings = numbers_from_arrow(columns.pop(chosen.rating), source.title(chosen.rating), source.where)
    return finish(
        user_ids,
        users,
        item_ids,
        items,
        ratings,
        _times(source, chosen, columns),
        duplicates=duplicates,
        feedback=feedback,
        like=like,
        where=source.where,
        source=source.source,
    )


def _times(source: Source, chosen: Roles, columns: dict[int, Any]) -> Times | None:
    if chosen.timestamp is None:
        return None
    try:
        return times_from_arrow(columns[chosen.timestamp], source.title(chosen.timestamp), source.where)
    except DataError as error:
        if "timestamp" not in chosen.guessed:
            raise
        warnings.warn(
            f"timestamps are left out: {error}. Give timestamp= to take another column",
            TorchsseWarning,
            stacklevel=4,
        )
        return None


def _choose(source: Source, asked: dict[str, str | int | None]) -> Roles:
    """Positions of the four roles: what the caller asked for, then names, then the order of a headerless file."""
    position: dict[str, int] = {}
    for role, column in asked.items():
        if column is not None:
            position[role] = find_column(column, source.names, source.width, role, source.source)
    for role in _ROLES:
        for other in _ROLES:
            if role < other and role in position and position.get(other) == position[role]:
                raise DataError(f"{source.source}: {role} and {other} cannot both be {source.title(position[role])}")
    given = set(position)
    for order, role in enumerate(_ROLES):
        if role in position:
            continue
        taken = set(position.values())
        if source.names is not None:
            found = role_column(role, source.names, taken)
            if found is None and role in ("user", "item"):
                raise missing_role(role, source.names, source.source)
        else:
            found = order if order < source.width and order not in taken else None
            if found is None and role in ("user", "item"):
                raise DataError(
                    f"{source.source}: without a header the columns are user, item, rating, timestamp; there is no "
                    f"column left for the {role}: give {role}= by position"
                )
            if role == "timestamp" and found is not None and not _timelike(source.first[found]):
                found = None
        if found is not None:
            position[role] = found
    return Roles(
        position["user"],
        position["item"],
        position.get("rating"),
        position.get("timestamp"),
        frozenset(set(_ROLES) - given),
    )


def _timelike(cell: str) -> bool:
    return is_number(cell) or _DATE.match(cell) is not None
