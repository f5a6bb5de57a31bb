"""Tables 6 and 7 on made files: whole tables of every size, resumed runs, controls without SSE, pages, bad calls."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentiment_case import BANNED, Watch, encoder, made_files
from typer.testing import CliRunner

from torchsse.cli import app
from torchsse.errors import ConfigError
from torchsse.experiments.reproduce import CHAINS, Budget, sentiment
from torchsse.experiments.reproduce import sentiment_units as units_module
from torchsse.experiments.reproduce.chain_results import reproduce_chain
from torchsse.experiments.reproduce.chain_run import values_of
from torchsse.experiments.reproduce.sentiment import COMPARISONS, PEERS, WAYS, asked
from torchsse.experiments.reproduce.sentiment_sizes import IMDB, SST2
from torchsse.experiments.reproduce.sentiment_texts import PARTS, Texts, without
from torchsse.nlp.texts import Labelled

ARMS = [way.arm for way in WAYS]
TINY = {
    "documents": 300,
    "pretraining": replace(IMDB["small"].pretraining, steps=12, held_out=20, learning_rate=5e-3, max_length=32),
    "finetuning": replace(IMDB["small"].finetuning, learning_rate=5e-3, max_length=32),
    "test": 30,
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sentiment")
    encoder(root / "encoder")
    made_files(root / "data")
    return root


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A size of its own in the place of small: seconds where those of the declared one are minutes."""
    monkeypatch.setitem(IMDB, "small", replace(IMDB["small"], **TINY, train=48, seeds=2))
    monkeypatch.setitem(SST2, "small", replace(SST2["small"], **TINY, seeds=2))


def run(
    name: str, place: Path, out: Path, size: str = "small", watch: Watch | None = None, **budget: int
) -> dict[str, Any]:
    chain = CHAINS[name](place / "data", size, Budget(**budget), "cpu", str(place / "encoder"))
    return reproduce_chain(
        chain, chain.select(None), place / "data", out, watcher=watch or Watch(), command=["torchsse"]
    )


def probabilities(out: Path, unit: str) -> np.ndarray:
    lines = (out / "journal.jsonl").read_text().splitlines()
    record = next(r for r in map(json.loads, lines) if r.get("unit") == unit)
    return np.asarray(values_of(record, out)["probabilities"])


@pytest.mark.parametrize(("name", "size"), [("table6", "full"), ("table7", "full"), ("table7", "medium")])
def test_the_declared_sizes_run(name: str, size: str, place: Path, tmp_path: Path) -> None:
    """The sizes for GPUs and for BERT-Base as they are, but for the texts and the weights."""
    document = run(name, place, tmp_path / "out", size, seeds=1)
    blocks = ["imdb"] if name == "table6" else ["sst2-dev", "sst2-test"]
    assert [block["name"] for block in document["blocks"]] == blocks
    assert document["unfinished"] == []
    found = {(r["block"], r["arm"], r["metric"]): r for r in document["results"]}
    arms = [*ARMS, *(way.arm for way in PEERS)] if size == "medium" else ARMS
    assert set(found) == {
        (block, arm, metric)
        for block in blocks
        for arm in arms
        for metric in ("accuracy", "f1", "balanced_accuracy", "auc")
    }
    assert {(pair["arm"], pair["against"]) for pair in document["pairs"]} == {
        pair for pair in COMPARISONS if set(pair) <= set(arms)
    }
    assert ("neftune" in arms) == ("peers" in document["provenance"]["config"])
    settings = document["provenance"]["config"]
    assert settings["pretraining"]["max_length"] == (512 if size == "full" else 128)
    assert settings["pretraining"]["precision"] == "fp32", "bf16 is for a GPU"
    left = {path.name for path in (tmp_path / "out" / "work").iterdir() if path.is_dir()}
    assert left == {"pre-train-plain", "pre-train-sse"}, "checkpoints go when they are done with, but for shared ones"
    facts = {unit["unit"]: unit["facts"] for unit in document["units"]}
    assert facts["pre-train-sse"]["fresh_head"] > 0
    assert facts["pre-train-sse"]["held_out_loss_before"] == facts["pre-train-plain"]["held_out_loss_before"]
    assert facts["pre-train-sse"]["loss"] != facts["pre-train-plain"]["loss"]


