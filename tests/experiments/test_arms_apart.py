"""Arms are judged one by one: what is declared as before is not run again, and the results are those of a fresh run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from compare_case import SETTINGS, Quiet, case, timeless

from torchsse.errors import ConfigError
from torchsse.experiments.arms import Arm
from torchsse.experiments.compare import compare
from torchsse.experiments.files import write_json
from torchsse.experiments.fitting import Fitter
from torchsse.experiments.journal import Journal
from torchsse.experiments.models import load_model
from torchsse.experiments.reproduce.datasets import ML_100K
from torchsse.experiments.reproduce.summary import combined
from torchsse.experiments.reproduce.table import Block, Table
from torchsse.experiments.space import Range
from torchsse.recsys import DivergedError
from torchsse.report.page import provenance_lines
from torchsse.report.reproduced import markdown_of_table

SMALL = replace(SETTINGS, trials=2, epochs=3)
DATA, (NONE, SSE, GRAPH) = case()
WIDER = replace(SSE, space={**SSE.space, "p0_item": Range(0.2, 0.9)}, defaults={**SSE.defaults, "p0_item": 0.5})
STRONG = Arm("none", {}, {}, {"weight_decay": 5.0})
"""Under so much weight decay an arm is the worst of all."""


def run(out: Path, *arms: Arm, **words: Any) -> tuple[dict[str, Any], Quiet]:
    observer = Quiet()
    return compare(DATA, arms, SMALL, out, jobs=1, observer=observer, **words), observer


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """What arms give in a directory of their own."""
    known: dict[str, dict[str, Any]] = {}

    def results(*arms: Arm) -> dict[str, Any]:
        key = repr(arms)
        if key not in known:
            known[key] = timeless(run(tmp_path_factory.mktemp("fresh") / "out", *arms)[0])
        return known[key]

    return results


def of(arm: str, observer: Quiet) -> bool:
    """Whether an observer saw all fits of one arm and nothing else but the model."""
    mine = [f"{arm}, trial 1", f"{arm}, trial 2", f"{arm}, seed 0", f"{arm}, seed 1"]
    return observer.labels[:-1] == mine and observer.labels[-1].endswith(", model")


def counted(observer: Quiet) -> bool:
    """Whether as many fits came as were announced."""
    return observer.before + len(observer.labels) == observer.total


def test_an_added_arm_is_fitted_and_no_other(tmp_path: Path, fresh: Callable[..., dict[str, Any]]) -> None:
    run(tmp_path, NONE, SSE)
    before = (tmp_path / "journal.jsonl").read_bytes()
    document, observer = run(tmp_path, NONE, SSE, GRAPH)
    assert of("sse-graph", observer)
    assert counted(observer)
    assert timeless(document) == fresh(NONE, SSE, GRAPH)
    after = (tmp_path / "journal.jsonl").read_bytes()
    assert after.startswith(before), "nothing written is lost"
    first = json.loads(after[len(before) :].splitlines()[0])
    assert first == {"kind": "arms", "config": document["provenance"]["config"]["arms"]}
    assert run(tmp_path, NONE, SSE, GRAPH)[1].labels == []
    assert (tmp_path / "journal.jsonl").read_bytes().count(b'"kind": "arms"') == 1


def test_a_changed_arm_is_fitted_again_and_no_other(tmp_path: Path, fresh: Callable[..., dict[str, Any]]) -> None:
    run(tmp_path, NONE, SSE, GRAPH)
    document, observer = run(tmp_path, NONE, WIDER, GRAPH)
    assert of("sse-se", observer)
    assert counted(observer)
    assert timeless(document) == fresh(NONE, WIDER, GRAPH) != fresh(NONE, SSE, GRAPH)


def test_fits_under_another_declaration_would_be_seen(
    tmp_path: Path, fresh: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: were every record to count, by the arm's name alone, the results would not be those of a fresh run."""
    run(tmp_path, NONE, SSE)
    monkeypatch.setattr(Journal, "counting", property(lambda journal: journal.records))
    document, observer = run(tmp_path, NONE, WIDER)
    assert observer.labels == []
    assert timeless(document) != fresh(NONE, WIDER)


