"""Search spaces: named dimensions, each a range on a linear or logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torchsse.errors import ConfigError

__all__ = ["Range", "Space", "space_from_unit"]


@dataclass(frozen=True)
class Range:
    """A closed interval that a setting is searched in, uniformly on its own scale or on the log scale.

    With `integer`, values are rounded to whole numbers.

    Raises:
        ConfigError: if low is not below high, either is not finite, or a log range does not start above 0.

    >>> Range(0.001, 0.1, log=True).at(0.5)
    0.01
    >>> Range(2, 20, log=True, integer=True).at(0.5)
    6.0
    """

    low: float
    high: float
    log: bool = False
    integer: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ConfigError(f"a search range needs finite low < high, got {self.low} .. {self.high}")
        if self.log and self.low <= 0:
            raise ConfigError(f"a logarithmic search range must start above 0, got {self.low}")

    def at(self, u: float) -> float:
        """The value a fraction u of the way from low to high, to six significant digits."""
        if self.log:
            value = math.exp(math.log(self.low) + u * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + u * (self.high - self.low)
        return self.clip(value)

    def clip(self, value: float) -> float:
        """Rounded to six significant digits (a setting a person can copy) and kept inside the range."""
        rounded = float(round(value)) if self.integer else float(f"{value:.6g}")
        return min(max(rounded, self.low), self.high)


Space = Mapping[str, Range]


def space_from_unit(space: Space, point: Mapping[str, float]) -> dict[str, float]:
    """Map a point of the unit cube, one coordinate per dimension, into the space."""
    return {name: dimension.at(point[name]) for name, dimension in space.items()}
