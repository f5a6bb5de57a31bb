"""The models that `fit` knows, and which of its options each has."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["MODELS", "Kind", "ModelName", "check_words", "estimator_of"]


class ModelName(StrEnum):
    """Words for MODEL."""

    mf = "mf"
    marginalized = "marginalized"
    graph_als = "graph-als"
    bpr = "bpr"
    als = "als"
    sqlrank = "sqlrank"
    item_knn = "item-knn"
    popularity = "popularity"
    sasrec = "sasrec"
    ssept = "ssept"


@dataclass(frozen=True)
class Kind:
    """One model.

    Attributes:
        estimator: its name in `torchsse.recsys`.
        explicit: it predicts ratings; else it ranks, and every pair in train is a positive.
        unit: what `epochs` counts; None: nothing is repeated.
        weighs: of those that rank: what ratings say matters to it where there are some.
        ordered: it reads each user's actions in the order of time.
    """

    estimator: str
    explicit: bool
    unit: str | None
    weighs: bool = False
    ordered: bool = False


MODELS = {
    ModelName.mf: Kind("MatrixFactorization", True, "epoch"),
    ModelName.marginalized: Kind("MarginalizedMF", True, "sweep"),
    ModelName.graph_als: Kind("GraphALS", True, "sweep"),
    ModelName.bpr: Kind("BPR", False, "epoch"),
    ModelName.als: Kind("WeightedALS", False, "sweep", weighs=True),
    ModelName.sqlrank: Kind("SQLRank", False, "epoch", weighs=True),
    ModelName.item_knn: Kind("ItemKNN", False, None, weighs=True),
    ModelName.popularity: Kind("Popularity", False, None),
    ModelName.sasrec: Kind("SASRec", False, "epoch", ordered=True),
    ModelName.ssept: Kind("SSEPT", False, "epoch", ordered=True),
}


def estimator_of(model: ModelName) -> type[Any]:
    """The class.

    Raises:
        ConfigError: this installation has none of the name.
    """
    from torchsse import recsys
    from torchsse.errors import ConfigError

    found = getattr(recsys, MODELS[model].estimator, None)
    if found is None:
        raise ConfigError(f"{model.value}: torchsse.recsys has no {MODELS[model].estimator} in this version")
    kind: type[Any] = found
    return kind


def check_words(model: ModelName, words: dict[str, Any], *, said: str | None = None) -> None:
    """`ConfigError` for an option that the model does not have; it names the models that do.

    `said` is the option, if it is not called as the word is.
    """
    from torchsse import recsys
    from torchsse.errors import ConfigError

    mine = estimator_of(model)._defaults()
    for word in words:
        if word not in mine:
            able = [
                name.value
                for name, kind in MODELS.items()
                if word in getattr(getattr(recsys, kind.estimator, None), "_defaults", dict)()
            ]
            option = said or f"--{word.replace('_', '-')}"
            raise ConfigError(f"{option}: {model.value} has no such option; it is for {', '.join(able)}")
