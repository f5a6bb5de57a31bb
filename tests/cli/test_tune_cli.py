"""`torchsse tune` from the command line: what it prints and leaves, and what it says about wrong input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from torchsse.cli import app
from torchsse.data.synthetic import planted_clusters
from torchsse.experiments.models import load_model

FAST = ["--factors", "8", "--epochs", "4", "--trials", "3", "--profile", "2", "--jobs", "1"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    ratings, edges = planted_clusters(60, 40, 900, num_clusters=4)
    order = np.random.default_rng(0).permutation(len(ratings))
    rows = [f"{u},{i},{r:g}\n" for u, i, r in zip(ratings.raw_users, ratings.raw_items, ratings.values)]
    header = "user,item,rating\n"
    (folder / "ratings.csv").write_text(header + "".join(rows))
    (folder / "train.csv").write_text(header + "".join(rows[n] for n in order[:750]))
    (folder / "valid.csv").write_text(header + "".join(rows[n] for n in order[750:]) + "999,1,3\n")
    (folder / "likes.csv").write_text("user,item\n" + "".join(row.rpartition(",")[0] + "\n" for row in rows))
    (folder / "edges.csv").write_text("a,b\n" + "".join(f"{a},{b}\n" for a, b in zip(edges.src_raw, edges.dst_raw)))
    (folder / "foreign.csv").write_text("a,b\nx,y\n")
    return folder


@pytest.mark.parametrize(
    ("model", "data", "metric"),
    [
        ("mf", "ratings", "RMSE"),
        pytest.param("marginalized", "ratings", "RMSE", marks=pytest.mark.slow),
        pytest.param("graph-als", "ratings", "RMSE", marks=pytest.mark.slow),
        ("bpr", "likes", "precision@10"),
        ("sqlrank", "likes", "precision@10"),
        pytest.param("als", "likes", "precision@10", marks=pytest.mark.slow),
    ],
)
def test_every_model(files: Path, tmp_path: Path, model: str, data: str, metric: str) -> None:
    out = tmp_path / "out"
    command = ["tune", model, files / f"{data}.csv", "--item-graph", files / "edges.csv", "--out", out, *FAST]
    done = run(*command)
    assert done.exit_code == 0, done.stderr
    document = json.loads((out / "best.json").read_text())
    assert len(document["trials"]) == 3
    assert f"validation {metric}" in done.stdout
    assert "3 trials: 3 complete" in done.stdout
    assert f"best validation {metric}: {model} " in done.stderr
    for name in ("best.json", "trials.csv", "response.png", "response.svg", "study.db"):
        assert (out / name).stat().st_size > 0
    words = ["recommend", out / "model", "--user", 7, "-k", 3]
    assert len(json.loads(run(*words, "--json").stdout)) == 3
    again = run(*command)
    assert "of them done before" in again.stderr
    assert again.stdout.splitlines()[:9] == done.stdout.splitlines()[:9]


def test_validation_file(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    more = ["--validation", files / "valid.csv", "--item-graph", files / "edges.csv", "--fix", "p0-user=0"]
    done = run("tune", "mf", files / "train.csv", *more, "--search", "p0_item=0.1:0.5", *FAST, "--out", out)
    assert done.exit_code == 0, done.stderr
    document = json.loads((out / "best.json").read_text())
    assert document["saved"]["ratings"] == 901, "train and validation together"
    assert document["params"]["p0_user"] == 0
    assert list(document["response"]) == ["p0_item"]
    assert {file["role"] for file in document["provenance"]["data"]} == {"train", "validation", "item_graph"}
    assert "judged on the validation file, 151 ratings" in done.stderr
    assert run("recommend", out / "model", "--user", 999).exit_code == 0, "a user of the validation file is known"


@pytest.mark.parametrize(("model", "data"), [("mf", "ratings"), ("sasrec", "likes")])
def test_along_nearest_items(files: Path, tmp_path: Path, model: str, data: str) -> None:
    out = tmp_path / "out"
    command = ["tune", model, files / f"{data}.csv", *FAST, "--out", out]
    if model == "sasrec":
        command += ["--order", "file", "--fix", "max_length=8"]
    done = run(*command, "--item-nearest", 3)
    assert done.exit_code == 0, done.stderr
    assert "Item graph: each item's 3 nearest by co-occurrence, in what a fit learns from." in done.stderr
    document = json.loads((out / "best.json").read_text())
    assert document["params"]["rho_item"] == "inf"
    assert "Item graph: each item's 3 nearest" in "".join(document["provenance"]["notes"])
    saved = load_model(out / "model")
    assert saved.item_graph is not None
    assert saved.item_graph.num_edges > 0
    other = run(*command, "--item-nearest", 4)
    assert other.exit_code == 1
    assert "holds a run with other settings or data" in other.stderr
    assert "of them done before" in run(*command, "--item-nearest", 3).stderr


def test_without_sse(files: Path, tmp_path: Path) -> None:
    """Both p0 fixed at 0: nothing to compare with, no response to plot."""
    zero = ["--fix", "p0_user=0", "--fix", "p0_item=0"]
    done = run("tune", "mf", files / "ratings.csv", *zero, *FAST, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert "p0 = 0" not in done.stdout
    assert not (tmp_path / "out" / "response.png").exists()
    assert json.loads((tmp_path / "out" / "best.json").read_text())["without_sse"] is None


def test_another_study_in_out(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    least = ["--factors", 4, "--epochs", 1, "--trials", 1, "--profile", 0, "--jobs", 1, "--out", out]
    assert run("tune", "mf", files / "ratings.csv", *least).exit_code == 0
    other = ["tune", "mf", files / "train.csv", *least]
    refused = run(*other)
    assert refused.exit_code == 1
    assert refused.stderr.strip().splitlines()[-1].startswith(f"error: {out} holds a run with other settings or data")
    assert "--restart" in refused.stderr
    assert run(*other, "--restart").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mf", "{}/nowhere.csv"], "nowhere.csv"),
        (["mf", "{}/likes.csv"], "needs explicit ratings"),
        (["mf", "{}/ratings.csv", "--search", "p0_item=1:2"], "p0_item"),
        (["mf", "{}/ratings.csv", "--search", "alpha=1:2"], "no setting 'alpha'"),
        (["mf", "{}/ratings.csv", "--fix", "epochs=3"], "--epochs"),
        (["mf", "{}/ratings.csv", "--fix", "biases=perhaps"], "biases: expected true or false, got 'perhaps'"),
        (["mf", "{}/ratings.csv", "--factors", "many"], "factors"),
        (["mf", "{}/ratings.csv", "--trials", "0"], "trials must be at least 1, got 0"),
        (["mf", "{}/ratings.csv", "--jobs", "0"], "jobs must be at least 1"),
        (["mf", "{}/ratings.csv", "--profile", "-1"], "profile must be at least 0"),
        (["mf", "{}/ratings.csv", "--validation", "{}/nowhere.csv"], "nowhere.csv"),
        (["mf", "{}/ratings.csv", "--edge-weight", "w"], "--edge-weight"),
        (["bpr", "{}/likes.csv", "--item-graph", "{}/foreign.csv"], "none of the 1 edges"),
        (["mf", "{}/ratings.csv", "--item-graph", "{}/edges.csv", "--item-nearest", "3"], "both given"),
        (["mf", "{}/ratings.csv", "--item-nearest", "3", "--edge-weight", "w"], "--edge-weight"),
        (["sasrec", "{}/likes.csv", "--user-nearest", "3"], "--user-nearest: models of histories"),
        (["mf", "{}/ratings.csv", "--out", "{}"], "not empty"),
        (["mf", "{}/ratings.csv", "--search", "learning_rate=1e8:1e9:log", "--trials", "2"], "2 trials diverged"),
    ],
    ids=lambda value: " ".join(value).replace("{}/", "") if isinstance(value, list) else "",
)
def test_wrong_input_is_one_line_and_exit_1(files: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    words = [word.replace("{}", str(files)) for word in arguments]
    if "--out" not in words:
        words += ["--out", str(tmp_path / "out")]
    done = run("tune", *words)
    assert done.exit_code == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    assert "Traceback" not in done.output
    assert not (tmp_path / "out" / "best.json").exists()


@pytest.mark.parametrize(
    "arguments", [["tune"], ["tune", "gbdt", "x", "--out", "y"], ["tune", "mf", "x"]], ids=" ".join
)
def test_a_wrong_command_line_is_exit_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.slow
def test_ctrl_c(files: Path, tmp_path: Path) -> None:
    """Interrupted: exit 130 and a hint."""
    code = f"import signal, os, sys; signal.signal({int(signal.SIGINT)}, signal.SIG_DFL); "
    code += "os.execv(sys.executable, [sys.executable, '-m', 'torchsse', *sys.argv[1:]])"
    out = tmp_path / "out"
    words = ["tune", "mf", files / "ratings.csv", "--epochs", 3000, "--trials", 500, "--out", out]
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)], stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not (out / "study.db-wal").exists():
            time.sleep(0.02)
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip().splitlines()[-1].startswith("interrupted; run the same command again")
    assert "Traceback" not in errors
