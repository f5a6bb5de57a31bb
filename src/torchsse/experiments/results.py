"""The records of results.json, from what a finished plan measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from torchsse.experiments.plan import Plan
from torchsse.experiments.settings import CompareSettings
from torchsse.experiments.task import Array, Part, Task
from torchsse.metrics import Difference, holm, t_interval

__all__ = ["result_records"]


def result_records(
    task: Task, arms: list[str], plan: Plan, part: Part, out: Path, settings: CompareSettings
) -> list[dict[str, Any]]:
    """One record per arm and metric: first the task's metric for each arm, then the further ones.

    The first arm is the baseline, whose difference is 0 and whose p value is None. mean, std (ddof 1) and ci95 (t
    interval) are over seeds; std and ci95 are None for a single seed. difference is that of the means; difference_ci95
    and p_value come from the paired bootstrap over users. p_value is Holm-corrected over the arms, for each metric
    apart: the verdict rests on the task's metric, the further ones describe.

    The records of the task's metric also hold the search, the learning curve and the validation value.
    """
    predicted = {arm: _predictions(out, plan.outcome(arm)[2]) for arm in arms}
    records = []
    for metric in (task.metric, *task.further):
        raw = {arm: part.difference(metric, predicted[arm], predicted[arms[0]], settings.seed) for arm in arms[1:]}
        corrected = dict(zip(raw, holm([found.p_value for found in raw.values()]).tolist())) if raw else {}
        found = [_record(task, metric, arm, plan, part, settings) for arm in arms]
        records += [
            {**record, **_compared(record, found[0], raw.get(record["arm"]), corrected.get(record["arm"]))}
            for record in found
        ]
    return records


def _predictions(out: Path, finals: list[dict[str, Any]]) -> list[Array]:
    return [np.load(out / final["predictions"], mmap_mode="r", allow_pickle=False) for final in finals]


def _compared(
    record: dict[str, Any], baseline: dict[str, Any], found: Difference | None, p_value: float | None
) -> dict[str, Any]:
    return {
        "difference": record["mean"] - baseline["mean"],
        "difference_ci95": [found.low, found.high] if found else None,
        "p_value": p_value,
        "p_value_uncorrected": found.p_value if found else None,
    }


def _record(task: Task, metric: str, arm: str, plan: Plan, part: Part, settings: CompareSettings) -> dict[str, Any]:
    chosen, trials, finals = plan.outcome(arm)
    over_seeds = t_interval([final[metric] for final in finals])
    several = over_seeds.n > 1
    record = {
        "arm": arm,
        "metric": metric,
        "mean": over_seeds.mean,
        "std": over_seeds.std if several else None,
        "ci95": [over_seeds.low, over_seeds.high] if several else None,
        "per_seed": [final[metric] for final in finals],
        "seeds": settings.final_seeds,
        "params": chosen["params"],
        "trials": len(trials),
        "n_test": len(part),
        **part.facts(finals),
    }
    if metric != task.metric:
        return record
    return record | {
        f"validation_{metric}": chosen["value"],
        "best_epoch": chosen["epoch"],
        "seconds": round(float(np.mean([final["seconds"] for final in finals])), 3),
        "curve": chosen["curve"],
        "search": [{"number": r["number"], **r["searched"], "value": r["value"], "epoch": r["epoch"]} for r in trials],
    }
