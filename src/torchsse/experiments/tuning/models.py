"""What `torchsse tune` can tune, as a table: per model the estimator, the settings that are searched, the budget.

To add a model: a name in `ModelName` and an entry in `MODELS`. An estimator has constructor words, and a
`fit(train, validation, callback)` that leaves `history_` with a column `validation_<metric>`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from torchsse.experiments.arms import Side
from torchsse.experiments.space import Range
from torchsse.experiments.swap_ranges import (
    RANKING_SWAPS,
    RATING_COOCCURRENCE,
    RATING_SWAPS,
    SEQUENCE_COOCCURRENCE,
    SEQUENCE_NEAR,
    SEQUENCE_RHO,
    SEQUENCE_SWAP,
    SEQUENCE_USER,
    Swaps,
)
from torchsse.experiments.tuning.dimensions import Dimension, Value

__all__ = ["METRICS", "MODELS", "ModelName", "Setting", "TunedModel"]

Setting = tuple[Dimension, Value]
"""Where a setting is searched, and its value in the first trial."""

METRICS = {"explicit": "rmse", "implicit": "precision@10", "sequences": "ndcg@10"}
"""What decides on validation, by feedback; the same as in `torchsse compare`."""


class ModelName(StrEnum):
    """Models that can be tuned."""

    mf = "mf"
    bpr = "bpr"
    als = "als"
    marginalized = "marginalized"
    graph_als = "graph-als"
    sqlrank = "sqlrank"
    sasrec = "sasrec"
    ssept = "ssept"


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
        nearest: p0 along each row's nearest by co-occurrence, where it is not that along a given graph.
        with_graph: searched if a graph is given.
        response: the settings whose response is plotted.
        rank: the constructor word that `--factors` is, and its default.
    """

    estimator: Callable[[], type[Any]]
    feedback: Literal["explicit", "implicit", "sequences"]
    epochs: int
    patience: int
    plain: dict[str, Setting]
    swaps: Swaps | None = None
    nearest: Mapping[str, Setting] = field(default_factory=dict)
    with_graph: dict[str, Setting] = field(default_factory=dict)
    response: tuple[str, ...] = ("p0_user", "p0_item")
    rank: tuple[str, str] = ("factors", "100")

    @property
    def metric(self) -> str:
        return METRICS[self.feedback]

    @property
    def higher_is_better(self) -> bool:
        return self.feedback != "explicit"

    @property
    def swapped(self) -> tuple[str, ...]:
        """The settings that are 0 without SSE."""
        return () if self.swaps is None else ("p0_user", "p0_item")

    def settings(self, *, user_graph: bool, item_graph: bool, nearest: Collection[Side] = ()) -> dict[str, Setting]:
        """What is searched, given which graphs there are, and which tables swap along co-occurrence."""
        found = dict(self.plain)
        if self.swaps is not None:
            for side, uniform, there in (
                ("user", self.swaps.user, user_graph),
                ("item", self.swaps.item, item_graph),
            ):
                p0 = f"p0_{side}"
                if side in nearest:
                    found[p0] = self.nearest.get(p0, self.swaps.near)
                    continue
                found[p0] = self.swaps.near if there else uniform
                if there:
                    found[f"rho_{side}"] = self.swaps.rho
        if user_graph or item_graph or nearest:
            found |= self.with_graph
        return found


@dataclass(frozen=True)
class TunedSequenceModel(TunedModel):
    """A model of histories: items that go in and items that should come out swap apart.

    Attributes:
        users: whether it has a table of users, which swaps too.
    """

    users: bool = False

    @property
    def swapped(self) -> tuple[str, ...]:
        return (*(("p0_user",) if self.users else ()), "p0_input", "p0_output")

    def settings(self, *, user_graph: bool, item_graph: bool, nearest: Collection[Side] = ()) -> dict[str, Setting]:
        found = dict(self.plain)
        if self.users:
            found["p0_user"] = SEQUENCE_USER
        for name in ("p0_input", "p0_output"):
            found[name] = SEQUENCE_NEAR if item_graph else SEQUENCE_SWAP
            if "item" in nearest:
                found[name] = SEQUENCE_COOCCURRENCE[name]
        return found | ({"rho_item": SEQUENCE_RHO} if item_graph else {})


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


def _sasrec() -> type[Any]:
    from torchsse.recsys import SASRec

    return SASRec


def _ssept() -> type[Any]:
    from torchsse.recsys import SSEPT

    return SSEPT


_SEQUENCES: dict[str, Setting] = {
    "learning_rate": (Range(3e-4, 3e-3, log=True), 1e-3),
    "weight_decay": (Range(1e-6, 3e-4, log=True), 1e-5),
    "dropout": (Range(0.1, 0.7), 0.2),
}

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
        nearest=RATING_COOCCURRENCE,
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
        nearest=RATING_COOCCURRENCE,
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
    ModelName.sasrec: TunedSequenceModel(
        _sasrec,
        "sequences",
        epochs=200,
        patience=30,
        plain=_SEQUENCES,
        response=("p0_input", "p0_output"),
        rank=("hidden", "50"),
    ),
    ModelName.ssept: TunedSequenceModel(
        _ssept,
        "sequences",
        epochs=200,
        patience=30,
        plain=_SEQUENCES,
        response=("p0_user", "p0_input", "p0_output"),
        rank=("hidden", "50"),
        users=True,
    ),
}
