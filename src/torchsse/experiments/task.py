"""What a kind of feedback decides about a comparison: the estimator, the measure and its direction, the split.

Everything else (budgets, seeds, search, journal, statistics) is the same for all tasks and knows none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from torchsse.errors import ConfigError

if TYPE_CHECKING:
    from torchsse.data import Ratings, Sequences
    from torchsse.experiments.arms import Arm
    from torchsse.experiments.kinds import ModelKind
    from torchsse.experiments.settings import CompareData, CompareSettings
    from torchsse.metrics import Difference

__all__ = [
    "Array", "Part", "Splits", "Task", "loss", "random_splits", "random_words", "task_for", "task_of", "two_users",
]  # fmt: skip

Array = npt.NDArray[Any]
Splits = tuple[tuple[Any, Any], ...]
"""What a fit of the search learns from, and what judges it; as often as train is split."""


class Part(Protocol):
    """The test part, and what is computed from the predictions of one final fit for it."""

    def __len__(self) -> int:
        """How many ratings or users the metrics are means over."""

    def values(self, predicted: Array) -> dict[str, float | None]:
        """Every metric of one fit; None where it is not defined."""

    def facts(self, finals: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """What a record says about the part beside its metric."""

    def store(self, out: Path) -> None:
        """Write beside the results what else was measured with, where there is something."""

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
        refits: a final fit learns from train and validation for the number of epochs that validation chose. Else it is
            the fit of a trial with a seed of its own: it learns from train, and validation says when to stop.
    """

    name: ClassVar[str]
    metric: str
    further: tuple[str, ...]
    higher_is_better: ClassVar[bool]
    kinds: ClassVar[dict[str, ModelKind]]
    refits: ClassVar[bool]

    def check(self, train: Any, test: Any, settings: CompareSettings) -> None:
        """Raise `ConfigError` for data or settings of another task."""

    def prepare(self, settings: CompareSettings, jobs: int) -> int:
        """How many of `jobs` fits may run side by side."""

    def splits(self, data: CompareData, settings: CompareSettings) -> Splits:
        """The parts for the search."""

    def split_words(self, settings: CompareSettings, data: CompareData) -> str:
        """What they are, as part of what tells one run from another."""

    def arms(self, settings: CompareSettings, kind: str | None = None, **known: bool) -> tuple[Arm, ...]:
        """The arms over one of `kinds`, the baseline first.

        `known` says which graphs there are and whether the learning rate is searched.
        """

    def check_test(self, data: CompareData) -> list[str]:
        """Raise `ConfigError` where there is nothing to resample; returns what a reader should know of the part."""

    def part(self, data: CompareData) -> Part:
        """The test part."""

    def predict(self, model: Any, data: CompareData, part: Any) -> Array:
        """What a final fit leaves for its `part`; small enough for a file."""


def loss(task: Task, value: float | None) -> float:
    """A value of the task's metric as something to minimise; a fit that diverged (None) is infinitely bad."""
    if value is None:
        return float("inf")
    return -value if task.higher_is_better else value


def task_of(train: Ratings | Sequences, settings: CompareSettings) -> Task:
    """The task that train is for: explicit ratings, implicit feedback, or histories."""
    return task_for(str(getattr(train, "feedback", "sequences")), settings)


def task_for(feedback: str, settings: CompareSettings) -> Task:
    """The same, for "explicit", "implicit" or "sequences"; of the last the settings name the metric."""
    if feedback == "sequences":
        from torchsse.experiments.sequence_task import SequenceTask

        return SequenceTask(getattr(settings, "metric", None))
    if feedback == "implicit":
        from torchsse.experiments.ranking import RankingTask

        return RankingTask()
    from torchsse.experiments.rating import RatingTask

    return RatingTask()


def random_splits(data: CompareData, settings: CompareSettings) -> Splits:
    """Train without a part of each user's ratings, and that part.

    Raises:
        ConfigError: that part is empty.
    """
    from torchsse.data import Ratings, split

    train = data.train
    assert isinstance(train, Ratings)
    found = tuple(
        split.per_user(train, settings.validation_fraction, seed=settings.seed + number)
        for number in range(settings.validation_splits)
    )
    if not all(len(validation) for _, validation in found):
        raise ConfigError(
            f"{settings.validation_fraction:g} of each user's train ratings is nothing: there are {len(train)} "
            f"ratings of {train.num_users} users; more ratings are needed"
        )
    return found


def random_words(settings: CompareSettings) -> str:
    """Their description."""
    return (
        f"validation: {settings.validation_fraction:g} of each user's train ratings, at random, "
        f"{settings.validation_splits} times"
    )


def two_users(test: Ratings | Sequences) -> None:
    """Raise `ConfigError` where there is nothing to resample."""
    if len(np.unique(test.users)) < 2:
        raise ConfigError("the test part needs ratings of at least two users")
