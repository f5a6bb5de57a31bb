"""Every command with good and with bad input: results on stdout, one line on stderr, exit codes, no traceback."""

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

import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from torchsse.cli import app
from torchsse.data.synthetic import planted_clusters

FAST = ["--factors", "8", "--epochs", "6", "--trials", "2", "--seeds", "2", "--learning-rate", "0.05"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    ratings, edges = planted_clusters(60, 40, 900, num_clusters=4)
    order = np.random.default_rng(0).permutation(len(ratings))
    rows = [f"{u},{i},{r:g}" for u, i, r in zip(ratings.raw_users, ratings.raw_items, ratings.values)]
    header = "user,item,rating\n"
    (folder / "ratings.csv").write_text(header + "\n".join(rows) + "\n")
    (folder / "train.csv").write_text(header + "\n".join(rows[n] for n in order[:700]) + "\n")
    (folder / "test.csv").write_text(header + "\n".join(rows[n] for n in order[700:]) + "\n999,1,3\n1,888,3\n")
    (folder / "everything.csv").write_text((folder / "test.csv").read_text() + "\n".join(rows[n] for n in order[:700]))
    (folder / "likes.csv").write_text("user,item\n" + "\n".join(row.rpartition(",")[0] for row in rows) + "\n")
    (folder / "words.csv").write_text(header + "1,1,good\n1,2,4\n")
    pairs = zip(edges.src_raw.tolist(), edges.dst_raw.tolist())
    (folder / "edges.csv").write_text("a,b,weight\n" + "".join(f"{a},{b},{1 + a % 3}\n" for a, b in pairs))
    (folder / "foreign.csv").write_text("a,b\nx,y\n")
    return folder


@pytest.fixture(scope="module")
def model(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model") / "mf"
    done = run("fit", "mf", files / "train.csv", "--out", out, "--factors", 8, "--epochs", 5)
    assert done.exit_code == 0, done.stderr
    return out


# compare


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


# fit, evaluate, recommend


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


# implicit feedback


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


# the shell itself


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
