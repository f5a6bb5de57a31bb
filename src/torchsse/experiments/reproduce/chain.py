"""What Tables 5 to 7 are made of: units of work that need each other's checkpoints, and test sets measured by units."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from torchsse.errors import ConfigError
from torchsse.experiments.reproduce.table import Fact

if TYPE_CHECKING:
    from torchsse.metrics import Difference
    from torchsse.nlp.steps import Progress

__all__ = ["Budget", "Chain", "ChainBlock", "Judge", "Place", "Unit", "UnitWatch", "Values", "stacked"]

Values = Mapping[str, npt.NDArray[Any]]
"""Values of each test example under a key, one row per example."""


class UnitWatch(Protocol):
    """Told how a unit proceeds; an observer of `torchsse.nlp` trainings too."""

    def say(self, message: str) -> None: ...

    def step(self, progress: Progress) -> None: ...

    def part(self, done: int, total: int) -> None:
        """So many of so many test examples."""


@dataclass(frozen=True)
class Place:
    """Where a unit works.

    Attributes:
        work: its own directory, not made yet; that of an earlier process that was killed in it, as it left it. What
            later units need stays there; it is removed when all of them are done, but for a training that all seeds
            share: further seeds go out from it.
        needs: unit -> its `work`, of those it needs.
        watch: told how it goes.
        keep: stores values of each test example, by key: whole or absent, with their sha256 in the record.
        elsewhere: table -> `work` of the unit of this name there, for a training that all seeds share: the other table
            may have done the same work.
    """

    work: Path
    needs: Mapping[str, Path]
    watch: UnitWatch
    keep: Callable[[str, npt.NDArray[Any]], None]
    elsewhere: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Unit:
    """One training or one measurement.

    Attributes:
        name: unique; of letters, digits, ``.``, ``-``, ``_``.
        arm: whose it is.
        seed: its seed; None: shared by the seeds.
        run: does the work and returns what is to be recorded of it; on a directory where it was killed it goes on.
            `seconds` in it replace the time that this process took.
        block: the test set that it measures; None: a training, which is run for those that need it.
        needs: names of units whose `work` it reads.
        seconds: very roughly, on the machine that the size is for.
    """

    name: str
    arm: str
    seed: int | None
    run: Callable[[Place], dict[str, Any]]
    block: str | None = None
    needs: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def shared(self) -> bool:
        """Whether it is a training that all seeds go out from."""
        return self.seed is None and self.block is None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ConfigError(f"expected a unit's name to be of letters, digits, '.', '-', '_', got {self.name!r}")


@dataclass(frozen=True)
class ChainBlock:
    """A test set.

    Attributes:
        name: for `--only`.
        title: as people write it.
        paper: what the paper's table calls it; None where the paper has none.
        differs: how it differs from the paper's.
        pooled: names of the blocks whose examples it puts together; nothing is measured for it.
    """

    name: str
    title: str
    paper: str | None = None
    differs: str = ""
    pooled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judge:
    """From values of the examples to metrics.

    Attributes:
        metrics: the first decides.
        score: metric, values of one run -> the metric.
        differ: metric, values of each run (seed) of an arm and of the other -> mean over runs of the one minus that of
            the other, with its bootstrap interval and p over examples.
    """

    metrics: tuple[str, ...]
    score: Callable[[str, Values], float]
    differ: Callable[[str, Sequence[Values], Sequence[Values]], Difference]


@dataclass(frozen=True)
class Budget:
    """What a call asks for in place of the declared budget; None = as declared."""

    seeds: int | None = None
    epochs: int | None = None

    def words(self) -> dict[str, int]:
        """Those that were given."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Chain:
    """A table of the paper as units.

    Attributes:
        name, size: as on the command line.
        title: as in the paper's list, in our words.
        machine: what the size is for, and what `Unit.seconds` are of.
        units: in the order of running; those they need come before them.
        blocks: in the order of the page.
        arms: arm -> what it is, in the order of the page.
        comparisons: (arm, the arm it is compared with); the first of an arm is the one of its record.
        judge: how values become metrics.
        files: role -> path under the data directory; each may also lie there without ``.gz``.
        config: everything that results depend on beside version, files and seed.
        paper: the paper's numbers; `data` is a block's `paper`, `model` one of `models`.
        models: our arm -> the row of the paper's table.
        measured: how metrics are measured, for the page.
        differs: what differs from the paper in all blocks.
        packages: libraries whose versions provenance adds.
        constant: facts that all units which record them must agree in; a checkpoint of the hub may change between
            sessions, which no configuration tells.
    """

    name: str
    size: str
    title: str
    machine: str
    units: tuple[Unit, ...]
    blocks: tuple[ChainBlock, ...]
    arms: dict[str, str]
    comparisons: tuple[tuple[str, str], ...]
    judge: Judge
    files: dict[str, str]
    config: dict[str, Any]
    device: str = "cpu"
    paper: tuple[Fact, ...] = ()
    models: dict[str, str] = field(default_factory=dict)
    measured: str = ""
    differs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ("transformers", "tokenizers")
    constant: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        before: set[str] = set()
        for unit in self.units:
            if unit.name in before or not before.issuperset(unit.needs):
                raise ConfigError(f"{self.name}: expected unit names to be unique and needed units first: {unit.name}")
            before.add(unit.name)

    def select(self, only: Sequence[str] | None) -> tuple[Unit, ...]:
        """Units that measure the blocks whose names match one of the patterns, and those they need, in order.

        Raises:
            ConfigError: a pattern that matches no block with units.
        """
        measured = list(dict.fromkeys(unit.block for unit in self.units if unit.block is not None))
        for pattern in only or ():
            if not any(fnmatch.fnmatchcase(name, pattern) for name in measured):
                raise ConfigError(f"{self.name} has no block {pattern!r}: expected some of {', '.join(measured)}")
        wanted: set[str] = set()
        for unit in reversed(self.units):
            block = unit.block
            asked = block is not None and (only is None or any(fnmatch.fnmatchcase(block, p) for p in only))
            if asked or unit.name in wanted:
                wanted |= {unit.name, *unit.needs}
        return tuple(unit for unit in self.units if unit.name in wanted)


def stacked(parts: Sequence[Values]) -> Values:
    """Values of several test sets as those of one."""
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
