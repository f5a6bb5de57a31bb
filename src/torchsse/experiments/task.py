"""What a kind of feedback decides about a comparison: the estimator, the measure and its direction, the split.

Everything else (budgets, seeds, search, journal, statistics) is the same for all tasks and knows none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from torchsse.errors import ConfigError

if TYPE_CHECKING:
    from torchsse.data import Ratings
    from torchsse.experiments.arms import Arm
    from torchsse.experiments.kinds import ModelKind
    from torchsse.experiments.settings import CompareData, CompareSettings
    from torchsse.metrics import Difference

__all__ = ["Array", "Part", "Task", "loss", "task_of", "two_users"]

Array = npt.NDArray[Any]


class Part(Protocol):
    """The test part, and what is computed from the predictions of one final fit for it."""

    def __len__(self) -> int:
        """How many ratings or users the metrics are means over."""

    def values(self, predicted: Array) -> dict[str, float | None]:
        """Every metric of one fit; None where it is not defined."""

    def facts(self, finals: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """What a record says about the part beside its metric."""

    def difference(self, metric: str, arm: list[Array], baseline: list[Array], seed: int) -> Difference:
        """Paired bootstrap over users of values averaged over seeds, arm against baseline.

        Args:
            metric: one of those in `values`.
            arm: predictions, one array per seed.
            baseline: the same of the baseline.
            seed: of the resampling; the same for all arms, so that they are judged on the same resamples.
        """


class Task(Protocol):
    """One kind of feedback.

    Attributes:
        name: in the run's config.
        metric: decides on validation, and is what the verdict speaks of.
        further: metrics that are recorded too.
        higher_is_better: the direction of `metric`.
        kinds: the estimators it can compare arms of, by what the command line calls them; the first is the default.
    """

    name: ClassVar[str]
    metric: ClassVar[str]
    further: ClassVar[tuple[str, ...]]
    higher_is_better: ClassVar[bool]
    kinds: ClassVar[dict[str, ModelKind]]

    def check(self, train: Ratings, test: Ratings, settings: CompareSettings) -> None:
        """Raise `ConfigError` for data or settings of another task."""

    def arms(self, settings: CompareSettings, kind: str | None = None, **known: bool) -> tuple[Arm, ...]:
        """The arms over one of `kinds`, the baseline first.

        `known` says which graphs there are and whether the learning rate is searched.
        """

    def part(self, train: Ratings, test: Ratings) -> Part:
        """The test part."""

    def predict(self, model: Any, data: CompareData, part: Any) -> Array:
        """What a final fit leaves for its `part`; small enough for a file."""


def loss(task: Task, value: float | None) -> float:
    """A value of the task's metric as something to minimise; a fit that diverged (None) is infinitely bad."""
    if value is None:
        return float("inf")
    return -value if task.higher_is_better else value


def task_of(train: Ratings) -> Task:
    """The task that train is for: explicit ratings, or implicit feedback."""
    if train.feedback == "implicit":
        from torchsse.experiments.ranking import RankingTask

        return RankingTask()
    from torchsse.experiments.rating import RatingTask

    return RatingTask()


def two_users(test: Ratings) -> None:
    """Raise `ConfigError` where there is nothing to resample."""
    if len(np.unique(test.users)) < 2:
        raise ConfigError("the test part needs ratings of at least two users")
