"""The pages of a table of the paper, from hand-made results of two models and two ranks."""

from __future__ import annotations

import re
from typing import Any

import pytest

from torchsse.report.comparison_view import details, sections
from torchsse.report.reproduced import html_of_table, markdown_of_table

METRIC = "precision@10"


def record(block: str, arm: str, mean: float, difference: float = 0.0, width: float = 0.001) -> dict[str, Any]:
    ends = [difference - 0.0005, difference + 0.0005]
    return {
        "block": block, "arm": arm, "metric": METRIC, "mean": mean, "std": 0.001, "ci95": [mean - width, mean + width],
        "per_seed": [mean, mean], "seeds": [0, 1], "difference": difference,
        "difference_ci95": None if arm == "none" else ends, "p_value": None if arm == "none" else 0.001,
        "params": {"alpha": 1.0}, "trials": 3, "n_test": 100, "best_epoch": 7,
    }  # fmt: skip


def pair(arm: str, difference: float, p_value: float) -> dict[str, Any]:
    ends = [difference - 0.0005, difference + 0.0005]
    return {
        "arm": arm, "against": "als", "metric": METRIC, "difference": difference, "difference_ci95": ends,
        "p_value": p_value,
    }  # fmt: skip


def block(name: str, pairs: list[dict[str, Any]]) -> dict[str, Any]:
    settings = {
        "factors": 10, "trials": 3, "seeds": 2, "epochs": 9, "learning_rate": 0.1, "learning_rate_decay": 1.0,
    }  # fmt: skip
    return {
        "name": name, "data": "Films", "column": name, "paper_data": "Films", "differs": "", "pairs": pairs,
        "settings": settings, "remark": "", "notes": [], "arms": {}, "provenance": {},
    }  # fmt: skip


@pytest.fixture
def document() -> dict[str, Any]:
    """ALS is better than `none` by far; SSE helps `none`, and harms ALS."""
    results = [record("r1", "none", 0.5), record("r1", "als", 0.6, 0.1)]
    results += [
        record("r2", "none", 0.5), record("r2", "sse-se", 0.51, 0.01), record("r2", "popularity", 0.1, -0.4, 0.0),
        record("r2", "als", 0.61, 0.11), record("r2", "als sse-se", 0.6, 0.1),
    ]  # fmt: skip
    about = {
        "name": "table3", "title": "a & b", "differs": [], "labels": {}, "models": {"none": "BPR"},
        "arm_differs": {"none": "Rate searched."},
        "paper": [{"model": "BPR", "metric": METRIC, "data": "Films", "value": 0.4}],
    }  # fmt: skip
    blocks = [block("r1", []), block("r2", [pair("als sse-se", -0.01, 0.001)])]
    command = ["torchsse", "reproduce", "table3"]
    return {
        "schema": 1, "table": about, "blocks": blocks, "results": results, "unfinished": [],
        "provenance": {"command": command},
    }  # fmt: skip


def test_rows_follow_the_longest_block(document) -> None:
    (section,) = sections(document)
    assert [row[0].text for row in section.rows] == ["none", "sse-se", "popularity", "als", "als sse-se"]


def test_a_better_model_is_no_evidence_for_sse(document) -> None:
    found = dict(sections(document)[0].verdicts)
    assert set(found) == {"r1", "r2, against none", "r2, against als"}
    assert "SSE helps here: sse-se raises" in found["r2, against none"]
    assert "als" not in found["r2, against none"]
    assert "SSE adds nothing here: als does better" in found["r2, against als"]
    document["blocks"][1]["pairs"] = [pair("als sse-se", 0.02, 0.001)]
    assert "SSE helps here: als sse-se raises" in dict(sections(document)[0].verdicts)["r2, against als"]


def test_a_model_without_sse_gives_no_verdict_where_another_has_it(document) -> None:
    document["results"] = [r for r in document["results"] if r["arm"] != "sse-se"]
    found = dict(sections(document)[0].verdicts)
    assert set(found) == {"r1", "r2, against als"}
    assert "no answer about SSE" in found["r1"], "no model has SSE there"


