"""The coin: every position falls independently with chance p0, on each path.

In a table of two rows a replaced id is flipped, so the output shows the coins and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from torchsse.errors import ConfigError
from torchsse.modules.sse import SSE
from torchsse.swap import Coin, swap
from torchsse.swap.coin import COIN_RANGE
from torchsse.swap.cpu import _BLOCK, _DENSE, _SHORT, _dense, _gaps, coin_positions
from torchsse.swap.plain import swap_plain

ALPHA = 1e-6
WIDTH = 8  # coins in a pattern; all 2^8 patterns are counted


def positions(found: object) -> np.ndarray:
    parts = list(found)  # type: ignore[call-overload]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def pattern_p(fallen: np.ndarray, p0: float) -> float:
    """p-value of the joint law of WIDTH neighbouring coins against independent coins of p0."""
    fallen = fallen[: len(fallen) // WIDTH * WIDTH].reshape(-1, WIDTH)
    codes = np.bincount(fallen @ (1 << np.arange(WIDTH)), minlength=1 << WIDTH)
    ones = np.array([bin(code).count("1") for code in range(1 << WIDTH)])
    chance = p0**ones * (1 - p0) ** (WIDTH - ones)
    if codes[chance == 0].any():
        return 0.0
    expected = chance * len(fallen)
    small = expected < 5
    hits, bins = codes[~small].astype(float), expected[~small]
    if small.any():
        hits, bins = np.append(hits, codes[small].sum()), np.append(bins, expected[small].sum())
        if bins[-1] < 5 and len(bins) > 1:
            hits, bins = np.append(hits[:-2], hits[-2:].sum()), np.append(bins[:-2], bins[-2:].sum())
    if len(bins) == 1:
        return 1.0
    return float(stats.chi2.sf(((hits - bins) ** 2 / bins).sum(), len(bins) - 1))


def eager(sse: SSE, ids: Tensor) -> Tensor:
    return swap(ids, sse)


def plain(sse: SSE, ids: Tensor) -> Tensor:
    return swap_plain(ids, sse.law, sse.coin(ids.device), None)


@pytest.mark.parametrize("path", [eager, plain])
@pytest.mark.parametrize("p0", [0.003, 0.01, 0.1, 0.5, 0.69, 0.71, 0.95])
def test_coins_are_independent(p0: float, path: Callable[[SSE, Tensor], Tensor]) -> None:
    torch.manual_seed(11)
    fallen = path(SSE(2, p0), torch.zeros(WIDTH * 300_000, dtype=torch.int64)).numpy()
    assert pattern_p(fallen, p0) > ALPHA
    assert stats.binomtest(int(fallen.sum()), len(fallen), p0).pvalue > ALPHA


@pytest.mark.parametrize("p0", [0.05, 0.3, 0.8])
def test_coins_of_many_short_inputs_are_independent(p0: float) -> None:
    """The first and last positions of an input, over and over: no bias at the ends of a run of gaps."""
    torch.manual_seed(12)
    sse, ids = SSE(2, p0), torch.zeros(WIDTH, dtype=torch.int64)
    fallen = torch.stack([swap(ids, sse) for _ in range(12_000)]).numpy().reshape(-1)
    assert pattern_p(fallen, p0) > ALPHA


@pytest.mark.parametrize("count", [WIDTH * 100, _SHORT, _SHORT + WIDTH])
@pytest.mark.parametrize("p0", [0.01, 0.3])
def test_coins_of_inputs_on_both_sides_of_short(p0: float, count: int) -> None:
    torch.manual_seed(14)
    sse, ids = SSE(2, p0), torch.zeros(count, dtype=torch.int64)
    fallen = torch.stack([swap(ids, sse) for _ in range(1_600_000 // count)]).numpy()
    assert pattern_p(fallen.reshape(-1), p0) > ALPHA
    assert stats.binomtest(int(fallen.sum()), fallen.size, p0).pvalue > ALPHA
    # neighbours in time at one position, instead of neighbours in place
    assert pattern_p(fallen[: len(fallen) // WIDTH * WIDTH].T.reshape(-1), p0) > ALPHA


def test_control_coins_of_short_inputs() -> None:
    """The same coins at every call, or coins of all ids tied together, must be seen."""
    rng, calls, count = np.random.default_rng(1), 2000, WIDTH * 100
    assert pattern_p((rng.random((calls, count)) < 0.3).astype(int).T.reshape(-1), 0.3) > ALPHA
    frozen = np.tile(rng.random(count) < 0.3, (calls, 1)).astype(int)
    assert pattern_p(frozen.T.reshape(-1), 0.3) <= ALPHA
    tied = np.repeat(rng.random((calls, 1)) < 0.3, count, axis=1).astype(int)
    assert pattern_p(tied.reshape(-1), 0.3) <= ALPHA


def test_short_inputs_take_a_coin_for_every_id() -> None:
    """One random integer an id: two calls of n use as much of the generator as one of 2n."""
    halves, whole = torch.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    found = [positions(coin_positions(_SHORT // 2, 0.01, halves)) + start for start in (0, _SHORT // 2)]
    np.testing.assert_array_equal(np.concatenate(found), positions(coin_positions(_SHORT, 0.01, whole)))


def test_control_dependent_coins_fail() -> None:
    rng = np.random.default_rng(0)
    right = (rng.random(WIDTH * 100_000) < 0.1).astype(int)
    assert pattern_p(right, 0.1) > ALPHA
    assert pattern_p(right, 0.11) <= ALPHA
    pairs = np.repeat(rng.random(WIDTH * 50_000) < 0.1, 2).astype(int)
    assert pattern_p(pairs, 0.1) <= ALPHA
    assert pattern_p(np.zeros(WIDTH * 100_000, int), 0.1) <= ALPHA
    stratified = (np.arange(WIDTH * 100_000) % 10 == rng.integers(10)).astype(int)
    assert pattern_p(stratified, 0.1) <= ALPHA


@pytest.mark.parametrize("p0", [1e-3, 0.02, 0.4])
def test_gaps_are_geometric_across_blocks(p0: float) -> None:
    torch.manual_seed(13)
    found = positions(_gaps(int(4 * _BLOCK / p0), p0, None))
    assert (np.diff(found) > 0).all()
    gaps = np.diff(found) - 1
    edges = np.unique(stats.geom.ppf(np.linspace(0, 1, 50)[1:-1], p0, loc=-1).astype(int))
    below = stats.geom.cdf(edges, p0, loc=-1)
    chance = np.diff(np.r_[0, below, 1])
    counts = np.bincount(np.searchsorted(edges, gaps), minlength=len(chance))
    assert stats.chisquare(counts, chance * len(gaps)).pvalue > ALPHA
    assert abs(stats.spearmanr(gaps[:-1], gaps[1:]).statistic) < 5 / np.sqrt(len(gaps))


def test_gaps_and_dense_cover_every_position() -> None:
    for make, p0 in ((_gaps, 0.2), (_dense, 0.9)):
        torch.manual_seed(0)
        hits = np.zeros(1000)
        for _ in range(300):
            hits[positions(make(1000, p0, None))] += 1
        assert hits.min() > 0
        assert stats.binomtest(int(hits.sum()), 300_000, p0).pvalue > ALPHA


def test_tiny_p0_over_a_huge_count() -> None:
    torch.manual_seed(3)
    count = 10**12
    found = positions(coin_positions(count, 1e-9, None))
    assert stats.poisson.sf(len(found), 1000) > ALPHA
    assert stats.poisson.cdf(len(found), 1000) > ALPHA
    assert stats.kstest(found / count, "uniform").pvalue > ALPHA
    assert found.dtype == np.int64


@pytest.mark.parametrize("p0", [5e-324, 1e-308, 1e-100])
def test_p0_near_nothing(p0: float) -> None:
    with np.errstate(all="raise", under="ignore", over="ignore"):
        assert positions(coin_positions(10**9, p0, None)).size == 0


def test_p0_of_nothing_and_of_one() -> None:
    assert positions(coin_positions(1000, 0.0, None)).size == 0
    assert positions(coin_positions(0, 1.0, None)).size == 0
    count = 2 * _BLOCK + 17
    np.testing.assert_array_equal(positions(coin_positions(count, 1.0, None)), np.arange(count))
    almost = positions(coin_positions(count, 1 - 2**-53, None))
    np.testing.assert_array_equal(almost, np.arange(count))
    assert _DENSE < 1


@pytest.mark.parametrize("p0", [1.0, 1 - 2**-40])
def test_plain_path_at_p0_of_one(p0: float) -> None:
    ids = torch.zeros(100_000, dtype=torch.int64)
    assert bool(plain(SSE(2, p0), ids).all())


def test_tiny_inputs() -> None:
    torch.manual_seed(1)
    sse = SSE(2, 0.5)
    hits = sum(int(swap(torch.tensor(0), sse)) for _ in range(4000))
    assert stats.binomtest(hits, 4000, 0.5).pvalue > ALPHA


def test_threshold_is_p0_in_integers_and_one_tensor() -> None:
    coin = Coin(0.25)
    threshold = coin.threshold(torch.device("cpu"))
    assert threshold.dtype == torch.int64
    assert int(threshold) == COIN_RANGE // 4
    coin.p0 = 1.0
    assert coin.threshold(torch.device("cpu")) is threshold
    assert int(threshold) == COIN_RANGE
    coin.p0 = 0
    assert int(threshold) == 0
    assert int(Coin(1e-9).threshold(torch.device("cpu"))) == round(1e-9 * COIN_RANGE)
    assert int(Coin(0.5, rate=0.5).threshold(torch.device("cpu"))) == COIN_RANGE // 4


@pytest.mark.parametrize("p0", [-0.1, 1.1, float("nan"), float("inf"), "0.1", None, True, [0.1], 1 + 1e-9, -1e-300, 1j])
def test_coin_refuses(p0: object) -> None:
    with pytest.raises(ConfigError, match="p0"):
        Coin(p0)
    coin = Coin(0.5)
    with pytest.raises(ConfigError, match="p0"):
        coin.p0 = p0
    assert coin.p0 == 0.5


@pytest.mark.parametrize("p0", [0, 1, 0.5, np.float32(0.5), np.float64(0.5), torch.tensor(0.5), np.int64(1)])
def test_coin_takes_numbers(p0: object) -> None:
    assert Coin(p0).p0 == float(p0)  # type: ignore[arg-type]
