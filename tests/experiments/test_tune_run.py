"""A study from start to end: killed, resumed, extended, refused; what it leaves."""

from __future__ import annotations

import csv
import json
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sequence_case
import tune_case
from compare_case import Quiet
from tune_case import SETTINGS, data, run, space, timeless

from torchsse.data import Ratings
from torchsse.data.sequence_split import leave_last_out
from torchsse.errors import ConfigError, CorruptFileError
from torchsse.experiments import neighbours
from torchsse.experiments.settings import DataFile
from torchsse.experiments.tuning import fitting
from torchsse.experiments.tuning.data import TuneData
from torchsse.experiments.tuning.models import MODELS, ModelName
from torchsse.experiments.tuning.settings import TuneSettings
from torchsse.experiments.tuning.space import tune_space
from torchsse.experiments.tuning.study import Study
from torchsse.experiments.tuning.tune import tune
from torchsse.recsys import DivergedError, MatrixFactorization


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """One study that nobody disturbed."""
    out = tmp_path_factory.mktemp("tune") / "out"
    return out, run(out)


def states(out: Path) -> list[str]:
    with sqlite3.connect(out / "study.db") as file:
        return [state for (state,) in file.execute("SELECT state FROM trials ORDER BY number")]


def test_what_a_study_leaves(finished: tuple[Path, dict[str, Any]]) -> None:
    out, document = finished
    assert json.loads((out / "best.json").read_text()) == document
    assert set(document["params"]) == {
        "learning_rate", "learning_rate_decay", "weight_decay", "p0_user", "p0_item", "rho_item", "factors",
    }  # fmt: skip
    assert document["params"]["factors"] in (4, 8)
    assert [trial["number"] for trial in document["trials"]] == list(range(16))
    assert document["trials"][0]["params"]["learning_rate"] == 0.02, "the first trial is the defaults"
    assert sum(document["counts"].values()) == 16
    assert document["counts"]["pruned"] > 0
    assert document["provenance"]["data"][0]["sha256"] == "seed 0"
    assert document["provenance"]["optuna"]
    complete = [trial["value"] for trial in document["trials"] if trial["state"] == "complete"]
    along = [value for pairs in document["response"].values() for _, value in pairs]
    assert document["value"] == min(*complete, *along, document["without_sse"]["value"])
    assert {name: len(pairs) for name, pairs in document["response"].items()} == {"p0_user": 3, "p0_item": 3}
    rows = list(csv.DictReader((out / "trials.csv").open()))
    assert [float(row["value"]) for row in rows] == [trial["value"] for trial in document["trials"]]
    assert not list(out.glob("study.db-*")), "SQLite leaves nothing beside a study that ended"


def test_the_saved_model_is_trained_on_everything(finished: tuple[Path, dict[str, Any]]) -> None:
    out, document = finished
    saved = MatrixFactorization.load(out / "model")
    same = MatrixFactorization(**document["params"], epochs=document["epochs"], item_graph=data().item_graph)
    same.fit(data().train)
    pairs = data().train.raw_users[:50], data().train.raw_items[:50]
    assert np.array_equal(saved.predict(*pairs), same.predict(*pairs))
    assert len(saved.history_) == document["epochs"]


def test_a_trial_says_what_a_fit_says(finished: tuple[Path, dict[str, Any]]) -> None:
    trial = next(trial for trial in finished[1]["trials"] if trial["state"] == "complete")
    learn, validation = data().splits(SETTINGS)[0]
    model = MatrixFactorization(**trial["params"], epochs=8, patience=30, item_graph=data().item_graph)
    model.fit(learn, validation)
    assert (model.best_epoch_, min(row["validation_rmse"] for row in model.history_)) == (
        trial["epoch"],
        trial["value"],
    )
    assert model.evaluate(validation)["rmse"] == pytest.approx(trial["value"], abs=1e-6)


@pytest.mark.parametrize(
    "trials", [pytest.param(1, marks=pytest.mark.slow), 3, pytest.param(12, marks=pytest.mark.slow)]
)
def test_a_killed_study_equals_an_uninterrupted_one(
    finished: tuple[Path, dict[str, Any]], tmp_path: Path, trials: int
) -> None:
    """SIGKILL after some trials, in the middle of the next one; the process dawdles so that it is caught there."""
    out = tmp_path / "out"
    command = [sys.executable, tune_case.__file__, str(out), "0.05"]
    with subprocess.Popen(command) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not (done(out) >= trials and states(out)[-1] == "RUNNING"):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    assert trials <= done(out) < 16, "killed too late to test anything"
    assert states(out)[-1] == "RUNNING", "killed between two trials"
    document = run(out)
    assert timeless(document) == timeless(finished[1])
    assert "RUNNING" not in states(out)
    assert len(document["provenance"]["sessions"]) == 2


