"""What a study leaves: best.json and trials.csv."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torchsse.experiments.files import write_json, write_text
from torchsse.experiments.tuning.models import ModelName, TunedModel
from torchsse.experiments.tuning.plan import Winner
from torchsse.experiments.tuning.space import TuneSpace
from torchsse.experiments.tuning.study import Trial

__all__ = ["document_of", "write_best", "write_trials"]


def document_of(
    name: ModelName,
    model: TunedModel,
    space: TuneSpace,
    trials: Sequence[Trial],
    winner: Winner,
    probes: Sequence[Mapping[str, Any]],
    saved: Mapping[str, Any],
    importances: Mapping[str, float],
    validation: str,
) -> dict[str, Any]:
    """Everything but schema and provenance."""
    counts = Counter(trial.state for trial in trials)
    without = [probe for probe in probes if not any(probe["changed"].values())]
    response = [setting for setting in model.response if setting in space.searched]
    return {
        "task": "tune",
        "model": name.value,
        "metric": model.metric,
        "value": winner.value,
        "params": {**space.params(winner.trial.chosen), **winner.changed},
        "epochs": winner.epoch,
        "trial": winner.trial.number,
        "changed": dict(winner.changed),
        "validation": validation,
        "without_sse": {"value": without[0]["value"], "epochs": without[0]["epoch"]} if without else None,
        "saved": {key: saved[key] for key in ("directory", "epochs", "ratings", "seconds")},
        "counts": {state: counts[state] for state in ("complete", "pruned", "diverged")},
        "importances": dict(importances),
        "space": space.config(),
        "response": {setting: _profile(setting, winner.trial, probes) for setting in response},
        "trials": [
            {
                "number": trial.number,
                "state": trial.state,
                "value": trial.value,
                "epoch": trial.epoch,
                "params": trial.chosen,
                "seconds": trial.seconds,
            }
            for trial in trials
        ],
    }


def _profile(setting: str, best: Trial, probes: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """[value of the setting, metric], in the order of the setting, the best trial among them; the others held."""
    found = [[probe["changed"][setting], probe["value"]] for probe in probes if set(probe["changed"]) == {setting}]
    found = [pair for pair in found if pair[0] != 0]
    return sorted([*found, [best.chosen[setting], best.value]], key=lambda pair: float(pair[0])) if found else []


def write_best(path: Path, document: dict[str, Any]) -> None:
    write_json(path, document)


def write_trials(path: Path, trials: Sequence[Trial], space: TuneSpace) -> None:
    """One line per trial; numbers as they were used."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(space.searched)
    writer.writerow(["trial", "state", "value", "epoch", *names, "seconds"])
    for trial in trials:
        settings = [trial.chosen[name] for name in names]
        writer.writerow([trial.number, trial.state, trial.value, trial.epoch, *settings, trial.seconds])
    write_text(path, text.getvalue())
