"""Table 5: English to German with transformers trained from scratch, with and without SSE-SE on both vocabularies."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from torchsse.experiments.reproduce.chain import Budget, Chain, ChainBlock, Judge, Place, Unit
from torchsse.experiments.reproduce.paper import TABLE5
from torchsse.experiments.reproduce.table5_plans import MULTI30K, PEERS, PLANS, PROBABILITIES, YEARS, Plan
from torchsse.experiments.reproduce.table5_texts import SUBSAMPLE_SEED, TestSet, Texts
from torchsse.metrics import TEXT_METRICS, compare_statistics, score_statistics, text_statistics
from torchsse.nlp.peers import PeerSetting
from torchsse.nlp.translation import TranslationSettings, Translator, train_translation

__all__ = ["table5"]

_POOLED = "newstest-all"
_RESAMPLES = 10_000

_DIFFERS = (
    "Marian architecture of transformers (sinusoids, one table of words for source, target and output) in place of "
    "OpenNMT's; byte-level BPE learnt from the training text.",
    "BLEU by sacrebleu on detokenised text, which is not comparable to the paper's unnamed tokenisation to the last "
    "tenth.",
    "Training pairs that share a sentence with any test set are dropped.",
)


def table5(root: Path, size: str, wanted: Budget, device: str) -> Chain:
    """Table 5 of a size, on data under `root`; nothing is read before it runs.

    Raises:
        ConfigError: a device that is not there.
    """
    from torchsse.nlp.steps import pick_device

    plan, where = PLANS[size], str(pick_device(device))
    settings = plan.settings
    if wanted.epochs is not None:
        settings = dataclasses.replace(settings, epochs=wanted.epochs, max_steps=None)
    if where == "cpu" and settings.precision != "fp32":
        settings = dataclasses.replace(settings, precision="fp32")  # many times slower there otherwise
    share = settings.epochs / plan.settings.epochs
    tests = {f"newstest{year}": TestSet("newstest", _newstest(year), plan.sample) for year in YEARS}
    tests |= {f"multi30k-{name}".replace("_", "-"): TestSet("multi30k", f"test_{name}") for name in plan.multi30k}
    hidden = [TestSet("multi30k", f"test_{name}") for name in MULTI30K if "multi30k" in plan.files]
    dev = None if plan.dev is None else TestSet("multi30k", plan.dev)
    texts = Texts(root, plan.files, plan.train, dev, plan.dev_pairs, tests, (*hidden, *plan.held_out))
    peers = {arm: PEERS[arm].origin() for arm in plan.arms if arm in PEERS}
    units = []
    for seed in range(plan.seeds if wanted.seeds is None else wanted.seeds):
        for arm in plan.arms:
            p0, p0_labels = PROBABILITIES[arm]
            own = dataclasses.replace(settings, p0=p0, p0_labels=p0_labels, seed=seed)
            name = f"{arm}-{seed}".replace("+", "-")
            units.append(
                Unit(name, arm, seed, _training(texts, own, PEERS.get(arm), where), seconds=plan.train_seconds * share)
            )
            units += [
                Unit(
                    f"{name}-{test}", arm, seed, _measuring(texts, test, name, plan, where), test, (name,),
                    plan.sentence_seconds * (tests[test].sample or _SENTENCES.get(test, 1000)),
                )
                for test in tests
            ]  # fmt: skip
    sampled = "" if plan.sample is None else f"{plan.sample} sentences, drawn with seed {SUBSAMPLE_SEED}"
    blocks = [
        ChainBlock(test, _title(test), test, sampled)
        if test in _NEWS
        else ChainBlock(test, _title(test), differs="not in the paper")
        for test in tests
    ]
    pooled = ChainBlock(_POOLED, "all newstests", pooled=_NEWS, differs="the sentences of all years as one test set")
    comparisons = [("sse-se", "none"), ("sse-se+labels", "none"), ("sse-se+labels", "sse-se"), ("switch-out", "none")]
    return Chain(
        name="table5",
        size=size,
        title="English to German with and without SSE-SE",
        machine=plan.machine,
        units=tuple(units),
        blocks=(*blocks, pooled),
        arms=plan.arms,
        comparisons=tuple(pair for pair in comparisons if set(pair) <= set(plan.arms)),
        judge=judge(),
        files=plan.files,
        config={
            "settings": {**dataclasses.asdict(settings), "p0": None, "p0_labels": None, "seed": None},
            "arms": {arm: PROBABILITIES[arm] for arm in plan.arms},
            **({"peers": peers} if peers else {}),
            "texts": texts.config(),
            "tests": {name: dataclasses.asdict(test) for name, test in tests.items()},
            "beams": plan.beams,
        },
        device=where,
        paper=TABLE5,
        models={"none": "Transformer", "sse-se": "SSE-SE + Transformer"},
        measured=f"BLEU and chrF by sacrebleu, beam search with {plan.beams} beams.",
        differs=(*plan.differs, _model(settings, plan.beams), *_DIFFERS),
        packages=("transformers", "tokenizers", "sacrebleu"),
    )


def judge() -> Judge:
    """BLEU and chrF from each sentence's statistics."""
    return Judge(
        TEXT_METRICS,
        lambda metric, values: score_statistics(values[metric], metric),
        lambda metric, mine, other: compare_statistics(
            [values[metric] for values in mine], [values[metric] for values in other], metric, n_boot=_RESAMPLES
        ),
    )


