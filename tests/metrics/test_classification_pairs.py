"""The paired bootstrap of classification metrics: against resampling the long way; equal arms differ in nothing."""

from __future__ import annotations

import numpy as np
import pytest

from torchsse.errors import ConfigError, DataError
from torchsse.metrics.classification import classification_scores
from torchsse.metrics.classification_pairs import CLASSIFICATION_METRICS, classification_difference

N, RUNS = 400, 3
RNG = np.random.default_rng(5)
TRUTH = (RNG.random(N) < 0.3).astype(int)


def runs(noise: float, number: int = RUNS) -> list[np.ndarray]:
    found = []
    for _ in range(number):
        p = 1 / (1 + np.exp(-(2 * TRUTH - 1 + noise * RNG.standard_normal(N))))
        found.append(np.stack([1 - p, p], axis=1))
    return found


GOOD, POOR = runs(1.0), runs(1.5)


@pytest.mark.parametrize("metric", CLASSIFICATION_METRICS)
def test_it_is_the_bootstrap(metric: str) -> None:
    """Interval ends within a tenth of the width of those by resampling and scoring anew; AUC's expansion too."""
    found = classification_difference(metric, TRUTH, GOOD, POOR, n_boot=4000)

    def mean(arm: list[np.ndarray], rows: np.ndarray) -> float:
        return float(np.mean([getattr(classification_scores(TRUTH[rows], run[rows]), metric) for run in arm]))

    everything = np.arange(N)
    assert found.difference == pytest.approx(mean(GOOD, everything) - mean(POOR, everything), abs=1e-12)
    rng = np.random.default_rng(1)
    drawn = [rng.integers(N, size=N) for _ in range(600)]
    long_way = [mean(GOOD, rows) - mean(POOR, rows) for rows in drawn]
    low, high = np.quantile(long_way, [0.025, 0.975])
    width = high - low
    assert abs(found.low - low) < 0.12 * width
    assert abs(found.high - high) < 0.12 * width
    assert 0 < found.p_value < 0.05
    assert found.units == N


@pytest.mark.parametrize("metric", CLASSIFICATION_METRICS)
def test_control_equal_arms(metric: str) -> None:
    same = classification_difference(metric, TRUTH, GOOD, GOOD[::-1], n_boot=200)
    assert (round(same.difference, 12), same.p_value) == (0.0, 1.0)
    apart = [classification_difference(metric, TRUTH, runs(1.2), runs(1.2), n_boot=300).p_value for _ in range(40)]
    assert np.mean(np.array(apart) < 0.05) < 0.2


def test_many_examples_are_put_into_clusters() -> None:
    truth = np.tile(TRUTH, 25)
    a, b = ([np.tile(run, (25, 1)) for run in arm] for arm in (GOOD, POOR))
    wide = classification_difference("f1", TRUTH, GOOD, POOR, n_boot=1000)
    narrow = classification_difference("f1", truth, a, b, n_boot=1000)
    assert (narrow.high - narrow.low) * 5 == pytest.approx(wide.high - wide.low, rel=0.1)


def test_errors() -> None:
    with pytest.raises(ConfigError, match="expected one of accuracy"):
        classification_difference("recall", TRUTH, GOOD, POOR)
    with pytest.raises(DataError, match="one run or more"):
        classification_difference("f1", TRUTH, GOOD, [])
    three = [np.full((N, 3), 1 / 3)]
    with pytest.raises(DataError, match="two classes"):
        classification_difference("f1", TRUTH, three, three)
    with pytest.raises(DataError, match="two classes"):
        classification_difference("auc", np.zeros(N, int), GOOD, POOR)
