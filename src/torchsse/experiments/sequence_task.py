"""The task of histories: models that say what comes next, judged among all items and by the paper's protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from torchsse.errors import ConfigError
from torchsse.experiments.arms import Arm
from torchsse.experiments.kinds import SASREC, SSEPT_KIND, ModelKind
from torchsse.experiments.sequence_arms import sequence_arms
from torchsse.experiments.sequence_settings import METRICS, SequenceSettings
from torchsse.experiments.task import Splits
from torchsse.metrics import Difference, paired_bootstrap

if TYPE_CHECKING:
    from torchsse.data import Sequences
    from torchsse.experiments.settings import CompareData, CompareSettings
    from torchsse.recsys.sequence import Candidates
    from torchsse.recsys.sequence.histories import History

__all__ = ["CANDIDATES", "SPLIT", "K", "SequencePart", "SequenceTask"]

K = 10
"""Length of the lists."""

NEGATIVES = 100
"""Random items beside the target in the paper's protocol."""

SEED = 0
"""Of their draw: always the same, so that all runs on one data set meet the same items."""

SPLIT = "split"
"""The word for it among how data were read."""

CANDIDATES = "candidates"
"""The directory, within that of the results, of the random items."""

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SequencePart:
    """What every user did in the end, and the random items that the first of it is ranked among beside all items.

    Attributes:
        users: codes of those who have a test action, (n,), ascending.
        candidates: of the paper's protocol.
        actions: how many there are.
        repeats: how many of them have all their test items in their history.

    A user without a test item that is new has no value among all items, as items of the history are not ranked; one
    who has every item has none among random ones.
    """

    users: npt.NDArray[np.int64]
    candidates: Candidates
    actions: int
    repeats: int = 0

    @classmethod
    def of(cls, train: Sequences, validation: Sequences, test: Sequences) -> SequencePart:
        from torchsse.recsys.sequence.candidates import draw_candidates
        from torchsse.recsys.sequence.histories import merge

        users = np.flatnonzero(test.lengths)
        history, _ = merge((train.offsets, train.items), validation, train.user_ids, train.item_ids)
        (indptr, items), _ = merge(history, test, train.user_ids, train.item_ids)
        targets = test.items[test.offsets[users]].astype(np.int64)
        drawn = draw_candidates(indptr, items, users, targets, test.user_ids, test.item_ids, NEGATIVES, SEED)
        return cls(users, drawn, len(test), _repeats(history, test))

    def __len__(self) -> int:
        return len(self.users)

    def store(self, out: Path) -> None:
        """Keep the random items, so that other models can be measured with them; whatever lies there is replaced."""
        self.candidates.save(out / CANDIDATES)

    def values(self, predicted: Values) -> dict[str, float | None]:
        """Means over the users that have a value."""
        return {name: _mean(predicted[:, place]) for place, name in enumerate(METRICS)}

    def facts(self, finals: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Who is measured how, and where each final fit stopped."""
        return {
            "n_users": len(self),
            "n_actions": self.actions,
            "n_repeats": self.repeats,
            "n_negatives": int(self.candidates.negatives.shape[1]),
            "best_epochs": [final["epochs"] for final in finals],
            "epochs_run": [final["epochs_run"] for final in finals],
            "stopped": [final["stopped"] for final in finals],
        }

    def difference(self, metric: str, arm: list[Values], baseline: list[Values], seed: int) -> Difference:
        """Paired bootstrap over users of their values, averaged over seeds; see `Part`."""
        place = METRICS.index(metric)
        mine, theirs = (
            np.mean([np.asarray(v[:, place], np.float64) for v in each], axis=0) for each in (arm, baseline)
        )
        kept = ~(np.isnan(mine) | np.isnan(theirs))  # the same users for every model
        return paired_bootstrap(mine[kept], theirs[kept], statistic="mean", seed=seed)


def _repeats(history: History, test: Sequences) -> int:
    """How many of the users with test items have all of them in their history."""
    from torchsse.recsys.ranking import stored_pairs

    new = ~stored_pairs(history, test.users, test.items.astype(np.int64), len(test.item_ids))
    return int(np.count_nonzero(test.lengths)) - len(np.unique(test.users[new]))


def _mean(column: npt.NDArray[np.float32]) -> float | None:
    known = column[~np.isnan(column)].astype(np.float64)
    return float(known.mean()) if len(known) else None


class SequenceTask:
    """See `Task`. Fits learn from train; validation, which came next, says when to stop and is history on test.

    Args:
        metric: one of `METRICS`: it decides. None: the first.
    """

    name: ClassVar[str] = "compare-sequences"
    higher_is_better: ClassVar[bool] = True
    refits: ClassVar[bool] = False
    kinds: ClassVar[dict[str, ModelKind]] = {"sasrec": SASREC, "ssept": SSEPT_KIND}

    def __init__(self, metric: str | None = None) -> None:
        self.metric: str = metric or METRICS[0]
        self.further: tuple[str, ...] = tuple(name for name in METRICS if name != self.metric)

    def check(self, train: Any, test: Any, settings: CompareSettings) -> None:
        if not isinstance(settings, SequenceSettings):
            raise ConfigError("these settings are for ratings, but train has histories: SequenceSettings are needed")

    def prepare(self, settings: CompareSettings, jobs: int) -> int:
        """One at a time but on the CPU, where fits share no generator; every thread computes on as many as a fit has.

        The second matters to the bit: a matrix product depends on the number of threads.

        Raises:
            ConfigError: a device that is not there.
        """
        import torch

        assert isinstance(settings, SequenceSettings)
        try:
            torch.empty(0, device=settings.device)
        except (RuntimeError, AssertionError) as error:  # the latter of a build without CUDA
            raise ConfigError(f"device: torch cannot use {settings.device!r} ({str(error).splitlines()[0]})") from None
        torch.set_num_threads(settings.num_threads)
        return jobs if settings.device == "cpu" else 1

    def splits(self, data: CompareData, settings: CompareSettings) -> Splits:
        return ((data.train, _validation(data)),)

    def split_words(self, settings: CompareSettings, data: CompareData) -> str:
        if dict(data.reading).get(SPLIT) == "time":
            return "test: the latest tenth of all actions; validation: the tenth before"
        return "test: what each user did last; validation: what came before it"

    def arms(self, settings: CompareSettings, kind: str | None = None, **known: bool) -> tuple[Arm, ...]:
        return sequence_arms(
            item_graph=known.get("item_graph", False),
            tune_learning_rate=known.get("tune_learning_rate", False),
            sparse=known.get("sparse", False),
            model=self.kinds[kind or "sasrec"],
        )

    def check_test(self, data: CompareData) -> list[str]:
        """Two users at least must have a value among all items, which the verdict is about."""
        part = self.part(data)
        fresh = len(part) - part.repeats
        if fresh < 2:
            raise ConfigError(
                f"the test part needs at least two users with an item that is new to them, got {fresh} of {len(part)}: "
                "items of the history are not ranked"
            )
        if not part.repeats:
            return []
        return [
            f"{part.repeats:,} of {len(part):,} users are left out among all items: what they did in the end is in "
            "their history, whose items are not ranked."
        ]

    def part(self, data: CompareData) -> SequencePart:
        train: Any = data.train
        test: Any = data.test
        return SequencePart.of(train, _validation(data), test)

    def predict(self, model: Any, data: CompareData, part: SequencePart) -> Values:
        """`METRICS` for each user of the part, (n, 4), NaN where there is no value."""
        history = _validation(data)
        found = np.full((len(part), len(METRICS)), np.nan, dtype=np.float32)
        for result, prefix in (
            (model.evaluate(data.test, ks=(K,), history=history), ""),
            (model.evaluate_sampled(part.candidates, ks=(K,), history=history), "sampled_"),
        ):
            rows = np.searchsorted(part.users, data.train.user_ids.encode(result["users"]))
            for name in ("ndcg@10", "hr@10"):
                found[rows, METRICS.index(prefix + name)] = result["per_user"][name]
        return found


def _validation(data: CompareData) -> Sequences:
    if data.validation is None:
        raise ConfigError("a comparison over histories needs what came between train and test: validation")
    return data.validation