def test_a_full_stop_or_a_capital_does_not_hide_what_is_tested() -> None:
    held = Labelled(["A fine film ."], ["1"])
    train = Labelled(["a  fine film", "A fine, film!", "a fine films", "!?", "..."], ["1"] * 5)
    assert without(train, [held, Labelled(["..."], ["0"])]).texts == ["a fine films", "!?"]


def test_a_killed_run_goes_on_to_the_same_end(place: Path, tmp_path: Path, tiny: None) -> None:
    whole = run("table7", place, tmp_path / "whole")
    out = tmp_path / "parts"
    begun: list[str] = []
    for stop in (("pre-train-sse", 10), ("fine-tune-sse-both-1", 1), None):
        watch = Watch(stop)
        if stop is None:
            done = run("table7", place, out, watch=watch)
        else:
            with pytest.raises(KeyboardInterrupt):
                run("table7", place, out, watch=watch)
        begun += watch.begun
    assert done["results"] == whole["results"]
    assert done["pairs"] == whole["pairs"]
    twice = {name for name in begun if begun.count(name) > 1}
    assert twice == {"pre-train-sse", "fine-tune-sse-both-1"}, "only what was cut short is begun again"
    assert run("table7", place, out, watch=(again := Watch()))["results"] == whole["results"]
    assert not again.begun
    records = {(r["arm"], r["metric"]): r for r in whole["results"] if r["block"] == "sst2-test"}
    assert records["pre-trained", "accuracy"]["seeds"] == [0, 1]
    assert records["pre-trained", "accuracy"]["ci95"] is not None
    assert records["sse-both", "accuracy"]["against"] == "pre-trained"
    assert records["random", "accuracy"]["p_value"] is None


