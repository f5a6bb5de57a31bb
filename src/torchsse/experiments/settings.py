"""What a comparison is given: its settings, and the data it runs on."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchsse.errors import ConfigError
from torchsse.experiments.files import jsonable

if TYPE_CHECKING:
    from torchsse.data import Ratings
    from torchsse.data.sequences import Sequences
    from torchsse.experiments.arms import Arm
    from torchsse.experiments.task import Task
    from torchsse.graph import Graph

__all__ = [
    "CompareData",
    "CompareSettings",
    "DataFile",
    "RankingSettings",
    "config_of",
    "declarations",
    "settings_for",
]


@dataclass(frozen=True)
class CompareSettings:
    """What holds for every arm; the defaults are for explicit ratings.

    Attributes:
        factors: the rank.
        biases: a global mean and biases, or neither (the paper's model).
        epochs: the most a fit may take; early stopping on validation chooses the number.
        patience: epochs without a better value on validation before a trial stops. Large, because the RMSE may rise
            for twenty epochs and then fall further as the learning rate decays.
        learning_rate: of per-example SGD, where an arm does not search it.
        learning_rate_decay: its factor from one epoch to the next; None = .97 with biases, .98 without.
        trials: of the search, per arm.
        seeds: how many final fits per arm, with the seeds seed, seed + 1, ...
        seed: of the splits, the search and the first final fit.
        validation_fraction: of each user's train ratings, held out for the search.
        validation_splits: how often, at random; a trial is judged by the mean, since one split tells arms apart by luck
            where they differ little.
        test_fraction: of each user's ratings, held out where no test file is given.

    Raises:
        ConfigError: for a setting outside its range.
    """

    factors: int = 100
    biases: bool = True
    epochs: int = 150
    patience: int = 30
    learning_rate: float = 0.02
    learning_rate_decay: float | None = None
    trials: int = 30
    seeds: int = 5
    seed: int = 0
    validation_fraction: float = 0.1
    validation_splits: int = 2
    test_fraction: float = 0.2

    def __post_init__(self) -> None:
        counts = ("factors", "epochs", "patience", "trials", "seeds", "validation_splits")
        for name, least in (*((name, 1) for name in counts), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("validation_fraction", "test_fraction"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name} must lie between 0 and 1, got {getattr(self, name)}")
        if not 0 < self.learning_rate < math.inf:
            raise ConfigError(f"learning_rate must be above 0, got {self.learning_rate}")
        if self.seed >= 1 << 32:
            raise ConfigError(f"seed must be below 2^32, got {self.seed}")
        if self.learning_rate_decay is None:
            object.__setattr__(self, "learning_rate_decay", 0.97 if self.biases else 0.98)
        elif not 0 < self.learning_rate_decay <= 1:
            raise ConfigError(f"learning_rate_decay must lie in (0, 1], got {self.learning_rate_decay}")

    @property
    def decay(self) -> float:
        """learning_rate_decay, which is a number once the settings are made."""
        return 1.0 if self.learning_rate_decay is None else self.learning_rate_decay

    @property
    def final_seeds(self) -> list[int]:
        return list(range(self.seed, self.seed + self.seeds))


@dataclass(frozen=True)
class RankingSettings(CompareSettings):
    """The same for implicit feedback, with defaults for BPR.

    Attributes:
        biases: of items.
        validation_fraction: a fifth: precision@10 of few held-out items is mostly noise.
        num_negatives: drawn for each positive.
        hard_negatives: train on the one of them with the highest score only.
        validate_every: rank the validation part after every so many epochs of BPR; with many items ranking costs more
            than an epoch.
    """

    biases: bool = False
    learning_rate: float = 0.05
    learning_rate_decay: float | None = 0.98
    validation_fraction: float = 0.2
    validation_splits: int = 1
    num_negatives: int = 3
    hard_negatives: bool = False
    validate_every: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.validate_every < 1:
            raise ConfigError(f"validate_every must be at least 1, got {self.validate_every}")
        least = 2 if self.hard_negatives else 1
        if self.num_negatives < least:
            hard = " with hard_negatives" if self.hard_negatives else ""
            raise ConfigError(f"num_negatives must be at least {least}{hard}, got {self.num_negatives}")


def settings_for(feedback: str, **given: Any) -> CompareSettings:
    """Settings for "explicit" or "implicit" feedback; None stands for the default of that kind.

    Raises:
        ConfigError: for a setting outside its range, or one that only the other kind has.

    >>> settings_for("implicit", biases=None, trials=4).biases, settings_for("explicit", biases=None).biases
    (False, True)
    """
    kind = RankingSettings if feedback == "implicit" else CompareSettings
    wanted = {name: value for name, value in given.items() if value is not None}
    foreign = [name for name in wanted if name not in {each.name for each in fields(kind)}]
    if foreign:
        options = ", ".join("--" + name.replace("_", "-") for name in foreign)
        raise ConfigError(f"{options}: for implicit feedback only, but these ratings are {feedback}")
    return kind(**wanted)


@dataclass(frozen=True)
class DataFile:
    """A file the results rest on. Only role and sha256 count when a run is resumed: a file may move, not change."""

    role: str
    path: str
    sha256: str

    @classmethod
    def of(cls, role: str, path: Path) -> DataFile:
        """A file by its bytes; a folder by the names and bytes of the files in it."""
        from torchsse.data.digest import digest

        if not path.is_dir():
            return cls(role, str(path), digest(path))
        whole = hashlib.sha256()
        for part in sorted(each for each in path.rglob("*") if each.is_file()):
            whole.update(f"{part.relative_to(path).as_posix()}\0{digest(part)}\n".encode())
        return cls(role, str(path), whole.hexdigest())


@dataclass(frozen=True)
class CompareData:
    """Ratings, graphs, and where they came from.

    Attributes:
        train: all that may be learned from; of ratings the validation part is split off it.
        test: measured once per final fit. Its id maps extend those of train (`read_ratings(..., like=train)`).
        files: for provenance and for telling a resumed run from another one.
        reading: how the files were read, where it changes the data: column names, the edge weight.
        notes: what a reader of the results should know: a test set split off, edges dropped.
        validation: of histories what came between train and test; of ratings None.
    """

    train: Ratings | Sequences
    test: Ratings | Sequences
    user_graph: Graph | None = None
    item_graph: Graph | None = None
    files: tuple[DataFile, ...] = ()
    reading: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    validation: Sequences | None = None


def config_of(task: Task, settings: CompareSettings, arms: tuple[Arm, ...], data: CompareData) -> dict[str, Any]:
    """Everything the results depend on, as JSON: it decides whether a journal may be resumed, and what of it."""
    import torchsse

    return {
        "task": task.name,
        "version": torchsse.__version__,
        "settings": asdict(settings),
        "split": task.split_words(settings, data),
        "arms": declarations(arms),
        "data": {file.role: file.sha256 for file in data.files},
        "reading": dict(data.reading),
    }


def declarations(arms: tuple[Arm, ...]) -> dict[str, dict[str, Any]]:
    """Everything that fits of an arm depend on beside settings and data, by name."""
    return {
        arm.name: {
            "space": {name: [r.low, r.high, "log" if r.log else "linear"] for name, r in arm.space.items()},
            "defaults": arm.defaults,
            "fixed": jsonable(arm.fixed),
            "graphs": arm.graphs,
            **({"model": arm.model.name} if arm.model else {}),
        }
        for arm in arms
    }
