"""A made language that a tiny model learns in seconds: a lexicon, and the verb goes to the end."""

from __future__ import annotations

from typing import Any

import numpy as np

from torchsse.nlp.corpus import Corpus

LEXICON = {
    "the": "das", "man": "Mann", "woman": "Frau", "dog": "Hund", "cat": "Katze", "child": "Kind", "bird": "Vogel",
    "sees": "sieht", "likes": "mag", "hunts": "jagt", "finds": "findet",
    "red": "rot", "big": "groß", "old": "alt", "small": "klein",
}  # fmt: skip
NOUNS, VERBS, ADJECTIVES = list(LEXICON)[1:7], list(LEXICON)[7:11], list(LEXICON)[11:]

TINY: dict[str, Any] = {
    "layers": 1, "width": 64, "heads": 2, "inner": 128, "vocabulary": 400, "epochs": 100, "max_steps": 150,
    "batch_tokens": 600, "learning_rate": 3e-3, "warmup": 30, "average": 3,
}  # fmt: skip


def made_corpus(pairs: int, seed: int) -> Corpus:
    rng = np.random.default_rng(seed)
    source, target = [], []
    for _ in range(pairs):
        parts = [rng.choice(words) for words in (ADJECTIVES, NOUNS, VERBS, ADJECTIVES, NOUNS)]
        words = ["the", *parts[:3], "the", *parts[3:]]
        other = [LEXICON[word] for word in words]
        source.append(" ".join(words) + ".")
        target.append(" ".join([*other[:3], *other[4:], other[3]]) + ".")
    return Corpus(source, target)
