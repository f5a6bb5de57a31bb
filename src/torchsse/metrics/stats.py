"""Intervals and tests: t intervals over seeds, the paired bootstrap over users or pairs, Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from torchsse.errors import ConfigError, DataError, MissingDependencyError

__all__ = ["Difference", "Interval", "holm", "paired_bootstrap", "t_interval"]

Floats = npt.NDArray[np.float64]
Statistic = Literal["mean", "rmse"]

# A resample of more units than this says no more and costs more: see `paired_bootstrap`.
_MAX_UNITS = 8192
_BLOCK = 1 << 22  # resampled units at a time: 32 MB of counts


class Interval(NamedTuple):
    """Mean of n values, their standard deviation (ddof 1), and the ends of the interval; NaN where n = 1."""

    mean: float
    std: float
    low: float
    high: float
    n: int


class Difference(NamedTuple):
    """Statistic of a minus that of b, its percentile interval, the two-sided p-value, and the number of units."""

    difference: float
    low: float
    high: float
    p_value: float
    units: int


def t_interval(values: Any, confidence: float = 0.95) -> Interval:
    """Student's t interval for the mean of independent values, such as one metric over seeds.

    Args:
        values: numbers, shape (n,), n >= 1. With one value there is no interval: std, low and high are NaN.
        confidence: strictly between 0 and 1.

    Raises:
        DataError: no values, or one is not finite. ConfigError: confidence outside (0, 1).

    >>> mean, std, low, high, n = t_interval([1.0, 2.0, 3.0])
    >>> mean, std, round(low, 4), round(high, 4), n
    (2.0, 1.0, -0.4841, 4.4841, 3)
    """
    _check_confidence(confidence)
    array = _column(values, "values")
    mean = float(array.mean())
    if len(array) == 1:
        return Interval(mean, math.nan, math.nan, math.nan, 1)
    try:
        from scipy.special import stdtrit
    except ImportError as error:  # pragma: no cover - needs an environment without scipy
        raise MissingDependencyError("t_interval needs scipy: python -m pip install 'torchsse[recsys]'") from error
    std = float(array.std(ddof=1))
    half = float(stdtrit(len(array) - 1, 0.5 + confidence / 2)) * std / math.sqrt(len(array))
    return Interval(mean, std, mean - half, mean + half, len(array))


def paired_bootstrap(
    a: Any,
    b: Any,
    *,
    groups: Any = None,
    statistic: Statistic = "mean",
    n_boot: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Bootstrap of the difference between two arms measured on the same test pairs.

    The unit that is resampled is the user (`groups`) or the pair. With users, all pairs of a drawn user come
    along, so that ratings of one user need not be independent; the number of pairs then differs between resamples and
    the statistic is a ratio, computed as such. Only sums per unit are kept: memory is 32 MB + O(n) whatever `n_boot`.

    Args:
        a: values of the arm per pair, shape (n,): squared errors (averaged over seeds), precision per user, ...
        b: values of the baseline for the same pairs.
        groups: the unit of each pair, shape (n,), any type that sorts; None: every pair is a unit.
        statistic: ``"mean"``: mean(a) - mean(b). ``"rmse"``: sqrt(mean(a)) - sqrt(mean(b)) of squared errors.
        n_boot: resamples.
        confidence: of the interval.
        seed: of the resampling (numpy's PCG64).

    Returns:
        `Difference`: the observed difference; the percentile interval; p = 2 min(P(d* <= 0), P(d* >= 0)) with one
        added to each count, at most 1: dual to the interval, and never below 2 / (n_boot + 1); the number of units.

    More than 8,192 units are first put at random into 8,192 clusters of equal size (within one), which are resampled
    instead. The variance stays right on average; its relative error has a standard deviation of sqrt(2 / 8192), so the
    interval's width moves by about 0.8 %.

    Raises:
        DataError: shapes differ, a value is not finite, there are fewer than two units, or a negative value for "rmse".
        ConfigError: an option has no such value.

    >>> rng = np.random.default_rng(0)
    >>> b = rng.random(500); a = b - 0.1 + 0.05 * rng.standard_normal(500)
    >>> d = paired_bootstrap(a, b, n_boot=2000)
    >>> -0.11 < d.low < d.difference < d.high < -0.09, d.p_value
    (True, 0.0009995002498750624)
    """
    _check_confidence(confidence)
    if statistic not in ("mean", "rmse"):
        raise ConfigError(f"statistic: expected 'mean' or 'rmse', got {statistic!r}")
    if isinstance(n_boot, bool) or not isinstance(n_boot, (int, np.integer)) or n_boot < 1:
        raise ConfigError(f"n_boot: expected an integer of at least 1, got {n_boot!r}")
    first, second = _column(a, "a"), _column(b, "b")
    if first.shape != second.shape:
        raise DataError(f"expected values of the same pairs, got {len(first)} and {len(second)}")
    if statistic == "rmse" and min(first.min(), second.min()) < 0:
        raise DataError(f"statistic 'rmse' takes squared errors, got {min(first.min(), second.min())}")
    rng = np.random.default_rng(seed)
    sums, units = _unit_sums(first, second, groups, rng)
    observed = float(_differences(sums.sum(axis=0, keepdims=True), statistic)[0])
    size = len(sums)
    resampled = np.empty(n_boot)
    block = max(1, _BLOCK // size)
    for start in range(0, n_boot, block):
        rows = min(block, n_boot - start)
        drawn = rng.integers(size, size=(rows, size), dtype=np.int32)
        drawn += np.arange(rows, dtype=np.int32)[:, None] * np.int32(size)
        counts = np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)
        resampled[start : start + rows] = _differences(counts @ sums, statistic)
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    below, above = int((resampled <= 0).sum()), int((resampled >= 0).sum())
    p_value = min(1.0, 2 * (min(below, above) + 1) / (n_boot + 1))
    return Difference(observed, float(low), float(high), p_value, units)


