"""What a setting may be searched over: a range or a list, and how both are written on a command line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torchsse.errors import ConfigError
from torchsse.experiments.space import Range

__all__ = ["Choice", "Dimension", "Value", "at", "described", "inside", "named_texts", "parse_dimension", "parse_value"]

Value = float | int | str | bool | None


@dataclass(frozen=True)
class Choice:
    """One of a few values; no order is assumed.

    Raises:
        ConfigError: for fewer than two values, or one that occurs twice.
    """

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if len(self.values) < 2 or len(set(self.values)) < len(self.values):
            raise ConfigError(f"a choice needs at least two different values, got {', '.join(map(str, self.values))}")


Dimension = Range | Choice


def at(dimension: Dimension, u: float) -> Value:
    """The value a fraction u, 0 to 1, of the way through.

    >>> at(Choice((10, 50, 100)), 0.5), at(Range(8, 32, log=True, integer=True), 0.5)
    (50, 16)
    """
    if isinstance(dimension, Choice):
        return dimension.values[min(int(u * len(dimension.values)), len(dimension.values) - 1)]
    return inside(dimension, dimension.at(u))


def inside(dimension: Dimension, value: Any) -> Value:
    """The value if it is in the dimension, else what is nearest in a range, or the first of a choice.

    >>> inside(Range(0.01, 0.1), 3.0), inside(Choice((10, 50)), 100)
    (0.1, 10)
    """
    if isinstance(dimension, Choice):
        return value if value in dimension.values else dimension.values[0]
    clipped = dimension.clip(float(value))
    return int(clipped) if dimension.integer else clipped


def described(dimension: Dimension) -> list[Any]:
    """As JSON: [low, high, scale], or the values."""
    if isinstance(dimension, Choice):
        return list(dimension.values)
    scale = "log" if dimension.log else "linear"
    return [dimension.low, dimension.high, f"{scale}, integer" if dimension.integer else scale]


def parse_dimension(text: str, *, integer: bool, name: str) -> Dimension:
    """``low:high``, ``low:high:log`` or ``a,b,c``.

    Args:
        text: as written.
        integer: the setting takes whole numbers.
        name: of the setting, for messages.

    Raises:
        ConfigError: anything else.

    >>> parse_dimension("0.001:0.1:log", integer=False, name="p0_item")
    Range(low=0.001, high=0.1, log=True, integer=False)
    >>> parse_dimension("10,50,100", integer=True, name="factors")
    Choice(values=(10, 50, 100))
    """
    if "," in text:
        return Choice(tuple(parse_value(word) for word in text.split(",")))
    ends = text.split(":")
    numbers = [parse_value(end) for end in ends[:2]]
    if (
        len(ends) not in (2, 3)
        or ends[2:] not in ([], ["log"])
        or not all(isinstance(number, (int, float)) and not isinstance(number, bool) for number in numbers)
    ):
        raise ConfigError(f"{name}: expected low:high, low:high:log or a,b,c to search, got {text!r}")
    low, high = (float(number) for number in numbers)  # type: ignore[arg-type]
    if integer and (low != round(low) or high != round(high)):
        raise ConfigError(f"{name}: expected whole numbers to search between, got {text!r}")
    try:
        return Range(low, high, log=len(ends) == 3, integer=integer)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None


def parse_value(text: str) -> Value:
    """A number, true, false, none, or else the word itself.

    >>> parse_value("50"), parse_value("1e-3"), parse_value("inf"), parse_value("false"), parse_value("cholesky")
    (50, 0.001, inf, False, 'cholesky')
    """
    word = text.strip()
    named = {"true": True, "false": False, "none": None}
    if word.lower() in named:
        return named[word.lower()]
    for kind in (int, float):
        try:
            number = kind(word)
        except ValueError:
            continue
        if isinstance(number, float) and math.isnan(number):
            break
        return number
    return word


def split_word(text: str, option: str) -> tuple[str, str]:
    """``name=value``; dashes in the name count as underscores.

    Raises:
        ConfigError: without a name or a value.

    >>> split_word("p0-item=0.1", "--fix")
    ('p0_item', '0.1')
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not (name and equals and value):
        raise ConfigError(f"{option}: expected name=value, got {text!r}")
    return name.replace("-", "_"), value


def named_texts(texts: Sequence[str], option: str) -> dict[str, str]:
    """Several ``name=value``, by name.

    Raises:
        ConfigError: as for `split_word`, or a name given twice.

    >>> named_texts(["dropout=0.1", "p0-item=0"], "--fix")
    {'dropout': '0.1', 'p0_item': '0'}
    """
    found: dict[str, str] = {}
    for text in texts:
        name, value = split_word(text, option)
        if name in found:
            raise ConfigError(f"{option} {name} is given twice")
        found[name] = value
    return found
