"""Edge tables of pieces: two words a line, linked.

The reader of other edge files (`torchsse.data.read_edges`) does not do for words: it takes a first line without numbers
for a header, and "null", "nan" and "NA" for missing ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from torchsse.data.text import load_lines
from torchsse.errors import DataError
from torchsse.graph import Graph
from torchsse.integrations.hf.vocabulary import vocabulary_size
from torchsse.integrations.words import whole_words

__all__ = ["WordEdges", "word_edges"]


@dataclass(frozen=True)
class WordEdges:
    """What an edge table comes to.

    Attributes:
        graph: over the pieces.
        lines: how many lines with edges were read.
        unknown: how many of them were left out, since one end or both name no piece; a header is among them.
    """

    graph: Graph
    lines: int
    unknown: int


def word_edges(path: Path, tokenizer: Any) -> WordEdges:
    """The undirected graph that an edge table spans over a tokenizer's pieces; every weight is 1.

    The first two columns count, separated by tabs, else commas, else blanks; text plain or gzip, no header. A whole
    word in lower case stands for all pieces that are it ("film": `film` and `Film`, or `Ġfilm`, `▁Film`); anything else
    for the piece that is written so (`##ing`). Lines with an unknown piece, a header among them, are left out and
    counted.

    Raises:
        DataError: no such file, a line with one column, or no line joins two pieces.
    """
    lines = load_lines(path)
    separator = next((mark for mark in "\t," if mark in lines[0]), None)
    words, vocabulary = whole_words(tokenizer), tokenizer.get_vocab()
    source: list[int] = []
    target: list[int] = []
    read = unknown = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split(separator)]
        if len(cells) < 2:
            raise DataError(f"{path}, line {number}: expected two pieces, separated as in the first line, got {line!r}")
        read += 1
        ends = [words.get(cell) or ([vocabulary[cell]] if cell in vocabulary else []) for cell in cells[:2]]
        unknown += not all(ends)
        for a, b in product(*ends):
            source.append(a)
            target.append(b)
    if not source:
        sample = next(iter(words), next(iter(vocabulary), ""))
        raise DataError(
            f"{path}: none of its {read:,} lines joins two pieces of the vocabulary, which are words such as {sample!r}"
        )
    return WordEdges(Graph.from_edges(source, target, vocabulary_size(tokenizer)), read, unknown)