def test_left_out_and_asked_for_again(tmp_path: Path, fresh: Callable[..., dict[str, Any]]) -> None:
    run(tmp_path, NONE, SSE, GRAPH)
    document, observer = run(tmp_path, NONE, GRAPH)
    assert (observer.total, len(observer.labels)) == (9, 9 - observer.before)
    assert not any("trial" in label or "seed" in label for label in observer.labels)
    assert timeless(document) == fresh(NONE, GRAPH)
    document, observer = run(tmp_path, NONE, SSE, GRAPH)
    assert not any("trial" in label or "seed" in label for label in observer.labels)
    assert timeless(document) == fresh(NONE, SSE, GRAPH)


def test_changed_and_changed_back(tmp_path: Path, fresh: Callable[..., dict[str, Any]]) -> None:
    """The trials are there still; the predictions were overwritten, and are not mistaken."""
    run(tmp_path, NONE, SSE)
    run(tmp_path, NONE, WIDER)
    document, observer = run(tmp_path, NONE, SSE)
    assert [label for label in observer.labels if "model" not in label] == ["sse-se, seed 0", "sse-se, seed 1"]
    assert counted(observer)
    assert timeless(document) == fresh(NONE, SSE)


def test_the_baseline_may_change(tmp_path: Path, fresh: Callable[..., dict[str, Any]]) -> None:
    """The other arms keep their fits; their differences are against the new one."""
    run(tmp_path, NONE, SSE)
    document, observer = run(tmp_path, STRONG, SSE)
    assert observer.labels[:3] == ["none, trial 1", "none, seed 0", "none, seed 1"]
    assert timeless(document) == fresh(STRONG, SSE)


def test_the_model_is_the_best_of_the_arms_asked_for(tmp_path: Path) -> None:
    manifest = tmp_path / "model" / "model.json"

    def saved() -> float:
        return float(load_model(tmp_path / "model").weight_decay)

    def model(document: dict[str, Any]) -> str:
        return str(document["provenance"]["model"]["arm"])

    document, _ = run(tmp_path, STRONG)
    assert (model(document), saved()) == ("none", 5.0)
    document, observer = run(tmp_path, STRONG, SSE)
    assert (model(document), observer.labels[-1]) == ("sse-se", "sse-se, model")
    assert saved() < 1
    # the best as before: kept as it is
    inode = manifest.stat().st_ino
    document, observer = run(tmp_path, STRONG, SSE, replace(STRONG, name="weak"))
    assert (model(document), counted(observer), manifest.stat().st_ino) == ("sse-se", True, inode)
    # back to the first arms: not the model that lies there, nor the record that speaks of it
    document, observer = run(tmp_path, STRONG)
    assert (model(document), observer.labels, saved()) == ("none", ["none, model"], 5.0)


def test_fits_of_several_commits_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each session's commit, and those that left fits; an idle one in between has no part in the results."""
    for commit, arms in (("c" * 40, (NONE,)), ("b" * 40, (NONE,)), ("a" * 40, (NONE, SSE))):
        monkeypatch.setattr("torchsse.experiments.provenance.git_state", lambda _, at=commit: {"git_commit": at})
        document, _ = run(tmp_path, *arms)
    origin = document["provenance"]
    assert [session["git_commit"][0] for session in origin["sessions"]] == ["c", "b", "a"]
    assert origin["commits"] == ["a" * 40, "c" * 40]
    assert any(f"{'a' * 12}, {'c' * 12}" in line for line in provenance_lines(origin))
    (tmp_path / "one").mkdir()
    write_json(tmp_path / "one" / "results.json", {**document, "pairs": []})
    block = Block("one", "", ML_100K, SMALL, (NONE, SSE))
    table = combined(Table("table1", "", (block,), (), {}, {}, (), {}), tmp_path, [])
    assert table["provenance"]["commits"] == origin["commits"]
    assert f"(fits of {'a' * 12}, {'c' * 12})" in markdown_of_table(table, None)


