"""The task of explicit ratings: matrix factorisation, judged by RMSE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from torchsse.errors import ConfigError
from torchsse.experiments.arms import Arm, standard_arms
from torchsse.experiments.kinds import MARGINALIZED, MF, ModelKind
from torchsse.experiments.marginalized_arms import marginalized_arms
from torchsse.experiments.outcome import TestPart
from torchsse.experiments.task import Splits, random_splits, random_words, two_users

if TYPE_CHECKING:
    from torchsse.data import Ratings
    from torchsse.experiments.settings import CompareData, CompareSettings

__all__ = ["RatingTask"]


class RatingTask:
    """See `Task`."""

    name: ClassVar[str] = "compare-explicit"
    metric: str = "rmse"
    further: tuple[str, ...] = ()
    higher_is_better: ClassVar[bool] = False
    refits: ClassVar[bool] = True
    kinds: ClassVar[dict[str, ModelKind]] = {"mf": MF, "marginalized": MARGINALIZED}

    def check(self, train: Ratings, test: Ratings, settings: CompareSettings) -> None:
        from torchsse.experiments.sequence_settings import SequenceSettings
        from torchsse.experiments.settings import RankingSettings

        if isinstance(settings, SequenceSettings):
            raise ConfigError("these settings are for histories, but train has ratings")
        if isinstance(settings, RankingSettings):
            raise ConfigError("these settings are for implicit feedback, but train has explicit ratings")
        if test.ratings is None:
            raise ConfigError("train has explicit ratings, the test part has none: name its column")

    def prepare(self, settings: CompareSettings, jobs: int) -> int:
        return jobs

    def splits(self, data: CompareData, settings: CompareSettings) -> Splits:
        return random_splits(data, settings)

    def split_words(self, settings: CompareSettings, data: CompareData) -> str:
        return random_words(settings)

    def arms(self, settings: CompareSettings, kind: str | None = None, **known: bool) -> tuple[Arm, ...]:
        if kind == "marginalized":
            return marginalized_arms(**known)
        return standard_arms(biases=settings.biases, **known)

    def check_test(self, data: CompareData) -> list[str]:
        two_users(data.test)
        return []

    def part(self, data: CompareData) -> TestPart:
        return TestPart.of(data.train, data.test)  # type: ignore[arg-type]

    def predict(self, model: Any, data: CompareData, part: TestPart) -> npt.NDArray[np.float32]:
        """Predictions for the test pairs, (n_test,)."""
        test: Any = data.test
        predicted: npt.NDArray[np.float32] = model.predict(test.raw_users, test.raw_items)
        return predicted
