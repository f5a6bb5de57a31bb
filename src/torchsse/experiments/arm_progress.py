"""How far the search of one arm has come, and what it chose."""

from __future__ import annotations

from dataclasses import dataclass, field

from torchsse.errors import ConfigError
from torchsse.experiments.arms import Arm
from torchsse.experiments.arms_stated import Record
from torchsse.experiments.search import Trial, best_trial
from torchsse.experiments.task import Task, loss

__all__ = ["ArmProgress"]


@dataclass
class ArmProgress:
    """How far one arm has come: whole batches, then what is open: trials of the current one, later seeds.

    Attributes:
        unstable: trials whose settings diverged in a final fit.
    """

    arm: Arm
    task: Task
    batches: int = 0
    open: set[int] = field(default_factory=set)
    records: dict[int, Record] = field(default_factory=dict)
    unstable: set[int] = field(default_factory=set)

    def take(self, record: Record) -> None:
        self.records[record["number"]] = record
        self.open.discard(record["number"])

    @property
    def trials(self) -> list[Trial]:
        """What was measured, as something to minimise."""
        return [
            Trial(number, record["searched"], loss(self.task, record["value"]))
            for number, record in self.records.items()
        ]

    @property
    def chosen(self) -> Record:
        """The record of the best trial, of those that did not diverge in a final fit."""
        stable = [trial for trial in self.trials if trial.number not in self.unstable]
        record = self.records[best_trial(stable).number] if stable else None
        if record is None or record["value"] is None:
            raise ConfigError(
                f"every trial of arm {self.arm.name!r} diverged: lower --learning-rate, with --restart or another --out"
            )
        return record
