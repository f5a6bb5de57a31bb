"""What one study searches and what it fixes: the model's table, changed by the person who runs it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torchsse.errors import ConfigError
from torchsse.experiments.arms import Side
from torchsse.experiments.files import jsonable
from torchsse.experiments.tuning.dimensions import (
    Choice,
    Dimension,
    Value,
    described,
    inside,
    named_texts,
    parse_dimension,
    parse_value,
)
from torchsse.experiments.tuning.models import TunedModel

__all__ = ["TuneSpace", "tune_space"]

_SWAPS: dict[Side, tuple[str, ...]] = {"user": ("p0_user",), "item": ("p0_item", "p0_input", "p0_output")}
"""The settings that say how often a table swaps."""

RESERVED = {
    "epochs": "an option of its own: --epochs",
    "patience": "an option of its own: --patience",
    "seed": "an option of its own: --seed",
    "user_graph": "an option of its own: --user-graph",
    "item_graph": "an option of its own: --item-graph",
    "feedback": "what the model is tuned for",
    "metric": "the same for every model",
    "num_threads": "1, so that a trial can be repeated; --jobs runs trials side by side",
    "checkpoint": "not needed: a killed study goes on",
    "checkpoint_seconds": "not needed: a killed study goes on",
}


@dataclass(frozen=True)
class TuneSpace:
    """Searched settings with their dimension, their values in the first trial, and the fixed ones."""

    searched: Mapping[str, Dimension]
    defaults: Mapping[str, Value]
    fixed: Mapping[str, Value]

    def params(self, chosen: Mapping[str, Value]) -> dict[str, Value]:
        """All settings of one fit, the fixed ones first."""
        return {**self.fixed, **chosen}

    def jobs(self, wanted: int) -> int:
        """How many fits may run side by side: one, where they would share a generator of random numbers.

        On the CPU each fit has generators of its own; a GPU has one for all.

        >>> TuneSpace({}, {}, {"device": "cuda"}).jobs(4), TuneSpace({}, {}, {"dropout": 0.2}).jobs(4)
        (1, 4)
        """
        searched = self.searched.get("device")
        devices = searched.values if isinstance(searched, Choice) else (self.fixed.get("device"),)
        return wanted if all(str(device or "cpu").startswith("cpu") for device in devices) else 1

    def config(self) -> dict[str, Any]:
        """As JSON: part of what tells one study from another."""
        return {
            "searched": {name: jsonable(described(dimension)) for name, dimension in self.searched.items()},
            "defaults": jsonable(dict(self.defaults)),
            "fixed": jsonable(dict(self.fixed)),
        }


def tune_space(
    model: TunedModel,
    *,
    user_graph: bool = False,
    item_graph: bool = False,
    nearest: Collection[Side] = (),
    factors: str | None = None,
    fix: Sequence[str] = (),
    search: Sequence[str] = (),
) -> TuneSpace:
    """The space of one study; every end of every range is tried on the estimator before anything is read.

    Args:
        model: gives the space to start from.
        user_graph: whether users have one.
        item_graph: whether items have one.
        nearest: the tables that swap along co-occurrence in place of a given graph; their rho is infinite, as in
            `compare`, unless `fix` or `search` says otherwise.
        factors: a rank, several (``10,50,100``) or a range (``10:200``); of models of histories the width.
        fix: ``name=value``, taken out of the search.
        search: ``name=low:high``, ``name=low:high:log`` or ``name=a,b,c``.

    Raises:
        ConfigError: a setting that the estimator does not have, or a value that it does not take; nothing to search.
    """
    for option, there in (("graph", user_graph), ("nearest", "user" in nearest)):
        if there and model.feedback == "sequences":
            raise ConfigError(f"--user-{option}: models of histories take --item-{option} only")
    kind = model.estimator()
    words = {name: value for name, value in kind._defaults().items() if name not in RESERVED}
    rank, usual = model.rank
    asked = named_texts(search, "--search")
    table = {rank: usual if factors is None else factors, **asked}
    fixed = {name: parse_value(text) for name, text in named_texts(fix, "--fix").items()}
    for option, names in (("--fix", fixed), ("--search", asked)):
        if factors is not None and rank in names:
            raise ConfigError(f"--factors {factors}: it is {rank}, which {option} names too; give one of them")
    if rank in fixed:
        del table[rank]
    for name, option in (*((name, "--search") for name in table), *((name, "--fix") for name in fixed)):
        if name in RESERVED:
            raise ConfigError(f"{option}: {name} is {RESERVED[name]}")
        if name not in words:
            raise ConfigError(f"{option}: {kind.__name__} has no setting {name!r}; it has {', '.join(words)}")
    both = sorted(set(table) & set(fixed))
    if both:
        raise ConfigError(f"{both[0]}: either --search or --fix, not both")
    settings = model.settings(user_graph=user_graph, item_graph=item_graph, nearest=nearest)
    for side in nearest:
        if (rho := f"rho_{side}") in words and rho not in table:
            fixed.setdefault(rho, math.inf)
    for name, text in table.items():
        if not any(mark in text for mark in ":,"):
            if name != rank:
                raise ConfigError(f"--search {name}: expected low:high, low:high:log or a,b,c, got {text!r}")
            fixed[name] = parse_value(text)
            continue
        dimension = parse_dimension(text, integer=_whole(kind, name), name=name)
        start = settings[name][1] if name in settings else words[name]
        settings[name] = dimension, start if start is not None else _first(dimension)
    for side, swaps in _SWAPS.items():
        # a table that never swaps has no rho to search
        rho = f"rho_{side}"
        if all(fixed.get(name) == 0 for name in swaps if name in words) and rho in settings and rho not in table:
            fixed.setdefault(rho, settings.pop(rho)[1])
    searched = {name: dimension for name, (dimension, _) in settings.items() if name not in fixed}
    if not searched:
        raise ConfigError("nothing is left to search: every setting is fixed")
    defaults = {name: inside(dimension, settings[name][1]) for name, dimension in searched.items()}
    space = TuneSpace(searched, defaults, fixed)
    _try_out(
        kind, space, {"user_graph": user_graph or "user" in nearest, "item_graph": item_graph or "item" in nearest}
    )
    return space


def _whole(kind: type[Any], name: str) -> bool:
    """Whether a constructor word takes whole numbers, by its annotation."""
    return "int" in str(inspect.signature(kind).parameters[name].annotation).split(" | ")


def _first(dimension: Dimension) -> Value:
    return dimension.values[0] if isinstance(dimension, Choice) else dimension.low


def _try_out(kind: type[Any], space: TuneSpace, graphs: dict[str, bool]) -> None:
    """Construct the estimator at the first trial's settings, and at each end of each dimension."""
    words = inspect.signature(kind).parameters
    for name, value in space.fixed.items():
        if str(words[name].annotation) == "bool" and not isinstance(value, bool):
            raise ConfigError(f"{name}: expected true or false, got {value!r}")
    there = {name: object() for name, given in graphs.items() if given}
    ends: list[dict[str, Value]] = [{}]
    for name, dimension in space.searched.items():
        values = dimension.values if isinstance(dimension, Choice) else (dimension.low, dimension.high)
        ends += [{name: inside(dimension, value)} for value in values]
    for end in ends:
        kind(**{**space.params({**space.defaults, **end}), **there})
