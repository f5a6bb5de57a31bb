"""Two arms of classifiers on the same examples: the paired bootstrap of accuracy, F1 and AUC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from torchsse.errors import ConfigError, DataError
from torchsse.metrics.classification import classification_scores
from torchsse.metrics.stats import Difference, paired_bootstrap

__all__ = ["CLASSIFICATION_METRICS", "classification_difference"]

CLASSIFICATION_METRICS = ("accuracy", "f1", "balanced_accuracy", "auc")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_MAX_UNITS = 8192  # as in `paired_bootstrap`
_BLOCK = 1 << 22


def classification_difference(
    metric: str,
    truth: npt.ArrayLike,
    a: Sequence[npt.ArrayLike],
    b: Sequence[npt.ArrayLike],
    *,
    n_boot: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Mean over runs of an arm's metric minus that of another's, with its bootstrap over examples.

    Examples are resampled, all runs of both arms together; runs are what they are. Accuracy is a mean over examples, F1
    and balanced accuracy follow from resampled counts. For AUC resamples are of its first-order expansion, in which
    each example counts by the part of the other class that it is on the right side of (DeLong): no sorting each time.

    Args:
        metric: one of `CLASSIFICATION_METRICS`; all but accuracy are for two classes.
        truth: classes of the examples, shape (n,).
        a: probabilities of each run of the arm, each of shape (n, C).
        b: those of the other arm.
        n_boot: resamples; interval and p-value are those of `paired_bootstrap`.
        confidence: of the interval.
        seed: of the resampling.

    Raises:
        ConfigError: an unknown metric. DataError: shapes differ, or the metric is not defined on these examples.

    >>> truth, rng = np.arange(600) % 2, np.random.default_rng(0)
    >>> def run(noise):
    ...     p = 1 / (1 + np.exp(-(2 * truth - 1 + noise * rng.standard_normal(600))))
    ...     return np.stack([1 - p, p], axis=1)
    >>> d = classification_difference("f1", truth, [run(0.5), run(0.5)], [run(2.0), run(2.0)], n_boot=500)
    >>> 0.1 < d.low < d.difference < d.high < 0.5, d.p_value < 0.01
    (True, True)
    """
    if metric not in CLASSIFICATION_METRICS:
        raise ConfigError(f"metric: expected one of {', '.join(CLASSIFICATION_METRICS)}, got {metric!r}")
    runs = [[np.asarray(run, np.float64) for run in arm] for arm in (a, b)]
    y = np.asarray(truth)
    scores = [[classification_scores(y, run) for run in arm] for arm in runs]
    if not scores[0] or not scores[1]:
        raise DataError("expected one run or more of each arm")
    if metric == "accuracy":
        first, second = (np.mean([score.correct for score in arm], axis=0) for arm in scores)
        return paired_bootstrap(first, second, n_boot=n_boot, confidence=confidence, seed=seed)
    values = [[getattr(score, metric) for score in arm] for arm in scores]
    if any(run.shape[1] != 2 for arm in runs for run in arm) or any(value is None for arm in values for value in arm):
        raise DataError(f"{metric} is compared for two classes, with examples of both")
    measure = {"f1": _f1, "balanced_accuracy": _balanced, "auc": _auc}[metric]
    observed = float(np.mean(values[0]) - np.mean(values[1]))
    with np.errstate(invalid="ignore"):  # a resample with one class only
        resampled = np.subtract(*_resampled([measure(y, arm) for arm in runs], n_boot, seed))
    resampled = resampled[np.isfinite(resampled)].round(12)  # sums in another order are no difference
    if not len(resampled):
        raise DataError(f"too few examples to resample {metric}")
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    extreme = min(int((resampled <= 0).sum()), int((resampled >= 0).sum()))
    return Difference(observed, float(low), float(high), min(1.0, 2 * (extreme + 1) / (len(resampled) + 1)), len(y))


@dataclass(frozen=True)
class _Ratios:
    """A metric as weight * (sum over columns of sum(top) / sum(bottom)) - offset, where each example has a row.

    Shape: tops and bottoms (n, columns).
    """

    tops: Floats
    bottoms: Floats
    weight: float
    offset: float = 0.0


def _f1(y: Ints, runs: list[Floats]) -> _Ratios:
    told = np.stack([run.argmax(axis=1) for run in runs], axis=1)
    there = (y == 1)[:, None]
    return _Ratios(2.0 * ((told == 1) & there), (told == 1).astype(float) + there, 1 / len(runs))


def _balanced(y: Ints, runs: list[Floats]) -> _Ratios:
    correct = np.mean([run.argmax(axis=1) == y for run in runs], axis=0)
    return _by_class(y, correct, 0.5)


def _auc(y: Ints, runs: list[Floats]) -> _Ratios:
    """To the first order the AUC of a resample is the mean placement of its one class plus that of its other, less the
    AUC of all examples."""
    placed = np.mean([_placements(y, run[:, 1]) for run in runs], axis=0)
    return _by_class(y, placed, 1.0, float(placed[y == 1].mean()))


def _by_class(y: Ints, values: Floats, weight: float, offset: float = 0.0) -> _Ratios:
    sides = np.stack([y == 0, y == 1], axis=1).astype(float)
    return _Ratios(values[:, None] * sides, sides, weight, offset)


def _placements(y: Ints, score: Floats) -> Floats:
    """Part of the other class that each example is on the right side of, ties half; its mean is the AUC."""
    placed = np.empty(len(y))
    for k, sign in ((0, -1.0), (1, 1.0)):
        own, other = sign * score[y == k], np.sort(sign * score[y != k])
        below, upto = np.searchsorted(other, own, "left"), np.searchsorted(other, own, "right")
        placed[y == k] = (below + upto) / 2 / len(other)
    return placed


def _resampled(arms: list[_Ratios], n_boot: int, seed: int) -> Floats:
    """The metric of each arm on the same resamples, shape (arms, n_boot)."""
    rng = np.random.default_rng(seed)
    columns = np.concatenate([part for arm in arms for part in (arm.tops, arm.bottoms)], axis=1)
    if len(columns) > _MAX_UNITS:
        cluster = rng.permutation(len(columns)) % _MAX_UNITS
        columns = np.stack([np.bincount(cluster, weights=column) for column in columns.T], axis=1)
    size = len(columns)
    found = np.empty((len(arms), n_boot))
    block = max(1, _BLOCK // size)
    for start in range(0, n_boot, block):
        rows = min(block, n_boot - start)
        drawn = rng.integers(size, size=(rows, size), dtype=np.int32)
        drawn += np.arange(rows, dtype=np.int32)[:, None] * np.int32(size)
        sums = np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size) @ columns
        place = 0
        for number, arm in enumerate(arms):
            width = arm.tops.shape[1]
            ratios = sums[:, place : place + width] / sums[:, place + width : place + 2 * width]
            found[number, start : start + rows] = arm.weight * ratios.sum(axis=1) - arm.offset
            place += 2 * width
    return found
