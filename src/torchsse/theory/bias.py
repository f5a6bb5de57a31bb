"""The SSE bias B of Theorem 2: how far the loss moves, in expectation, because ids are swapped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from torchsse.errors import ConfigError
from torchsse.theory.expectation import Expectation, Swaps

__all__ = ["BiasEstimate", "sse_bias", "sse_bias_lower_bound"]

Array = np.ndarray[Any, Any]
Theta = TypeVar("Theta")


@dataclass(frozen=True)
class BiasEstimate:
    """B = sup_Theta | E ... |, from a sample or a whole distribution.

    Attributes:
        value: the bias, a sum over n examples as in the paper.
        standard_error: of the signed bias at the theta that attains `value`, for the randomness of the sample; 0 with
            probabilities. The largest of several noisy values errs upwards: with many hypotheses and few examples
            `value` is too large.
        per_hypothesis: (hypotheses,) float64, the signed values whose largest absolute value is `value`.
    """

    value: float
    standard_error: float
    per_hypothesis: Array = field(repr=False)

    def __float__(self) -> float:
        return self.value


def sse_bias(
    losses_of: Callable[[Theta], object],
    sse: Swaps,
    ids: object,
    hypotheses: Iterable[Theta],
    *,
    labels: object = None,
    probabilities: object = None,
    n: int | None = None,
) -> BiasEstimate:
    """B = sup_Theta | E sum_i sum_k p(j_i, k) (loss(k, y_i) - loss(j_i, y_i)) | over finitely many Theta (Theorem 2).

    It is 0 where ids that are swapped for each other have the same losses (Remark 2), and at p0 = 0.

    Args:
        losses_of: losses_of(theta), a loss table, as for `rademacher_complexity`.
        sse: an `SSE` or a transition law, or one for each table.
        ids: the examples, (n,) integers, or (n, M) for M tables.
        hypotheses: the thetas, at least one.
        labels: None, (n,) integers or (n, C) weights, as for `rademacher_complexity`.
        probabilities: (len(ids),) the probability of each (id, label) pair listed: the expectation is then exact.
            Default: the pairs are a sample, and the expectation is their mean.
        n: examples of the training set that B is for. Default: len(ids).

    Raises:
        ConfigError: no hypotheses, shapes that do not fit, probabilities that are negative or do not sum to 1, n below
            1. IdTypeError, IdRangeError: ids that are not integers, or outside the table.

    Example:
        >>> import numpy as np
        >>> from torchsse import SSE, Graph
        >>> twins = Graph.from_edges([0, 2], [1, 3], num_nodes=4)  # 0 ~ 1 and 2 ~ 3 behave alike
        >>> losses = lambda theta: (np.array([1.0, 1.0, 5.0, 5.0]) - theta) ** 2
        >>> sse_bias(losses, SSE(4, p0=0.3, graph=twins, rho=np.inf), np.arange(4), [0.0, 2.0]).value
        0.0
        >>> round(sse_bias(losses, SSE(4, p0=0.3), [0], [0.0, 2.0]).value, 3)  # 0.2 goes to 2 or 3: from 1 to 25
        4.8
    """
    expectation = Expectation(sse, ids, labels)
    share, count = _shares(expectation.num_examples, probabilities, n)
    values: list[float] = []
    worst, error = -1.0, 0.0
    for theta in hypotheses:
        table = losses_of(theta)
        moved = expectation.losses(table) - expectation.own_losses(table)
        values.append(count * float(share @ moved))
        if abs(values[-1]) > worst:
            worst = abs(values[-1])
            sampled = probabilities is None and len(moved) > 1
            error = count * float(moved.std(ddof=1)) / math.sqrt(len(moved)) if sampled else 0.0
    if not values:
        raise ConfigError("expected at least one hypothesis, got none")
    return BiasEstimate(worst, error, np.array(values))


def sse_bias_lower_bound(
    maximiser: Callable[[Array], float],
    sse: Swaps,
    ids: object,
    *,
    labels: object = None,
    num_labels: int | None = None,
    probabilities: object = None,
    n: int | None = None,
) -> float:
    """The bias over a parametrised class, from below: the supremum is what a given maximiser finds.

    Args:
        maximiser: maximiser(c) returns the largest | sum(c * loss table of theta) | that it found over theta, c of the
            shape of a loss table; the same callable as for `rademacher_lower_bound`. The result is B if it is exact.
        sse: an `SSE` or a transition law, or one for each table.
        ids: the examples, (n,) integers, or (n, M) for M tables.
        labels: None, (n,) integers or (n, C) weights, as for `rademacher_complexity`.
        num_labels: C, where `labels` are integers and the last classes do not occur.
        probabilities: of each (id, label) pair, as for `sse_bias`.
        n: examples of the training set that B is for. Default: len(ids).

    Raises:
        ConfigError: as for `sse_bias`; also when the maximiser returns NaN or infinity.

    Example:
        >>> import numpy as np
        >>> from torchsse import SSE
        >>> box = lambda c: np.abs(c).sum()  # losses in [-1, 1]
        >>> round(sse_bias_lower_bound(box, SSE(5, p0=0.2), [3]), 6)
        0.4
    """
    expectation = Expectation(sse, ids, labels)
    share, count = _shares(expectation.num_examples, probabilities, n)
    moved = expectation.weights(count * share, num_labels)
    moved = moved - expectation.weights(count * share, num_labels, swapped=False)
    value = abs(float(maximiser(moved)))
    if not math.isfinite(value):
        raise ConfigError("the maximiser returned NaN or an infinite value: is the class bounded?")
    return value


def _shares(examples: int, probabilities: object, n: int | None) -> tuple[Array, int]:
    count = examples if n is None else n
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigError(f"n, the number of training examples, must be an integer of at least 1, got {n!r}")
    if probabilities is None:
        return np.full(examples, 1.0 / examples), count
    share = np.asarray(probabilities, np.float64)
    if share.shape != (examples,):
        raise ConfigError(f"expected probabilities of shape ({examples},), one for each pair, got {share.shape}")
    if not (share >= 0).all() or abs(float(share.sum()) - 1.0) > 1e-6:
        raise ConfigError(f"probabilities must be at least 0 and sum to 1, they sum to {share.sum():g}")
    return share, count