def holm(p_values: Sequence[float] | Floats) -> Floats:
    """Holm's step-down adjustment of p-values for several comparisons, in the order given.

    The i-th smallest of m is multiplied by m - i + 1, made non-decreasing, and cut at 1: rejecting where the result is
    at most alpha keeps the chance of any false rejection at most alpha, whatever the dependence.

    Raises:
        DataError: a value is outside [0, 1] or NaN.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise DataError(f"p_values: expected numbers in [0, 1] in one dimension, got {p_values!r}")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def _unit_sums(first: Floats, second: Floats, groups: Any, rng: np.random.Generator) -> tuple[Floats, int]:
    """Sums of a, of b and of ones per unit, shape (units, 3), and the number of units before clustering."""
    if groups is None:
        sums = np.stack([first, second, np.ones_like(first)], axis=1)
    else:
        labels = np.asarray(groups)
        if labels.shape != first.shape:
            raise DataError(f"groups: expected {len(first)} values, one per pair, got shape {labels.shape}")
        _, unit = np.unique(labels, return_inverse=True)
        sums = np.stack([np.bincount(unit, weights=w) for w in (first, second, np.ones_like(first))], axis=1)
    units = len(sums)
    if units < 2:
        raise DataError(f"expected at least two {'pairs' if groups is None else 'groups'} to resample, got {units}")
    if units > _MAX_UNITS:
        cluster = rng.permutation(units) % _MAX_UNITS
        sums = np.stack([np.bincount(cluster, weights=column) for column in sums.T], axis=1)
    return sums, units


def _differences(sums: Floats, statistic: Statistic) -> Floats:
    means = sums[:, :2] / sums[:, 2:]
    if statistic == "rmse":
        means = np.sqrt(means)
    result: Floats = means[:, 0] - means[:, 1]
    return result


def _column(values: Any, name: str) -> Floats:
    array = np.asarray(values)
    if array.dtype.kind not in "iuf" or array.ndim != 1 or array.size == 0:
        raise DataError(f"{name}: expected numbers in one dimension, got {array.dtype} of shape {array.shape}")
    wide: Floats = array.astype(np.float64)
    if not np.isfinite(wide).all():
        row = int(np.argmin(np.isfinite(wide)))
        raise DataError(f"{name}: expected finite numbers, got {wide[row]} at position {row}")
    return wide


def _check_confidence(confidence: float) -> None:
    if not isinstance(confidence, (int, float)) or not 0 < confidence < 1:
        raise ConfigError(f"confidence: expected a number strictly between 0 and 1, got {confidence!r}")
