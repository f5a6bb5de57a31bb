"""The comparison end to end: schema, statistics against an oracle, resume after SIGKILL, controls."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import compare_case
import numpy as np
import pytest
import scipy.stats
from compare_case import SETTINGS, Quiet, case, timeless

from torchsse.data import Ratings
from torchsse.errors import ConfigError, CorruptFileError
from torchsse.experiments.arms import Arm
from torchsse.experiments.compare import compare
from torchsse.experiments.fitting import Fitter, Report
from torchsse.experiments.space import Range
from torchsse.recsys import DivergedError
from torchsse.recsys.base import Recommender


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("whole") / "out"
    data, arms = case()
    return out, compare(data, arms, SETTINGS, out, jobs=2, observer=Quiet())


def test_results_have_the_contracts_fields(finished: tuple[Path, dict[str, Any]]) -> None:
    out, returned = finished
    text = (out / "results.json").read_text()
    document = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert document == json.loads(json.dumps(returned))
    assert set(document) == {"schema", "provenance", "results"}
    assert document["schema"] == 1
    assert [record["arm"] for record in document["results"]] == ["none", "sse-se", "sse-graph"]
    for record in document["results"]:
        assert {
            "arm",
            "metric",
            "mean",
            "std",
            "ci95",
            "per_seed",
            "seeds",
            "difference",
            "p_value",
            "params",
            "trials",
        } < set(record)
        assert record["metric"] == "rmse"
        assert record["n_test"] == len(case()[0].test)
        assert record["trials"] == 10
        assert len(record["search"]) == 10
        assert record["seeds"] == [0, 1]
        assert len(record["curve"]["epoch"]) == len(record["curve"]["validation_rmse"])
        assert min(record["curve"]["validation_rmse"]) == pytest.approx(record["validation_rmse"], abs=1e-6)
        assert record["curve"]["epoch"][int(np.argmin(record["curve"]["validation_rmse"]))] == record["best_epoch"]
    assert document["results"][0]["p_value"] is None
    assert document["results"][0]["difference"] == 0
    origin = document["provenance"]
    assert origin["config"]["settings"]["trials"] == 10
    assert origin["data"][0]["sha256"] == "seed 0"
    for name in ("torchsse", "git_commit", "git_dirty", "python", "torch", "numpy", "numba", "platform", "cpu_count"):
        assert name in origin
    for name in ("device", "command", "started", "finished", "wall_seconds"):
        assert origin[name] is not None


def test_statistics_against_an_oracle(finished: tuple[Path, dict[str, Any]]) -> None:
    """Everything recomputed from the stored predictions, in the plainest way."""
    out, document = finished
    data, _ = case()
    truth, users = data.test.values.astype(np.float64), data.test.users
    squared = {}
    for record in document["results"]:
        predicted = [np.load(out / "predictions" / f"{record['arm']}-{seed}.npy") for seed in (0, 1)]
        errors = np.stack([(p.astype(np.float64) - truth) ** 2 for p in predicted])
        per_seed = np.sqrt(errors.mean(axis=1))
        assert record["per_seed"] == pytest.approx(per_seed, rel=1e-12)
        assert record["mean"] == pytest.approx(per_seed.mean(), rel=1e-12)
        assert record["std"] == pytest.approx(per_seed.std(ddof=1), rel=1e-9)
        half = scipy.stats.t.ppf(0.975, 1) * per_seed.std(ddof=1) / np.sqrt(2)
        assert record["ci95"] == pytest.approx([per_seed.mean() - half, per_seed.mean() + half], rel=1e-9)
        squared[record["arm"]] = errors.mean(axis=0)
    rng = np.random.default_rng(1)
    groups = [np.flatnonzero(users == user) for user in np.unique(users)]
    for record in document["results"][1:]:
        draws = []
        for _ in range(1500):
            chosen = np.concatenate([groups[g] for g in rng.integers(len(groups), size=len(groups))])
            draws.append(np.sqrt(squared[record["arm"]][chosen].mean()) - np.sqrt(squared["none"][chosen].mean()))
        low, high = np.quantile(draws, [0.025, 0.975])
        width = high - low
        assert record["difference_ci95"] == pytest.approx([low, high], abs=0.15 * width)
        assert record["difference"] == pytest.approx(record["mean"] - document["results"][0]["mean"], abs=1e-12)
    raw = [record["p_value_uncorrected"] for record in document["results"][1:]]
    small, large = min(raw), max(raw)
    expected = {small: min(1.0, 2 * small), large: max(min(1.0, 2 * small), large)}
    assert [record["p_value"] for record in document["results"][1:]] == pytest.approx([expected[p] for p in raw])


def test_cores_do_not_change_the_results(finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    data, arms = case()
    alone = compare(data, arms, SETTINGS, tmp_path / "out", jobs=1, observer=Quiet())
    assert timeless(alone) == timeless(finished[1])


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_results(finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """SIGKILL in the search and in the final fits, then once more to the end on another number of cores."""
    out = tmp_path / "out"
    command = [sys.executable, compare_case.__file__, str(out)]
    for lines in (12, 34):
        with subprocess.Popen([*command, "2", "0.05"]) as process:
            deadline = time.monotonic() + 120
            while _lines(out) < lines and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert not (out / "results.json").exists()
    before = _lines(out)
    data, arms = case()
    observer = Quiet()
    document = compare(data, arms, SETTINGS, out, jobs=1, observer=observer)
    assert timeless(document) == timeless(finished[1])
    assert observer.before > 20
    assert len(observer.labels) == observer.total - observer.before
    assert _lines(out) == before + 1 + len(observer.labels)
    assert len(document["provenance"]["sessions"]) == 3


def _lines(out: Path) -> int:
    journal = out / "journal.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def test_a_finished_run_trains_nothing(finished: tuple[Path, dict[str, Any]]) -> None:
    data, arms = case()
    observer = Quiet()
    again = compare(data, arms, SETTINGS, finished[0], jobs=1, observer=observer)
    assert observer.labels == []
    assert timeless(again) == timeless(finished[1])


def test_lost_predictions_are_made_again(finished: tuple[Path, dict[str, Any]]) -> None:
    out, document = finished
    (out / "predictions" / "none-1.npy").write_bytes(b"damaged")
    data, arms = case()
    observer = Quiet()
    assert timeless(compare(data, arms, SETTINGS, out, jobs=1, observer=observer)) == timeless(document)
    assert observer.labels == ["none, seed 1"]


def test_other_settings_or_data_are_refused(finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    out, _ = finished
    data, arms = case()
    with pytest.raises(ConfigError, match=r"settings\.factors: 8 there, 9 here.*--restart"):
        compare(data, arms, replace(SETTINGS, factors=9), out, jobs=1, observer=Quiet())
    with pytest.raises(ConfigError, match=r"data\.ratings"):
        compare(case(seed=1)[0], arms, SETTINGS, out, jobs=1, observer=Quiet())
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(ConfigError, match="not empty"):
        compare(data, arms, SETTINGS, tmp_path, jobs=1, observer=Quiet())


def test_seeds_may_be_added_and_left_out(tmp_path: Path) -> None:
    """Only the fits of new seeds are made, and the results are those of a fresh run with as many seeds."""
    data, arms = case()
    few, small = arms[:2], replace(SETTINGS, trials=3, epochs=4)
    fresh = {
        seeds: compare(data, few, replace(small, seeds=seeds), tmp_path / str(seeds), jobs=2, observer=Quiet())
        for seeds in (1, 2, 4)
    }
    out, before = tmp_path / "2", fresh[2]
    observer = Quiet()
    more = compare(data, few, replace(small, seeds=4), out, jobs=2, observer=observer)
    assert sorted(observer.labels) == [f"{arm}, seed {seed}" for arm in ("none", "sse-se") for seed in (2, 3)]
    assert timeless(more) == timeless(fresh[4])
    assert timeless(more)["results"] != timeless(before)["results"]
    observer = Quiet()
    assert timeless(compare(data, few, replace(small, seeds=1), out, jobs=2, observer=observer)) == timeless(fresh[1])
    assert observer.labels == []


def test_restart_discards(tmp_path: Path) -> None:
    data, arms = case()
    small = replace(SETTINGS, trials=1, seeds=2, epochs=2)
    compare(data, arms[:2], small, tmp_path / "out", jobs=1, observer=Quiet())
    fewer = replace(small, seeds=1)
    document = compare(data, arms[:1], fewer, tmp_path / "out", jobs=1, observer=Quiet(), restart=True)
    assert [record["arm"] for record in document["results"]] == ["none"]
    assert [path.name for path in (tmp_path / "out" / "predictions").iterdir()] == ["none-0.npy"]


def test_an_arm_equal_to_none_differs_by_nothing(tmp_path: Path) -> None:
    """The control of the whole pipeline: a no-op SSE must not win, and must not lose either."""
    data, arms = case()
    none = arms[0]
    noop = Arm("sse-se", none.space, none.defaults, fixed={"p0_user": 0.0, "p0_item": 0.0})
    document = compare(data, (none, noop), SETTINGS, tmp_path / "out", jobs=2, observer=Quiet())
    first, second = document["results"]
    assert second["per_seed"] == first["per_seed"]
    assert second["difference"] == 0
    assert second["difference_ci95"] == [0, 0]
    assert second["p_value"] == 1


def test_the_graph_of_the_planted_clusters_helps(tmp_path: Path) -> None:
    """The other control: where help is planted, the comparison finds it; with the graph shuffled, it does not."""
    from torchsse.data import split
    from torchsse.data.synthetic import planted_clusters
    from torchsse.graph import Graph

    ratings, edges = planted_clusters(400, 200, 8000, num_clusters=20, deviation=0.2)
    train, test = split.per_user(ratings, 0.2)
    src, dst, _, _ = edges.resolve(train.item_ids)
    shuffle = np.random.default_rng(0).permutation(train.num_items)
    _, arms = case()
    settings = replace(SETTINGS, epochs=40, patience=15, trials=1)
    found = {}
    for name, order in (("right", np.arange(train.num_items)), ("wrong", shuffle)):
        graph = Graph.from_edges(order[src], order[dst], num_nodes=train.num_items)
        at = {**arms[2].defaults, "p0_item": 0.3, "rho_item": 1000.0}
        pair = (arms[0], replace(arms[2], defaults=at))
        files = case()[0].files
        data = compare_case.CompareData(train, test, None, graph, files)
        found[name] = compare(data, pair, settings, tmp_path / name, jobs=2, observer=Quiet())["results"][1]
    assert found["right"]["difference"] < -0.01
    assert found["right"]["p_value"] < 0.01
    assert found["wrong"]["difference"] > found["right"]["difference"] + 0.01


def test_a_diverging_arm_is_named(tmp_path: Path) -> None:
    data, arms = case()
    wild = replace(SETTINGS, learning_rate=1e6, trials=1)
    with pytest.raises(ConfigError, match="every trial of arm 'none' diverged"):
        compare(data, arms[:1], wild, tmp_path / "out", jobs=1, observer=Quiet())


def test_a_diverging_trial_is_survived(tmp_path: Path) -> None:
    data, arms = case()
    steep = Arm("none", {"learning_rate": Range(0.01, 1e7, log=True)}, {"learning_rate": 1e7})
    document = compare(data, (steep, arms[1]), replace(SETTINGS, trials=12), tmp_path / "out", jobs=2, observer=Quiet())
    assert document["results"][0]["search"][0]["value"] is None
    assert document["results"][0]["mean"] < 2


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_trial_that_diverges_in_a_final_fit_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    """Settings whose second seed diverges are replaced for all seeds; a killed run and a resumed one agree."""
    data, arms = case()
    plain = compare(data, arms[:2], SETTINGS, tmp_path / "plain", jobs=jobs, observer=Quiet())
    best = plain["results"][0]["params"]
    final = Fitter.final

    def wild(self: Fitter, arm: Arm, searched: dict[str, float], epochs: int, seed: int, report: Report) -> Recommender:
        if arm.name == "none" and searched == best and seed == 1:
            raise DivergedError("planted")
        return final(self, arm, searched, epochs, seed, report)

    monkeypatch.setattr(Fitter, "final", wild)
    document = compare(data, arms[:2], SETTINGS, tmp_path / "out", jobs=jobs, observer=Quiet())
    found, other = document["results"][0], document["results"][1]
    ranked = sorted(found["search"], key=lambda trial: trial["value"])
    assert {name: ranked[0][name] for name in best} == best
    assert found["params"] == {name: ranked[1][name] for name in best}
    assert found["validation_rmse"] == ranked[1]["value"] > plain["results"][0]["validation_rmse"]
    assert other["per_seed"] == plain["results"][1]["per_seed"]
    note = f"none: trial {ranked[0]['number'] + 1} diverged in a final fit"
    assert [line.startswith(note) for line in document["provenance"]["notes"]] == [True]
    observer = Quiet()
    again = compare(data, arms[:2], SETTINGS, tmp_path / "out", jobs=jobs, observer=observer)
    assert observer.before == observer.total
    assert timeless(again) == timeless(document)


def test_settings_for_explicit_ratings_are_refused_for_implicit_feedback(tmp_path: Path) -> None:
    data, arms = case()
    implicit = Ratings.from_arrays([1, 1, 2, 2], [1, 2, 1, 2])
    with pytest.raises(ConfigError, match="explicit"):
        compare(
            replace(data, train=implicit, test=implicit), arms, SETTINGS, tmp_path / "out", jobs=1, observer=Quiet()
        )


def test_a_damaged_journal_is_refused(tmp_path: Path) -> None:
    data, arms = case()
    small = replace(SETTINGS, trials=1, seeds=1, epochs=2)
    compare(data, arms[:1], small, tmp_path, jobs=1, observer=Quiet())
    journal = tmp_path / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(lines[0] + b"{half\n" + b"".join(lines[1:]))
    with pytest.raises(CorruptFileError, match="line 2"):
        compare(data, arms[:1], small, tmp_path, jobs=1, observer=Quiet())


def test_an_error_in_a_fit_ends_the_run(tmp_path: Path) -> None:
    data, arms = case()

    class Broken(Quiet):
        def progress(self, label: str, fraction: float) -> None:
            raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        compare(data, arms, SETTINGS, tmp_path / "out", jobs=2, observer=Broken())
