"""`fit`, `evaluate` and `recommend`, for ratings and for positives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_case import run


@pytest.fixture(scope="module")
def model(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model") / "mf"
    done = run("fit", "mf", files / "train.csv", "--out", out, "--factors", 8, "--epochs", 5)
    assert done.exit_code == 0, done.stderr
    return out


def test_fit_evaluate_recommend(files: Path, tmp_path: Path) -> None:
    graph = ["--item-graph", files / "edges.csv", "--rho-item", "inf", "--p0-item", 0.1, "--p0-user", 0.01]
    out = tmp_path / "model"
    done = run(
        "fit",
        "mf",
        files / "train.csv",
        "--validation",
        files / "test.csv",
        *graph,
        "--factors",
        8,
        "--epochs",
        5,
        "--out",
        out,
    )
    assert done.exit_code == 0, done.stderr
    assert "5 epochs" in done.stdout
    assert "validation RMSE" in done.stdout
    scores = run("evaluate", out, files / "test.csv", "--json")
    values = json.loads(scores.stdout)
    assert values["n"] == 202
    assert values["n_cold"] == 2
    assert 0.3 < values["rmse"] < 2
    text = run("evaluate", out, files / "test.csv").stdout
    assert f"RMSE {values['rmse']:.4f}" in text
    assert "2 of them cold" in text
    again = run("fit", "mf", files / "train.csv", "--factors", 8, "--epochs", 1, "--out", out)
    assert (again.exit_code, "--overwrite" in again.stderr) == (1, True)
    assert (
        run("fit", "mf", files / "train.csv", "--factors", 8, "--epochs", 1, "--out", out, "--overwrite").exit_code == 0
    )


def test_recommend(files: Path, model: Path) -> None:
    rows = json.loads(run("recommend", model, "--user", 7, "-k", 3, "--json").stdout)
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    seen = {line.split(",")[1] for line in (files / "train.csv").read_text().splitlines() if line.startswith("7,")}
    assert not {str(row["item"]) for row in rows} & seen
    lines = run("recommend", model, "--user", 7, "--user", 8, "-k", 3, "--csv").stdout.splitlines()
    assert lines[0] == "user,rank,item,score"
    assert [line.split(",")[:2] for line in lines[1:]] == [[u, r] for u in "78" for r in "123"]
    assert lines[1].split(",")[2] == str(rows[0]["item"])
    table = run("recommend", model, "--user", 7, "-k", 3).stdout
    assert str(rows[0]["item"]) in table
    everything = json.loads(run("recommend", model, "--user", 7, "-k", 1000, "--include-seen", "--json").stdout)
    assert len(everything) == 40


@pytest.mark.parametrize(("user", "message"), [("12345", "12345"), ("ann", "integers")])
def test_recommend_to_an_unknown_user(model: Path, user: str, message: str) -> None:
    done = run("recommend", model, "--user", user)
    assert done.exit_code == 1
    assert message in done.stderr
    assert run("recommend", model, "--user", "7", "--json", "--csv").exit_code == 1


@pytest.fixture(scope="module")
def ranker(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model") / "bpr"
    graph = ["--item-graph", files / "edges.csv", "--rho-item", "inf", "--p0-item", 0.1]
    validation = ["--validation", files / "test.csv", "--factors", 8, "--epochs", 5]
    done = run("fit", "bpr", files / "train.csv", "--out", out, *validation, *graph, "--num-negatives", 2)
    assert done.exit_code == 0, done.stderr
    assert "700 positives" in done.stderr
    assert "train loss 0." in done.stdout
    assert "validation precision@10 0." in done.stdout
    return out


def test_a_ranker_evaluates_and_recommends(files: Path, ranker: Path) -> None:
    values = json.loads(run("evaluate", ranker, files / "test.csv", "--json").stdout)
    assert values["n_pairs"] == 202
    assert values["n_cold"] == 2
    assert 0 < values["precision@10"] < values["recall@10"] < 1
    text = run("evaluate", ranker, files / "test.csv").stdout
    assert f"{values['ndcg@5']:.4f}" in text
    assert "202 test positives of" in text
    assert "2 of them cold" in text
    seen_only = run("evaluate", ranker, files / "train.csv")
    assert (seen_only.exit_code, "not in train" in seen_only.stderr) == (1, True)
    assert "700 more are in train too and left out" in run("evaluate", ranker, files / "everything.csv").stdout
    rows = json.loads(run("recommend", ranker, "--user", 7, "-k", 3, "--json").stdout)
    assert [row["rank"] for row in rows] == [1, 2, 3]
    seen = {line.split(",")[1] for line in (files / "train.csv").read_text().splitlines() if line.startswith("7,")}
    assert not {str(row["item"]) for row in rows} & seen