def test_sse_is_what_the_arms_differ_in(
    place: Path, tmp_path: Path, tiny: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without SSE, three arms are one; with it none is like another."""
    run("table6", place, tmp_path / "sse", seeds=1)
    monkeypatch.setattr(units_module, "PRETRAININGS", {"plain": 0.0, "sse": 0.0})
    monkeypatch.setattr(sentiment, "WAYS", tuple(replace(way, p0=0.0) for way in WAYS))
    run("table6", place, tmp_path / "none", seeds=1)
    three = [f"imdb-{arm}-0" for arm in ("pre-trained", "sse-pre-trained", "sse-both")]
    apart, alike = ([probabilities(tmp_path / kind, unit) for unit in three] for kind in ("sse", "none"))
    assert np.array_equal(alike[0], alike[1])
    assert np.array_equal(alike[0], alike[2])
    assert not np.array_equal(apart[0], apart[1])
    assert not np.array_equal(apart[1], apart[2])
    others = [probabilities(tmp_path / "sse", f"imdb-{arm}-0") for arm in ("checkpoint", "random")]
    assert not np.array_equal(others[0], others[1])
    assert not np.array_equal(others[0], apart[0])


def test_nothing_measured_is_trained_on(place: Path) -> None:
    for name in PARTS:
        texts = Texts(place / "data", PARTS[name], None)
        assert BANNED in texts.part("test").texts
        assert BANNED not in texts.documents
        assert BANNED not in texts.train.texts
        assert len(texts.documents) > 1_000
        held = set(texts.part("test").texts) | (set() if name == "imdb" else set(texts.part("dev").texts))
        assert not held & set(texts.train.texts)
        assert not held & set(texts.documents)
    few = Texts(place / "data", replace(PARTS["imdb"], train=10, test=8), 50)
    assert (len(few.documents), len(few.train), len(few.part("test"))) == (50, 10, 8)
    assert few.documents == Texts(place / "data", PARTS["imdb"], None).documents[:50]
    assert BANNED not in few.train.texts


def cli(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command(place: Path, tmp_path: Path, tiny: None) -> None:
    call = ["reproduce", "table7", "--data", place / "data", "--checkpoint", place / "encoder", "--out", tmp_path]
    plan = cli(*call, "--dry-run")
    assert plan.exit_code == 0, plan.output
    assert "fine-tune-sse-both-1" in plan.stdout
    assert "files: all there" in plan.stdout
    assert not list(tmp_path.iterdir())
    done = cli(*call, "--only", "sst2-test", "--seeds", 1, "--device", "cpu")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "table7" / "small" / "report.md").read_text()
    for words in (
        "SST-2 test",
        "0.945",
        "random weights",
        "starts at random",
        "not measured yet: sst2-dev",
        "held_out_loss",
    ):
        assert words.lower() in page.lower(), words
    assert "SST-2 dev |" not in page
    written = (tmp_path / "table7" / "small" / "results.json").read_text() + page
    assert str(place) not in written, "no path of this machine in results"
    other = cli(*call, "--epochs", 3)
    assert other.exit_code == 1
    assert "other settings or data" in other.stderr


def test_bad_calls(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchsse.nlp.encoders.installed_checkpoint", lambda: None)
    data, out = ["--data", place / "data"], ["--out", tmp_path / "out"]
    named = ["--checkpoint", place / "encoder"]
    for call, words in (
        (["table6", *data], "no checkpoint to start from"),
        (["table6", *data, "--checkpoint", "./nowhere"], "there is no such directory"),
        (["table6", *data, "--checkpoint", place], "no config.json"),
        (["table6", *data, *named, "--only", "sst2-test"], "expected some of imdb"),
        (["table6", "--data", tmp_path, *named], "imdb/unsup.txt.gz"),
        (["table6", *data, *named, "--device", "quantum"], "expected auto, cpu or cuda"),
    ):
        done = cli("reproduce", *call, *out)
        assert done.exit_code == 1, (call, done.output)
        assert words in done.stderr.replace("\n", " ")
    assert cli("reproduce", "table1", *data, *named, *out).exit_code == 2
    assert cli("reproduce", "table5", *data, *named, *out).exit_code == 1
    with pytest.raises(ConfigError, match="expected one of small"):
        asked(IMDB, "huge", Budget())
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("journal.jsonl"))


def test_pre_training_is_done_once_for_both_tables(place: Path, tmp_path: Path, tiny: None) -> None:
    """Same text, settings and checkpoint: copied from the other table, and of no influence on what comes out."""
    call = ["--data", place / "data", "--checkpoint", place / "encoder", "--seeds", 1, "--device", "cpu"]
    for name, out in (("table7", "both"), ("table6", "both"), ("table6", "alone")):
        done = cli("reproduce", name, *call, "--out", tmp_path / out, "--num-threads", 1)
        assert done.exit_code == 0, done.output
    documents = [
        json.loads((tmp_path / out / "table6" / "small" / "results.json").read_text()) for out in ("both", "alone")
    ]
    assert documents[0]["results"] == documents[1]["results"]
    before = [{unit["unit"]: unit["facts"] for unit in each["units"]}["pre-train-sse"] for each in documents]
    assert before[0] == {**before[1], "taken_over_from": "table7"}
    assert "taken_over_from table7" in (tmp_path / "both" / "table6" / "small" / "report.md").read_text()


def test_bad_numbers_of_threads(place: Path, tmp_path: Path) -> None:
    for name, threads in (("table6", 0), ("table1", 1), ("table4", 1)):
        call = ["reproduce", name, "--data", place / "data", "--out", tmp_path / "out", "--num-threads", threads]
        assert cli(*call).exit_code == 2