def test_each_family_is_told_of_its_own_further_metrics(document) -> None:
    """By another metric SSE helps ALS, which is worse than `none` there; only ALS's own arm may say so."""
    old = [r for r in document["results"] if r["block"] == "r2"]
    moved = {"none": 0.0, "sse-se": 0.0001, "popularity": -0.3, "als": -0.1, "als sse-se": -0.05}
    document["results"] += [
        {**record("r2", r["arm"], 0.5 + moved[r["arm"]], moved[r["arm"]]), "metric": "ndcg@10"} for r in old
    ]
    document["results"][-4]["p_value"] = 0.6  # sse-se
    document["blocks"][1]["pairs"].append({**pair("als sse-se", 0.05, 0.001), "metric": "ndcg@10"})
    found = dict(sections(document)[0].verdicts)
    assert " By NDCG@10 als sse-se is better, by 0.0500 (" in found["r2, against als"]
    assert "NDCG" not in found["r2, against none"]
    assert "NDCG" not in found["r1"]


def test_marks_against_both_plain_arms(document) -> None:
    cells = {row[0].text: row[-2] for row in sections(document)[0].rows}
    assert [cells[arm].mark for arm in ("none", "sse-se", "popularity", "als sse-se")] == ["", "*", "†", "*▼"]
    page = markdown_of_table(document, None)
    assert "worse than the plain arm of its own model" in page
    assert "| **0.6100 ± 0.0010*** |" in page, "bold, and a mark behind it"
    document["blocks"][1]["pairs"] = []
    assert "its own model" not in markdown_of_table(document, None)


def test_the_budget_is_that_of_the_run(document) -> None:
    """With how trials are judged, where that is not as usual."""
    assert "Rank 10, 3 trials per arm, 2 seeds, at most 9 epochs" in markdown_of_table(document, None)
    for feedback, parts, every, words in (
        ("implicit", 3, 1, "3 trials per arm (each on 3 validation parts), 2 seeds"),
        ("implicit", 1, 5, "3 trials per arm (measured every 5 epochs), 2 seeds"),
        ("explicit", 1, None, "3 trials per arm (each on 1 validation part), 2 seeds"),
        ("explicit", 2, None, "3 trials per arm, 2 seeds"),
    ):
        document["blocks"][0] |= {"feedback": feedback}
        document["blocks"][0]["settings"] |= {"validation_splits": parts, "validate_every": every}
        assert words in markdown_of_table(document, None)


def test_html_keeps_digits_in_line(document) -> None:
    page = html_of_table(document, None)
    ours = re.findall(r"<td[^>]*>(0\.[56]\d+)(<i>[^<]*</i>)?(<small>[^<]*</small>)?</td>", page.split("<details>")[0])
    assert len(ours) == 6
    assert all(hanging and width for _, hanging, width in ours)
    assert "<td>0.1000<i>†</i></td>" in page, "no interval where all seeds agree"
    assert "<td>0.4000</td>" in page, "the paper's number has no marks"
    assert "a &amp; b" in page
    assert "<li><code>torchsse reproduce table3</code></li>" in page
    assert "rate searched" in page


def test_what_was_chosen_stands_last_where_it_may_wrap(document) -> None:
    heads, rows = details(document, document["blocks"][1])
    assert heads[-2:] == ["epochs", "chosen on validation"]
    assert rows[0][-2:] == ["7", "alpha 1"]


def test_a_far_arm_does_not_squeeze_the_plot(document) -> None:
    pytest.importorskip("matplotlib")
    from torchsse.report.forest import forest_figure

    for entry in document["results"]:
        if entry["arm"].startswith("als"):
            entry["difference"], entry["difference_ci95"] = 0.02, [0.019, 0.021]
    (axes,) = forest_figure(document).axes
    assert axes.get_xlim()[0] > -0.1
    assert "−0.400" in [text.get_text() for text in axes.texts]
    document["results"][4].update(difference=-0.03, difference_ci95=[-0.031, -0.029])
    (axes,) = forest_figure(document).axes
    assert not axes.texts
    assert axes.get_xlim()[0] < -0.03