@pytest.mark.parametrize("noted", [True, False], ids=["number", "older"])
def test_the_model_has_the_settings_of_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted: bool
) -> None:
    """A seed asked for later diverges with the best settings: the next best ones are measured, so they are saved."""
    settings = replace(SMALL, seeds=1)
    journal, final = tmp_path / "journal.jsonl", Fitter.final

    def go(seeds: int) -> tuple[dict[str, Any], Quiet]:
        observer = Quiet()
        return compare(DATA, (NONE,), replace(settings, seeds=seeds), tmp_path, jobs=1, observer=observer), observer

    def saved_and_stated(document: dict[str, Any]) -> list[float]:
        return [load_model(tmp_path / "model").weight_decay, document["results"][0]["params"]["weight_decay"]]

    first = saved_and_stated(go(1)[0])
    assert first[0] == first[1]

    def wild(self: Fitter, arm: Arm, searched: dict[str, float], epochs: int, seed: int, report: Any) -> Any:
        if seed == 1 and searched["weight_decay"] == first[1]:
            raise DivergedError("planted")
        return final(self, arm, searched, epochs, seed, report)

    monkeypatch.setattr(Fitter, "final", wild)
    document, observer = go(2)
    assert observer.labels[-1] == "none, model"
    second = saved_and_stated(document)
    assert second[0] == second[1] != first[0]
    assert go(2)[1].labels == []
    if not noted:  # as written before the trial was noted: whose settings the model has is not known
        records = [json.loads(line) for line in journal.read_bytes().splitlines()]
        for record in records:
            if record["kind"] == "model":
                del record["number"]
        journal.write_text("".join(json.dumps(record) + "\n" for record in records))
        document, observer = go(2)
        assert observer.labels == ["none, model"]
        assert saved_and_stated(document) == second


def without_sha256(journal: Path) -> None:
    """As journals were written before the model's sha256 was noted."""
    records = [json.loads(line) for line in journal.read_bytes().splitlines()]
    for record in records:
        if record["kind"] == "model":
            del record["sha256"]
    journal.write_text("".join(json.dumps(record) + "\n" for record in records))


def test_an_older_journal_goes_on(tmp_path: Path) -> None:
    run(tmp_path, STRONG)
    without_sha256(tmp_path / "journal.jsonl")
    assert run(tmp_path, STRONG)[1].labels == []

    class Killed(Quiet):
        def finished(self, label: str, record: dict[str, Any]) -> None:
            super().finished(label, record)
            if label.endswith("model"):
                raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        compare(DATA, (STRONG, SSE), SMALL, tmp_path, jobs=1, observer=Killed())
    lines = (tmp_path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    assert b'"kind": "model"' in lines[-1]
    (tmp_path / "journal.jsonl").write_bytes(b"".join(lines[:-1]))  # killed when the model was there, its record not
    document, observer = run(tmp_path, STRONG)
    assert observer.labels == ["none, model"]
    assert load_model(tmp_path / "model").weight_decay == 5
    assert document["provenance"]["model"]["arm"] == "none"


def test_killed_at_any_line_the_results_are_the_same(tmp_path: Path, fresh: Callable[..., dict[str, Any]]) -> None:
    """The journal of NONE and SSE, gone on with another SSE and one arm more, cut off within each later line."""
    run(tmp_path, NONE, SSE)
    journal = tmp_path / "journal.jsonl"
    first = len(journal.read_bytes())
    run(tmp_path, NONE, WIDER, GRAPH)
    whole = journal.read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n") and place >= first - 1]
    assert len(ends) == 1 + 1 + 1 + 9  # the state before, the arms, the session, the fits
    for end in reversed(ends):  # the last first: its record speaks of the model that lies there
        for torn in (0, 20):
            journal.write_bytes(whole[: end + torn])
            document, observer = run(tmp_path, NONE, WIDER, GRAPH)
            assert timeless(document) == fresh(NONE, WIDER, GRAPH)
            assert counted(observer)
            assert len(observer.labels) == 9 - max(0, ends.index(end) - 2)
    journal.write_bytes(whole[: ends[6]])
    assert timeless(run(tmp_path, NONE, SSE)[0]) == fresh(NONE, SSE), "given up half-way"


def test_settings_and_data_are_still_refused(tmp_path: Path) -> None:
    run(tmp_path, NONE, SSE)
    before = (tmp_path / "journal.jsonl").read_bytes()
    with pytest.raises(ConfigError, match=r"\(settings\.factors: 8 there, 9 here\)"):
        compare(DATA, (NONE, GRAPH), replace(SMALL, factors=9), tmp_path, jobs=1, observer=Quiet())
    with pytest.raises(ConfigError, match=r"\(data\.ratings: .*\)"):
        compare(case(seed=1)[0], (NONE, SSE, GRAPH), SMALL, tmp_path, jobs=1, observer=Quiet())
    assert (tmp_path / "journal.jsonl").read_bytes() == before
