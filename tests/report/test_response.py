"""The plot of the response and the tables of a study, from a document made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchsse.report.response import envelope, response_figure, write_response
from torchsse.report.trials import best_trials, importance_table, study_words, trials_table


def document(metric: str = "rmse", **changes: Any) -> dict[str, Any]:
    """A study whose metric is best at p0 = 0.02."""
    rng = np.random.default_rng(0)
    sign = 1.0 if metric == "rmse" else -1.0
    trials = []
    for number in range(30):
        p0 = float(np.exp(rng.uniform(np.log(0.001), np.log(0.5))))
        value = 0.85 + sign * (0.004 * np.log(p0 / 0.02) ** 2 + 0.005 * rng.random())
        state = "diverged" if number == 3 else "pruned" if number % 4 == 1 else "complete"
        settings = {"p0_item": p0, "weight_decay": 0.1}
        value = None if state == "diverged" else float(value)
        trials.append({"number": number, "state": state, "value": value, "epoch": 3, "params": settings})
    whole = {
        "model": "mf",
        "metric": metric,
        "trials": trials,
        "validation": "a file",
        "counts": {"complete": 21, "pruned": 8, "diverged": 1},
        "space": {"searched": {"p0_item": [0.001, 0.5, "log"], "weight_decay": [0.01, 0.3, "log"]}},
        "importances": {"p0_item": 0.8, "weight_decay": 0.2},
        "without_sse": {"value": 0.85 + sign * 0.01, "epochs": 4},
        "changed": {},
    }
    best = best_trials(whole, 1)[0]
    whole |= {"trial": best["number"], "value": best["value"], "params": best["params"]}
    whole["response"] = {"p0_item": [[0.001, 0.88], [best["params"]["p0_item"], best["value"]], [0.5, None]]}
    return {**whole, **changes}


@pytest.mark.parametrize("higher", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_no_point_is_beyond_the_envelope(higher: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = [(float(x), float(y)) for x, y in zip(np.exp(rng.uniform(-7, 0, 40)), rng.normal(size=40))]
    line = envelope(points, log=True, higher=higher)
    assert set(line) <= set(points)
    x, y = (np.array(column) for column in zip(*line))
    at = np.interp(np.log([p[0] for p in points]), np.log(x), y)
    beyond = at - np.array([p[1] for p in points])
    assert (beyond * (-1 if higher else 1) <= 1e-12).all()
    slopes = np.diff(y) / np.diff(np.log(x))
    assert (np.diff(slopes) * (-1 if higher else 1) > 0).all(), "convex"
    best = max if higher else min
    assert best(points, key=lambda p: p[1]) in line


def test_few_points_have_an_envelope() -> None:
    assert envelope([(0.1, 1.0)], log=True, higher=False) == [(0.1, 1.0)]
    assert envelope([(0.1, 2.0), (0.1, 1.0)], log=True, higher=False) == [(0.1, 1.0)]


@pytest.mark.parametrize("metric", ["rmse", "precision@10"])
def test_figure(metric: str, tmp_path: Path) -> None:
    whole = document(metric)
    figure = response_figure(whole)
    assert figure is not None
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    (dots,) = axes.collections
    complete = [trial for trial in whole["trials"] if trial["state"] == "complete"]
    assert len(dots.get_offsets()) == len(complete)
    drawn = {str(line.get_label()): line for line in axes.lines}
    assert len(drawn["pruned, at its best so far"].get_xdata()) == whole["counts"]["pruned"]
    low, high = axes.get_ylim()
    assert low < whole["value"] < high
    assert write_response(whole, tmp_path) == [tmp_path / "response.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["response.png", "response.svg"]


def test_figure_of_two_settings_and_of_none() -> None:
    both = document()
    for trial in both["trials"]:
        trial["params"]["p0_user"] = trial["params"]["p0_item"] / 10
    both["space"]["searched"]["p0_user"] = [0.0001, 0.05, "log"]
    both["response"]["p0_user"] = []
    figure = response_figure(both)
    assert figure is not None
    assert len(figure.axes) == 2
    assert response_figure(document(response={})) is None
    assert response_figure(document(trials=[])) is None
    listed = document()
    listed["space"]["searched"]["p0_item"] = [0.01, 0.02, 0.03]
    assert response_figure(listed) is None, "a choice has no axis"


def test_tables() -> None:
    from rich.console import Console

    whole = document()
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(trials_table(whole))
    importances = importance_table(whole)
    assert importances is not None
    console.print(importances)
    text = console.export_text()
    lines = text.splitlines()
    first = lines[1 + next(n for n, line in enumerate(lines) if line.strip().startswith("───"))].split()
    assert first[:2] == [str(whole["trial"]), f"{whole['value']:.4f}"]
    assert "80%" in text
    assert importance_table(document(importances={})) is None


def test_words() -> None:
    words = study_words(document())
    assert words[0] == "30 trials: 21 complete, 8 pruned, 1 diverged; judged on a file."
    assert "0.8600" in words[1]
    assert "worse" in words[1]
    assert "better" in study_words(document(without_sse={"value": 0.5, "epochs": 1}))[1]
    assert "Too few" in study_words(document(importances={}))[-1]
    changed = study_words(document(changed={"p0_item": 0.5}))
    assert "Best of all" in changed[1]
