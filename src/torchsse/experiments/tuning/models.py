"""What `torchsse tune` can tune, as a table: per model the estimator, the settings that are searched, the budget.

To add a model: a name in `ModelName` and an entry in `MODELS`. An estimator has constructor words, and a
`fit(train, validation, callback)` that leaves `history_` with a column `validation_<metric>`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from torchsse.experiments.space import Range
from torchsse.experiments.swap_ranges import RANKING_SWAPS, RATING_SWAPS, Swaps
from torchsse.experiments.tuning.dimensions import Dimension, Value

__all__ = ["METRICS", "MODELS", "ModelName", "Setting", "TunedModel"]

Setting = tuple[Dimension, Value]
"""Where a setting is searched, and its value in the first trial."""

METRICS = {"explicit": "rmse", "implicit": "precision@10"}
"""What decides on validation, by feedback; the same as in `torchsse compare`."""


class ModelName(StrEnum):
    """Models that can be tuned."""

    mf = "mf"
    bpr = "bpr"
    als = "als"
    marginalized = "marginalized"
    graph_als = "graph-als"
    sqlrank = "sqlrank"


@dataclass(frozen=True)
class TunedModel:
    """One model.

    Attributes:
        estimator: imports and returns the class; nothing heavy is imported before it is called.
        feedback: what it learns from.
        epochs: the most a fit may take.
        patience: epochs without a better value on validation before a fit stops.
        plain: searched always.
        swaps: searched if the model has SSE.
        with_graph: searched if a graph is given.
        response: the settings whose response is plotted.
    """

    estimator: Callable[[], type[Any]]
    feedback: Literal["explicit", "implicit"]
    epochs: int
    patience: int
    plain: dict[str, Setting]
    swaps: Swaps | None = None
    with_graph: dict[str, Setting] = field(default_factory=dict)
    response: tuple[str, ...] = ("p0_user", "p0_item")

    @property
    def metric(self) -> str:
        return METRICS[self.feedback]

    @property
    def higher_is_better(self) -> bool:
        return self.feedback == "implicit"

    def settings(self, *, user_graph: bool, item_graph: bool) -> dict[str, Setting]:
        """What is searched, given which graphs there are."""
        found = dict(self.plain)
        if self.swaps is not None:
            for side, uniform, there in (
                ("user", self.swaps.user, user_graph),
                ("item", self.swaps.item, item_graph),
            ):
                found[f"p0_{side}"] = self.swaps.near if there else uniform
                if there:
                    found[f"rho_{side}"] = self.swaps.rho
        if user_graph or item_graph:
            found |= self.with_graph
        return found


def _mf() -> type[Any]:
    from torchsse.recsys import MatrixFactorization

    return MatrixFactorization


def _bpr() -> type[Any]:
    from torchsse.recsys import BPR

    return BPR


def _als() -> type[Any]:
    from torchsse.recsys import WeightedALS

    return WeightedALS


def _marginalized() -> type[Any]:
    from torchsse.recsys import MarginalizedMF

    return MarginalizedMF


def _graph_als() -> type[Any]:
    from torchsse.recsys import GraphALS

    return GraphALS


def _sqlrank() -> type[Any]:
    from torchsse.recsys import SQLRank

    return SQLRank


MODELS: dict[ModelName, TunedModel] = {
    ModelName.mf: TunedModel(
        _mf,
        "explicit",
        epochs=150,
        patience=30,
        plain={
            "learning_rate": (Range(0.005, 0.1, log=True), 0.02),
            "learning_rate_decay": (Range(0.93, 1.0), 0.97),
            "weight_decay": (Range(0.01, 0.3, log=True), 0.08),
        },
        swaps=RATING_SWAPS,
    ),
    ModelName.bpr: TunedModel(
        _bpr,
        "implicit",
        epochs=150,
        patience=30,
        plain={
            "learning_rate": (Range(0.01, 0.2, log=True), 0.05),
            "learning_rate_decay": (Range(0.93, 1.0), 0.98),
            "weight_decay": (Range(0.003, 0.1, log=True), 0.02),
        },
        swaps=RANKING_SWAPS,
    ),
    ModelName.als: TunedModel(
        _als,
        "implicit",
        epochs=15,
        patience=5,
        plain={
            "alpha": (Range(1.0, 100.0, log=True), 10.0),
            "regularization": (Range(1.0, 1000.0, log=True), 100.0),
        },
        swaps=RANKING_SWAPS,
    ),
    ModelName.marginalized: TunedModel(
        _marginalized,
        "explicit",
        epochs=30,
        patience=5,
        plain={"regularization": (Range(0.01, 0.3, log=True), 0.08)},
        swaps=RATING_SWAPS,
    ),
    ModelName.graph_als: TunedModel(
        _graph_als,
        "explicit",
        epochs=30,
        patience=5,
        plain={"regularization": (Range(0.01, 0.3, log=True), 0.08)},
        with_graph={"graph_weight": (Range(0.001, 10.0, log=True), 0.1)},
        response=("graph_weight",),
    ),
    ModelName.sqlrank: TunedModel(
        _sqlrank,
        "implicit",
        epochs=150,
        patience=30,
        plain={
            "learning_rate": (Range(0.003, 0.1, log=True), 0.02),
            "learning_rate_decay": (Range(0.93, 1.0), 0.98),
            "weight_decay": (Range(0.005, 0.3, log=True), 0.05),
        },
        swaps=RANKING_SWAPS,
    ),
}
