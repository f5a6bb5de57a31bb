"""Documents and labelled texts from files: one document per line, TSV or CSV, gzip or plain; tests are kept out."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torchsse.data.columns import find_column
from torchsse.data.text import load_lines
from torchsse.errors import DataError

__all__ = ["Corpus", "Labelled", "gather", "letters_and_digits", "read_documents", "read_labelled"]

TEXTS = ["text", "sentence", "review", "document", "content", "comment", "body", "phrase"]
LABELS = ["label", "labels", "class", "sentiment", "target", "category", "polarity"]

_TABLE = re.compile(r"\.(tsv|tab|csv)(\.gz)?\Z", re.IGNORECASE)

Column = str | int


@dataclass(frozen=True)
class Labelled:
    """Texts and their labels as written in the file, in its order.

    >>> Labelled(["good", "bad", "fine"], ["1", "0", "1"]).classes
    ['0', '1']
    """

    texts: Sequence[str]
    labels: Sequence[str]
    source: str = "the texts"

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.labels) or not len(self.texts):
            raise DataError(
                f"{self.source}: expected a label for every text and one text at least, "
                f"got {len(self.texts)} texts and {len(self.labels)} labels"
            )

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def classes(self) -> list[str]:
        """The distinct labels: in order of their numbers if all are integers, else of their letters."""
        found = sorted(set(self.labels))
        return sorted(found, key=int) if all(re.fullmatch(r"[-+]?\d{1,18}", label) for label in found) else found

    def head(self, n: int) -> Labelled:
        """The first n."""
        return Labelled(self.texts[:n], self.labels[:n], self.source)


@dataclass(frozen=True)
class Corpus:
    """Documents to train on, and how many were left out because a file to exclude holds them."""

    documents: list[str]
    read: int
    excluded: int


def gather(files: Iterable[str | Path], exclude: Iterable[str | Path] = (), column: Column | None = None) -> Corpus:
    """The documents of several files without those that occur in any file of `exclude`.

    A document is left out if it equals, blanks apart, a whole line or one field of a line of a file in `exclude`: these
    may be plain texts or the labelled tables of a test set.

    Args:
        files: see `read_documents`.
        exclude: test sets and whatever else must not be trained on.
        column: the texts in those of `files` that are tables.

    Raises:
        DataError: a file that cannot be read, or nothing is left.
    """
    found = [document for file in files for document in read_documents(file, column)]
    banned = {cell for file in exclude for cell in _cells(Path(file))}
    kept = [document for document in found if _plain(document) not in banned]
    if not kept:
        raise DataError(f"no documents are left to train on: all {len(found)} occur in the files to exclude")
    return Corpus(kept, len(found), len(found) - len(kept))


def letters_and_digits(text: str) -> str:
    """What texts are compared by where one may be tokenised or in lower case; a text without any stays as it is.

    >>> letters_and_digits("It 's late , he said ."), letters_and_digits("...")
    ('itslatehesaid', '...')
    """
    return re.sub(r"[\W_]+", "", text.casefold()) or text


def read_documents(path: str | Path, column: Column | None = None) -> list[str]:
    """Documents of a file: its lines, or a column of a table (.tsv, .tab, .csv; .gz too).

    Lines end at a line feed only: some texts hold other marks that Unicode counts as line ends. Blank ones are dropped.

    Args:
        path: gzip or plain, UTF-8.
        column: of a table, by name or 0-based position. Default: the one called text, sentence, review ..., or else the
            one with the longest texts.

    Raises:
        DataError: no such file or column, no text in it.
    """
    file = Path(path)
    if _TABLE.search(file.name) is None:
        found = [line for line in load_lines(file) if line.strip()]
    else:
        by_name = isinstance(column, str) and not column.isdecimal()
        names, rows = _table(file, header=True if by_name else None, labelled=False)
        if column is None:
            which = _named(names, TEXTS)
            which = _longest(rows) if which is None else which
        else:
            which = find_column(column, names, len(rows[0][1]), "text", str(file))
        found = [cells[which] for _, cells in rows if cells[which].strip()]
    if not found:
        raise DataError(f"{file}: the file holds no text")
    return found


def read_labelled(
    path: str | Path, text: Column | None = None, label: Column | None = None, header: bool | None = None
) -> Labelled:
    """Texts and labels of a TSV or CSV file, gzip or plain. In a TSV quotes are quotes.

    Args:
        path: the file; `.csv` is split at commas, `.tsv` at tabs, others at tabs if the first line holds one.
        text: its column, by name or 0-based position. Default: by the usual names, or else the longest.
        label: the same. Default: by the usual names; of two columns the other.
        header: None: the first line is a header if a column is asked for by name, or if it holds a usual name for the
            text and one for the label.

    Raises:
        DataError: no such file or column; a line with another number of fields, or with an empty label.
    """
    file, source = Path(path), str(path)
    by_name = any(isinstance(column, str) and not column.isdecimal() for column in (text, label))
    names, rows = _table(file, header=True if header is None and by_name else header)
    width = len(rows[0][1])
    if width < 2:
        raise DataError(f"{source}: expected columns of texts and labels, got lines without a tab or comma")
    if text is None:
        found = _named(names, TEXTS)
        where = _longest(rows) if found is None else found
    else:
        where = find_column(text, names, width, "text", source)
    if label is None:
        found = _named(names, LABELS)
        if found is None and width == 2:
            found = 1 - where
        if found is None:
            there = f"the columns {', '.join(names)}" if names else f"{width} columns without a header"
            raise DataError(f"{source}: which column is the label? Name it; the file has {there}")
        what = found
    else:
        what = find_column(label, names, width, "label", source)
    if what == where:
        raise DataError(f"{source}: text and label are the same column ({where})")
    for line, cells in rows:
        if not cells[what].strip():
            raise DataError(f"{source}, line {line}: expected a label in column {what}, got an empty field")
    return Labelled([cells[where] for _, cells in rows], [cells[what].strip() for _, cells in rows], source)


def _table(
    file: Path, header: bool | None, labelled: bool = True
) -> tuple[list[str] | None, list[tuple[int, list[str]]]]:
    """(names or None, [(line number, fields)]), all of one width."""
    rows = list(_rows(file))
    if not rows:
        raise DataError(f"{file}: the file holds no text")
    width = len(rows[0][1])
    for line, cells in rows:
        if len(cells) != width:
            raise DataError(f"{file}, line {line}: expected {width} fields as in the first line, got {len(cells)}")
    first = [cell.strip() for cell in rows[0][1]]
    if header is None:
        header = _named(first, TEXTS) is not None and (not labelled or _named(first, LABELS) is not None)
    if header and len(rows) == 1:
        raise DataError(f"{file}: the file holds a header and no data")
    return (first, rows[1:]) if header else (None, rows)


def _rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    lines = load_lines(file)
    if ".csv" not in (suffix.lower() for suffix in file.suffixes[-2:]) and (
        _TABLE.search(file.name) or "\t" in lines[0]
    ):
        yield from ((number, line.split("\t")) for number, line in enumerate(lines, 1) if line.strip())
        return
    reader = csv.reader(io.StringIO("\n".join(lines), newline=""))
    before = 1
    try:
        for cells in reader:
            if any(cells):
                yield before, cells
            before = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{file}, line {before}: {error}") from None


def _cells(file: Path) -> Iterator[str]:
    """Every line of a file and every field of its lines, blanks made single."""
    for line in load_lines(file):
        yield _plain(line)
        yield from map(_plain, line.split("\t") if "\t" in line else ())
    if _TABLE.search(file.name) is not None:
        yield from (_plain(cell) for _, cells in _rows(file) for cell in cells)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _named(names: Sequence[str] | None, words: Sequence[str]) -> int | None:
    """The column whose name is the surest of the words."""
    lower = [name.strip().lower() for name in names or ()]
    return next((lower.index(word) for word in words if word in lower), None)


def _longest(rows: Sequence[tuple[int, list[str]]]) -> int:
    sums = [sum(map(len, column)) for column in zip(*(cells for _, cells in rows[:1000]))]
    return sums.index(max(sums))
