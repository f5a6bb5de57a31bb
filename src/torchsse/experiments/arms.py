"""The arms of `torchsse compare` for explicit ratings: what is searched, what is fixed, where the search starts.

Everything that can be tuned about the comparison's fairness is in this file, in `swap_ranges.py` and, for other models,
in `marginalized_arms.py`, `ranking_arms.py` and `als_arms.py`. Every arm tunes its L2, gets the same number of trials,
and starts from its stated defaults; an arm differs from `none` only in the settings it names. Ranges are for
`MatrixFactorization`; p0_user and p0_item are tuned apart because the tables differ in size and in the number of
ratings per row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from torchsse.errors import ConfigError
from torchsse.experiments.kinds import GRAPH_ALS, ModelKind
from torchsse.experiments.space import Range
from torchsse.experiments.swap_ranges import RATING_COOCCURRENCE, RATING_SWAPS, Setting, Swaps

__all__ = [
    "ARM_NAMES",
    "BASELINE",
    "SEQUENCE_ARM_NAMES",
    "SIDES",
    "Arm",
    "Settings",
    "Side",
    "arm_of",
    "check_arm_names",
    "select_arms",
    "standard_arms",
    "with_prefix",
]

BASELINE = "none"
ARM_NAMES = ("none", "dropout", "sse-se", "sse-se+dropout", "sse-graph", "sse-cooccurrence", "graph-laplacian")

SEQUENCE_ARM_NAMES = ("weight-decay", "sse-se-user", "sse-se-input", "sse-se-output", "sse-pt")
"""Those that only models of histories have."""

Side = Literal["user", "item"]
SIDES: tuple[Side, Side] = ("user", "item")
"""The two tables."""

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
        model: the estimator; None is the first that the task knows, `MatrixFactorization` or `BPR`.

    >>> arm = Arm("none", {"weight_decay": Range(0.02, 0.2, log=True)}, {"weight_decay": 0.08})
    >>> arm.params({"weight_decay": 0.1})
    {'weight_decay': 0.1}
    """

    name: str
    space: dict[str, Range]
    defaults: dict[str, float]
    fixed: dict[str, float | str] = field(default_factory=dict)
    graphs: GraphSource = "none"
    model: ModelKind | None = None

    def __post_init__(self) -> None:
        if set(self.space) != set(self.defaults):
            raise ConfigError(
                f"arm {self.name!r}: defaults are needed for exactly the searched settings {sorted(self.space)}, "
                f"got {sorted(self.defaults)}"
            )

    def params(self, searched: dict[str, float]) -> dict[str, float | str]:
        """The settings of one fit: the fixed ones and the searched ones."""
        return {**self.fixed, **searched}

    def trials(self, budget: int) -> int:
        """How many trials it takes of a budget: one is enough where nothing is searched."""
        return budget if self.space else 1


@dataclass(frozen=True)
class Settings:
    """What the arms of one model search; `arms` says which arm searches what.

    Attributes:
        plain: in every arm.
        dropout: in the arms with dropout; None: there are none.
        swaps: p0 of both tables, swapped uniformly or along a given graph.
        cooccurrence: p0 of both tables and `neighbours`, swapped along co-occurrence.
    """

    plain: dict[str, Setting]
    dropout: dict[str, Setting] | None
    swaps: Swaps
    cooccurrence: dict[str, Setting]
    model: ModelKind | None = None

    def arms(self, *, user_graph: bool, item_graph: bool) -> tuple[Arm, ...]:
        """The arms in the order of the table; `sse-graph` is among them if a graph is given.

        rho is infinite along co-occurrence: beyond the few nearest, swaps only cost.
        """
        swap = {"p0_user": self.swaps.user, "p0_item": self.swaps.item}
        arms = [self._arm("none", self.plain)]
        if self.dropout is not None:
            arms.append(self._arm("dropout", self.plain | self.dropout))
        arms.append(self._arm("sse-se", self.plain | swap))
        if self.dropout is not None:
            arms.append(self._arm("sse-se+dropout", self.plain | swap | self.dropout))
        given = [side for side, there in (("user", user_graph), ("item", item_graph)) if there]
        if given:
            graph = dict(swap)
            for side in given:
                graph |= {f"p0_{side}": self.swaps.near, f"rho_{side}": self.swaps.rho}
            arms.append(self._arm("sse-graph", self.plain | graph, graphs="given"))
        nearest: dict[str, float | str] = {"rho_user": math.inf, "rho_item": math.inf}
        arms.append(self._arm("sse-cooccurrence", self.plain | self.cooccurrence, fixed=nearest, graphs="cooccurrence"))
        return tuple(arms)

    def _arm(
        self,
        name: str,
        settings: dict[str, Setting],
        fixed: dict[str, float | str] | None = None,
        graphs: GraphSource = "none",
    ) -> Arm:
        return arm_of(name, settings, fixed=fixed, graphs=graphs, model=self.model)


