"""The settings of a random walk (section 3.1 of the paper)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

import numpy as np

from torchsse.errors import ConfigError

__all__ = ["Walk"]

_ROUNDING = 1e-12  # 0.9 + 0.1 may exceed 1 by an ulp


@dataclass(frozen=True)
class Walk:
    """A random walk over a graph: where it ends is the replacement (section 3.1 of the paper).

    From id j the walk takes `hops` steps. Each step returns to j with probability `restart`, stays where it is with
    probability `self_loop`, and otherwise moves to a neighbour of the node it is at, in proportion to the weights. At
    a node without edges out of it the walk stays instead of moving (it may still restart). With v the law of where it
    ends, p(j, k) = p0 v_k for k != j and p(j, j) = 1 - p0 (1 - v_j): unlike the other rules a walk may end where it
    began.

    Args:
        hops: number of steps, at least 1.
        restart: chance of returning to j at each step, in [0, 1]. Default 0: a plain walk.
        self_loop: chance of staying at each step, in [0, 1]. Default 0: as `restart`.

    Raises:
        ConfigError: a value outside its range, or restart + self_loop above 1.

    Example:
        >>> Walk(hops=2, restart=0.15)
        Walk(hops=2, restart=0.15, self_loop=0.0)
    """

    hops: int
    restart: float = 0.0
    self_loop: float = 0.0

    def __post_init__(self) -> None:
        hops: object = self.hops
        if isinstance(hops, bool) or not isinstance(hops, (int, np.integer)):
            raise ConfigError(f"Walk: hops must be an integer, got {hops!r}")
        if hops < 1:
            raise ConfigError(f"Walk: hops must be at least 1, got {hops}")
        object.__setattr__(self, "hops", int(hops))
        for name in ("restart", "self_loop"):
            given: object = getattr(self, name)
            if isinstance(given, bool) or not isinstance(given, Real):
                raise ConfigError(f"Walk: {name} must be a number in [0, 1], got {given!r}")
            value = float(given)
            if math.isnan(value) or not 0.0 <= value <= 1.0:
                raise ConfigError(f"Walk: {name} must be in [0, 1], got {given}")
            object.__setattr__(self, name, value)
        if self.restart + self.self_loop > 1.0 + _ROUNDING:
            raise ConfigError(
                f"Walk: restart + self_loop must be at most 1, got {self.restart} + {self.self_loop} = "
                f"{self.restart + self.self_loop}"
            )

    @property
    def move(self) -> float:
        """Chance that a step moves to a neighbour: 1 - restart - self_loop."""
        return max(0.0, 1.0 - self.restart - self.self_loop)
