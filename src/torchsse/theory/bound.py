"""The excess risk bound of Theorem 2."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import SupportsFloat

from torchsse.errors import ConfigError

__all__ = ["ExcessRiskBound", "excess_risk_bound"]


@dataclass(frozen=True)
class ExcessRiskBound:
    """Theorem 2: with probability at least 1 - delta, R(hat) - R(*) <= value.

    R is a sum over n examples, as in the paper; `per_example` is the bound on the mean loss.

    Attributes:
        bias: 2 B.
        complexity: 4 E[Rad_L + Rad_e].
        deviation: sqrt(n) u with exp(-u^2 / (2 b^2)) = delta.
        n: number of training examples.
        delta: chance that the bound fails.
    """

    bias: float
    complexity: float
    deviation: float
    n: int
    delta: float

    @property
    def value(self) -> float:
        """The sum of the three terms."""
        return self.bias + self.complexity + self.deviation

    @property
    def per_example(self) -> float:
        """`value` / n."""
        return self.value / self.n

    def __float__(self) -> float:
        return self.value


def excess_risk_bound(
    bias: SupportsFloat, rademacher: SupportsFloat, n: int, b: float, delta: float = 0.05
) -> ExcessRiskBound:
    """How much more than the best parameters the minimiser of the SSE objective risks (Theorem 2).

    P{R(hat) > R(*) + 2 B + 4 E[Rad_L + Rad_e] + sqrt(n) u} <= exp(-u^2 / (2 b^2)), for losses in [0, b].

    It is a bound only as far as `bias` and `rademacher` are upper ones: estimates make it an estimate, and values of
    `rademacher_lower_bound` make it too small.

    Args:
        bias: B, a number or what `sse_bias` returns, for the same n.
        rademacher: E[Rad_L + Rad_e]: a number, or an estimate of `rademacher_complexity` for n examples.
        n: number of training examples, at least 1.
        b: upper end of the losses, above 0.
        delta: chance that the bound fails, in (0, 1]. Default 0.05.

    Raises:
        ConfigError: a value outside its range.

    Example:
        >>> bound = excess_risk_bound(bias=3.0, rademacher=20.0, n=10_000, b=1.0, delta=0.05)
        >>> round(bound.value, 1), round(bound.per_example, 4)
        (330.8, 0.0331)
    """
    terms = {"bias": float(bias), "rademacher": float(rademacher)}
    for name, term in terms.items():
        if not (math.isfinite(term) and term >= 0):
            raise ConfigError(f"{name} must be a finite number of at least 0, got {term}")
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ConfigError(f"n, the number of training examples, must be an integer of at least 1, got {n!r}")
    if not (math.isfinite(b) and b > 0):
        raise ConfigError(f"b, the upper end of the losses, must be a finite number above 0, got {b}")
    if not 0.0 < delta <= 1.0:
        raise ConfigError(f"delta, the chance that the bound fails, must be in (0, 1], got {delta}")
    u = b * math.sqrt(-2.0 * math.log(delta))
    return ExcessRiskBound(2.0 * terms["bias"], 4.0 * terms["rademacher"], math.sqrt(n) * u, n, delta)