def arm_of(
    name: str,
    settings: dict[str, Setting],
    *,
    fixed: dict[str, float | str] | None = None,
    graphs: GraphSource = "none",
    model: ModelKind | None = None,
) -> Arm:
    """An arm from settings that hold range and default together."""
    space = {setting: searched for setting, (searched, _) in settings.items()}
    defaults = {setting: default for setting, (_, default) in settings.items()}
    return Arm(name, space, defaults, fixed or {}, graphs, model)


def with_prefix(arms: tuple[Arm, ...], prefix: str) -> tuple[Arm, ...]:
    """The same arms under names of their own, to stand beside those of another model; `none` becomes the prefix alone.

    >>> [arm.name for arm in with_prefix(standard_arms(biases=True), "mf")][:3]
    ['mf', 'mf dropout', 'mf sse-se']
    """
    return tuple(replace(arm, name=prefix if arm.name == BASELINE else f"{prefix} {arm.name}") for arm in arms)


def standard_arms(
    *, biases: bool, user_graph: bool = False, item_graph: bool = False, tune_learning_rate: bool = False
) -> tuple[Arm, ...]:
    """The arms for explicit ratings; `sse-graph` and `graph-laplacian` are among them if a graph is given.

    `sse-cooccurrence` needs no knowledge from outside: its graphs come from the ratings that the fit learns from. Its
    defaults and ranges were chosen on a validation part of ML-1M; users bear far smaller p0 than items there.

    A table without a graph swaps over all its rows (SSE-SE) in `sse-graph` too, so that arm asks what the graph adds.
    A neighbour is a milder replacement than any other row, so where there is a graph larger p0 are in range.
    `graph-laplacian` is `GraphALS`, the paper's baseline of Table 1, along the same graphs.

    Args:
        biases: whether the model has them; weight decay then starts lower.
        user_graph: whether users have a graph.
        item_graph: whether items have one.
        tune_learning_rate: search it too, in every arm.

    >>> [arm.name for arm in standard_arms(biases=True, item_graph=True)]
    ['none', 'dropout', 'sse-se', 'sse-se+dropout', 'sse-graph', 'sse-cooccurrence', 'graph-laplacian']
    """
    plain = {"weight_decay": (Range(0.01, 0.3, log=True), 0.08 if biases else 0.09)}
    if tune_learning_rate:
        plain["learning_rate"] = (Range(0.005, 0.1, log=True), 0.02)
    sgd = Settings(
        plain,
        dropout={"dropout": (Range(0.02, 0.4), 0.1)},
        swaps=RATING_SWAPS,
        cooccurrence=RATING_COOCCURRENCE,
    ).arms(user_graph=user_graph, item_graph=item_graph)
    return (*sgd, _laplacian()) if user_graph or item_graph else sgd


def _laplacian() -> Arm:
    """The graph penalty's weight was best near .03 on a validation part of ML-1M."""
    settings = {
        "regularization": (Range(0.01, 0.3, log=True), 0.08),
        "graph_weight": (Range(0.001, 1.0, log=True), 0.03),
    }
    return arm_of("graph-laplacian", settings, graphs="given", model=GRAPH_ALS)


def check_arm_names(names: Sequence[str] | None, *, graph: bool, options: str = "--item-graph or --user-graph") -> None:
    """What can be said of them before any data is read; `options` give a graph.

    Raises:
        ConfigError: for a name that is no arm, or an arm along a graph where there is none.
    """
    for name in names or ():
        if name not in (*ARM_NAMES, *SEQUENCE_ARM_NAMES):
            raise ConfigError(f"unknown arm {name!r}: expected some of {', '.join((*ARM_NAMES, *SEQUENCE_ARM_NAMES))}")
        if name in ("sse-graph", "graph-laplacian") and not graph:
            raise ConfigError(f"arm {name!r} needs a graph: give {options}")


def select_arms(arms: tuple[Arm, ...], names: Sequence[str] | None) -> tuple[Arm, ...]:
    """The named arms in the standard order; `none` always comes along, every other arm is measured against it.

    Raises:
        ConfigError: for a name that is no arm, or none of these arms.

    >>> [arm.name for arm in select_arms(standard_arms(biases=True), ["sse-se"])]
    ['none', 'sse-se']
    """
    if names is None:
        return arms
    known = {arm.name for arm in arms}
    check_arm_names(names, graph="sse-graph" in known)
    for name in names:
        if name not in known:
            raise ConfigError(f"arm {name!r} does not exist for this model, which has {', '.join(sorted(known))}")
    return tuple(arm for arm in arms if arm.name in names or arm.name == BASELINE)
