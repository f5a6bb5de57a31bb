"""The work of Tables 6 and 7: pre-training once per kind, then a fine-tuning and its measurement per arm and seed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from torchsse.errors import DataError
from torchsse.experiments.reproduce.chain import Judge, Place, Unit, Values
from torchsse.experiments.reproduce.sentiment import PRETRAININGS, Pretraining, Size, Way
from torchsse.experiments.reproduce.sentiment_texts import Texts
from torchsse.metrics import Difference
from torchsse.metrics.classification import classification_scores
from torchsse.metrics.classification_pairs import CLASSIFICATION_METRICS, classification_difference
from torchsse.nlp.classification import Classifier
from torchsse.nlp.classification_training import train_classifier
from torchsse.nlp.encoders import Encoder
from torchsse.nlp.outputs import TAKEN_OVER
from torchsse.nlp.pretraining import pretrain

__all__ = ["JUDGE", "sentiment_units"]

Run = Callable[[Place], dict[str, Any]]


def sentiment_units(
    size: Size, texts: Texts, encoder: Encoder, blocks: dict[str, str], examples: dict[str, int], device: str
) -> tuple[Unit, ...]:
    """The units in the order of running: seeds in turn, so that a run that is cut short has all arms.

    Args:
        size: settings and seeds.
        texts: what is read.
        encoder: where all arms but the control start.
        blocks: block -> which part of the texts it measures.
        examples: block -> how many, roughly: for the times.
        device: as torch names it.
    """
    before, training, thousand = size.seconds
    units = [
        Unit(_pretraining(kind), f"{kind} pre-training", None, _pretrain(size, kind, texts, encoder, device),
             seconds=before)
        for kind in PRETRAININGS
    ]  # fmt: skip
    for seed in range(size.seeds):
        for way in size.ways:
            name = f"fine-tune-{way.arm}-{seed}"
            needs = () if way.pretraining is None else (_pretraining(way.pretraining),)
            run = _finetune(size, way, seed, texts, encoder, device)
            units.append(Unit(name, way.arm, seed, run, needs=needs, seconds=training))
            for block, part in blocks.items():
                measure = _measure(name, part, texts, device)
                seconds = examples[block] / 1000 * thousand
                units.append(Unit(f"{block}-{way.arm}-{seed}", way.arm, seed, measure, block, (name,), seconds))
    return tuple(units)


def _pretraining(kind: Pretraining) -> str:
    return f"pre-train-{kind}"


def _pretrain(size: Size, kind: Pretraining, texts: Texts, encoder: Encoder, device: str) -> Run:
    def run(place: Place) -> dict[str, Any]:
        p0 = PRETRAININGS[kind]
        settings = replace(size.pretraining, p0_input=p0, p0_label=p0)
        report = pretrain(
            encoder.place,
            texts.documents,
            place.work,
            settings,
            device=device,
            observer=place.watch,
            elsewhere=tuple(place.elsewhere.values()),
        ).report
        names = ("documents", "pieces", "tokens", "steps", "held_out_loss_before", "held_out_loss")
        facts = {name: report[name] for name in names if name in report}
        fresh = [name for name in report["fresh"] if "pooler" not in name]
        facts |= {
            "checkpoint": report["config"]["checkpoint"][:12],
            "loss": _last(report, "loss"),
            "fresh_head": len(fresh),
        }
        for table, other in place.elsewhere.items():
            if report.get(TAKEN_OVER) == os.fspath(other):
                facts[TAKEN_OVER] = table
        return facts

    return run


def _finetune(size: Size, way: Way, seed: int, texts: Texts, encoder: Encoder, device: str) -> Run:
    def run(place: Place) -> dict[str, Any]:
        settings = replace(size.finetuning, p0_input=way.p0, p0_label=0.0, seed=seed, random_init=way.random_init)
        start = encoder.place if way.pretraining is None else place.needs[_pretraining(way.pretraining)]
        report = train_classifier(
            start, texts.train, place.work, settings, peer=way.peer, device=device, observer=place.watch
        ).report
        facts = {"texts": report["texts"], "steps": report["steps"], "loss": _last(report, "loss")}
        if way.pretraining is None and not way.random_init:
            facts["checkpoint"] = report["config"]["checkpoint"][:12]
        return facts

    return run


def _measure(trained: str, part: str, texts: Texts, device: str) -> Run:
    def run(place: Place) -> dict[str, Any]:
        data = texts.part(part)
        found = Classifier.load(place.needs[trained], device).evaluate(data)
        place.watch.part(len(data), len(data))
        place.keep("truth", found.truth.astype(np.int16))
        place.keep("probabilities", found.probabilities)
        return found.scores.summary()

    return run


def _last(report: dict[str, Any], key: str) -> float:
    found: float = [entry[key] for entry in report["history"] if key in entry][-1]
    return found


def _score(metric: str, values: Values) -> float:
    found = getattr(classification_scores(values["truth"].astype(np.int64), values["probabilities"]), metric)
    if found is None:
        raise DataError(f"{metric} is not defined on the test examples: expected two classes, both of them there")
    return float(found)


def _differ(metric: str, mine: Sequence[Values], other: Sequence[Values]) -> Difference:
    truth = mine[0]["truth"].astype(np.int64)
    if any(not np.array_equal(run["truth"], truth) for run in (*mine, *other)):
        raise DataError("the arms were measured on different examples")
    runs = ([run["probabilities"] for run in arm] for arm in (mine, other))
    return classification_difference(metric, truth, *runs)


JUDGE = Judge(CLASSIFICATION_METRICS, _score, _differ)
"""Accuracy decides."""
