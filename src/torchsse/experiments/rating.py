"""The task of explicit ratings: `MatrixFactorization`, judged by RMSE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from torchsse.errors import ConfigError
from torchsse.experiments.arms import Arm, standard_arms
from torchsse.experiments.outcome import TestPart

if TYPE_CHECKING:
    from torchsse.data import Ratings
    from torchsse.experiments.settings import CompareData, CompareSettings
    from torchsse.recsys import MatrixFactorization

__all__ = ["RatingTask"]


class RatingTask:
    """See `Task`."""

    name: ClassVar[str] = "compare-explicit"
    metric: ClassVar[str] = "rmse"
    further: ClassVar[tuple[str, ...]] = ()
    higher_is_better: ClassVar[bool] = False
    curve: ClassVar[tuple[str, ...]] = ("train_rmse", "validation_rmse")

    def check(self, train: Ratings, test: Ratings, settings: CompareSettings) -> None:
        from torchsse.experiments.settings import RankingSettings

        if isinstance(settings, RankingSettings):
            raise ConfigError("these settings are for implicit feedback, but train has explicit ratings")
        if test.ratings is None:
            raise ConfigError("train has explicit ratings, the test part has none: name its column")

    def arms(self, settings: CompareSettings, **known: bool) -> tuple[Arm, ...]:
        return standard_arms(biases=settings.biases, **known)

    def part(self, train: Ratings, test: Ratings) -> TestPart:
        return TestPart.of(train, test)

    def model(self, settings: CompareSettings, chosen: dict[str, Any]) -> MatrixFactorization:
        from torchsse.recsys import MatrixFactorization

        return MatrixFactorization(
            factors=settings.factors,
            learning_rate_decay=settings.decay,
            biases=settings.biases,
            num_threads=1,
            **{"learning_rate": settings.learning_rate, **chosen},
        )

    def predict(self, model: Any, data: CompareData, part: TestPart) -> npt.NDArray[np.float32]:
        """Predictions for the test pairs, (n_test,)."""
        predicted: npt.NDArray[np.float32] = model.predict(data.test.raw_users, data.test.raw_items)
        return predicted
