"""The comparison for implicit feedback: direction, statistics against an oracle, resume, controls."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import compare_case
import implicit_case
import numpy as np
import pytest
from compare_case import Quiet, timeless
from implicit_case import SETTINGS, case

from torchsse.data import Ratings, split
from torchsse.errors import ConfigError
from torchsse.experiments.arms import Arm
from torchsse.experiments.compare import compare
from torchsse.experiments.models import load_model
from torchsse.experiments.ranking import RankingPart, RankingTask
from torchsse.experiments.rating import RatingTask
from torchsse.experiments.settings import CompareData, DataFile, RankingSettings
from torchsse.experiments.task import loss
from torchsse.graph import Graph
from torchsse.recsys import BPR, MatrixFactorization
from torchsse.recsys.ranking import evaluate_ranking
from torchsse.report.metric import higher_is_better

ARMS = ["none", "sse-se", "sse-graph"]
METRICS = ["precision@10", "precision@1", "precision@5", "ndcg@10"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("implicit") / "out"
    data, arms = case()
    return out, compare(data, arms, SETTINGS, out, jobs=2, observer=Quiet())


def test_records(finished: tuple[Path, dict[str, Any]]) -> None:
    out, returned = finished
    document = json.loads((out / "results.json").read_text(), parse_constant=pytest.fail)
    assert document == json.loads(json.dumps(returned))
    records = document["results"]
    assert [(r["metric"], r["arm"]) for r in records] == [(metric, arm) for metric in METRICS for arm in ARMS]
    contract = {"arm", "metric", "mean", "std", "ci95", "per_seed", "seeds", "difference", "p_value", "params"}
    for record in records:
        assert contract | {"trials", "n_test", "n_cold"} <= set(record)
        assert ("search" in record) == (record["metric"] == "precision@10")
        assert record["p_value"] is None if record["arm"] == "none" else 0 < record["p_value"] <= 1
        assert record["params"] == records[ARMS.index(record["arm"])]["params"]
    assert document["provenance"]["config"]["task"] == "compare-implicit"
    assert document["provenance"]["config"]["settings"]["num_negatives"] == 3


def test_the_highest_value_on_validation_is_chosen(finished: tuple[Path, dict[str, Any]]) -> None:
    _, document = finished
    for record in document["results"][:3]:
        values = [trial["value"] for trial in record["search"]]
        assert record["validation_precision@10"] == max(values) > min(values)
        curve = record["curve"]["validation_precision@10"]
        assert max(curve) == pytest.approx(record["validation_precision@10"], abs=1e-6)
        # epochs may tie but for the last bit of a mean
        assert curve[record["curve"]["epoch"].index(record["best_epoch"])] == max(curve)
    best = max(document["results"][:3], key=lambda record: record["validation_precision@10"])
    assert document["provenance"]["model"]["arm"] == best["arm"]


def test_statistics_against_an_oracle(finished: tuple[Path, dict[str, Any]]) -> None:
    """Everything recomputed from the stored lists, user by user."""
    out, document = finished
    data, _ = case()
    positives: dict[int, set[int]] = {}
    for user, item in zip(data.test.users.tolist(), data.test.items.tolist()):
        positives.setdefault(user, set()).add(item)
    users = sorted(positives)
    discount = [1 / math.log2(rank + 2) for rank in range(10)]
    found: dict[tuple[str, str], np.ndarray] = {}
    for arm in ARMS:
        for seed in (0, 1):
            top = np.load(out / "predictions" / f"{arm}-{seed}.npy")
            assert top.shape == (len(users), 10)
            rows: dict[str, list[float]] = {metric: [] for metric in METRICS}
            for user, row in zip(users, top.tolist()):
                seen = set(data.train.items[data.train.users == user].tolist())
                assert not seen & set(row)
                hits = [float(item in positives[user]) for item in row]
                for k in (1, 5, 10):
                    rows[f"precision@{k}"].append(sum(hits[:k]) / k)
                ideal = sum(discount[: min(10, len(positives[user]))])
                rows["ndcg@10"].append(sum(h * d for h, d in zip(hits, discount)) / ideal)
            for metric, values in rows.items():
                found.setdefault((metric, arm), np.zeros((2, len(users))))[seed] = values
    rng = np.random.default_rng(1)
    drawn = rng.integers(len(users), size=(2000, len(users)))
    for record in document["results"]:
        values = found[record["metric"], record["arm"]]
        assert record["per_seed"] == pytest.approx(values.mean(axis=1), rel=1e-9)
        assert record["mean"] == pytest.approx(values.mean(), rel=1e-9)
        assert record["std"] == pytest.approx(values.mean(axis=1).std(ddof=1), rel=1e-6, abs=1e-12)
        assert record["n_test"] == len(users)
        if record["arm"] == "none":
            continue
        each = (values - found[record["metric"], "none"]).mean(axis=0)
        assert record["difference"] == pytest.approx(each.mean(), abs=1e-12)
        low, high = np.quantile(each[drawn].mean(axis=1), [0.025, 0.975])
        assert record["difference_ci95"] == pytest.approx([low, high], abs=0.15 * (high - low))
    for metric in METRICS:
        raw, adjusted = (
            [r[name] for r in document["results"] if r["metric"] == metric and r["arm"] != "none"]
            for name in ("p_value_uncorrected", "p_value")
        )
        small, large = sorted(raw)
        assert sorted(adjusted) == pytest.approx(sorted((min(1, 2 * small), max(min(1, 2 * small), large))))


def test_resumed_and_on_other_cores_the_results_are_the_same(
    finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """The journal is cut in the search, and in the middle of a line, as a kill would leave it."""
    out, document = finished
    lines = (out / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "journal.jsonl").write_bytes(b"".join(lines[:17]) + lines[17][:40])
    data, arms = case()
    observer = Quiet()
    again = compare(data, arms, SETTINGS, tmp_path, jobs=1, observer=observer)
    assert timeless(again) == timeless(document)
    assert observer.before == sum(json.loads(line)["kind"] == "trial" for line in lines[:17]) > 0


def test_an_arm_equal_to_none_differs_by_nothing(tmp_path: Path) -> None:
    data, arms = case()
    noop = Arm("sse-se", arms[0].space, arms[0].defaults, fixed={"p0_user": 0.0, "p0_item": 0.0})
    document = compare(data, (arms[0], noop), replace(SETTINGS, trials=4), tmp_path, jobs=2, observer=Quiet())
    for first, second in zip(document["results"][::2], document["results"][1::2]):
        assert second["per_seed"] == first["per_seed"]
        assert (second["difference"], second["difference_ci95"], second["p_value"]) == (0, [0, 0], 1)


def test_the_graph_of_the_planted_clusters_helps(tmp_path: Path) -> None:
    """Where help is planted, the comparison finds it; with the nodes shuffled, it does not."""
    ratings, src, dst = implicit_case.two_tastes()
    train, test = split.per_user(ratings, 0.3)
    shuffle = np.random.default_rng(0).permutation(train.num_items)
    none, _, graph_arm = case()[1]
    at = {**graph_arm.defaults, "p0_user": 0.005, "rho_item": 2000.0}
    settings = replace(SETTINGS, factors=16, epochs=40, patience=20, trials=1)
    found = {}
    for name, order in (("right", np.arange(train.num_items)), ("wrong", shuffle)):
        graph = Graph.from_edges(order[src], order[dst], num_nodes=train.num_items)
        data = CompareData(train, test, None, graph, (DataFile("ratings", "", "0"),))
        pair = (none, replace(graph_arm, defaults=at))
        found[name] = compare(data, pair, settings, tmp_path / name, jobs=2, observer=Quiet())["results"][1]
    assert found["right"]["difference"] > 0.02
    assert found["right"]["p_value"] < 0.01
    assert found["wrong"]["difference"] < 0.01


@pytest.mark.filterwarnings("ignore::torchsse.errors.TorchsseWarning")
def test_the_part_follows_the_rules_of_evaluate() -> None:
    """Cold users and items, pairs that are in train too: the same numbers as `evaluate` gives."""
    rng = np.random.default_rng(3)
    train = Ratings.from_arrays(rng.integers(30, size=300), rng.integers(40, size=300), duplicates="first")
    test = Ratings.from_arrays(rng.integers(35, size=400), rng.integers(48, size=400), like=train)
    model = BPR(factors=4, epochs=3).fit(train)
    part = RankingPart.of(train, test)
    values = part.values(RankingTask().predict(model, CompareData(train, test), part))
    expected = evaluate_ranking(model, test)
    assert expected["n_cold"] > 0
    assert expected["n_seen"] > 0
    assert expected["n_cold_users"] > 0
    assert (len(part), part.n_cold) == (expected["n_users"], expected["n_cold"])
    assert part.relevant.nnz == expected["n_pairs"]
    for metric in METRICS:
        assert values[metric] == pytest.approx(expected["means"][metric], rel=1e-12)
    assert values["warm_precision@10"] == pytest.approx(expected["means_warm"]["precision@10"], rel=1e-12)


def test_the_saved_model_is_the_one_measured(finished: tuple[Path, dict[str, Any]]) -> None:
    out, document = finished
    model = load_model(out / "model")
    assert isinstance(model, BPR)
    best = next(r for r in document["results"] if r["arm"] == document["provenance"]["model"]["arm"])
    assert evaluate_ranking(model, case()[0].test)["means"]["precision@10"] == pytest.approx(best["per_seed"][0])


def test_tasks() -> None:
    """Both rooms that know directions agree, and a worse value is a larger loss."""
    assert higher_is_better(RankingTask.metric) is RankingTask.higher_is_better is True
    assert higher_is_better(RatingTask.metric) is RatingTask.higher_is_better is False
    assert loss(RankingTask(), 0.2) < loss(RankingTask(), 0.1) < loss(RankingTask(), None)
    assert loss(RatingTask(), 0.1) < loss(RatingTask(), 0.2) < loss(RatingTask(), None)


def test_models_load_by_what_they_are(tmp_path: Path) -> None:
    ratings = compare_case.case()[0].train
    MatrixFactorization(factors=2, epochs=1).fit(ratings).save(tmp_path / "mf")
    assert isinstance(load_model(tmp_path / "mf"), MatrixFactorization)


def test_wrong_settings_and_data(tmp_path: Path) -> None:
    data, arms = case()
    explicit = compare_case.case()[0]
    with pytest.raises(ConfigError, match="for implicit feedback, but train has explicit ratings"):
        compare(explicit, arms, SETTINGS, tmp_path / "a", jobs=1, observer=Quiet())
    with pytest.raises(ConfigError, match="for explicit ratings, but train is implicit"):
        compare(data, arms, compare_case.SETTINGS, tmp_path / "b", jobs=1, observer=Quiet())
    with pytest.raises(ConfigError, match="at least two users, beside those in train"):
        compare(replace(data, test=data.train), arms, SETTINGS, tmp_path / "c", jobs=1, observer=Quiet())
    with pytest.raises(ConfigError, match="at least 2 with hard_negatives"):
        RankingSettings(num_negatives=1, hard_negatives=True)
    assert not any(tmp_path.glob("*/results.json"))


def test_a_diverging_arm_is_named(tmp_path: Path) -> None:
    data, arms = case()
    with pytest.raises(ConfigError, match="every trial of arm 'none' diverged"):
        compare(data, arms[:1], replace(SETTINGS, learning_rate=1e9, trials=1), tmp_path, jobs=1, observer=Quiet())
