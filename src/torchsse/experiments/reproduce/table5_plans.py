"""The sizes of Table 5: which texts, which model, how long."""

from __future__ import annotations

from dataclasses import dataclass

from torchsse.experiments.reproduce.table5_texts import TestSet, TrainText
from torchsse.nlp.peers import PeerSetting
from torchsse.nlp.translation import TranslationSettings

__all__ = ["MULTI30K", "PEERS", "PLANS", "PROBABILITIES", "YEARS", "Plan"]

YEARS = tuple(range(2008, 2019))
MULTI30K = ("2016_flickr", "2017_flickr", "2017_mscoco", "2018_flickr")
_NEWSTEST, _MULTI30K = {"newstest": "nmt/newstest_ende.tsv.gz"}, {"multi30k": "nmt/multi30k_task1_ende.tsv.gz"}
_TATOEBA = {"tatoeba": "nmt/tatoeba_ende.tsv.gz"}
_FURTHER = {
    "opennmt": "nmt/opennmt_sample_ende_tok.tsv.gz",
    "europarl": "nmt/europarl20k_ende.tsv.gz",
    "newscommentary": "nmt/newscommentary20k_ende_lc.tsv.gz",
    "iwslt": "nmt/iwslt14_part_ende_tok.tsv.gz",
}
_WMT14 = {"wmt14_en": "wmt14/train.en.gz", "wmt14_de": "wmt14/train.de.gz"}

PLAIN = {"none": "transformer, dropout and label smoothing 0.1 each"}
SSE = {"sse-se": "the same with SSE-SE, p0 = 0.01, on source and target words"}
LABELS = {"sse-se+labels": "the same with SSE-SE, p0 = 0.01, on the words that the loss compares with, too"}
SWITCH_OUT = {"switch-out": "SwitchOut, temperature 1, on source and target words in the place of SSE"}
PROBABILITIES: dict[str, tuple[float, float]] = {
    "none": (0.0, 0.0),
    "sse-se": (0.01, 0.0),
    "sse-se+labels": (0.01, 0.01),
    "switch-out": (0.0, 0.0),
}
"""Of an arm: p0 of words, p0 of labels."""
PEERS = {"switch-out": PeerSetting("switch-out", 1.0)}
"""Of an arm: another regulariser in the place of SSE."""


@dataclass(frozen=True)
class Plan:
    """A size of the table.

    Attributes:
        machine: what it is for.
        arms: arm -> what it is.
        seeds: trainings per arm.
        files: role -> path under the data directory.
        train: training texts.
        multi30k: its test sets that are measured.
        sample: sentences of each newstest; None: all.
        settings: of the trainings; `p0` and `seed` come from arm and seed.
        beams, batch_tokens: of the translations.
        train_seconds, sentence_seconds: very roughly, of a training and a translated sentence, on `machine`.
        dev: the part of Multi30k that chooses snapshots with the held-out training pairs.
        dev_pairs: training pairs held out.
        held_out: parts of training files that share sentences with the others.
        differs: from the paper.
    """

    machine: str
    arms: dict[str, str]
    seeds: int
    files: dict[str, str]
    train: tuple[TrainText, ...]
    multi30k: tuple[str, ...]
    sample: int | None
    settings: TranslationSettings
    batch_tokens: int
    train_seconds: float
    sentence_seconds: float
    dev: str | None
    dev_pairs: int
    differs: tuple[str, ...]
    held_out: tuple[TestSet, ...] = ()
    beams: int = 4


_SMALL = Plan(
    machine="two CPU cores",
    arms={**PLAIN, **SSE},
    seeds=1,
    files={**_NEWSTEST, **_MULTI30K, **_TATOEBA},
    train=(TrainText(("multi30k",), "train"), TrainText(("tatoeba",), words=12, pairs=30_000)),
    multi30k=MULTI30K[:1],
    sample=200,
    settings=TranslationSettings.of("tiny", epochs=8, schedule="linear"),
    batch_tokens=4096,
    train_seconds=700,
    sentence_seconds=0.02,
    dev="val",
    dev_pairs=1000,
    differs=(
        "Trained on 29,000 captions of Multi30k and 30,000 short pairs of Tatoeba in place of the 4.5 million pairs of "
        "WMT14: news is far from that, so BLEU on the newstests is low and says little; Multi30k is what was learnt.",
    ),
)

_MEDIUM = Plan(
    machine="one GPU",
    arms={**PLAIN, **SSE, **LABELS, **SWITCH_OUT},
    seeds=3,
    files={**_NEWSTEST, **_MULTI30K, **_TATOEBA, **_FURTHER},
    train=(
        TrainText(("multi30k",), "train"),
        TrainText(("tatoeba",)),
        TrainText(("opennmt",), "train", tokenized=True),
        TrainText(("europarl",)),
        TrainText(("newscommentary",), tokenized=True),
        TrainText(("iwslt",), "train_part_tok", tokenized=True),
    ),
    multi30k=MULTI30K,
    sample=None,
    settings=TranslationSettings.of("small", epochs=12, schedule="linear", batch_tokens=8192),
    batch_tokens=65_536,
    train_seconds=180,
    sentence_seconds=0.004,
    dev="val",
    dev_pairs=2000,
    differs=(
        "Trained on about 260,000 pairs (Multi30k, Tatoeba, samples of Europarl, OpenNMT and, lower-cased, of "
        "News Commentary and IWSLT14) in place of the 4.5 million pairs of WMT14.",
    ),
    held_out=(
        TestSet("opennmt", "val"),
        TestSet("opennmt", "test"),
        TestSet("iwslt", "valid_tok"),
        TestSet("iwslt", "test_tok"),
    ),
)

_FULL = Plan(
    machine="one GPU",
    arms={**PLAIN, **SSE},
    seeds=3,
    files={**_NEWSTEST, **_WMT14},
    train=(TrainText(("wmt14_en", "wmt14_de")),),
    multi30k=(),
    sample=None,
    settings=TranslationSettings.of("base", epochs=100, max_steps=100_000, precision="bf16"),
    batch_tokens=65_536,
    train_seconds=36_000,
    sentence_seconds=0.006,
    dev=None,
    dev_pairs=3000,
    differs=("The paper does not say for how long it trained, nor how it translated.",),
)

PLANS = {"small": _SMALL, "medium": _MEDIUM, "full": _FULL}
