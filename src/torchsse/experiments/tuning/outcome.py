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
from torchsse.experiments.tuning.space import TuneSpace
from torchsse.experiments.tuning.study import Trial

__all__ = ["document_of", "write_best", "write_trials"]


def document_of(
    name: ModelName,
    model: TunedModel,
    space: TuneSpace,
    trials: Sequence[Trial],
    best: Trial,
    reference: Mapping[str, Any] | None,
    saved: Mapping[str, Any],
    importances: Mapping[str, float],
    validation: str,
) -> dict[str, Any]:
    """Everything but schema and provenance."""
    counts = Counter(trial.state for trial in trials)
    return {
        "task": "tune",
        "model": name.value,
        "metric": model.metric,
        "value": best.value,
        "params": space.params(best.chosen),
        "epochs": best.epoch,
        "trial": best.number,
        "validation": validation,
        "without_sse": reference and {"value": reference["value"], "epochs": reference["epoch"]},
        "saved": {key: saved[key] for key in ("directory", "epochs", "ratings", "seconds")},
        "counts": {state: counts[state] for state in ("complete", "pruned", "diverged")},
        "importances": dict(importances),
        "space": space.config(),
        "response": [setting for setting in model.response if setting in space.searched],
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
