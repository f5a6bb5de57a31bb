"""Intervals and tests against scipy, textbook formulas, and by their coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from torchsse.errors import ConfigError, DataError
from torchsse.metrics import holm, paired_bootstrap, stats, t_interval


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=20), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_t_interval_is_scipys(values: list[float], confidence: float) -> None:
    got = t_interval(values, confidence)
    assert got.mean == pytest.approx(np.mean(values))
    assert got.std == pytest.approx(np.std(values, ddof=1), abs=1e-12)
    if got.std > 1e-9:
        low, high = scipy.stats.t.interval(
            confidence, len(values) - 1, loc=np.mean(values), scale=scipy.stats.sem(values)
        )
        assert (got.low, got.high) == (pytest.approx(low), pytest.approx(high))


def test_t_interval_of_one_value_and_of_none() -> None:
    one = t_interval([3.0])
    assert one.mean == 3
    assert all(math.isnan(v) for v in (one.std, one.low, one.high))
    for values in ([], [1, math.nan], ["a"]):
        with pytest.raises(DataError, match="values: expected"):
            t_interval(values)
    for confidence in (0, 1, 1.5, math.nan):
        with pytest.raises(ConfigError, match="confidence"):
            t_interval([1, 2], confidence)


def test_holm_by_hand_and_by_its_definition() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]).tolist() == []
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    for bad in ([-0.1], [1.1], [math.nan]):
        with pytest.raises(DataError, match=r"\[0, 1\]"):
            holm(bad)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_stepping_down_rejects(p: list[float]) -> None:
    adjusted = holm(p)
    assert (adjusted >= np.array(p)).all()
    for alpha in (0.01, 0.05, 0.3):
        rejected: set[int] = set()
        for step, k in enumerate(sorted(range(len(p)), key=p.__getitem__)):
            if p[k] * (len(p) - step) > alpha:
                break
            rejected.add(k)
        assert {k for k in range(len(p)) if adjusted[k] <= alpha} == rejected


def correlated(rng: np.random.Generator, n: int, gap: float) -> tuple[np.ndarray, np.ndarray]:
    b = rng.exponential(size=n)
    return b + gap + 0.3 * rng.standard_normal(n) * np.sqrt(b), b


def test_pairs_against_scipy_and_the_normal_interval() -> None:
    a, b = correlated(np.random.default_rng(1), 400, 0.05)
    got = paired_bootstrap(a, b, n_boot=20_000)
    theirs = scipy.stats.bootstrap(
        (a - b,), np.mean, n_resamples=20_000, method="percentile", rng=0
    ).confidence_interval
    width = theirs.high - theirs.low
    assert got.difference == pytest.approx((a - b).mean())
    assert abs(got.low - theirs.low) < 0.04 * width
    assert abs(got.high - theirs.high) < 0.04 * width
    assert got.high - got.low == pytest.approx(2 * 1.96 * (a - b).std() / 20, rel=0.04)
    assert got.units == 400


def test_rmse_statistic_against_a_plain_loop() -> None:
    rng = np.random.default_rng(2)
    a, b = correlated(rng, 60, 0.4)
    a = np.abs(a)
    got = paired_bootstrap(a, b, statistic="rmse", n_boot=20_000, seed=5)
    index = rng.integers(60, size=(20_000, 60))
    draws = np.sqrt(a[index].mean(axis=1)) - np.sqrt(b[index].mean(axis=1))
    low, high = np.quantile(draws, [0.025, 0.975])
    assert got.difference == pytest.approx(math.sqrt(a.mean()) - math.sqrt(b.mean()))
    assert abs(got.low - low) < 0.05 * (high - low)
    assert abs(got.high - high) < 0.05 * (high - low)
    # the control: the mean of differences is another statistic
    assert abs(paired_bootstrap(a, b, n_boot=2_000).low - low) > 0.2 * (high - low)


def test_groups_are_resampled_whole() -> None:
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 40, 120)
    groups = np.repeat([f"user {k}" for k in range(120)], sizes)
    of_group = np.repeat(np.arange(120), sizes)
    b = rng.exponential(size=len(groups))
    a = b + np.repeat(0.3 * rng.standard_normal(120), sizes)  # one user, one effect
    order = rng.permutation(len(groups))
    got = paired_bootstrap(a[order], b[order], groups=groups[order], n_boot=20_000)
    assert got.units == 120
    drawn = rng.integers(120, size=(20_000, 120))
    difference, count = np.bincount(of_group, weights=a - b), np.bincount(of_group)
    draws = difference[drawn].sum(axis=1) / count[drawn].sum(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    assert abs(got.low - low) < 0.05 * (high - low)
    assert abs(got.high - high) < 0.05 * (high - low)
    # the control: pairs taken for independent give a far too narrow interval
    pairs = paired_bootstrap(a, b, n_boot=2_000)
    assert pairs.high - pairs.low < 0.5 * (high - low)


def test_a_mean_over_resampled_users_is_a_ratio() -> None:
    """A constant shift has no spread, although resamples differ in their number of pairs."""
    groups = np.repeat(np.arange(30), np.arange(1, 31))
    b = np.random.default_rng(0).integers(0, 5, len(groups))
    got = paired_bootstrap(b + 1, b, groups=groups, n_boot=200)
    assert (got.low, got.high) == (pytest.approx(1), pytest.approx(1))


def test_many_units_are_clustered_without_changing_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = correlated(np.random.default_rng(4), 40_000, 0.01)
    clustered = paired_bootstrap(a, b, n_boot=4_000)
    exact = 2 * 1.96 * (a - b).std() / 200
    assert clustered.units == 40_000
    # half-width: 0.8 % from the clusters, 2 % from 4,000 resamples
    assert clustered.high - clustered.low == pytest.approx(exact, rel=0.1)
    monkeypatch.setattr(stats, "_MAX_UNITS", 10**9)
    monkeypatch.setattr(stats, "_BLOCK", 1 << 20)
    plain = paired_bootstrap(a, b, n_boot=400)
    assert clustered.high - clustered.low == pytest.approx(plain.high - plain.low, rel=0.2)
    assert clustered.difference == pytest.approx(plain.difference, rel=1e-9)


def test_blocks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = correlated(np.random.default_rng(4), 300, 0.01)
    whole = paired_bootstrap(a, b, n_boot=1_000)
    monkeypatch.setattr(stats, "_BLOCK", 7 * 300)
    assert paired_bootstrap(a, b, n_boot=1_000) == pytest.approx(whole)


def test_coverage_and_false_alarms() -> None:
    """Of 400 experiments the 90 % interval holds the truth in 360 +- 6; p <= 0.1 without an effect in 40 +- 6."""
    rng = np.random.default_rng(6)
    held = alarms = 0
    for seed in range(400):
        a, b = correlated(rng, 100, 0.05)
        got = paired_bootstrap(a, b, n_boot=400, confidence=0.9, seed=seed)
        held += got.low <= 0.05 <= got.high
        alarms += paired_bootstrap(a - 0.05, b, n_boot=400, seed=seed).p_value <= 0.1
    assert 330 <= held <= 385
    assert 15 <= alarms <= 70


def test_p_values_agree_with_the_interval_and_find_effects() -> None:
    rng = np.random.default_rng(7)
    for gap in (0.0, 0.02, 0.05, 0.5):
        a, b = correlated(rng, 200, gap)
        got = paired_bootstrap(a, b, n_boot=4_000)
        if abs(got.p_value - 0.05) > 0.01:
            assert (got.p_value < 0.05) == (not got.low <= 0 <= got.high)
    assert got.p_value == pytest.approx(2 / 4_001)
    turned = paired_bootstrap(b, a, n_boot=4_000)
    assert (turned.difference, turned.p_value) == (pytest.approx(-got.difference), pytest.approx(got.p_value))
    same = paired_bootstrap(a, a, n_boot=100)
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)


def test_seeds() -> None:
    a, b = correlated(np.random.default_rng(8), 50, 0.1)
    assert paired_bootstrap(a, b, n_boot=100) == paired_bootstrap(a, b, n_boot=100)
    assert paired_bootstrap(a, b, n_boot=100) != paired_bootstrap(a, b, n_boot=100, seed=1)


def test_wrong_arguments() -> None:
    for call, error, message in (
        (lambda: paired_bootstrap([1, 2], [1]), DataError, "same pairs, got 2 and 1"),
        (lambda: paired_bootstrap([1], [1]), DataError, "at least two pairs to resample, got 1"),
        (lambda: paired_bootstrap([1, 2], [1, 2], groups=[1, 1]), DataError, "at least two groups to resample, got 1"),
        (lambda: paired_bootstrap([1, 2], [1, 2], groups=[1]), DataError, "groups: expected 2 values"),
        (
            lambda: paired_bootstrap([1, math.nan], [1, 2]),
            DataError,
            "a: expected finite numbers, got nan at position 1",
        ),
        (lambda: paired_bootstrap([1, -2], [1, 2], statistic="rmse"), DataError, "takes squared errors, got -2"),
        (lambda: paired_bootstrap([1, 2], [1, 2], statistic="median"), ConfigError, "'mean' or 'rmse', got 'median'"),
        (lambda: paired_bootstrap([1, 2], [1, 2], n_boot=0), ConfigError, "n_boot: expected an integer"),
        (lambda: paired_bootstrap([1, 2], [1, 2], confidence=95), ConfigError, "confidence"),
    ):
        with pytest.raises(error, match=message):
            call()  # type: ignore[no-untyped-call]
