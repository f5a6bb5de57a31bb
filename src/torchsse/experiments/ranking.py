"""The task of implicit feedback: models that rank, judged by the ten items they rank first for each user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from torchsse.errors import ConfigError
from torchsse.experiments.als_arms import als_arms
from torchsse.experiments.arms import Arm
from torchsse.experiments.kinds import ALS, BPR_KIND, SQLRANK, ModelKind
from torchsse.experiments.ranking_arms import ranking_arms, sqlrank_arms
from torchsse.experiments.task import Splits, random_splits, random_words, two_users
from torchsse.metrics import Difference, paired_bootstrap

if TYPE_CHECKING:
    from torchsse.data import Ratings
    from torchsse.experiments.settings import CompareData, CompareSettings

__all__ = ["K", "RankingPart", "RankingTask"]

K = 10
"""Length of the lists."""

Codes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class RankingPart:
    """The test positives of every user who has some; the rules are those of `torchsse.recsys.ranking.RankingTest`.

    A test pair that is in train too is dropped, as items seen in train are not ranked. An unknown user has an empty
    list, and an unknown item stays among its user's positives: such cold pairs are counted, ``warm`` is without them.

    Attributes:
        users: codes, (n,), ascending.
        relevant: scipy CSR (n, items): the test positives of each.
        warm: the same without cold pairs.

    >>> from torchsse.data import Ratings
    >>> train = Ratings.from_arrays([1, 1, 2], [7, 8, 7])
    >>> test = Ratings.from_arrays([1, 2, 2, 3], [9, 8, 7, 7], like=train)
    >>> part = RankingPart.of(train, test)
    >>> len(part), part.n_cold, part.relevant.toarray().tolist()
    (3, 2, [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    """

    users: npt.NDArray[np.integer]
    relevant: Any
    warm: Any

    @classmethod
    def of(cls, train: Ratings, test: Ratings) -> RankingPart:
        width = max(train.num_items, test.num_items)
        mine, theirs = (part.users.astype(np.int64) * width + part.items for part in (test, train))
        fresh = test.select(~np.isin(mine, theirs))
        users = np.flatnonzero(fresh.user_counts())
        if len(users) < 2:
            raise ConfigError("the test part needs positives of at least two users, beside those in train")
        whole, warm = (part.to_csr()[users] for part in (fresh, fresh.select(train.warm(fresh))))
        for matrix in (whole, warm):
            matrix.data[:] = 1  # a rating of 0 is a positive
        return cls(users, whole, warm)

    def __len__(self) -> int:
        return len(self.users)

    @property
    def n_cold(self) -> int:
        """Pairs with a user or item that has no training example."""
        return int(self.relevant.nnz - self.warm.nnz)

    def per_user(self, top: Codes, metrics: Sequence[str], warm: bool = False) -> dict[str, npt.NDArray[np.float64]]:
        """Values of metrics such as precision@10 for each user, (n,), from the lists, (n, K), -1 = padding.

        With `warm`, a user without warm pairs has NaN.
        """
        from torchsse.metrics import ranking_metrics

        cuts = sorted({int(metric.partition("@")[2]) for metric in metrics})
        found = ranking_metrics(np.asarray(top), self.warm if warm else self.relevant, ks=cuts)
        return {metric: found[metric] for metric in metrics}

    def values(self, predicted: Codes) -> dict[str, float | None]:
        """Means over users of one fit, and that of the task's metric over the warm pairs."""
        first = RankingTask.metric
        found = {name: float(each.mean()) for name, each in self.per_user(predicted, RankingTask.measured).items()}
        warm = self.per_user(predicted, (first,), warm=True)[first]
        return {**found, f"warm_{first}": None if np.isnan(warm).all() else float(np.nanmean(warm))}

    def facts(self, finals: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """How many positives there are, how many of them are cold, and the mean of the metric on the others."""
        name = f"warm_{RankingTask.metric}"
        warm = [final[name] for final in finals if final[name] is not None]
        return {
            "n_positives": int(self.relevant.nnz),
            "n_cold": self.n_cold,
            name: float(np.mean(warm)) if warm else None,
        }

    def store(self, out: Path) -> None:
        """The lists say it all."""

    def difference(self, metric: str, arm: list[Codes], baseline: list[Codes], seed: int) -> Difference:
        """Paired bootstrap over users of their values, averaged over seeds; see `Part`."""
        mine, theirs = (
            np.mean([self.per_user(top, (metric,))[metric] for top in each], axis=0) for each in (arm, baseline)
        )
        return paired_bootstrap(mine, theirs, statistic="mean", seed=seed)


class RankingTask:
    """See `Task`."""

    name: ClassVar[str] = "compare-implicit"
    metric: str = "precision@10"
    further: tuple[str, ...] = ("precision@1", "precision@5", "ndcg@10")
    measured: ClassVar[tuple[str, ...]] = (metric, *further)
    higher_is_better: ClassVar[bool] = True
    refits: ClassVar[bool] = True
    kinds: ClassVar[dict[str, ModelKind]] = {"bpr": BPR_KIND, "als": ALS, "sqlrank": SQLRANK}

    def check(self, train: Ratings, test: Ratings, settings: CompareSettings) -> None:
        from torchsse.experiments.sequence_settings import SequenceSettings
        from torchsse.experiments.settings import RankingSettings

        if isinstance(settings, SequenceSettings):
            raise ConfigError("these settings are for histories, but train has ratings")
        if not isinstance(settings, RankingSettings):
            raise ConfigError(
                "these settings are for explicit ratings, but train is implicit: no rating column, or equal ratings"
            )

    def prepare(self, settings: CompareSettings, jobs: int) -> int:
        return jobs

    def splits(self, data: CompareData, settings: CompareSettings) -> Splits:
        return random_splits(data, settings)

    def split_words(self, settings: CompareSettings, data: CompareData) -> str:
        return random_words(settings)

    def arms(self, settings: CompareSettings, kind: str | None = None, **known: bool) -> tuple[Arm, ...]:
        if kind == "als":
            return als_arms(**known)
        if kind == "sqlrank":
            return sqlrank_arms(**known)
        return ranking_arms(**known)

    def check_test(self, data: CompareData) -> list[str]:
        two_users(data.test)
        return []

    def part(self, data: CompareData) -> RankingPart:
        return RankingPart.of(data.train, data.test)  # type: ignore[arg-type]

    def predict(self, model: Any, data: CompareData, part: RankingPart) -> Codes:
        """The K best items of each user of the part, as codes of train, best first, -1 = padding; (n, K)."""
        train = data.train
        top = np.full((len(part), K), -1, dtype=np.int32)
        known = part.users < train.num_users
        items, _ = model.recommend(train.user_ids.decode(part.users[known]), K, exclude_seen=True)
        found = np.array([[item is not None for item in row] for row in items], dtype=bool)
        codes = np.full(items.shape, -1, dtype=np.int32)
        codes[found] = train.item_ids.encode(items[found].tolist())
        top[known] = codes
        return top
