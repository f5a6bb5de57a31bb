"""Parallel text: pairs of files with a line per sentence, or TSV; and what is dropped from it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torchsse.data.text import load_lines
from torchsse.errors import ConfigError, DataError

__all__ = ["Corpus", "read_parallel", "without_overlap"]

Column = str | int

_TABLE = (".tsv", ".tsv.gz", ".txt.tsv")
_SOURCE, _TARGET = ("source", "src"), ("target", "tgt", "trg", "translation")
# A header names languages, or says source and target: nothing that a pair of sentences would.
_LANGUAGE = re.compile(r"[a-z]{2,3}([-_][A-Za-z]{2,4})?")
_PART = re.compile(r"(?P<path>.+)@(?P<column>[^=@/]+)=(?P<values>.+)", re.DOTALL)


@dataclass(frozen=True)
class Corpus:
    """Sentence pairs.

    Attributes:
        source, target: one line each, as written.
        groups: of each pair the value of the group column (which test set it is of), or None.
        dropped: pairs with an empty side, which were left out.
    """

    source: list[str]
    target: list[str]
    groups: list[str] | None = None
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.source)

    def rows(self, keep: Iterable[int]) -> Corpus:
        """The pairs at these positions."""
        rows = list(keep)
        groups = None if self.groups is None else [self.groups[row] for row in rows]
        return Corpus([self.source[row] for row in rows], [self.target[row] for row in rows], groups, self.dropped)

    def parts(self) -> dict[str, Corpus]:
        """Group -> its pairs, in the order of first appearance."""
        rows: dict[str, list[int]] = {}
        for row, group in enumerate(self.groups or [""] * len(self)):
            rows.setdefault(group, []).append(row)
        return {group: self.rows(own) for group, own in rows.items()}

    def sha256(self) -> str:
        """Of the text, pair by pair."""
        digest = hashlib.sha256()
        for pair in zip(self.source, self.target, strict=True):
            digest.update("\t".join(pair).encode() + b"\n")
        return digest.hexdigest()


def read_parallel(
    *paths: str | os.PathLike[str],
    source: Column | None = None,
    target: Column | None = None,
    group: str | None = None,
    keep_empty: bool = False,
) -> Corpus:
    """Read parallel text, plain or gzip, UTF-8; several files are put together.

    A name that ends in `.tsv` or `.tsv.gz` is a table. Other files hold one sentence a line and come in twos: source,
    target. Lines end at a line feed and nothing else, quotes are text. `FILE.tsv@set=train,val` takes the lines of a
    table whose column `set` says `train` or `val`.

    The first line of a table is a header if `source` or `target` or `@` name a column, or if its last two cells are
    language codes or say source and target. The columns are then those called source and target, else the last two;
    without a header the first two.

    Args:
        paths: files.
        source: column of tables by name, or by position from 0.
        target: the same.
        group: column that says what part of the data a pair is of; see `Corpus.parts`.
        keep_empty: keep pairs with an empty side (a test set is measured whole), instead of dropping them.

    Raises:
        DataError: a file is missing, damaged, no UTF-8, has no such column, a line with another number of cells; two
            files differ in their number of lines; there is no pair.
        ConfigError: an odd number of plain files, or one of two columns is named alone.
    """
    if (source is None) != (target is None):
        raise ConfigError("expected both columns to be named, source and target, or neither")
    corpora: list[Corpus] = []
    waiting: Path | None = None
    for name in (os.fspath(path) for path in paths):
        path, column, values = _part(name)
        if path.name.lower().endswith(_TABLE):
            if waiting is not None:
                break
            corpora.append(_read_table(path, source, target, column, values, group))
        elif column is not None:
            raise ConfigError(f"{name}: only a table (.tsv) has columns to choose by")
        elif waiting is None:
            waiting = path
        else:
            corpora.append(_read_pair(waiting, path))
            waiting = None
    if waiting is not None:
        raise ConfigError(
            f"{waiting}: expected a file with its translations after it, or a table whose name ends in .tsv"
        )
    if not corpora:
        raise ConfigError("expected one or more files of parallel text")
    grouped = group is not None and all(corpus.groups is not None for corpus in corpora)
    whole = Corpus(
        [line for corpus in corpora for line in corpus.source],
        [line for corpus in corpora for line in corpus.target],
        [name for corpus in corpora for name in corpus.groups or ()] if grouped else None,
    )
    full = [row for row, pair in enumerate(zip(whole.source, whole.target, strict=True)) if pair[0] and pair[1]]
    dropped = len(whole) - len(full)
    if dropped and not keep_empty:
        kept = whole.rows(full)
        whole = Corpus(kept.source, kept.target, kept.groups, dropped)
    if not len(whole):
        raise DataError(f"{', '.join(map(str, paths))}: no pair of sentences there")
    return whole


def without_overlap(corpus: Corpus, held_out: Sequence[Corpus], *, whole_pairs: bool = False) -> tuple[Corpus, int]:
    """Drop pairs that occur in held-out data, too: (what is left, how many were dropped).

    A pair goes if its source or its target is a held-out sentence, cases and blanks aside; with `whole_pairs` only if
    both are, in one pair.
    """
    if whole_pairs:
        pairs = {(_plain(s), _plain(t)) for other in held_out for s, t in zip(other.source, other.target, strict=True)}
        keep = [
            row
            for row, (s, t) in enumerate(zip(corpus.source, corpus.target, strict=True))
            if (_plain(s), _plain(t)) not in pairs
        ]
    else:
        sources = {_plain(line) for other in held_out for line in other.source}
        targets = {_plain(line) for other in held_out for line in other.target}
        keep = [
            row
            for row, (s, t) in enumerate(zip(corpus.source, corpus.target, strict=True))
            if _plain(s) not in sources and _plain(t) not in targets
        ]
    return corpus.rows(keep), len(corpus) - len(keep)


def _plain(line: str) -> str:
    return " ".join(line.casefold().split())


def _part(name: str) -> tuple[Path, str | None, tuple[str, ...]]:
    """`FILE@COLUMN=VALUE,VALUE` taken apart; a file whose very name looks so is that file."""
    found = _PART.fullmatch(name)
    if found is None or Path(name).exists():
        return Path(name), None, ()
    return Path(found["path"]), found["column"], tuple(found["values"].split(","))


def _read_pair(source: Path, target: Path) -> Corpus:
    left, right = ([line.strip() for line in load_lines(path)] for path in (source, target))
    if len(left) != len(right):
        raise DataError(f"{source} has {len(left)} lines, {target} {len(right)}: expected a translation for each line")
    return Corpus(left, right)


def _read_table(
    path: Path,
    source: Column | None,
    target: Column | None,
    column: str | None,
    values: tuple[str, ...],
    group: str | None,
) -> Corpus:
    lines = load_lines(path)
    first = [cell.strip() for cell in lines[0].split("\t")]
    if len(first) < 2:
        raise DataError(f"{path}, line 1: expected two or more cells separated by tabs, got one")
    named = isinstance(source, str) or isinstance(target, str) or column is not None
    header = first if named or all(_is_head(cell) for cell in first[-2:]) else None
    if source is not None and target is not None:
        places = (_place(path, first, source), _place(path, first, target))
    elif header is not None:
        found = [next((i for i, cell in enumerate(header) if cell.lower() in of), None) for of in (_SOURCE, _TARGET)]
        left, right = found
        places = (left, right) if left is not None and right is not None else (len(first) - 2, len(first) - 1)
    else:
        places = (0, 1)
    chosen = None if column is None else _place(path, first, column)
    # a file without that column (a plain table among tables of test sets) is one part
    grouping = first.index(group) if group is not None and header is not None and group in first else None
    sources, targets, groups = [], [], []
    seen: set[str] = set()
    for number, line in enumerate(lines[header is not None :], 1 + (header is not None)):
        cells = line.split("\t")
        if len(cells) != len(first):
            if not line.strip():
                continue
            raise DataError(
                f"{path}, line {number}: expected {len(first)} cells as in the first line, got {len(cells)}"
            )
        if chosen is not None:
            seen.add(cells[chosen])
            if cells[chosen] not in values:
                continue
        sources.append(cells[places[0]].strip())
        targets.append(cells[places[1]].strip())
        groups.append(path.name.partition(".")[0] if grouping is None else cells[grouping])
    missing = [value for value in values if value not in seen]
    if missing:
        there = ", ".join(sorted(seen)[:12])
        raise DataError(f"{path}: no line has {missing[0]!r} in column {column!r}; it has {there}")
    return Corpus(sources, targets, groups if group is not None else None)


def _is_head(cell: str) -> bool:
    return cell.lower() in (*_SOURCE, *_TARGET) or _LANGUAGE.fullmatch(cell) is not None


def _place(path: Path, first: list[str], column: Column) -> int:
    if isinstance(column, int):
        if not 0 <= column < len(first):
            raise DataError(f"{path}: expected a column from 0 to {len(first) - 1}, got {column}")
        return column
    if column not in first:
        raise DataError(f"{path}: no column {column!r} in its header: {', '.join(cell[:30] for cell in first)}")
    return first.index(column)
