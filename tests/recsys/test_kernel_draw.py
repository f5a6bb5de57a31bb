"""The kernels' draws follow the laws of torchsse.transition, over the full support."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2

from torchsse.graph import Graph
from torchsse.recsys.kernels.draw import Swaps, coins, draw_many, swaps
from torchsse.recsys.kernels.rng import GOLDEN, _mix, stream
from torchsse.transition import Law, build_law

ALPHA = 1e-6  # per comparison; the seeds are fixed, so a run either always passes or never
DRAWS = 400_000
N = 12

SRC = [0, 0, 0, 1, 2, 3, 5, 5, 8, 9]
DST = [1, 2, 3, 4, 5, 6, 6, 7, 9, 11]
WEIGHT = [0.1, 1.0, 0.5, 0.9, 0.3, 1.0, 0.2, 0.7, 0.4, 0.05]
PLAIN = Graph.from_edges(SRC, DST, num_nodes=N)
WEIGHTED = Graph.from_edges(SRC, DST, num_nodes=N, weight=WEIGHT)
ONE_WAY = Graph.from_edges(SRC, DST, num_nodes=N, weight=WEIGHT, directed=True)
FLAT = Graph.from_edges(SRC, DST, num_nodes=N, weight=[0.25] * len(SRC))

LAWS = {
    "complete": build_law(N),
    "complete-excluded": build_law(N, exclude=[0, 5, 11]),
    "two-active": build_law(N, exclude=range(2, N)),
    "one-active": build_law(N, exclude=range(1, N)),
    "rho-1": build_law(N, graph=WEIGHTED, rho=1.0),
    "equal": build_law(N, graph=PLAIN, rho=20.0),
    "equal-quarter": build_law(N, graph=FLAT, rho=20.0),
    "equal-inf": build_law(N, graph=PLAIN, rho=math.inf),
    "weighted": build_law(N, graph=WEIGHTED, rho=50.0),
    "weighted-excluded": build_law(N, graph=WEIGHTED, rho=50.0, exclude=[2, 6]),
    "weighted-inf": build_law(N, graph=WEIGHTED, rho=math.inf),
    "directed": build_law(N, graph=ONE_WAY, rho=30.0),
    "directed-inf-excluded": build_law(N, graph=ONE_WAY, rho=math.inf, exclude=[3, 4]),
}


def counts(law: Swaps, j: int, seed: int = 0, draws: int = DRAWS) -> np.ndarray:
    out = np.empty(draws, np.int64)
    draw_many()(np.full(draws, j), law, stream(seed, j), out)
    return np.bincount(out, minlength=N)


def p_value(found: np.ndarray, expected: np.ndarray) -> float:
    """Chi-square over the full support; an impossible outcome has p = 0."""
    total, possible = found.sum(), expected > 0
    if found[~possible].any():
        return 0.0
    if possible.sum() == 1:
        return 1.0
    statistic = (((found - total * expected) ** 2)[possible] / (total * expected[possible])).sum()
    return float(chi2.sf(statistic, possible.sum() - 1))


@pytest.mark.parametrize("name", LAWS)
def test_draws_follow_the_law(name: str) -> None:
    law = LAWS[name]
    kernel = swaps(law, 1.0)
    values = [p_value(counts(kernel, j), law.row(j)) for j in range(N)]
    assert min(values) > ALPHA, {j: v for j, v in enumerate(values) if v <= ALPHA}


def wrong(name: str) -> tuple[Swaps, Law]:
    """What the kernel would draw from if it were wrong in one way, and the law it ought to follow."""
    law = LAWS["directed"]
    kernel = swaps(law, 1.0)
    if name == "no-op":
        return kernel._replace(stays=np.ones(N, bool)), law
    if name == "rho ignored":
        return kernel._replace(link=np.zeros(N)), law
    if name == "transposed":
        return swaps(
            build_law(N, graph=Graph.from_edges(DST, SRC, N, weight=WEIGHT, directed=True), rho=30.0), 1.0
        ), law
    if name == "weights ignored":
        return kernel._replace(cumulative=np.empty(0)), law
    if name == "excluded drawn":
        return swaps(build_law(N), 1.0), LAWS["complete-excluded"]
    if name == "self drawn":
        # one active id too many: rank N - 1 is drawn, and j is skipped no longer where it should be
        complete = swaps(LAWS["complete"], 1.0)
        return complete._replace(position=np.full(N, N), active=np.arange(N), num_active=N + 1), LAWS["complete"]
    raise KeyError(name)


@pytest.mark.parametrize(
    "name", ["no-op", "rho ignored", "transposed", "weights ignored", "excluded drawn", "self drawn"]
)
def test_a_wrong_kernel_is_caught(name: str) -> None:
    kernel, law = wrong(name)
    frozen = {field: value.view() for field, value in kernel._asdict().items() if isinstance(value, np.ndarray)}
    for value in frozen.values():
        value.flags.writeable = False
    kernel = kernel._replace(**frozen)
    assert min(p_value(counts(kernel, j), law.row(j)) for j in range(N)) < ALPHA


def test_words_are_splitmix() -> None:
    # with N - 1 = 11 choices a draw is the upper word of mix(state + GOLDEN) * 11
    out = np.empty(50, np.int64)
    draw_many()(np.full(50, N - 1), swaps(LAWS["complete"], 1.0), np.uint64(7), out)
    states = [(7 + (t + 1) * int(GOLDEN)) % 2**64 for t in range(50)]
    assert out.tolist() == [(_mix(s) * (N - 1)) >> 64 for s in states]


def test_streams_differ_and_repeat() -> None:
    words = {int(stream(*path)) for path in np.ndindex(5, 20, 2, 3)}
    assert len(words) == 5 * 20 * 2 * 3
    assert stream(1, 2, 3) == stream(1, 2, 3)
    assert stream(2**70) is not None  # a seed of any size


def test_coins_are_exact_at_the_ends() -> None:
    assert coins(0.0).tolist() == [0]
    assert coins(1.0).tolist() == [2**32]
    assert coins(np.array([0.25, 0.5])).tolist() == [2**30, 2**31]


def test_the_arrays_of_a_law_are_not_copied() -> None:
    kernel, law = swaps(LAWS["weighted"], 0.1), LAWS["weighted"]
    assert np.shares_memory(kernel.indices, law.graph.indices)
    assert np.shares_memory(kernel.cumulative, law.cumulative)
