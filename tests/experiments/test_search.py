"""The search proposes the same whatever happened around it, and listens to what was measured."""

from __future__ import annotations

import math
import random

import pytest

from torchsse.errors import ConfigError
from torchsse.experiments.arms import Arm, select_arms, standard_arms
from torchsse.experiments.kinds import GRAPH_ALS
from torchsse.experiments.marginalized_arms import marginalized_arms
from torchsse.experiments.search import BATCH, STARTUP, Trial, best_trial, propose
from torchsse.experiments.space import Range

ARMS = standard_arms(biases=True, user_graph=True, item_graph=True, tune_learning_rate=True)


def searched(arm: Arm, trials: int, seed: int = 0, shuffle: bool = False) -> list[dict[str, float]]:
    """A whole search of a made-up response surface."""
    done: list[Trial] = []
    for batch in range(math.ceil(trials / BATCH)):
        if shuffle:
            random.Random(batch).shuffle(done)
        proposals = propose(arm, batch, done, trials, seed)
        for number, params in enumerate(proposals, batch * BATCH):
            done.append(Trial(number, params, sum(math.log(v / 0.03) ** 2 for v in params.values())))
    return [dict(trial.params) for trial in sorted(done, key=lambda trial: trial.number)]


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_proposals(arm: Arm) -> None:
    found = searched(arm, trials=14)
    assert len(found) == 14
    assert found[0] == arm.defaults
    assert all(set(params) == set(arm.space) for params in found)
    for params in found:
        assert all(arm.space[name].low <= value <= arm.space[name].high for name, value in params.items())
    assert len({tuple(params.values()) for params in found}) == 14
    assert found == searched(arm, trials=14)
    assert found == searched(arm, trials=14, shuffle=True)
    assert found != searched(arm, trials=14, seed=1)
    assert found[:10] == searched(arm, trials=10)


def test_the_estimator_listens() -> None:
    """Control: with other values measured, the batches after the startup differ; those of the startup do not."""
    arm = ARMS[2]
    start = searched(arm, STARTUP)
    up = [Trial(n, params, params["weight_decay"]) for n, params in enumerate(start)]
    down = [Trial(n, params, -params["weight_decay"]) for n, params in enumerate(start)]
    batch = STARTUP // BATCH
    low, high = (propose(arm, batch, trials, 100, 0) for trials in (up, down))
    assert low != high
    assert sum(p["weight_decay"] for p in low) < 0.8 * sum(p["weight_decay"] for p in high)
    assert propose(arm, 0, up, 100, 0) == propose(arm, 0, down, 100, 0)


def test_arms_share_their_starting_points() -> None:
    arms = standard_arms(biases=True, item_graph=True)
    first = [p["weight_decay"] for p in searched(arms[0], STARTUP)[1:]]
    for arm in arms[1:-1]:
        assert [p["weight_decay"] for p in searched(arm, STARTUP)[1:]] == first, arm.name


def test_diverged_trials_do_not_stop_the_search() -> None:
    arm = ARMS[0]
    trials = [Trial(n, params, math.inf) for n, params in enumerate(searched(arm, STARTUP))]
    assert len(propose(arm, STARTUP // BATCH, trials, 100, 0)) == BATCH


def test_best_trial_takes_the_first_of_equals() -> None:
    assert best_trial([Trial(3, {}, 1.0), Trial(1, {}, 1.0), Trial(2, {}, 2.0)]).number == 1


def test_arms() -> None:
    names = ["none", "dropout", "sse-se", "sse-se+dropout", "sse-cooccurrence"]
    plain = standard_arms(biases=False)
    assert [arm.name for arm in plain] == names
    assert all("weight_decay" in arm.space for arm in plain)
    graph = standard_arms(biases=False, user_graph=True)[-3]
    assert (graph.name, graph.graphs) == ("sse-graph", "given")
    assert "rho_user" in graph.space
    assert "rho_item" not in graph.space
    laplacian = standard_arms(biases=False, user_graph=True)[-1]
    assert (laplacian.name, laplacian.graphs, laplacian.model) == ("graph-laplacian", "given", GRAPH_ALS)
    assert [arm.name for arm in select_arms(plain, ["dropout"])] == ["none", "dropout"]
    with pytest.raises(ConfigError, match=r"unknown arm 'sse'.*sse-se"):
        select_arms(plain, ["sse"])
    with pytest.raises(ConfigError, match="needs a graph"):
        select_arms(plain, ["sse-graph"])
    with pytest.raises(ConfigError, match=r"'dropout' does not exist for this model, which has none, sse"):
        select_arms(marginalized_arms(), ["dropout"])
    with pytest.raises(ConfigError, match="defaults"):
        Arm("x", {"weight_decay": Range(0.1, 1)}, {})


@pytest.mark.parametrize(("low", "high", "log"), [(1, 1, False), (2, 1, False), (0, 1, True), (0, math.inf, False)])
def test_ranges_are_checked(low: float, high: float, log: bool) -> None:
    with pytest.raises(ConfigError):
        Range(low, high, log)