def test_fits_with_attention_dropout_run_side_by_side(tmp_path: Path) -> None:
    whole = sequence_case.histories(num_users=30, length=8)
    parts = leave_last_out(whole)
    files = (DataFile("train", "generated", ""),)
    sasrec = MODELS[ModelName.sasrec]
    small = ["hidden=8", "blocks=1", "attention_dropout=0.3"]
    told: list[int] = []

    class Told(Quiet):
        def start(self, total: int, done: int, jobs: int) -> None:
            told.append(jobs)

    document = tune(
        ModelName.sasrec,
        TuneData(parts.train, parts.validation, None, None, files, histories=whole),
        tune_space(sasrec, fix=small),
        TuneSettings.of(sasrec, epochs=2, trials=2, profile=0),
        tmp_path,
        jobs=3,
        observer=Told(),
    )
    assert told == [3]
    assert document["provenance"]["config"]["jobs"] == 3


def done(out: Path) -> int:
    """Finished trials in the study of another process."""
    try:
        with sqlite3.connect(f"file:{out / 'study.db'}?mode=ro", uri=True, timeout=5) as file:
            return int(file.execute("SELECT count(*) FROM trials WHERE state != 'RUNNING'").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def test_a_trial_under_way_when_its_process_died_is_done_again(
    finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """Without a kill, so that it is certain where it ended: trial 5 breaks off, again and again."""

    class Broken(Quiet):
        def progress(self, label: str, fraction: float) -> None:
            if label == "trial 5" and fraction > 0.5:
                raise RuntimeError("planted")

    out = tmp_path / "out"
    for _ in range(2):
        with pytest.raises(RuntimeError, match="planted"):
            run(out, observer=Broken())
    assert states(out)[5:] == ["FAIL", "RUNNING"]
    observer = Quiet()
    document = run(out, observer=observer)
    assert observer.before == 5
    assert observer.labels[:2] == ["trial 5", "trial 6"]
    assert timeless(document) == timeless(finished[1])


def test_the_seed_makes_the_points(finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """The control of the tests of resumption: another seed is another study."""
    other = run(tmp_path / "out", replace(SETTINGS, seed=1, trials=3, profile=0))
    mine, theirs = (document["trials"][1]["params"] for document in (finished[1], other))
    assert mine != theirs


def test_a_finished_study_trains_nothing(finished: tuple[Path, dict[str, Any]]) -> None:
    observer = Quiet()
    assert timeless(run(finished[0], observer=observer)) == timeless(finished[1])
    assert observer.labels == []
    assert observer.total == observer.before


def test_more_trials_go_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(out, replace(SETTINGS, trials=4, profile=0))
    observer = Quiet()
    more = run(out, replace(SETTINGS, trials=6, profile=0), observer=observer)
    assert observer.labels[:2] == ["trial 4", "trial 5"]
    assert len(more["trials"]) == 6


def test_a_lost_model_is_made_again(finished: tuple[Path, dict[str, Any]]) -> None:
    (finished[0] / "model" / "model.json").unlink()
    observer = Quiet()
    run(finished[0], observer=observer)
    assert observer.labels == ["best settings, on all ratings"]
    assert MatrixFactorization.load(finished[0] / "model").factors in (4, 8)


def test_another_study_is_refused(finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    out, _ = finished
    with pytest.raises(ConfigError, match=r"settings\.epochs: 8 there, 9 here.*--restart"):
        run(out, replace(SETTINGS, epochs=9))
    with pytest.raises(ConfigError, match=r"data\.train"):
        run(out, data=data(seed=1))
    with pytest.raises(ConfigError, match=r"space\.searched\.p0_item"):
        run(out, space=space("p0_item=0.01:0.02"))
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(ConfigError, match="not empty"):
        run(tmp_path)


def test_restart_discards(tmp_path: Path) -> None:
    out, small = tmp_path / "out", replace(SETTINGS, trials=2, profile=0)
    run(out, small)
    again = run(out, replace(small, epochs=3), restart=True)
    assert states(out) == ["COMPLETE", "COMPLETE"]
    assert again["provenance"]["config"]["settings"]["epochs"] == 3
    assert len(again["provenance"]["sessions"]) == 1


def test_a_foreign_or_damaged_study_is_refused(tmp_path: Path) -> None:
    out, small = tmp_path / "out", replace(SETTINGS, trials=2, profile=0)
    run(out, small)
    (out / "study.db").write_bytes(b"no database" * 100)
    with pytest.raises(CorruptFileError, match="no study"):
        run(out, small)
    (out / "study.db").unlink()
    with Study(out / "study.db", "other", space(), higher=False, seed=0, warmup=None, parallel=False):
        pass
    with pytest.raises(ConfigError, match="other settings or data"):
        run(out, small)


def test_several_at_a_time(tmp_path: Path) -> None:
    document = run(tmp_path / "out", replace(SETTINGS, trials=14), jobs=3)
    assert [trial["number"] for trial in document["trials"]] == list(range(14))
    assert document["value"] < 1.2


def test_diverged_trials_count_as_failed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    steep = space("learning_rate=0.01:1e9:log")
    document = run(out, replace(SETTINGS, trials=8, profile=0), space=steep)
    lost = [trial for trial in document["trials"] if trial["state"] == "diverged"]
    assert lost
    assert all(trial["value"] is None for trial in lost)
    assert states(out).count("FAIL") == len(lost) == document["counts"]["diverged"]
    observer = Quiet()
    run(out, replace(SETTINGS, trials=8, profile=0), space=steep, observer=observer)
    assert observer.labels == [], "a diverged trial is finished: it is not done again"
    hopeless = space("learning_rate=1e8:1e9:log")
    with pytest.raises(ConfigError, match="all of the 3 trials diverged"):
        run(tmp_path / "hopeless", replace(SETTINGS, trials=3), space=hopeless)


def test_a_value_that_is_no_number_is_divergence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nan(MatrixFactorization):
        def fit(self, train: Any, validation: Any = None, callback: Any = None) -> MatrixFactorization:
            assert callback(1, {"epoch": 1, "validation_rmse": float("nan")})
            return self

    model = replace(MODELS[ModelName.mf], estimator=lambda: Nan)
    plain = replace(data(), item_graph=None)
    fitter = fitting.TuneFitter(model, plain, SETTINGS, plain.splits(SETTINGS))
    assert fitter.trial({}, lambda _: False).state == "diverged"

    def fall(*_: Any, **__: Any) -> None:
        raise DivergedError("planted")

    monkeypatch.setattr(Nan, "fit", fall)
    assert fitter.trial({}, lambda _: False).state == "diverged"


def test_two_splits_are_averaged() -> None:
    settings = replace(SETTINGS, validation_splits=2)
    splits = data().splits(settings)
    both = fitting.TuneFitter(MODELS[ModelName.mf], data(), settings, splits)
    params = {"factors": 4, "rho_item": 10.0}
    fit = both.trial(params, lambda _: False)
    curves = []
    for seed, (learn, validation) in enumerate(splits):
        model = MatrixFactorization(**params, item_graph=data().item_graph, epochs=8, seed=seed).fit(learn, validation)
        curves.append([row["validation_rmse"] for row in model.history_])
    assert fit.curve == pytest.approx(np.mean(curves, axis=0))
    assert fit.value == min(fit.curve)


def test_neighbours_are_those_of_what_a_fit_learns_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each split has its graph, the last fit that of everything; each is made once."""
    settings = replace(SETTINGS, validation_splits=2, epochs=1)
    ours = replace(data(), item_graph=None, nearest={"item": 3})
    splits = ours.splits(settings)
    seen: list[Any] = []

    class Spy(MatrixFactorization):
        def fit(self, train: Any, validation: Any = None, callback: Any = None) -> MatrixFactorization:
            seen.append((train, self.item_graph))
            return super().fit(train, validation, callback=callback)

    made = []
    original = neighbours.cooccurrence_graph
    monkeypatch.setattr(neighbours, "cooccurrence_graph", lambda *words: made.append(words) or original(*words))
    fitter = fitting.TuneFitter(replace(MODELS[ModelName.mf], estimator=lambda: Spy), ours, settings, splits)
    params = {"factors": 4, "rho_item": float("inf"), "p0_item": 0.2}
    for _ in range(2):
        fitter.trial(params, lambda _: False)
    fitter.final(params, 1, lambda _: False)
    parts = [*(learn for learn, _ in splits), ours.whole]
    assert [train is part for (train, _), part in zip(seen, [*parts[:2], *parts])] == [True] * 5
    for train, graph in seen:
        same, other = graph.edges(), original(train, "item", 3).edges()
        assert all(np.array_equal(mine, theirs) for mine, theirs in zip(same, other))
    assert [seen[n][1].num_edges for n in (0, 1)] != [seen[4][1].num_edges] * 2, "control: the graphs differ"
    assert len(made) == 3


def test_validation_file_joins_the_last_fit() -> None:
    train = Ratings.from_arrays([1, 1, 2], [7, 8, 7], [5, 3, 1])
    validation = Ratings.from_arrays([1, 3], [8, 9], [4, 2], like=train)
    whole = TuneData(train.with_ids(validation.user_ids, validation.item_ids), validation).whole
    found = sorted(zip(whole.raw_users.tolist(), whole.raw_items.tolist(), whole.values.tolist()))
    assert found == [(1, 7, 5.0), (1, 8, 4.0), (2, 7, 1.0), (3, 9, 2.0)]
    assert TuneData(train).whole is train


def test_pruning_can_be_left_out(tmp_path: Path) -> None:
    document = run(tmp_path / "out", replace(SETTINGS, trials=12, profile=0, pruning=False))
    assert document["counts"] == {"complete": 12, "pruned": 0, "diverged": 0}
