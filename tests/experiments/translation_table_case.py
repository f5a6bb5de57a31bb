"""Made files in the layout of Table 5, and sizes of it that take seconds."""

from __future__ import annotations

import dataclasses
import gzip
from pathlib import Path

import numpy as np

from torchsse.experiments.reproduce.table5_plans import PLANS, Plan
from torchsse.nlp.translation import TranslationSettings

LEXICON = {
    "the": "das", "man": "Mann", "woman": "Frau", "dog": "Hund", "cat": "Katze", "child": "Kind", "bird": "Vogel",
    "sees": "sieht", "likes": "mag", "hunts": "jagt", "finds": "findet",
    "red": "rot", "big": "groß", "old": "alt", "small": "klein",
}  # fmt: skip
NOUNS, VERBS, ADJECTIVES = list(LEXICON)[1:7], list(LEXICON)[7:11], list(LEXICON)[11:]
YEARS = ["news-test2008", *(f"newstest{year}" for year in range(2009, 2019))]


def sentences(rng: np.random.Generator, number: int) -> list[tuple[str, str]]:
    """Pairs of a made language whose verb goes to the end, no two alike."""
    found: dict[str, str] = {}
    while len(found) < number:
        words = [str(rng.choice(w)) for w in (ADJECTIVES, NOUNS, VERBS, ADJECTIVES, NOUNS, ADJECTIVES)]
        words = ["the", *words[:3], "the", *words[3:5], "or", "the", words[5]]
        other = [LEXICON.get(word, "oder") for word in words]
        found[" ".join(words).capitalize() + "."] = " ".join([*other[:3], *other[4:], other[3]]).capitalize() + "."
    return list(found.items())


def make_texts(root: Path) -> Path:
    """The seven files of the sizes small and medium, and WMT14's layout, with pairs that tests hold too."""
    rng = np.random.default_rng(0)
    pairs = iter(sentences(rng, 1400))

    def taken(number: int) -> list[tuple[str, str]]:
        return [next(pairs) for _ in range(number)]

    def table(name: str, parts: dict[str, list[tuple[str, str]]], packed: bool = True) -> None:
        named = list(parts) != [""]
        lines = ["set\ten\tde" if named else "en\tde"]
        lines += [(f"{part}\t" if named else "") + "\t".join(pair) for part, own in parts.items() for pair in own]
        text = ("\n".join(lines) + "\n").encode()
        path = root / "nmt" / (f"{name}.tsv.gz" if packed else f"{name}.tsv")
        path.write_bytes(gzip.compress(text) if packed else text)

    (root / "nmt").mkdir(parents=True)
    (root / "wmt14").mkdir()
    news = {year: taken(12) for year in YEARS}
    table("newstest_ende", news, packed=False)
    multi = {"train": taken(250), "val": taken(10)}
    multi |= {f"test_{n}": taken(12) for n in ("2016_flickr", "2017_flickr", "2017_mscoco", "2018_flickr")}
    leak = [multi["test_2016_flickr"][0], multi["test_2018_flickr"][0], news["newstest2014"][3]]
    table("multi30k_task1_ende", multi)
    # as tests have it, but tokenised and in lower case: it must be seen all the same
    leaked = [(s.lower().replace(".", " ."), "anders .") for s, _ in leak]
    table("tatoeba_ende", {"": [*taken(100), *leak, ("One two " * 20, "Eins zwei " * 20)]})
    known = taken(4)
    parts = {"train": [*taken(60), *leaked, *known], "val": known[:2], "test": known[2:]}
    table("opennmt_sample_ende_tok", parts)
    table("europarl20k_ende", {"": taken(20)})
    table("newscommentary20k_ende_lc", {"": [(s.lower(), t.lower()) for s, t in taken(20)]})
    table("iwslt14_part_ende_tok", {"train_part_tok": taken(20), "valid_tok": taken(2), "test_tok": taken(2)})
    large = taken(300)
    for side, name in enumerate(("en", "de")):
        text = "".join(pair[side] + "\n" for pair in [*large, leak[2]])
        (root / "wmt14" / f"train.{name}.gz").write_bytes(gzip.compress(text.encode()))
    return root


def tiny(size: str) -> Plan:
    """A size with a model that trains in seconds; texts and tests are the size's own."""
    plan = PLANS[size]
    shape = {"layers": 1, "width": 32, "heads": 2, "inner": 64, "vocabulary": 330}
    settings = TranslationSettings.of(
        "tiny", **shape, epochs=2, batch_tokens=400, learning_rate=3e-3, warmup=10, average=2,
        schedule=plan.settings.schedule, max_steps=plan.settings.max_steps,
    )  # fmt: skip
    return dataclasses.replace(plan, settings=settings, sample=8 if plan.sample else None, beams=2, dev_pairs=10)
