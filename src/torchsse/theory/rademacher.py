"""The SSE Rademacher complexities of Theorem 1 (Eq. 9 and 10)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, TypeVar

import numpy as np

from torchsse.errors import ConfigError
from torchsse.theory.expectation import Expectation, Swaps

__all__ = ["MAX_EXACT", "RademacherEstimate", "rademacher_complexity", "rademacher_lower_bound"]

Array = np.ndarray[Any, Any]
Theta = TypeVar("Theta")

MAX_EXACT = 20
"""Most examples whose signs are enumerated: 2^19 vectors, as sigma and -sigma give the same supremum."""

_BLOCK = 1 << 22  # signs held at once


@dataclass(frozen=True)
class RademacherEstimate:
    """E_sigma sup_Theta | ... |, estimated.

    Attributes:
        value: mean of the suprema over the sign vectors; a sum over the n examples, as in the paper, not divided by n.
        interval: normal interval of the mean, for the randomness of the signs alone. Equal ends when enumerated.
        confidence: of the interval.
        suprema: (draws,) float64, one for each sign vector.
        exact: every sign vector was enumerated.
        lower_bound: the suprema are what a maximiser found: `value` estimates a lower bound.
    """

    value: float
    interval: tuple[float, float]
    confidence: float
    suprema: Array = field(repr=False)
    exact: bool
    lower_bound: bool

    def __float__(self) -> float:
        return self.value


def rademacher_complexity(
    losses_of: Callable[[Theta], object],
    sse: Swaps,
    ids: object,
    hypotheses: Iterable[Theta],
    *,
    labels: object = None,
    draws: int | None = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> RademacherEstimate:
    """Rad = E_sigma sup_Theta | sum_i sigma_i sum_k p(j_i, k) loss(k, y_i) | over finitely many Theta (Eq. 9 and 10).

    The supremum is exact; sigma, n independent signs, is drawn, or enumerated with `draws=None`. At p0 = 0 this is the
    ordinary empirical Rademacher complexity of the loss class. The inner sum is (P' sigma)' L, sigma smoothed by the
    transition matrix (Remark 1). When every id occurs once and P is doubly stochastic, as for SSE-SE, P is a mixture
    of permutations, and the complexity is at most that without SSE.

    The quantity depends on the sample; Theorem 2 takes its expectation over samples: average over several.

    Args:
        losses_of: losses_of(theta), array or tensor of shape (N,): loss of every row of the table; (N_1, ..., N_M) for
            M tables; with labels one more axis of size C, the loss of every row against every label.
        sse: an `SSE` or a transition law; a sequence of M of them for M tables, swapped independently (Eq. 4).
        ids: the sample, (n,) integers, or (n, M).
        hypotheses: the thetas, at least one; each is passed to `losses_of` once.
        labels: None where the loss knows its row only. Integers (n,) in 0 .. C-1: the label of each example. Weights
            (n, C): the loss of example i is sum_c labels[i, c] loss(k, c). With pi the label probabilities of each
            example and Y its label as one-hot row, `labels=pi` gives Rad_L, `labels=Y - pi` Rad_e: zero where labels
            have no noise.
        draws: number of sign vectors, at least 2; None enumerates all of them, for n <= 20.
        confidence: of the interval, in (0, 1).
        seed: of the signs; the same signs for the same n, so that two settings compare pairwise.

    Relations:
        time: M products with P (O(N + edges) each) per hypothesis and table column, then draws x n x hypotheses.
        memory: a loss table, at most 1 GiB, and n x hypotheses. For a class without a finite list of thetas:
        `rademacher_lower_bound`.

    Raises:
        ConfigError: no hypotheses, shapes that do not fit, NaN, a loss table above 1 GiB, draws below 2, `draws=None`
            with n > 20. IdTypeError, IdRangeError: ids that are not integers, or outside the table.

    Example:
        >>> import numpy as np
        >>> from torchsse import SSE
        >>> squares = lambda theta: (np.arange(8.0) - theta) ** 2
        >>> plain, smooth = (
        ...     rademacher_complexity(squares, SSE(8, p0=p0), np.arange(8), [1.0, 3.0, 6.0], draws=None)
        ...     for p0 in (0.0, 0.5)
        ... )
        >>> smooth.value < plain.value
        True
    """
    expectation = Expectation(sse, ids, labels)
    rows = [expectation.losses(losses_of(theta)) for theta in hypotheses]
    if not rows:
        raise ConfigError("expected at least one hypothesis, got none")
    losses = np.stack(rows)  # hypotheses x examples
    examples = expectation.num_examples
    count = _checked_draws(examples, draws, confidence)
    suprema = np.empty(count)
    generator = np.random.default_rng(seed)
    step = max(1, _BLOCK // max(examples, len(rows)))
    for start in range(0, count, step):
        stop = min(start + step, count)
        signs = _all_signs(start, stop, examples) if draws is None else _signs(generator, stop - start, examples)
        suprema[start:stop] = np.abs(losses @ signs.T).max(axis=0)
    return _estimate(suprema, confidence, exact=draws is None, lower_bound=False)


def rademacher_lower_bound(
    maximiser: Callable[[Array], float],
    sse: Swaps,
    ids: object,
    *,
    labels: object = None,
    num_labels: int | None = None,
    draws: int | None = 100,
    confidence: float = 0.95,
    seed: int = 0,
) -> RademacherEstimate:
    """Rad over a parametrised class, from below: the supremum for each sigma is what a given maximiser finds.

    Args:
        maximiser: maximiser(c) with c = P' sigma, float64 of the shape of a loss table, returns the largest
            | sum(c * loss table of theta) | that it found over theta. Whatever theta it stops at, the value is no more
            than the supremum, so the estimate is one of a lower bound; it is the complexity itself if the maximiser
            is exact.
        sse: an `SSE` or a transition law, or one for each table.
        ids: the sample, (n,) integers, or (n, M) for M tables.
        labels: None, (n,) integers or (n, C) weights, as for `rademacher_complexity`.
        num_labels: C, where `labels` are integers and the last classes do not occur.
        draws: number of sign vectors, each a call of the maximiser; None enumerates all of them, for n <= 20.
        confidence: of the interval, in (0, 1).
        seed: of the signs.

    Raises:
        ConfigError: as there; also when the maximiser returns NaN or infinity, or a table would exceed 1 GiB.

    Example:
        >>> import numpy as np
        >>> from torchsse import SSE
        >>> ball = lambda c: np.linalg.norm(c)  # losses in the unit ball: the supremum is the norm of c
        >>> estimate = rademacher_lower_bound(ball, SSE(6, p0=0.0), np.arange(6))
        >>> round(estimate.value, 6), estimate.lower_bound
        (2.44949, True)
    """
    expectation = Expectation(sse, ids, labels)
    examples = expectation.num_examples
    count = _checked_draws(examples, draws, confidence)
    generator = np.random.default_rng(seed)
    suprema = np.empty(count)
    for i in range(count):
        signs = _all_signs(i, i + 1, examples)[0] if draws is None else _signs(generator, 1, examples)[0]
        suprema[i] = abs(float(maximiser(expectation.weights(signs, num_labels))))
    if not np.isfinite(suprema).all():
        raise ConfigError("the maximiser returned NaN or an infinite value: is the class bounded?")
    return _estimate(suprema, confidence, exact=draws is None, lower_bound=True)


def _checked_draws(examples: int, draws: int | None, confidence: float) -> int:
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence must be in (0, 1), got {confidence}")
    if draws is None:
        if examples > MAX_EXACT:
            raise ConfigError(f"draws=None enumerates 2^n sign vectors, for n <= {MAX_EXACT} examples, got {examples}")
        return int(2 ** (examples - 1))
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 2:
        raise ConfigError(f"draws must be an integer of at least 2, or None for all sign vectors, got {draws!r}")
    return draws


def _signs(generator: np.random.Generator, count: int, examples: int) -> Array:
    return generator.integers(2, size=(count, examples), dtype=np.int8) * 2.0 - 1.0


def _all_signs(start: int, stop: int, examples: int) -> Array:
    """Sign vectors of the numbers start .. stop - 1 in binary, the last sign always -1."""
    return (np.arange(start, stop)[:, None] >> np.arange(examples) & 1) * 2.0 - 1.0


def _estimate(suprema: Array, confidence: float, *, exact: bool, lower_bound: bool) -> RademacherEstimate:
    value = float(suprema.mean())
    half = 0.0
    if not exact:
        half = NormalDist().inv_cdf(0.5 + confidence / 2) * float(suprema.std(ddof=1)) / math.sqrt(len(suprema))
    return RademacherEstimate(value, (value - half, value + half), confidence, suprema, exact, lower_bound)
