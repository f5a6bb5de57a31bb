"""The sentence pairs of Table 5: training texts without what is tested, and test sets."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from torchsse.errors import DataError
from torchsse.experiments.reproduce.dataset import find_file
from torchsse.nlp.corpus import Corpus, read_parallel, without_overlap
from torchsse.nlp.texts import letters_and_digits

__all__ = ["SUBSAMPLE_SEED", "TestSet", "Texts", "TrainText", "detokenized"]

SUBSAMPLE_SEED = 5
"""Of everything that is drawn from texts: subsamples of tests and of Tatoeba, pairs held out for dev."""


@dataclass(frozen=True)
class TrainText:
    """A training text.

    Attributes:
        roles: of its files: a table, or source and target.
        part: the value of column `set` that is taken.
        words: longer sentences (in words, on either side) are left out.
        pairs: so many are taken at random; None: all.
        tokenized: blanks before punctuation and escapes are undone.
    """

    roles: tuple[str, ...]
    part: str | None = None
    words: int | None = None
    pairs: int | None = None
    tokenized: bool = False


@dataclass(frozen=True)
class TestSet:
    """A test set: the lines of a table whose column `set` says `part`."""

    __test__ = False  # no test of pytest's

    role: str
    part: str
    sample: int | None = None


@dataclass(frozen=True)
class Texts:
    """Everything that is read, once it is asked for.

    Attributes:
        root: the data directory.
        files: role -> path under it.
        train: training texts.
        dev: the pairs that choose snapshots: a part of a table.
        dev_pairs: so many training pairs are held out and added to them.
        tests: name -> test set, those of all sizes: no sentence of theirs is trained on.
        held_out: further parts of tables that must not be trained on.
    """

    root: Path
    files: Mapping[str, str]
    train: Sequence[TrainText]
    dev: TestSet | None
    dev_pairs: int
    tests: Mapping[str, TestSet]
    held_out: Sequence[TestSet] = ()
    _tables: dict[str, dict[str, Corpus]] = field(default_factory=dict, repr=False, compare=False)

    def config(self) -> dict[str, Any]:
        """What the pairs depend on beside the files."""
        return {
            "train": [asdict(text) for text in self.train],
            "dev": None if self.dev is None else asdict(self.dev),
            "dev_pairs": self.dev_pairs,
            "held_out": [asdict(text) for text in self.held_out],
            "subsample_seed": SUBSAMPLE_SEED,
        }

    def test(self, name: str) -> Corpus:
        """A test set, or its fixed subsample."""
        wanted = self.tests[name]
        return _sampled(self._part(wanted), wanted.sample)

    @cached_property
    def pairs(self) -> tuple[Corpus, Corpus, dict[str, Any]]:
        """Training pairs, dev pairs, and what was dropped.

        Pairs that share either sentence with a test or dev set go: letters and digits count, not case, blanks and
        punctuation, since some texts are tokenised and lower-cased and the tests are not.
        """
        texts = [self._train(text) for text in self.train]
        corpus = _joined(texts)
        dev = None if self.dev is None else self._part(self.dev)
        held = [self._part(test) for test in (*self.tests.values(), *self.held_out)]
        whole, (corpus, overlap) = len(corpus), _without(corpus, [*held, *([] if dev is None else [dev])])
        own = _sampled(corpus, min(self.dev_pairs, len(corpus) // 10))
        corpus, near = _without(corpus, [own])
        dev = own if dev is None else _joined([dev, own])
        if not len(dev):
            raise DataError(f"expected some pairs to choose snapshots with: only {whole:,} are there to train on")
        return (
            corpus,
            dev,
            {"pairs_read": whole, "overlap_dropped": overlap, "dev_dropped": near, "dev_pairs": len(dev)},
        )

    def _train(self, text: TrainText) -> Corpus:
        corpus = self._read(text.roles, text.part)
        if text.tokenized:
            source, target = ([detokenized(line) for line in side] for side in (corpus.source, corpus.target))
            corpus = Corpus(source, target)
        if text.words is not None:
            sides = zip(corpus.source, corpus.target, strict=True)
            corpus = corpus.rows(i for i, pair in enumerate(sides) if max(len(s.split()) for s in pair) <= text.words)
        return _sampled(corpus, text.pairs)

    def _part(self, test: TestSet) -> Corpus:
        return self._read((test.role,), test.part)

    def _read(self, roles: Sequence[str], part: str | None) -> Corpus:
        names = [str(find_file(self.root, self.files[role])) for role in roles]
        if part is None:
            return read_parallel(*names)
        if roles[0] not in self._tables:
            self._tables[roles[0]] = read_parallel(*names, group="set").parts()
        found = self._tables[roles[0]].get(part)
        if found is None:
            raise DataError(f"{names[0]}: expected lines whose column 'set' says {part!r}, found none")
        return found


def detokenized(line: str) -> str:
    """A tokenised line as people write it, as far as rules for English and German go.

    >>> detokenized("&quot; it &apos;s late , &quot; he said ( twice ) .")
    '"it\\'s late," he said (twice).'
    """
    line = html.unescape(html.unescape(line))
    parts = line.split('"')
    if len(parts) % 2:  # as many opening quotes as closing ones
        line = "".join(f'"{part.strip()}"' if number % 2 else part for number, part in enumerate(parts))
    line = re.sub(r" ([.,;:!?)\]}])(?!\w)", r"\1", line)
    line = re.sub(r"([(\[{]) ", r"\1", line)
    line = re.sub(r" (['’]) ?(?=(?:s|t|m|d|re|ve|ll)\b)", r"\1", line)
    return " ".join(line.split())


def _sampled(corpus: Corpus, pairs: int | None) -> Corpus:
    """So many pairs at random, in their order."""
    if pairs is None or pairs >= len(corpus):
        return corpus
    rng = np.random.default_rng(SUBSAMPLE_SEED)
    return corpus.rows(sorted(rng.choice(len(corpus), pairs, replace=False).tolist()))


def _joined(corpora: Sequence[Corpus]) -> Corpus:
    return Corpus([s for each in corpora for s in each.source], [t for each in corpora for t in each.target])


def _without(corpus: Corpus, held_out: Sequence[Corpus]) -> tuple[Corpus, int]:
    """Pairs without those that share a sentence with held-out ones, and how many went."""
    bare = replace(_bare(corpus), groups=[str(row) for row in range(len(corpus))])
    kept, dropped = without_overlap(bare, [_bare(each) for each in held_out])
    return corpus.rows(int(row) for row in kept.groups or ()), dropped


def _bare(corpus: Corpus) -> Corpus:
    return Corpus([letters_and_digits(line) for line in corpus.source], [letters_and_digits(s) for s in corpus.target])
