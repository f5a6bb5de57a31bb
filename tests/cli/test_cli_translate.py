"""`torchsse translate`: trained, measured, compared and used from the command line; bad input in one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from torchsse.cli import app
from torchsse.nlp.corpus import Corpus

pytest.importorskip("transformers")
pytest.importorskip("sacrebleu")

sys.path.append(str(Path(__file__).parent.parent / "nlp"))
from translation_case import TINY, made_corpus

SIZE = ["--size", "tiny", *(word for name in ("layers", "width", "heads", "inner", "vocabulary")
                            for word in (f"--{name}", TINY[name]))]  # fmt: skip
SHORT = [*SIZE, "--epochs", 20, "--max-steps", 90, "--batch-tokens", 600, "--learning-rate", 3e-3, "--warmup", 20]


def run(*arguments: object, given: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["translate", *(str(argument) for argument in arguments)], input=given)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("translate")
    train, dev, test = made_corpus(500, 0), made_corpus(15, 1), made_corpus(24, 2)

    def rows(corpus: Corpus, name: str) -> list[str]:
        return [f"{name}\t{s}\t{t}" for s, t in zip(corpus.source, corpus.target, strict=True)]

    lines = ["set\ten\tde", *rows(train, "train"), *rows(dev, "val")]
    (folder / "all.tsv").write_text("\n".join(lines) + "\n")
    halves = [*rows(test.rows(range(12)), "one"), *rows(test.rows(range(12, 24)), "two")]
    (folder / "test.tsv").write_text("\n".join(["set\ten\tde", *halves]) + "\n")
    (folder / "test.en").write_text("\n".join(test.source) + "\n")
    (folder / "test.de").write_text("\n".join(test.target) + "\n")
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    table, out = folder / "all.tsv", folder / "model"
    done = run("train", f"{table}@set=train", "--dev", f"{table}@set=val", "--held-out", folder / "test.tsv",
               "--overlap", "pair", *SHORT, "--num-threads", 1, "--out", out)  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert "occur in held-out data and were dropped" in done.stderr
    assert "tokens/s" in done.stderr
    assert "90 steps" in done.stdout
    assert "dev loss" in done.stdout
    return out


@pytest.fixture(scope="module")
def baseline(folder: Path) -> Path:
    out = folder / "baseline"
    done = run("train", f"{folder / 'all.tsv'}@set=train", "--p0", 0, *SHORT, "--max-steps", 8, "--out", out)
    assert done.exit_code == 0, done.stderr
    return out


def test_evaluate_in_json_by_set_against_a_baseline(folder: Path, model: Path, baseline: Path, tmp_path: Path) -> None:
    done = run("evaluate", model, folder / "test.tsv", "--by", "set", "--baseline", baseline, "--sample", 10,
               "--beams", 2, "--json", "--translations", tmp_path / "out.tsv")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert [(r["set"], r["metric"]) for r in document["results"]] == [
        (name, metric) for name in ("one", "two") for metric in ("bleu", "chrf")
    ]
    for record in document["results"]:
        assert record["sentences"] == 10
        assert record["low"] <= record["score"] <= record["high"]
        assert record["difference"] == pytest.approx(record["score"] - record["baseline"])
        assert record["difference"] > 20, "90 updates against 8"
        assert record["p_value"] < 0.01
        assert "version:" in record["signature"]
    assert document["provenance"]["transformers"]
    assert len((tmp_path / "out.tsv").read_text().splitlines()) == 21


def test_evaluate_as_a_table_from_two_files(folder: Path, model: Path) -> None:
    done = run("evaluate", model, folder / "test.en", folder / "test.de")
    assert done.exit_code == 0, done.stderr
    assert "BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:" in done.stdout
    assert "chrF" in done.stdout
    assert "24 sentences" in done.stdout


def test_run_translates_standard_input(folder: Path, model: Path) -> None:
    lines = (folder / "test.en").read_bytes().splitlines(keepends=True)[:3]
    done = run("run", model, "--lines", 2, given=b"".join([lines[0], b"\n", *lines[1:]]))
    assert done.exit_code == 0, done.stderr
    found = done.stdout.splitlines()
    assert len(found) == 4
    assert found[1] == ""
    assert all(line.startswith("das ") for line in found if line)


def test_a_finished_run_is_not_repeated_and_not_overwritten(folder: Path, model: Path) -> None:
    table = folder / "all.tsv"
    other = run("train", f"{table}@set=train", *SHORT, "--seed", 9, "--out", model)
    assert other.exit_code == 1
    assert "other settings or data" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train", "none.tsv", "--out", "m"], "no such file"),
        (["train", "{}/test.en", "--out", "m"], "with its translations after it"),
        (["train", "{}/all.tsv@set=nope", "--out", "m"], "no line has 'nope'"),
        (["train", "{}/all.tsv", "--p0", "2", "--out", "m"], "p0 in [0, 1]"),
        (["train", "{}/all.tsv", "--patience", "2", "--out", "m"], "--patience needs --dev"),
        (["train", "{}/all.tsv", "--device", "tpu9", "--out", "m"], "device"),
        (["train", "{}/all.tsv", "--out", "{}"], "is not empty"),
        (["train", "{}/all.tsv", "--graph", "nearest", "--rho", "2", "--out", "m"], "starts from random ones"),
        (["train", "{}/all.tsv", "--graph", "{}/test.en", "--rho", "2", "--p0", "0", "--out", "m"], "changes nothing"),
        (["evaluate", "{}", "{}/test.tsv"], "config.json"),
        (["run", "nowhere"], "config.json"),
    ],
)
def test_bad_input_in_one_line(arguments: list[str], told: str, folder: Path, tmp_path: Path,
                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    done = run(*(word.format(folder) for word in arguments))
    assert done.exit_code == 1, done.output
    assert told in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.output


def test_text_that_is_no_utf8_is_named(model: Path) -> None:
    done = run("run", model, given=b"fine\n\xff\xfe\n")
    assert done.exit_code == 1
    assert "standard input, line 2: expected UTF-8" in done.stderr
