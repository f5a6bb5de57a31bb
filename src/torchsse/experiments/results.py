"""The records of results.json, from what a finished plan measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.experiments.outcome import TestPart
from torchsse.experiments.plan import Plan
from torchsse.experiments.settings import CompareSettings
from torchsse.metrics import Difference, holm, t_interval

__all__ = ["result_records"]


def result_records(
    arms: list[str], plan: Plan, part: TestPart, out: Path, settings: CompareSettings
) -> list[dict[str, Any]]:
    """One record per arm; the first arm is the baseline, whose difference is 0 and whose p value is None.

    mean, std (ddof 1) and ci95 (t interval) are over seeds; std and ci95 are None for a single seed. difference is
    that of the means; difference_ci95 and p_value (Holm-corrected) come from the paired bootstrap over users.
    """
    predicted = {arm: _predictions(out, plan.outcome(arm)[2]) for arm in arms}
    baseline, others = arms[0], arms[1:]
    raw = {arm: part.difference(predicted[arm], predicted[baseline], settings.seed) for arm in others}
    corrected = dict(zip(others, holm([raw[arm].p_value for arm in others]).tolist())) if others else {}
    records = [_record(arm, plan, part, settings) for arm in arms]
    return [
        {**record, **_compared(record, records[0], raw.get(record["arm"]), corrected.get(record["arm"]))}
        for record in records
    ]


def _predictions(out: Path, finals: list[dict[str, Any]]) -> list[npt.NDArray[np.floating]]:
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


def _record(arm: str, plan: Plan, part: TestPart, settings: CompareSettings) -> dict[str, Any]:
    chosen, trials, finals = plan.outcome(arm)
    over_seeds = t_interval([final["rmse"] for final in finals])
    several = over_seeds.n > 1
    warm = [final["warm_rmse"] for final in finals if final["warm_rmse"] is not None]
    return {
        "arm": arm,
        "metric": "rmse",
        "mean": over_seeds.mean,
        "std": over_seeds.std if several else None,
        "ci95": [over_seeds.low, over_seeds.high] if several else None,
        "per_seed": [final["rmse"] for final in finals],
        "seeds": settings.final_seeds,
        "params": chosen["params"],
        "trials": settings.trials,
        "n_test": len(part),
        "n_cold": part.n_cold,
        "warm_rmse": float(np.mean(warm)) if warm else None,
        "validation_rmse": chosen["value"],
        "best_epoch": chosen["epoch"],
        "seconds": round(float(np.mean([final["seconds"] for final in finals])), 3),
        "curve": chosen["curve"],
        "search": [{"number": r["number"], **r["searched"], "value": r["value"], "epoch": r["epoch"]} for r in trials],
    }
