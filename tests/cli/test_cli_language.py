"""`torchsse pretrain` and `torchsse classify`: good and bad command lines; results on stdout, one line on stderr."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from torchsse.cli import app

pytest.importorskip("transformers")
sys.path.insert(0, str(Path(__file__).parent.parent / "nlp"))
sys.path.insert(0, str(Path(__file__).parent.parent / "integrations" / "words"))
import small_wordnet
from tiny_text import checkpoint, documents

THREADS = ["--num-threads", "1"]
GIVEN = ["{encoder}", "{text}"]


def run(*arguments: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    texts, topics = documents(300)
    rows = [f"{topic}\t{text}" for topic, text in zip(topics, texts)]
    (folder / "text.txt").write_text("\n".join(texts[:200]) + "\n")
    (folder / "train.tsv").write_text("label\tsentence\n" + "\n".join(rows[:200]) + "\n")
    (folder / "test.tsv").write_text("\n".join([*rows[200:], rows[0]]) + "\n")
    checkpoint(folder / "encoder", "BertModel")
    return folder


def test_the_chain(files: Path, tmp_path: Path) -> None:
    encoder, tests = files / "encoder", files / "test.tsv"
    small = ["--max-length", 16, "--batch-size", 16, *THREADS]
    done = run(
        "pretrain", encoder, files / "text.txt", "--exclude", tests, "--held-out", 20, "--steps", 12, *small,
        "--out", tmp_path / "pre",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert "text: 200 documents; 1 occur in the files to exclude" in done.stderr
    assert "no masked-LM head" in done.stderr
    assert "tokens/s, about" in done.stderr
    assert "held-out" in done.stdout
    assert json.loads((tmp_path / "pre" / "torchsse.json").read_text())["provenance"]["torchsse"]
    out = tmp_path / "model"
    done = run(
        "classify", "train", tmp_path / "pre", files / "train.tsv", "--validation", files / "train.tsv", *small,
        "--learning-rate", 5e-3, "--epochs", 2, "--seeds", 2, "--out", out,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count("validation accuracy") == 2
    done = run("classify", "evaluate", out, tests, "--out", tmp_path / "test.json", *THREADS)
    assert done.exit_code == 0, done.stderr
    assert "mean of 2: accuracy" in done.stdout
    document = json.loads((tmp_path / "test.json").read_text())
    assert [len(seed["correct"]) for seed in document["runs"]] == [101, 101]
    assert sum(document["runs"][0]["correct"]) / 101 == document["runs"][0]["accuracy"] > 0.9
    short = json.loads(run("classify", "evaluate", out / "seed-1", tests, "--json", *THREADS).stdout)
    assert short["runs"][0]["accuracy"] == document["runs"][1]["accuracy"]
    told = run("classify", "predict", out / "seed-0", *THREADS, stdin="film movie actor plot\n\nsoup bread cheese\n")
    assert told.exit_code == 0, told.stderr
    labels = [line.split("\t")[0] for line in told.stdout.splitlines()]
    assert len(labels) == 3
    assert (labels[0], labels[2]) == ("0", "1")
    told = run("classify", "predict", out / "seed-0", "--json", *THREADS, stdin="film\n")
    assert json.loads(told.stdout)["label"] == "0"


def test_a_graph_of_words(files: Path, tmp_path: Path) -> None:
    small = ["--max-length", 16, "--batch-size", 16, *THREADS]
    law = ["--graph", "wordnet", "--wordnet", small_wordnet.write(tmp_path / "dict"), "--rho", "inf"]
    done = run("pretrain", files / "encoder", files / "text.txt", "--steps", 2, *small, *law, "--out", tmp_path / "a")
    assert done.exit_code == 0, done.stderr
    assert "graph: 32 pieces, 26 whole words, 2 of them linked" in done.stderr
    report = json.loads((tmp_path / "a" / "torchsse.json").read_text())
    assert report["graph"]["source"] == "wordnet"
    assert report["config"]["graph"]["rho"] == "inf"
    law = ["--graph", "nearest", "--neighbours", 3, "--rho", 20]
    done = run(
        "classify", "train", tmp_path / "a", files / "train.tsv", *small, "--epochs", 1, *law, "--out", tmp_path / "b"
    )
    assert done.exit_code == 0, done.stderr
    assert "26 of them linked (100%)" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["pretrain", "{encoder}", "{none}", "--out", "{out}"], "there is no such file"),
        (["pretrain", "{none}", "{text}", "--out", "{out}"], "there is no such directory"),
        (
            ["pretrain", "{encoder}", "{text}", "--p0-input", "1.5", "--out", "{out}"],
            "p0_input: expected a probability",
        ),
        (["pretrain", "{encoder}", "{text}", "--max-length", "16", "--out", "{here}"], "not empty"),
        (["pretrain", "{encoder}", "{text}", "--exclude", "{text}", "--out", "{out}"], "no documents are left"),
        (["classify", "train", "{encoder}", "{text}", "--out", "{out}"], "without a tab or comma"),
        (["classify", "train", "{encoder}", "{train}", "--label-column", "mark", "--out", "{out}"], "no label column"),
        (["classify", "evaluate", "{encoder}", "{train}"], "expected a trained classifier"),
        (["classify", "predict", "{none}"], "there is no such directory"),
        (["pretrain", "{encoder}", "{text}", "--graph", "nearest", "--out", "{out}"], "--graph needs --rho"),
        (["pretrain", "{encoder}", "{text}", "--rho", "2", "--out", "{out}"], "--rho belongs to a graph"),
        (["classify", "train", "{encoder}", "{train}", "--neighbours", "2", "--out", "{out}"], "there is no --graph"),
        (
            ["classify", "train", "{encoder}", "{train}", "--graph", "{none}", "--rho", "2", "--out", "{out}"],
            "there is no such file",
        ),
        (
            ["pretrain", *GIVEN, "--graph", "nearest", "--rho", "2", "--wordnet", "{here}", "--out", "{out}"],
            "--wordnet belongs to --graph wordnet",
        ),
        (
            ["pretrain", *GIVEN, "--graph", "wordnet", "--rho", "0", "--wordnet", "{here}", "--out", "{out}"],
            "expected rho of a graph",
        ),
        (
            ["pretrain", *GIVEN, "--graph", "wordnet", "--rho", "2", "--wordnet", "{here}", "--out", "{out}"],
            "found no WordNet database",
        ),
    ],
)
def test_one_line_for_what_a_user_can_cause(files: Path, tmp_path: Path, words: list[str], told: str) -> None:
    names = {
        "encoder": files / "encoder", "none": files / "none", "text": files / "text.txt", "out": tmp_path / "out",
        "here": files, "train": files / "train.tsv",
    }  # fmt: skip
    done = run(*(word.format(**names) for word in words))
    assert done.exit_code == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert told in last
