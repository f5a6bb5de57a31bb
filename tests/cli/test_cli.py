"""The shell: wrong input is one line on stderr and exit 1, help has examples, demo, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_case import run
from typer.main import get_command

from torchsse.cli import app


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "{}/nowhere.csv"], "nowhere.csv"),
        (["compare", "{}/ratings.csv", "--rating-column", "stars"], "stars"),
        (["compare", "{}/words.csv"], "good"),
        (["compare", "{}/likes.csv", "--feedback", "explicit"], "rating column"),
        (["compare", "{}/ratings.csv", "--num-negatives", "2"], "--num-negatives: for implicit feedback only"),
        (["compare", "{}/ratings.csv", "--hard-negatives"], "--hard-negatives: for implicit feedback only"),
        (["compare", "{}/likes.csv", "--num-negatives", "0"], "num_negatives must be at least 1"),
        (["compare", "{}/ratings.csv", "--arms", "none,magic"], "unknown arm 'magic'"),
        (["compare", "{}/ratings.csv", "--model", "als"], "--model als: these data are explicit"),
        (
            ["compare", "{}/likes.csv", "--model", "als", "--tune-learning-rate"],
            "--tune-learning-rate: als has no such",
        ),
        (
            ["compare", "{}/likes.csv", "--model", "als", "--learning-rate", "0.1", "--num-negatives", "2"],
            "--learning-rate, --num-negatives: als has no such setting",
        ),
        (["compare", "{}/likes.csv", "--model", "als", "--biases"], "--biases: als has no such setting"),
        (
            ["compare", "{}/ratings.csv", "--model", "marginalized", "--learning-rate", "0.1"],
            "--learning-rate: marginalized has no such setting",
        ),
        (
            ["compare", "{}/ratings.csv", "--model", "marginalized", "--tune-learning-rate"],
            "--tune-learning-rate: marginalized has no such setting",
        ),
        (
            ["compare", "{}/likes.csv", "--model", "sqlrank", "--hard-negatives"],
            "--hard-negatives: sqlrank has no such setting",
        ),
        (["compare", "{}/ratings.csv", "--model", "mf", "--num-negatives", "2"], "--num-negatives"),
        (["compare", "{}/likes.csv", "--model", "als", "--arms", "dropout"], "'dropout' does not exist for this model"),
        (["compare", "{}/ratings.csv", "--arms", "sse-graph"], "--item-graph"),
        (["compare", "{}/ratings.csv", "--trials", "0"], "trials must be at least 1, got 0"),
        (["compare", "{}/ratings.csv", "--seeds", "0"], "seeds must be at least 1"),
        (["compare", "{}/ratings.csv", "--jobs", "0"], "jobs must be at least 1"),
        (["compare", "{}/ratings.csv", "--edge-weight", "w"], "--edge-weight"),
        (["compare", "{}/ratings.csv", "--item-graph", "{}/foreign.csv"], "none of the 1 edges"),
        (["compare", "{}/ratings.csv", "--item-graph", "{}/edges.csv", "--edge-weight", "heft"], "heft"),
        (["compare", "{}/ratings.csv", "--test", "{}/nowhere.csv"], "nowhere.csv"),
        (["compare", "{}/ratings.csv", "--out", "{}"], "not empty"),
        (["compare", "{}/ratings.csv", "--out", "{}/ratings.csv"], "not a directory"),
        (["demo", "--out", "{}"], "not empty"),
        (["fit", "mf", "{}/train.csv", "--out", "{}/new", "--p0-user", "2"], "p0_user"),
        (["fit", "mf", "{}/train.csv", "--out", "{}/new", "--rho-item", "5"], "item_graph"),
        (["fit", "mf", "{}/train.csv", "--out", "{}/new", "--item-graph", "{}/edges.csv"], "rho_item"),
        (["fit", "mf", "{}/train.csv", "--out", "{}/new", "--edge-weight", "w"], "--edge-weight"),
        (["fit", "mf", "{}/train.csv", "--out", "{}"], "not empty"),
        (["fit", "mf", "{}/likes.csv", "--out", "{}/new"], "explicit"),
        (["fit", "mf", "{}/train.csv", "--out", "{}/new", "--num-negatives", "2"], "mf has no such option"),
        (["fit", "bpr", "{}/likes.csv", "--out", "{}/new", "--dropout", "1"], "dropout"),
        (["fit", "mf", "{}/words.csv", "--out", "{}/new"], "good"),
        (["evaluate", "{}", "{}/test.csv"], "model"),
        (["recommend", "{}/nowhere", "--user", "1"], "nowhere"),
    ],
    ids=lambda value: " ".join(value).replace("{}/", "") if isinstance(value, list) else "",
)
def test_wrong_input_is_one_line_and_exit_1(files: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    words = [word.replace("{}", str(files)) for word in arguments]
    if words[0] == "compare" and "--out" not in words:
        words += ["--out", str(tmp_path / "out")]
    done = run(*words)
    assert done.exit_code == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    assert "Traceback" not in done.output
    assert not (files / "new").exists()
    assert not (tmp_path / "out").exists() or not (tmp_path / "out" / "results.json").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare"],
        ["compare", "x", "--seeds", "many"],
        ["fly"],
        ["fit", "gbdt", "x", "--out", "y"],
        ["compare", "x", "--fast"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_exit_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert "Traceback" not in done.output


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_written(files: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    done = run("compare", files / "ratings.csv", "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "cannot make the directory" in done.stderr


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield from commands(command, (*path, name)) if hasattr(command, "commands") else [(*path, name)]


@pytest.mark.parametrize("command", list(commands(get_command(app))), ids=" ".join)
def test_help_shows_an_example(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """On lines of its own, whole in a terminal of 80 columns."""
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 80)
    done = run(*command, "--help")
    assert done.exit_code == 0
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert max(map(len, lines)) <= 80
    assert any(line.startswith(" ".join(("torchsse", *command))) for line in lines)
    loaded = get_command(app)
    for name in command:
        loaded = loaded.commands[name]
    examples = [line.strip() for line in loaded.help.splitlines() if line.strip().startswith("torchsse ")]
    assert set(examples) <= set(lines)


def test_commands_take_one_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 80)
    for group, names in (((), get_command(app).commands), (("data",), get_command(app).commands["data"].commands)):
        shown = run(*group, "--help").stdout.partition("Commands")[2].splitlines()[1:]
        assert [line.split()[1] for line in shown if line.startswith("│")] == list(names)


def test_help_and_version() -> None:
    assert "compare" in run("--help").stdout
    assert run("--version").stdout.startswith("torchsse ")


def test_help_is_light() -> None:
    """Help and reports load none of the heavy libraries; the control is that an estimator would."""
    heavy = "('numba', 'optuna', 'sqlalchemy', 'matplotlib', 'pyarrow', 'scipy')"
    code = f"import sys, torchsse.cli, torchsse.report; sys.exit(any(m in sys.modules for m in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    control = code.replace("torchsse.report;", "torchsse.recsys;")
    assert subprocess.run([sys.executable, "-c", control]).returncode == 1


def test_bench() -> None:
    done = run("bench", "--factors", 8, "--pairs", 1000, "--rounds", 1, "--num-threads", 1, "--json")
    assert done.exit_code == 0, done.stderr
    lines = json.loads(done.stdout)["results"]
    assert len(lines) == 11
    assert all(line["seconds"] > 0 and line["rate"] > 0 for line in lines)
    assert {line["law"] for line in lines} == {"none", "sse-se", "sse-graph"}


@pytest.mark.slow
def test_demo_as_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m torchsse demo` in a process of its own, and the commands it suggests."""
    command = [sys.executable, "-m", "torchsse"]
    done = subprocess.run([*command, "demo"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "SSE helps here: sse-graph" in done.stdout
    assert "What next" in done.stdout
    assert {"results.json", "report.md", "learning_curves.png"} <= {p.name for p in (tmp_path / "out/demo").iterdir()}
    for line in done.stdout.partition("What next")[2].splitlines():
        words = line.split()
        if words[:1] == ["torchsse"] and words[1] != "compare":
            monkeypatch.chdir(tmp_path)
            assert run(*words[1:]).exit_code == 0


@pytest.mark.slow
def test_ctrl_c(files: Path, tmp_path: Path) -> None:
    """Interrupted: exit 130, a hint, and the same command goes on."""
    words = [
        "compare",
        str(files / "ratings.csv"),
        "--factors",
        "64",
        "--epochs",
        "3000",
        "--out",
        str(tmp_path / "out"),
    ]
    # a shell's background jobs ignore SIGINT, and children inherit that
    command = [sys.executable, "-c", f"import signal, os, sys; signal.signal({int(signal.SIGINT)}, signal.SIG_DFL); "]
    command[-1] += "os.execv(sys.executable, [sys.executable, '-m', 'torchsse', *sys.argv[1:]])"
    with subprocess.Popen([*command, *words], stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        journal = tmp_path / "out" / "journal.jsonl"
        while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b"\n") > 3):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip().splitlines()[-1].startswith("interrupted; run the same command again")
    assert "Traceback" not in errors
