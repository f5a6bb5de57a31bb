"""Arms of a model other than the block's first, against that model's own plain arm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from torchsse.experiments.settings import CompareData, CompareSettings
from torchsse.experiments.task import task_of
from torchsse.metrics import holm

__all__ = ["paired", "plain_of"]


def plain_of(arm: str, arms: Sequence[str]) -> str | None:
    """The plain arm of its model, where arms of several models stand side by side under prefixes; None for that itself.

    >>> plain_of("als sse-se", ["none", "als", "als sse-se"]), plain_of("als", ["none", "als"]), plain_of("dropout", [])
    ('als', None, None)
    """
    model = arm.rpartition(" ")[0]
    return model if model in arms else None


def paired(data: CompareData, document: dict[str, Any], settings: CompareSettings, out: Path) -> list[dict[str, Any]]:
    """For each such arm and metric the paired bootstrap that `compare` makes against the first arm.

    p values are Holm-corrected over the arms of one model and metric.
    """
    task = task_of(data.train, settings)
    part = task.part(data)
    names = list(dict.fromkeys(record["arm"] for record in document["results"]))
    found = []
    for metric in dict.fromkeys(record["metric"] for record in document["results"]):
        means = {r["arm"]: r["mean"] for r in document["results"] if r["metric"] == metric}
        for plain in dict.fromkeys(filter(None, (plain_of(arm, names) for arm in names))):
            family = [arm for arm in names if plain_of(arm, names) == plain]
            base = _predictions(out, plain, settings)
            raw = [part.difference(metric, _predictions(out, arm, settings), base, settings.seed) for arm in family]
            for arm, test, p_value in zip(family, raw, holm([test.p_value for test in raw]).tolist()):
                found.append(
                    {
                        "arm": arm,
                        "against": plain,
                        "metric": metric,
                        "difference": means[arm] - means[plain],
                        "difference_ci95": [test.low, test.high],
                        "p_value": p_value,
                    }
                )
    return found


def _predictions(out: Path, arm: str, settings: CompareSettings) -> list[Any]:
    folder = out / "predictions"
    return [np.load(folder / f"{arm}-{seed}.npy", mmap_mode="r", allow_pickle=False) for seed in settings.final_seeds]
