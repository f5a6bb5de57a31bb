"""The texts of Tables 6 and 7: reviews to pre-train on, and labelled parts; what is measured is never trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from torchsse.errors import DataError
from torchsse.experiments.reproduce.dataset import find_file
from torchsse.nlp.texts import Labelled, gather, letters_and_digits, read_labelled

__all__ = ["CORPUS", "PARTS", "Parts", "Texts", "sampled", "without"]

CORPUS = {
    "unlabelled": "imdb/unsup.txt.gz",
    "reviews": "imdb/train.tsv.gz",
    "reviews_test": "imdb/test.tsv.gz",
}
"""Role -> file of the text to pre-train on: the first two, without what occurs in the third."""


@dataclass(frozen=True)
class Parts:
    """Labelled files of a task, and how many of their examples are used.

    Attributes:
        files: part -> path under the data directory; "train", "test" and, for some, "dev".
        sizes: part -> how many examples the whole of it has: for what is said and expected, not for what is done.
        what: what the examples to train on are.
        columns: of text and label, where they are not found by themselves; such files have no header.
        train, test: how many examples are used, drawn by a fixed seed; None: all.
    """

    files: dict[str, str]
    sizes: dict[str, int]
    what: str
    columns: tuple[int, int] | None = None
    train: int | None = None
    test: int | None = None

    @property
    def tested(self) -> int:
        return min(self.test or self.sizes["test"], self.sizes["test"])

    @property
    def title(self) -> str:
        """How much is trained on and tested.

        >>> PARTS["sst2"].title
        '6,920 whole sentences'
        >>> Parts({}, {"train": 9, "test": 8}, "reviews", test=4).title
        '9 reviews, tested on 4 of 8'
        """
        whole = self.sizes["train"]
        train = f"{whole:,}" if self.train is None or self.train >= whole else f"{self.train:,} of {whole:,}"
        tested = "" if self.tested == self.sizes["test"] else f", tested on {self.tested:,} of {self.sizes['test']:,}"
        return f"{train} {self.what}{tested}"


PARTS = {
    "imdb": Parts(
        {"train": "imdb/train.tsv.gz", "test": "imdb/test.tsv.gz"},
        {"train": 25_000, "test": 25_000},
        "reviews",
        columns=(3, 0),
    ),
    "sst2": Parts(
        {part: f"sst/sst2_sentence_{part}.tsv.gz" for part in ("train", "dev", "test")},
        {"train": 6_920, "dev": 872, "test": 1_821},
        "whole sentences",
    ),
    "sst2-phrases": Parts(
        {part: f"sst/glue_phrase_{part}.tsv.gz" for part in ("train", "dev", "test")},
        {"train": 67_349, "dev": 872, "test": 1_821},
        "phrases",
    ),
}


class Texts:
    """What is read for a table, once for all its units.

    Args:
        root: the data directory.
        parts: the labelled files.
        documents: how many documents to pre-train on, drawn by a fixed seed; None: all.
    """

    def __init__(self, root: Path, parts: Parts, documents: int | None) -> None:
        self.root, self.parts, self.number = root, parts, documents

    @property
    def files(self) -> dict[str, str]:
        """Role -> path of every file that is read."""
        return {**CORPUS, **self.parts.files}

    @cached_property
    def documents(self) -> list[str]:
        """Reviews in random order: neither those of IMDB's test set nor any text that dev or test hold."""
        held = [self._file(path) for part, path in self.parts.files.items() if part != "train"]
        banned = [self._file(CORPUS["reviews_test"]), *held]
        found = gather([self._file(CORPUS["unlabelled"]), self._file(CORPUS["reviews"])], banned).documents
        return [found[row] for row in _drawn(len(found), self.number)]

    @cached_property
    def train(self) -> Labelled:
        """Without texts that dev or test hold too, the whole of them."""
        parts = [self._read(name) for name in self.parts.files if name != "train"]
        return sampled(without(self._read("train"), parts), self.parts.train)

    def part(self, name: str) -> Labelled:
        """ "dev" or "test"."""
        if name not in self._held:
            self._held[name] = sampled(self._read(name), self.parts.test if name == "test" else None)
        return self._held[name]

    @cached_property
    def _held(self) -> dict[str, Labelled]:
        return {}

    def _read(self, name: str) -> Labelled:
        file = self._file(self.parts.files[name])
        if self.parts.columns is None:
            return read_labelled(file)
        text, label = self.parts.columns
        return read_labelled(file, text=text, label=label, header=False)

    def _file(self, path: str) -> Path:
        found = find_file(self.root, path)
        if found is None:
            raise DataError(f"{self.root / path}: no such file")
        return found


def sampled(data: Labelled, number: int | None) -> Labelled:
    """So many examples, always the same ones, in their order.

    >>> len(sampled(Labelled(["a", "b", "c"], ["0", "1", "0"]), 2))
    2
    """
    if number is None or number >= len(data):
        return data
    rows = np.sort(_drawn(len(data), number))
    return Labelled([data.texts[row] for row in rows], [data.labels[row] for row in rows], data.source)


def without(data: Labelled, others: Sequence[Labelled]) -> Labelled:
    """Examples whose text is in none of the others: letters and digits count, not case, blanks and punctuation.

    >>> without(Labelled(["a b", "c"], ["0", "1"]), [Labelled(["A b."], ["0"])]).texts
    ['c']
    """
    banned = {letters_and_digits(text) for other in others for text in other.texts}
    kept = [row for row, text in enumerate(data.texts) if letters_and_digits(text) not in banned]
    return Labelled([data.texts[row] for row in kept], [data.labels[row] for row in kept], data.source)


def _drawn(size: int, number: int | None) -> Sequence[int]:
    order: list[int] = np.random.default_rng(0).permutation(size)[:number].tolist()
    return order
