"""The estimators that a comparison can be over: how each is made from a run's settings and an arm's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torchsse.errors import ConfigError

if TYPE_CHECKING:
    from torchsse.experiments.settings import CompareSettings
    from torchsse.recsys.base import Recommender

__all__ = [
    "ALS",
    "BPR_KIND",
    "GRAPH_ALS",
    "HARD_BPR",
    "ITEM_KNN",
    "MARGINALIZED",
    "MF",
    "POPULARITY",
    "SASREC",
    "SQLRANK",
    "SSEPT_KIND",
    "ModelKind",
]

SWEEPS = 60
"""Sweeps of alternating least squares at most, where SGD takes the epochs of the settings: about ten are enough for
implicit feedback and with biases, without them the RMSE still falls after thirty."""

SWEEP_PATIENCE = 4

Chosen = dict[str, Any]


@dataclass(frozen=True)
class ModelKind:
    """One estimator.

    Attributes:
        name: what journal and table call it.
        build: makes it from what holds for every arm and from an arm's own settings, which win.
        trained: the column of its `history_` that training improves; None for one that is fitted in one go.
        epochs: the most it may take, if less than the settings say.
        patience: the same for the epochs without a better value on validation.
        without: settings of a comparison that it has no use for.
        kept: a fit takes minutes, so it is kept in a checkpoint after every epoch, and a killed one goes on.
        dimensions: settings of its arms in the order of the search's first points; empty: the usual ones.
    """

    name: str
    build: Callable[[CompareSettings, Chosen], Recommender]
    trained: str | None
    epochs: int | None = None
    patience: int | None = None
    without: tuple[str, ...] = ()
    kept: bool = False
    dimensions: tuple[str, ...] = ()

    def refuse(self, given: Iterable[str]) -> None:
        """Raise `ConfigError` if one of the settings that were given is one it has no use for.

        >>> ALS.refuse(["factors", "seeds"])
        """
        useless = [f"--{name.replace('_', '-')}" for name in given if name in self.without]
        if useless:
            raise ConfigError(f"{', '.join(useless)}: {self.name} has no such setting; leave it out")

    def limits(self, settings: CompareSettings) -> tuple[int, int]:
        """Epochs and patience of a trial.

        >>> from torchsse.experiments.settings import CompareSettings
        >>> MF.limits(CompareSettings(epochs=150)), MARGINALIZED.limits(CompareSettings(epochs=150, patience=10))
        ((150, 30), (60, 4))
        """
        if self.trained is None:
            return 1, 1
        epochs = settings.epochs if self.epochs is None else min(self.epochs, settings.epochs)
        return epochs, settings.patience if self.patience is None else min(self.patience, settings.patience)


def _mf(settings: CompareSettings, chosen: Chosen) -> Recommender:
    from torchsse.recsys import MatrixFactorization

    given = {
        "factors": settings.factors,
        "learning_rate": settings.learning_rate,
        "learning_rate_decay": settings.decay,
        "biases": settings.biases,
    }
    return MatrixFactorization(**{**given, **chosen})


def _marginalized(settings: CompareSettings, chosen: Chosen) -> Recommender:
    from torchsse.recsys import MarginalizedMF

    return MarginalizedMF(**{"factors": settings.factors, "biases": settings.biases, **chosen})


def _graph_als(settings: CompareSettings, chosen: Chosen) -> Recommender:
    from torchsse.recsys import GraphALS

    return GraphALS(**{"factors": settings.factors, "biases": settings.biases, **chosen})


def _bpr(settings: CompareSettings, chosen: Chosen) -> Recommender:
    from torchsse.experiments.settings import RankingSettings
    from torchsse.recsys import BPR

    assert isinstance(settings, RankingSettings)
    given = {
        "factors": settings.factors,
        "learning_rate": settings.learning_rate,
        "learning_rate_decay": settings.decay,
        "biases": settings.biases,
        "num_negatives": settings.num_negatives,
        "hard_negatives": settings.hard_negatives,
        "validate_every": settings.validate_every,
    }
    return BPR(**{**given, **chosen})


def _hard_bpr(settings: CompareSettings, chosen: Chosen) -> Recommender:
    return _bpr(settings, {"hard_negatives": True, "num_negatives": 4, **chosen})


def _als(settings: CompareSettings, chosen: Chosen) -> Recommender:
    from torchsse.recsys import WeightedALS

    words = {"factors": settings.factors, **chosen}
    per_alpha = words.pop("regularization_per_alpha", None)
    if per_alpha is not None:
        words["regularization"] = per_alpha * words["alpha"]
    return WeightedALS(**words)


def _sqlrank(settings: CompareSettings, chosen: Chosen) -> Recommender:
    from torchsse.experiments.settings import RankingSettings
    from torchsse.recsys import SQLRank

    assert isinstance(settings, RankingSettings)
    return SQLRank(**{"factors": settings.factors, "validate_every": settings.validate_every, **chosen})


def _sequence_words(settings: CompareSettings, chosen: Chosen) -> Chosen:
    from torchsse.experiments.sequence_settings import SequenceSettings

    assert isinstance(settings, SequenceSettings)
    given = {
        "hidden": settings.hidden,
        "blocks": settings.blocks,
        "heads": settings.heads,
        "inner": settings.inner,
        "max_length": settings.max_length,
        "attention_dropout": settings.attention_dropout,
        "loss": settings.loss,
        "num_negatives": settings.num_negatives or 1,
        "shared_negatives": settings.shared_negatives,
        "unseen_negatives": settings.unseen_negatives,
        "random_window": settings.random_window,
        "positions": settings.positions,
        "temperature": settings.temperature,
        "ema_decay": settings.ema_decay,
        "precision": settings.precision,
        "metric": settings.metric,
        "learning_rate": settings.learning_rate,
        "learning_rate_decay": settings.decay,
        "p0_schedule": settings.p0_schedule,
        "batch_size": settings.batch_size,
        "validate_every": settings.validate_every,
        "device": settings.device,
        "num_threads": settings.num_threads,
    }
    return {**given, **chosen}


def _sasrec(settings: CompareSettings, chosen: Chosen) -> Recommender:
    from torchsse.recsys import SASRec

    words = _sequence_words(settings, chosen)
    words.pop("user_graph", None)  # it knows no users
    return SASRec(**words)


def _ssept(settings: CompareSettings, chosen: Chosen) -> Recommender:
    """As wide as SASRec: half of the width is the user's."""
    from torchsse.recsys import SSEPT

    words = _sequence_words(settings, chosen)
    width = words.pop("hidden")
    return SSEPT(**{**words, "hidden": width - width // 2, "user_hidden": width // 2})


def _popularity(settings: CompareSettings, chosen: Chosen) -> Recommender:
    from torchsse.recsys import Popularity

    return Popularity()


def _item_knn(settings: CompareSettings, chosen: Chosen) -> Recommender:
    from torchsse.recsys import ItemKNN

    words = {name: value for name, value in chosen.items() if name not in ("epochs", "patience", "seed")}
    if "neighbours" in words:
        words["neighbors"] = int(words.pop("neighbours"))
    return ItemKNN(**words)


_OF_SGD = ("learning_rate", "tune_learning_rate")
_OF_BPR = ("num_negatives", "hard_negatives")

MF = ModelKind("mf", _mf, "train_rmse", without=_OF_BPR)
MARGINALIZED = ModelKind(
    "marginalized", _marginalized, "objective", SWEEPS, SWEEP_PATIENCE, without=(*_OF_SGD, *_OF_BPR)
)
GRAPH_ALS = ModelKind("graph-als", _graph_als, "objective", SWEEPS, SWEEP_PATIENCE)
BPR_KIND = ModelKind("bpr", _bpr, "train_loss")
HARD_BPR = ModelKind("bpr, hardest of 4 negatives", _hard_bpr, "train_loss")
ALS = ModelKind("als", _als, "objective", SWEEPS, SWEEP_PATIENCE, without=("biases", *_OF_SGD, *_OF_BPR))
SQLRANK = ModelKind("sqlrank", _sqlrank, "train_loss", without=("biases", "learning_rate", *_OF_BPR))
_OF_SEQUENCES = (
    "weight_decay", "dropout", "p0_input", "p0_output", "p0_user", "rho_item", "learning_rate", "neighbours",
)  # fmt: skip
SASREC = ModelKind("sasrec", _sasrec, "train_loss", kept=True, dimensions=_OF_SEQUENCES)
SSEPT_KIND = ModelKind("ssept", _ssept, "train_loss", kept=True, dimensions=_OF_SEQUENCES)
POPULARITY = ModelKind("popularity", _popularity, None)
ITEM_KNN = ModelKind("item-knn", _item_knn, None)
