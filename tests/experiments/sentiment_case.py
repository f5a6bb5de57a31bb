"""Made files of the layout that Tables 6 and 7 read, and a tiny random encoder that takes texts as long as BERT's."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

transformers = pytest.importorskip("transformers")
sys.path.insert(0, str(Path(__file__).parent.parent / "nlp"))
from tiny_text import config, documents, tokenizer  # noqa: E402

BANNED = "the banned film is in test"


def encoder(directory: Path) -> Path:
    """A sentence encoder, to look at: a pooler and no head."""
    torch.manual_seed(0)
    transformers.BertModel(config(max_position_embeddings=512)).save_pretrained(directory)
    made = tokenizer()
    made.model_max_length = 512
    made.save_pretrained(directory)
    return directory


def made_files(root: Path, train: int = 64, test: int = 40) -> Path:
    """About 1,100 documents; one text of a test set is among the documents and among the texts to train on, too."""
    for folder in ("imdb", "sst"):
        (root / folder).mkdir(parents=True)
    texts, topics = documents(1_040 + 2 * train + 3 * test)
    rows = [f"{topic}\t{text}" for topic, text in zip(topics, texts)]
    cut = [1_040, train, test, train, test, test]
    parts = [[rows.pop(0) for _ in range(number)] for number in cut]
    unlabelled = [row.partition("\t")[2] for row in parts[0]]
    with gzip.open(root / "imdb" / "unsup.txt.gz", "wt") as file:
        file.write("\n".join([*unlabelled, BANNED]) + "\n")

    def reviews(name: str, lines: list[str]) -> None:
        with gzip.open(root / "imdb" / name, "wt") as file:
            for number, line in enumerate(lines):
                label, _, text = line.partition("\t")
                file.write(f"{label}\t7\t{number}\t{text}\n")

    reviews("train.tsv.gz", [*parts[1], f"1\t{BANNED}"])
    reviews("test.tsv.gz", [*parts[2], f"1\t{BANNED}"])
    for name in ("glue_phrase", "sst2_sentence"):
        for part, lines in (
            ("train", [*parts[3], f"0\t{BANNED}"]),
            ("dev", parts[4]),
            ("test", [*parts[5], f"0\t{BANNED}"]),
        ):
            (root / "sst" / f"{name}_{part}.tsv").write_text("label\tsentence\n" + "\n".join(lines) + "\n")
    return root


class Watch:
    """Keeps what it is told; ends the process's work at a step of a unit, as a kill would."""

    def __init__(self, stop: tuple[str, int] | None = None) -> None:
        self.stop, self.name = stop, ""
        self.begun: list[str] = []
        self.lines: list[str] = []

    def unit(self, unit: Any, number: int, total: int) -> Watch:
        self.name = unit.name
        self.begun.append(unit.name)
        return self

    def finished(self, unit: Any, number: int, total: int) -> None: ...

    def say(self, message: str) -> None:
        self.lines.append(f"{self.name}: {message}")

    def step(self, progress: Any) -> None:
        if self.stop is not None and self.name == self.stop[0] and progress.step >= self.stop[1]:
            raise KeyboardInterrupt

    def part(self, done: int, total: int) -> None: ...