def _training(texts: Texts, settings: TranslationSettings, peer: PeerSetting | None, device: str) -> Any:
    def run(place: Place) -> dict[str, Any]:
        corpus, dev, facts = texts.pairs
        record = train_translation(
            corpus, place.work, settings, dev=dev, device=device, observer=place.watch, peer=peer
        )
        told = ("seconds", "pairs", "pairs_left_out", "target_tokens", "vocabulary", "parameters", "steps", "dev_loss")
        return {**{key: record[key] for key in told}, "train_loss": record["history"][-1]["train_loss"], **facts}

    return run


def _measuring(texts: Texts, test: str, training: str, plan: Plan, device: str) -> Any:
    def run(place: Place) -> dict[str, Any]:
        corpus = texts.test(test)
        translator = Translator.load(place.needs[training], device)
        found = translator.translate(
            corpus.source, beams=plan.beams, batch_tokens=plan.batch_tokens, callback=place.watch.part
        )
        facts: dict[str, Any] = {"sentences": len(corpus), "test_sha256": corpus.sha256(), "signatures": {}}
        for metric in TEXT_METRICS:
            statistics, facts["signatures"][metric] = text_statistics(found, corpus.target, metric)
            facts[metric] = score_statistics(statistics, metric)
            place.keep(metric, statistics)
        return facts

    return run


_NEWS = tuple(f"newstest{year}" for year in YEARS)
_SENTENCES = dict(zip(_NEWS, (2051, 2525, 2489, 3003, 3003, 3000, 3003, 2169, 2999, 3004, 2998), strict=True))


def _newstest(year: int) -> str:
    """As the file of test sets calls it."""
    return "news-test2008" if year == 2008 else f"newstest{year}"


def _model(settings: TranslationSettings, beams: int) -> str:
    layers, width = f"{settings.layers} + {settings.layers} layers", settings.width
    model = f"Transformer of {layers}, width {width}" + (", in place of 6 + 6, 512" if width != 512 else "")
    steps = f" or {settings.max_steps:,} updates" if settings.max_steps is not None else ""
    return (
        f"{model}; {settings.epochs} epochs{steps} of {settings.batch_tokens:,} tokens a batch; the average of "
        f"{settings.average} snapshots; {beams} beams."
    )


def _title(test: str) -> str:
    return test.replace("multi30k-", "Multi30k test ").replace("-", " ")
