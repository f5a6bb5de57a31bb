"""The arms of `torchsse compare` for explicit ratings: what is searched, what is fixed, where the search starts.

Everything that can be tuned about the comparison's fairness is in this file and, for BPR, in `ranking_arms.py`. Every
arm tunes weight decay, gets the same number of trials, and starts from its stated defaults; an arm differs from `none`
only in the settings it names. Ranges are for `MatrixFactorization`; p0_user and p0_item are tuned apart because the
tables differ in size and in the number of ratings per row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from torchsse.errors import ConfigError
from torchsse.experiments.space import Range

__all__ = ["ARM_NAMES", "BASELINE", "Arm", "Settings", "select_arms", "standard_arms"]

BASELINE = "none"
ARM_NAMES = ("none", "dropout", "sse-se", "sse-se+dropout", "sse-graph", "sse-cooccurrence")

GraphSource = Literal["none", "given", "cooccurrence"]
"""Along what the tables swap: uniformly over all rows; the graphs of the user; each row's nearest by co-occurrence in
the ratings that the fit learns from (`neighbours.py`)."""


@dataclass(frozen=True)
class Arm:
    """One row of the comparison.

    Attributes:
        name: what the table calls it.
        space: the settings that are searched, each with its range.
        defaults: the first trial; exactly the names of `space`.
        fixed: settings that stay as they are.
        graphs: along what the tables swap: "given" needs `rho_user` / `rho_item`, "cooccurrence" those and
            `neighbours`.

    >>> arm = Arm("none", {"weight_decay": Range(0.02, 0.2, log=True)}, {"weight_decay": 0.08})
    >>> arm.params({"weight_decay": 0.1})
    {'weight_decay': 0.1}
    """

    name: str
    space: dict[str, Range]
    defaults: dict[str, float]
    fixed: dict[str, float | str] = field(default_factory=dict)
    graphs: GraphSource = "none"

    def __post_init__(self) -> None:
        if set(self.space) != set(self.defaults):
            raise ConfigError(
                f"arm {self.name!r}: defaults are needed for exactly the searched settings {sorted(self.space)}, "
                f"got {sorted(self.defaults)}"
            )

    def params(self, searched: dict[str, float]) -> dict[str, float | str]:
        """The settings of one fit: the fixed ones and the searched ones."""
        return {**self.fixed, **searched}


Setting = tuple[Range, float]
"""Where a setting is searched, and its default."""


@dataclass(frozen=True)
class Settings:
    """What the arms of one model search; `arms` says which arm searches what.

    Attributes:
        plain: in every arm.
        dropout: in the arms with dropout.
        swap: p0 of both tables, swapped uniformly.
        p0_graph, rho_graph: of a table with a given graph.
        cooccurrence: p0 of both tables and `neighbours`, swapped along co-occurrence.
    """

    plain: dict[str, Setting]
    dropout: dict[str, Setting]
    swap: dict[str, Setting]
    p0_graph: Setting
    rho_graph: Setting
    cooccurrence: dict[str, Setting]

    def arms(self, *, user_graph: bool, item_graph: bool) -> tuple[Arm, ...]:
        """The arms in the order of the table; `sse-graph` is among them if a graph is given.

        rho is infinite along co-occurrence: beyond the few nearest, swaps only cost.
        """
        arms = [
            _arm("none", self.plain),
            _arm("dropout", self.plain | self.dropout),
            _arm("sse-se", self.plain | self.swap),
            _arm("sse-se+dropout", self.plain | self.swap | self.dropout),
        ]
        given = [side for side, there in (("user", user_graph), ("item", item_graph)) if there]
        if given:
            graph = dict(self.swap)
            for side in given:
                graph |= {f"p0_{side}": self.p0_graph, f"rho_{side}": self.rho_graph}
            arms.append(_arm("sse-graph", self.plain | graph, graphs="given"))
        arms.append(
            _arm(
                "sse-cooccurrence",
                self.plain | self.cooccurrence,
                fixed={"rho_user": math.inf, "rho_item": math.inf},
                graphs="cooccurrence",
            )
        )
        return tuple(arms)


def _arm(
    name: str,
    settings: dict[str, Setting],
    fixed: dict[str, float | str] | None = None,
    graphs: GraphSource = "none",
) -> Arm:
    space = {setting: searched for setting, (searched, _) in settings.items()}
    defaults = {setting: default for setting, (_, default) in settings.items()}
    return Arm(name, space, defaults, fixed or {}, graphs)


def standard_arms(
    *, biases: bool, user_graph: bool = False, item_graph: bool = False, tune_learning_rate: bool = False
) -> tuple[Arm, ...]:
    """The arms for explicit ratings; `sse-graph` is among them if a graph is given.

    `sse-cooccurrence` needs no knowledge from outside: its graphs come from the ratings that the fit learns from. Its
    defaults and ranges were chosen on a validation part of ML-1M; users bear far smaller p0 than items there.

    A table without a graph swaps over all its rows (SSE-SE) in `sse-graph` too, so that arm asks what the graph adds.
    A neighbour is a milder replacement than any other row, so where there is a graph larger p0 are in range.

    Args:
        biases: whether the model has them; weight decay then starts lower.
        user_graph: whether users have a graph.
        item_graph: whether items have one.
        tune_learning_rate: search it too, in every arm.

    >>> [arm.name for arm in standard_arms(biases=True, item_graph=True)]
    ['none', 'dropout', 'sse-se', 'sse-se+dropout', 'sse-graph', 'sse-cooccurrence']
    """
    plain = {"weight_decay": (Range(0.01, 0.3, log=True), 0.08 if biases else 0.09)}
    if tune_learning_rate:
        plain["learning_rate"] = (Range(0.005, 0.1, log=True), 0.02)
    uniform = (Range(0.0005, 0.1, log=True), 0.005)
    return Settings(
        plain,
        dropout={"dropout": (Range(0.02, 0.4), 0.1)},
        swap={"p0_user": uniform, "p0_item": uniform},
        p0_graph=(Range(0.001, 0.5, log=True), 0.02),
        rho_graph=(Range(10.0, 1000.0, log=True), 200.0),
        cooccurrence={
            "p0_user": (Range(0.0002, 0.2, log=True), 0.001),
            "p0_item": (Range(0.005, 0.8, log=True), 0.2),
            "neighbours": (Range(1, 20, log=True, integer=True), 4.0),
        },
    ).arms(user_graph=user_graph, item_graph=item_graph)


def select_arms(arms: tuple[Arm, ...], names: list[str] | None) -> tuple[Arm, ...]:
    """The named arms in the standard order; `none` always comes along, every other arm is measured against it.

    Raises:
        ConfigError: for a name that is no arm, or `sse-graph` without a graph.

    >>> [arm.name for arm in select_arms(standard_arms(biases=True), ["sse-se"])]
    ['none', 'sse-se']
    """
    if names is None:
        return arms
    known = {arm.name for arm in arms}
    for name in names:
        if name in known:
            continue
        if name in ARM_NAMES:
            raise ConfigError(f"arm {name!r} needs a graph: give --item-graph or --user-graph")
        raise ConfigError(f"unknown arm {name!r}: expected some of {', '.join(ARM_NAMES)}")
    return tuple(arm for arm in arms if arm.name in names or arm.name == BASELINE)
