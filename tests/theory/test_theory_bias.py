"""The SSE bias against loops and closed forms; Theorem 2's bound, and that it holds in a simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from torchsse import SSE, Graph
from torchsse.errors import ConfigError
from torchsse.theory import excess_risk_bound, rademacher_complexity, sse_bias, sse_bias_lower_bound

RNG = np.random.default_rng(0)
LOSSES = RNG.random((4, 6, 2))  # hypotheses x ids x labels
IDS = np.array([0, 0, 3, 5, 2])
LABELS = np.array([1, 0, 0, 1, 1])
SETTING = SSE(6, 0.35, graph=Graph.from_edges([0, 1, 2], [1, 2, 5], num_nodes=6), rho=10.0)


def bias_by_loops(sse: SSE, share: Any, count: int) -> float:
    values = []
    for table in LOSSES:
        total = 0.0
        for weight, j, y in zip(share, IDS, LABELS):
            total += weight * sum(float(sse.probability(int(j), k)) * (table[k, y] - table[j, y]) for k in range(6))
        values.append(abs(count * total))
    return max(values)


def test_bias_is_brute_force() -> None:
    found = sse_bias(lambda h: LOSSES[h], SETTING, IDS, range(4), labels=LABELS)
    assert found.value == pytest.approx(bias_by_loops(SETTING, np.full(5, 0.2), 5), rel=1e-12)
    assert found.value == np.abs(found.per_hypothesis).max() == float(found)
    assert found.standard_error > 0
    # control: it sees the law
    other = sse_bias(lambda h: LOSSES[h], SSE(6, 0.35), IDS, range(4), labels=LABELS)
    assert other.value != pytest.approx(found.value, rel=1e-3)


def test_probabilities_and_n_give_the_expectation_of_a_sum() -> None:
    share = RNG.dirichlet(np.ones(5))
    found = sse_bias(lambda h: LOSSES[h], SETTING, IDS, range(4), labels=LABELS, probabilities=share, n=100)
    assert found.value == pytest.approx(bias_by_loops(SETTING, share, 100), rel=1e-12)
    assert found.standard_error == 0.0


def test_no_bias_without_swaps_and_among_twins() -> None:
    assert sse_bias(lambda h: LOSSES[h], SSE(6, 0.0), IDS, range(4), labels=LABELS).value == 0.0
    twins = Graph.from_edges([0, 2, 4], [1, 3, 5], num_nodes=6)
    alike = np.repeat(RNG.random((4, 3)), 2, axis=1)
    assert sse_bias(lambda h: alike[h], SSE(6, 0.5, graph=twins, rho=math.inf), IDS, range(4)).value < 1e-12
    assert sse_bias(lambda h: alike[h], SSE(6, 0.5), IDS, range(4)).value > 0.1  # control


def test_a_maximiser_finds_the_bias_or_less() -> None:
    exact = sse_bias(lambda h: LOSSES[h], SETTING, IDS, range(4), labels=LABELS, n=50).value

    def best(c: Any) -> float:
        return float(np.abs((LOSSES * c).sum(axis=(1, 2))).max())

    found = sse_bias_lower_bound(best, SETTING, IDS, labels=LABELS, n=50)
    assert found == pytest.approx(exact, rel=1e-10)
    lazy = min(
        sse_bias_lower_bound(lambda c, h=h: float((LOSSES[h] * c).sum()), SETTING, IDS, labels=LABELS, n=50)
        for h in range(4)
    )
    assert lazy < exact


def test_two_tables() -> None:
    losses, ids = RNG.random((3, 4)), np.array([[0, 1], [2, 2]])
    users, items = SSE(3, 0.4), SSE(4, 0.2)
    P, Q = users.transition_matrix().numpy(), items.transition_matrix().numpy()
    expected = (P @ losses @ Q.T - losses)[tuple(ids.T)].sum()
    assert sse_bias(lambda _: losses, [users, items], ids, [0]).value == pytest.approx(abs(expected), rel=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probabilities": [0.5, 0.5]}, r"shape \(5,\)"),
        ({"probabilities": [0.5] * 5}, "sum to 2.5"),
        ({"probabilities": [2.0, -1.0, 0, 0, 0]}, "at least 0"),
        ({"n": 0}, "n, the number"),
        ({"hypotheses": []}, "at least one hypothesis"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        sse_bias(**{"losses_of": lambda _: np.zeros(6), "sse": SETTING, "ids": IDS, "hypotheses": [0], **change})


def test_the_bound_is_theorem_two() -> None:
    bound = excess_risk_bound(bias=1.5, rademacher=2.0, n=400, b=3.0, delta=0.01)
    u = bound.deviation / math.sqrt(400)
    assert math.exp(-(u**2) / (2 * 3.0**2)) == pytest.approx(0.01)
    assert (bound.bias, bound.complexity) == (3.0, 8.0)
    assert bound.value == float(bound) == bound.bias + bound.complexity + bound.deviation
    assert bound.per_example == bound.value / 400
    assert excess_risk_bound(0.0, 0.0, n=1, b=1.0, delta=1.0).value == 0.0


@pytest.mark.parametrize(
    "change",
    [{"bias": -1.0}, {"rademacher": math.nan}, {"n": 0}, {"b": 0.0}, {"b": math.inf}, {"delta": 0.0}, {"delta": 1.5}],
)
def test_the_bound_checks_its_terms(change: dict[str, Any]) -> None:
    (name,) = change
    with pytest.raises(ConfigError, match=name):
        excess_risk_bound(**{"bias": 0.0, "rademacher": 0.0, "n": 1, "b": 1.0, **change})


def test_the_excess_risk_stays_below_the_bound() -> None:
    """A whole small world: ids and noisy labels drawn, the SSE objective minimised, the true excess risk known."""
    rng = np.random.default_rng(3)
    size, n, runs = 6, 60, 100
    chance = rng.uniform(0.2, 0.8, size)  # of label 1
    tables = rng.random((8, size, 2))
    sse = SSE(size, 0.3)
    P = sse.transition_matrix().numpy()
    pairs = np.array([(k, y) for k in range(size) for y in (0, 1)])
    share = np.where(pairs[:, 1] == 1, chance[pairs[:, 0]], 1 - chance[pairs[:, 0]]) / size
    risk = n * np.array([(share * table[tuple(pairs.T)]).sum() for table in tables])
    arguments: dict[str, Any] = {"losses_of": lambda h: tables[h], "sse": sse, "hypotheses": range(8)}
    bias = sse_bias(ids=pairs[:, 0], labels=pairs[:, 1], probabilities=share, n=n, **arguments)
    excess, complexity = [], []
    for run in range(runs):
        ids = rng.integers(size, size=n)
        y = (rng.random(n) < chance[ids]).astype(int)
        objective = [(P @ table)[ids, y].sum() for table in tables]
        excess.append(risk[int(np.argmin(objective))] - risk.min())
        pi = np.stack([1 - chance[ids], chance[ids]], axis=1)
        rad_L, rad_e = (
            rademacher_complexity(ids=ids, labels=labels, draws=30, seed=run, **arguments).value
            for labels in (pi, np.eye(2)[y] - pi)
        )
        complexity.append(rad_L + rad_e)
    rademacher = float(np.mean(complexity))
    bound = excess_risk_bound(bias, rademacher, n=n, b=1.0, delta=0.1)
    assert max(excess) > 0  # the minimiser does err
    assert np.mean(np.array(excess) > bound.value) <= 0.1
