"""Figure 4: the metric by epoch and by second of training, with and without SSE, at the same learning rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from torchsse.experiments.arms import Arm, standard_arms
from torchsse.experiments.files import write_json
from torchsse.experiments.ranking_arms import ranking_arms
from torchsse.experiments.reproduce.datasets import ML1M_IMPLICIT, ML1M_SPARSE
from torchsse.experiments.reproduce.figure import Report, Study, arms_named, fitted, origin_of, run_studies
from torchsse.experiments.reproduce.table import Overrides
from torchsse.experiments.settings import CompareData, CompareSettings, RankingSettings
from torchsse.experiments.task import task_of

__all__ = ["figure4", "reproduce_figure4"]

RANK = 100
ARMS = ("none", "sse-se", "sse-graph")


def figure4(wanted: Overrides) -> tuple[Study, ...]:
    """MF and BPR with the tables' default settings."""
    rank = wanted.ranks[0] if wanted.ranks else RANK
    return (
        Study(
            "mf",
            "Matrix factorisation",
            ML1M_SPARSE,
            wanted.applied(CompareSettings(factors=rank, biases=False, epochs=150, seeds=5)),
            arms_named(standard_arms(biases=False, item_graph=True), ARMS),
        ),
        Study(
            "bpr",
            "Bayesian personalised ranking",
            ML1M_IMPLICIT,
            wanted.applied(RankingSettings(factors=rank, epochs=150, seeds=5)),
            arms_named(ranking_arms(item_graph=True), ARMS),
        ),
    )


def reproduce_figure4(
    studies: Sequence[Study],
    root: Path,
    out: Path,
    *,
    report: Report,
    command: Sequence[str],
    restart: bool = False,
) -> dict[str, Any]:
    """Fit one after the other, since seconds are measured; the document, written to out/results.json."""

    def measure(
        study: Study, data: CompareData, arm: Arm, seed: int, so_far: Callable[[float], None]
    ) -> dict[str, Any]:
        metric = task_of(data.train, study.settings).metric
        history = fitted(study, data, arm, seed, watched=True, report=so_far).history_
        rows = [row for row in history if f"validation_{metric}" in row]
        return {
            "metric": metric,
            "epoch": [int(row["epoch"]) for row in rows],
            "seconds": [round(float(row["seconds"]), 7) for row in history],
            "value": [round(float(row[f"validation_{metric}"]), 6) for row in rows],
        }

    records = run_studies("figure4", studies, root, out, measure, report, restart=restart)
    results = []
    for study in studies:
        of_study = [record for record in records if record["study"] == study.name]
        plain = [record for record in of_study if record["arm"] == study.arms[0].name]
        goal = _best(_mean(plain))
        for arm in study.arms:
            mine = [record for record in of_study if record["arm"] == arm.name]
            results.append({"study": study.name, "arm": arm.name, **_summary(study, arm, mine, goal)})
    document = {
        "schema": 1,
        "provenance": origin_of(studies, root, command, "figure4"),
        "figure": {
            "name": "figure4",
            "studies": [{"name": study.name, "title": study.title} for study in studies],
            "measured": "The metric on test after each epoch, at settings fixed beforehand: nothing is chosen by it. "
            "Seconds are those of training alone, on one core: epochs times the shortest one of all seeds, since every "
            "epoch does the same work and whatever else runs on the machine only adds.",
        },
        "results": results,
    }
    write_json(out / "results.json", document)
    return document


def _summary(study: Study, arm: Arm, fits: list[dict[str, Any]], goal: float) -> dict[str, Any]:
    """The mean curve, its best value, and when it passes the best value of the plain arm."""
    curve = _mean(fits)
    better = np.less_equal if curve["metric"] == "rmse" else np.greater_equal
    reached = np.flatnonzero(better(curve["value"], goal))
    first = int(reached[0]) if len(reached) else None
    return {
        "metric": curve["metric"],
        "params": arm.params(arm.defaults),
        "seeds": study.settings.final_seeds,
        "epoch": curve["epoch"],
        "seconds": curve["seconds"],
        "value": curve["value"],
        "low": curve["low"],
        "high": curve["high"],
        "best": _best(curve),
        "plain_best": goal,
        "epochs_to_plain_best": None if first is None else curve["epoch"][first],
        "seconds_to_plain_best": None if first is None else curve["seconds"][first],
        "seconds_per_epoch": curve["seconds_per_epoch"],
    }


def _mean(fits: list[dict[str, Any]]) -> dict[str, Any]:
    """Over seeds: mean, lowest and highest value at each epoch; the shortest epoch is the clock."""
    values = np.array([fit["value"] for fit in fits])
    shortest = min(min(fit["seconds"]) for fit in fits)
    return {
        "metric": fits[0]["metric"],
        "epoch": fits[0]["epoch"],
        "seconds": [round(epoch * shortest, 7) for epoch in fits[0]["epoch"]],
        "seconds_per_epoch": shortest,
        "value": np.round(values.mean(axis=0), 6).tolist(),
        "low": values.min(axis=0).tolist(),
        "high": values.max(axis=0).tolist(),
    }


def _best(curve: dict[str, Any]) -> float:
    return float(min(curve["value"]) if curve["metric"] == "rmse" else max(curve["value"]))
