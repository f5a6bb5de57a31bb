"""`compare` and `tune` for models that read histories: what they leave, and what they say about wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from torchsse.cli import app

TINY = ["--hidden", 4, "--blocks", 1, "--max-length", 8, "--batch-size", 16, "--learning-rate", 0.02]
SHORT = ["--epochs", 2, "--validate-every", 1, "--trials", 1, "--seeds", 1, "--jobs", 1]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows `user item`, in the order of time: item i of 20 is followed by i + 1."""
    folder = tmp_path_factory.mktemp("files")
    rows = [(user + 100, (user + t) % 20 + 500) for user in range(30) for t in range(8)]
    (folder / "actions.txt").write_text("".join(f"{u} {i}\n" for u, i in rows))
    (folder / "head.txt").write_text("".join(f"{u} {i}\n" for n, (u, i) in enumerate(rows) if n % 8 < 6))
    (folder / "tail.txt").write_text("".join(f"{u} {i}\n" for n, (u, i) in enumerate(rows) if n % 8 >= 6))
    timed = "".join(f"{u},{i},{t}\n" for t, (u, i) in enumerate(rows))
    (folder / "timed.csv").write_text("user,item,timestamp\n" + timed)
    (folder / "edges.csv").write_text("a,b\n" + "".join(f"{i},{i + 1}\n" for i in range(500, 519)))
    return folder


def test_compare_over_a_global_split_in_time(files: Path, tmp_path: Path) -> None:
    command = ["compare", files / "timed.csv", "--model", "sasrec", "--arms", "none", *TINY, *SHORT]
    done = run(*command, "--split", "time", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert "240 actions; test: the latest 24, validation: the 24 before" in done.stderr
    config = json.loads((tmp_path / "out" / "results.json").read_text())["provenance"]["config"]
    assert config["reading"] == {"split": "time"}
    other = run(*command, "--out", tmp_path / "out")
    assert (other.exit_code, "another" in other.stderr) == (1, True), other.stderr
    wrong = run("compare", files / "actions.txt", "--model", "sasrec", "--split", "time", "--out", tmp_path / "x")
    assert (wrong.exit_code, "with timestamps" in wrong.stderr) == (1, True), wrong.stderr


def test_compare(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [
        "compare",
        files / "actions.txt",
        "--model",
        "sasrec",
        "--item-graph",
        files / "edges.csv",
        *TINY,
        *SHORT,
    ]
    done = run(*command, "--arms", "sse-graph", "--fix", "rho-item=50", "--out", out)
    assert done.exit_code == 0, done.stderr
    assert "30 users, 20 items, 240 actions; test: the last one of 30 users" in done.stderr
    assert "Item graph: 20 of 20 items have a neighbour" in done.stderr
    document = json.loads((out / "results.json").read_text())
    assert [r["arm"] for r in document["results"]][:2] == ["none", "sse-graph"]
    config = document["provenance"]["config"]
    assert config["task"] == "compare-sequences"
    assert (config["settings"]["hidden"], config["settings"]["trials"]) == (4, 1)
    assert config["arms"]["sse-graph"]["fixed"] == {"rho_item": 50.0}
    # histories of eight: dropout is searched where short ones want it
    assert config["arms"]["none"]["space"]["dropout"][1] == 0.7
    page = (out / "report.md").read_text()
    assert "sampled NDCG@10" in page
    assert "2 of 2 (limit)" in page or "1 of 2 (limit)" in page
    served = run("recommend", out / "model", "--user", 100, "-k", 3)
    assert served.exit_code == 0, served.stderr


def test_tune(files: Path, tmp_path: Path) -> None:
    words = ["--factors", 4, "--fix", "blocks=1", "--epochs", 2, "--trials", 2, "--profile", 0, "--jobs", 1]
    out = tmp_path / "out"
    done = run("tune", "sasrec", files / "actions.txt", "--item-graph", files / "edges.csv", *words, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert "judged on each user's last action, 30 of them" in done.stderr
    best = json.loads((out / "best.json").read_text())
    assert best["metric"] == "ndcg@10"
    assert {"p0_input", "p0_output", "rho_item", "dropout", "weight_decay"} < set(best["space"]["searched"])
    assert best["without_sse"] is not None
    assert best["saved"]["ratings"] == 240
    parts = run(
        "tune", "ssept", files / "head.txt", "--validation", files / "tail.txt", *words, "--out", tmp_path / "two"
    )
    assert parts.exit_code == 0, parts.stderr
    assert "judged on the validation file, 60" in parts.stderr
    assert json.loads((tmp_path / "two" / "best.json").read_text())["saved"]["ratings"] == 240


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compare", "{}/actions.txt", "--model", "sasrec", "--biases"], "--biases: sasrec takes whole histories"),
        (
            ["compare", "{}/actions.txt", "--model", "ssept", "--test", "x", "--factors", "8"],
            "--test, --factors: ssept",
        ),
        (["compare", "{}/actions.txt", "--hidden", "8"], "--hidden: for models of histories"),
        (["compare", "{}/actions.txt", "--model", "sasrec", "--arms", "sse-graph"], "graph: give --item-graph\n"),
        (["compare", "{}/actions.txt", "--model", "sasrec", "--arms", "graph-laplacian"], "needs a graph"),
        (["compare", "{}/actions.txt", "--model", "sasrec", "--arms", "sse-se-user"], "does not exist for this model"),
        (["compare", "{}/actions.txt", "--model", "sasrec", "--loss", "hinge"], "loss must be one of"),
        (["compare", "{}/actions.txt", "--model", "sasrec", "--positions", "sinus"], "positions must be learned or"),
        (["compare", "{}/actions.txt", "--model", "sasrec", "--random-window", "2"], "random_window must be from 0"),
        (["compare", "{}/actions.txt", "--positions", "rotary"], "--positions: for models of histories"),
        (["compare", "{}/actions.txt", "--inner", "8"], "--inner: for models of histories"),
        (["compare", "{}/actions.txt", "--model", "sasrec", "--inner", "0"], "inner must be at least 1"),
        (["compare", "{}/nowhere.txt", "--model", "sasrec", "--fix", "dropout=0.1"], "nowhere.txt"),
        (["compare", "{}/actions.txt", "--model", "sasrec", "--fix", "dropout=2"], "below 1, got 2"),
        (["compare", "{}/actions.txt", "--fix", "p0_input=0.1"], "--fix p0_input: no arm here searches it"),
        (["tune", "mf", "{}/actions.txt", "--order", "file", "--out", "x"], "--order: mf has no such option"),
        (["tune", "sasrec", "{}/actions.txt", "--user-graph", "x", "--out", "x"], "--user-graph"),
        (["tune", "sasrec", "{}/actions.txt", "--validation-splits", "2", "--out", "x"], "--validation-splits"),
    ],
)
def test_wrong_input_in_one_line(files: Path, tmp_path: Path, words: list[str], said: str) -> None:
    filled = [word.format(files) for word in words]
    if filled[0] == "compare":
        filled += ["--out", str(tmp_path / "out")]
    done = run(*filled)
    assert done.exit_code == 1, done.stdout
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
