"""The arms of `torchsse compare` for explicit ratings: what is searched, what is fixed, where the search starts.

Everything that can be tuned about the comparison's fairness is in this file. Every arm tunes weight decay, gets the
same number of trials, and starts from its stated defaults; an arm differs from `none` only in the settings it names.
Ranges are for `MatrixFactorization`; p0_user and p0_item are tuned apart because the tables differ in size and in the
number of ratings per row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from torchsse.errors import ConfigError
from torchsse.experiments.space import Range

__all__ = ["ARM_NAMES", "BASELINE", "Arm", "select_arms", "standard_arms"]

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


def _cooccurrence(plain: dict[str, Range], plain_at: dict[str, float]) -> Arm:
    """SSE-Graph with a graph from the ratings themselves; rho = inf, since beyond few neighbours swaps only cost.

    Defaults and ranges were chosen on a validation part of ML-1M; users bear far smaller p0 than items there.
    """
    return Arm(
        "sse-cooccurrence",
        plain
        | {"p0_user": Range(0.0002, 0.2, log=True), "p0_item": Range(0.005, 0.8, log=True)}
        | {"neighbours": Range(1, 20, log=True, integer=True)},
        plain_at | {"p0_user": 0.001, "p0_item": 0.2, "neighbours": 4.0},
        fixed={"rho_user": math.inf, "rho_item": math.inf},
        graphs="cooccurrence",
    )


def standard_arms(
    *, biases: bool, user_graph: bool = False, item_graph: bool = False, tune_learning_rate: bool = False
) -> tuple[Arm, ...]:
    """The arms for explicit ratings; `sse-graph` is among them if a graph is given.

    `sse-cooccurrence` needs no knowledge from outside: its graphs come from the ratings that the fit learns from.

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
    plain = {"weight_decay": Range(0.01, 0.3, log=True)}
    plain_at = {"weight_decay": 0.08 if biases else 0.09}
    if tune_learning_rate:
        plain["learning_rate"] = Range(0.005, 0.1, log=True)
        plain_at["learning_rate"] = 0.02
    dropout, dropout_at = {"dropout": Range(0.02, 0.4)}, {"dropout": 0.1}
    uniform = Range(0.0005, 0.1, log=True)
    swap, swap_at = {"p0_user": uniform, "p0_item": uniform}, {"p0_user": 0.005, "p0_item": 0.005}
    arms = [
        Arm("none", plain, plain_at),
        Arm("dropout", plain | dropout, plain_at | dropout_at),
        Arm("sse-se", plain | swap, plain_at | swap_at),
        Arm("sse-se+dropout", plain | swap | dropout, plain_at | swap_at | dropout_at),
    ]
    if user_graph or item_graph:
        graph, graph_at = dict(swap), dict(swap_at)
        for side, given in (("user", user_graph), ("item", item_graph)):
            if given:
                graph |= {f"p0_{side}": Range(0.001, 0.5, log=True), f"rho_{side}": Range(10.0, 1000.0, log=True)}
                graph_at |= {f"p0_{side}": 0.02, f"rho_{side}": 200.0}
        arms.append(Arm("sse-graph", plain | graph, plain_at | graph_at, graphs="given"))
    return (*arms, _cooccurrence(plain, plain_at))


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
