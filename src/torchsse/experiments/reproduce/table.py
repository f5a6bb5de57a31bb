"""What a table of the paper is made of: blocks, each one comparison with a journal of its own."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torchsse.errors import ConfigError
from torchsse.experiments.arms import Arm
from torchsse.experiments.reproduce.dataset import DataSet
from torchsse.experiments.settings import CompareSettings
from torchsse.experiments.space import Range

__all__ = ["Block", "Fact", "Overrides", "Table", "scaled"]


@dataclass(frozen=True)
class Fact:
    """A number of the paper.

    Attributes:
        data: the data set as the paper calls it.
        model: the row of its table.
        metric: as in our records.
        value: the number.
        settings: what the table states of that row's settings.
    """

    data: str
    model: str
    metric: str
    value: float
    settings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """One comparison: a data set, settings, arms.

    Attributes:
        name: its directory; unique in the table.
        column: what its column is called, beside those of the other blocks on the same data.
        remark: what a reader should know about this block alone, such as a smaller budget.
    """

    name: str
    column: str
    data: DataSet
    settings: CompareSettings
    arms: tuple[Arm, ...]
    remark: str = ""

    @property
    def fits(self) -> int:
        """Units of work: trials, final fits, and the model that is saved."""
        return sum(arm.trials(self.settings.trials) + self.settings.seeds for arm in self.arms) + 1


@dataclass(frozen=True)
class Overrides:
    """What a call asks for in place of the declared budget; None = as declared.

    `arms` are the names of those to run; a table declares all of its arms whatever is asked for (`some_arms.py`).
    `seed` is the first of the seeds of final fits. `metric`, what decides on validation, and `precision` are those of
    Table 4: see `SequenceSettings`.
    """

    ranks: tuple[int, ...] | None = None
    trials: int | None = None
    seeds: int | None = None
    epochs: int | None = None
    size: str | None = None
    device: str | None = None
    arms: tuple[str, ...] | None = None
    patience: int | None = None
    metric: str | None = None
    precision: str | None = None
    seed: int | None = None

    def applied(self, settings: CompareSettings) -> CompareSettings:
        """The settings with the budget asked for, on the device asked for; "auto" is a GPU if there is one."""
        given: dict[str, Any] = {
            name: getattr(self, name) for name in ("trials", "seed", "seeds", "epochs", "patience")
        }
        given |= {name: getattr(self, name) for name in ("metric", "precision") if hasattr(settings, name)}
        if hasattr(settings, "device"):
            given["device"] = _found(self.device or "auto")
        return replace(settings, **{name: value for name, value in given.items() if value is not None})

    def words(self) -> dict[str, Any]:
        """Those that were given.

        >>> Overrides(ranks=(10, 50), trials=4).words()
        {'ranks': [10, 50], 'trials': 4}
        """
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
        name: as on the command line.
        title: as in the paper's list, in our words.
        blocks: in the order in which they are run and shown.
        paper: its numbers.
        models: our arm -> the row of the paper's table.
        labels: our arm -> what it is, for those that a reader could not know.
        differs: what holds for all blocks: model, metric, budget.
        arm_differs: our arm -> how it differs from the paper's row of that name.
    """

    name: str
    title: str
    blocks: tuple[Block, ...]
    paper: tuple[Fact, ...]
    models: dict[str, str]
    labels: dict[str, str]
    differs: tuple[str, ...]
    arm_differs: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [block.name for block in self.blocks]
        if len(set(names)) < len(names):
            raise ConfigError(f"{self.name}: block names must be unique, got {', '.join(names)}")

    def select(self, only: Sequence[str] | None) -> tuple[Block, ...]:
        """The blocks whose name matches one of the patterns (``ml1m-*``), in the table's order.

        Raises:
            ConfigError: a pattern that matches none.
        """
        if only is None:
            return self.blocks
        for pattern in only:
            if not any(fnmatch.fnmatchcase(block.name, pattern) for block in self.blocks):
                names = ", ".join(block.name for block in self.blocks)
                raise ConfigError(f"{self.name} has no block {pattern!r}: expected some of {names}")
        return tuple(b for b in self.blocks if any(fnmatch.fnmatchcase(b.name, pattern) for pattern in only))


def _found(device: str) -> str:
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


_PENALTIES = ("weight_decay", "regularization", "graph_weight")


def scaled(arms: tuple[Arm, ...], scale: float) -> tuple[Arm, ...]:
    """The same search for ratings whose scale is `scale` times as wide.

    With ratings s r and factors sqrt(s) a, sqrt(s) b, squared errors grow by s^2 and penalties by s: penalties must be
    s times as large and SGD's steps s times smaller for the same course.

    >>> from torchsse.experiments.arms import standard_arms
    >>> scaled(standard_arms(biases=False), 10.0)[0].defaults
    {'weight_decay': 0.9}
    """
    factors = {**dict.fromkeys(_PENALTIES, scale), "learning_rate": 1 / scale}
    return tuple(
        replace(
            arm,
            space={n: _times(r, factors[n]) if n in factors else r for n, r in arm.space.items()},
            defaults={n: float(f"{v * factors.get(n, 1.0):.6g}") for n, v in arm.defaults.items()},
        )
        for arm in arms
    )


def _times(searched: Range, factor: float) -> Range:
    return replace(searched, low=float(f"{searched.low * factor:.6g}"), high=float(f"{searched.high * factor:.6g}"))
