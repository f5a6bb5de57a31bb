"""`compare` on ratings, on positives and over every model: results on stdout and on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_case import FAST, run


def test_compare(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["compare", files / "train.csv", "--test", files / "test.csv", "--item-graph", files / "edges.csv", *FAST]
    done = run(*command, "--edge-weight", "weight", "--jobs", 2, "--out", out)
    assert done.exit_code == 0, done.stderr
    document = json.loads((out / "results.json").read_text())
    names = ["none", "dropout", "sse-se", "sse-se+dropout", "sse-graph", "sse-cooccurrence", "graph-laplacian"]
    assert [record["arm"] for record in document["results"]] == names
    assert {record["n_cold"] for record in document["results"]} == {2}
    assert {file["role"] for file in document["provenance"]["data"]} == {"train", "test", "item_graph"}
    assert all(len(file["sha256"]) == 64 for file in document["provenance"]["data"])
    for name in names:
        assert name in done.stdout
    assert "SSE " in done.stdout
    assert "2 cold" in done.stdout
    assert "29 fits, 2 at a time" in done.stderr
    assert "torchsse recommend" in done.stdout
    assert run("recommend", out / "model", "--user", 7).exit_code == 0
    measured = json.loads(run("evaluate", out / "model", files / "test.csv", "--json").stdout)
    best = min(document["results"], key=lambda record: record["validation_rmse"])
    assert document["provenance"]["model"] == {"arm": best["arm"], "seed": 0, "directory": "model"}
    assert measured["rmse"] == pytest.approx(best["per_seed"][0], abs=1e-7)
    for name in ("report.md", "learning_curves.png", "learning_curves.svg", "differences.png", "journal.jsonl"):
        assert (out / name).stat().st_size > 0
    again = run(*command, "--edge-weight", "weight", "--jobs", 1, "--out", out)
    assert "29 of them done before" in again.stderr
    assert again.stdout.splitlines()[:9] == done.stdout.splitlines()[:9]
    other = run(*command, "--jobs", 2, "--out", out)
    assert other.exit_code == 1
    assert "reading.edge_weight" in other.stderr
    restarted = run(*command, "--arms", "none,sse-graph", "--out", out, "--restart")
    assert restarted.exit_code == 0
    assert "dropout" not in restarted.stdout


def test_compare_splits_a_test_part_off(files: Path, tmp_path: Path) -> None:
    done = run("compare", files / "ratings.csv", *FAST, "--arms", "sse-se", "--no-biases", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert "No test file was given: 20% of each user's ratings" in done.stdout
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [record["arm"] for record in document["results"]] == ["none", "sse-se"]
    assert document["provenance"]["config"]["settings"]["biases"] is False


def test_compare_takes_columns_by_position(files: Path, tmp_path: Path) -> None:
    lines = [line.split(",") for line in (files / "ratings.csv").read_text().splitlines()[1:]]
    swapped = tmp_path / "swapped.csv"
    swapped.write_text("\n".join(f"{r};{i};{u}" for u, i, r in lines))
    columns = ["--user-column", 2, "--item-column", 1, "--rating-column", 0]
    done = run("compare", swapped, *columns, *FAST, "--arms", "none", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert "60 users, 40 items" in done.stderr


IMPLICIT = ["--factors", 8, "--epochs", 4, "--trials", 1, "--seeds", 2, "--num-negatives", 2]


def test_compare_implicit_feedback(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("compare", files / "likes.csv", *IMPLICIT, "--item-graph", files / "edges.csv", "--out", out)
    assert done.exit_code == 0, done.stderr
    document = json.loads((out / "results.json").read_text())
    arms = ["none", "dropout", "sse-se", "sse-se+dropout", "sse-graph", "sse-cooccurrence"]
    assert [r["arm"] for r in document["results"] if r["metric"] == "precision@10"] == arms
    assert len(document["results"]) == 4 * len(arms)
    assert document["provenance"]["config"]["settings"]["num_negatives"] == 2
    assert document["provenance"]["config"]["settings"]["biases"] is False
    for words in ("test precision@10", "test precision@1 ", "test NDCG@10", "test positives of 60 users", "SSE "):
        assert words in done.stdout
    assert "best validation precision@10" in done.stderr
    assert "positives (implicit feedback)" in done.stderr
    assert run("recommend", out / "model", "--user", 7).exit_code == 0


def test_what_counts_as_implicit(files: Path, tmp_path: Path) -> None:
    """No rating column, all ratings equal, --feedback implicit: the same comparison, to the digit."""
    pairs = (files / "likes.csv").read_text().splitlines()[1:]
    ones = tmp_path / "ones.csv"
    ones.write_text("user,item,rating\n" + "".join(f"{pair},1\n" for pair in pairs))
    found = []
    for file, more in ((files / "likes.csv", []), (ones, []), (files / "ratings.csv", ["--feedback", "implicit"])):
        out = tmp_path / f"out{len(found)}"
        done = run("compare", file, *more, *IMPLICIT, "--arms", "sse-se", "--out", out)
        assert done.exit_code == 0, done.stderr
        document = json.loads((out / "results.json").read_text())
        found.append([(r["arm"], r["metric"], r["per_seed"], r["p_value"]) for r in document["results"]])
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(("model", "ratings"), [("als", "likes"), ("marginalized", "ratings")])
def test_compare_other_models(files: Path, tmp_path: Path, model: str, ratings: str) -> None:
    out = tmp_path / "out"
    small = ["--factors", 8, "--epochs", 4, "--trials", 1, "--seeds", 2]
    command = ["compare", files / f"{ratings}.csv", "--model", model, *small, "--item-graph", files / "edges.csv"]
    done = run(*command, "--out", out)
    assert done.exit_code == 0, done.stderr
    document = json.loads((out / "results.json").read_text())
    primary = [r for r in document["results"] if r["metric"] == document["results"][0]["metric"]]
    assert [r["arm"] for r in primary] == ["none", "sse-se", "sse-graph", "sse-cooccurrence"]
    assert len({str(r["per_seed"]) for r in document["results"]}) > 3
    assert "objective" in primary[0]["curve"]
    assert {arm["model"] for arm in document["provenance"]["config"]["arms"].values()} == {model}
