"""The order of work of a comparison, and what of it is done already.

Each arm is searched in batches (`search.py`). When its last batch is in, the best trial gives the settings and the
number of epochs of the final fits, one per seed. When all are done, the arm that was best on validation is fitted once
more with the first seed and saved, as a model to use. A unit is in the journal before anything is built on it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial

from torchsse.data.digest import digest
from torchsse.errors import ConfigError
from torchsse.experiments.arms import Arm
from torchsse.experiments.arms_stated import Record
from torchsse.experiments.files import write_array
from torchsse.experiments.fitting import Fitter, Report
from torchsse.experiments.journal import Journal
from torchsse.experiments.kept import MANIFEST, MODEL, intact, saved_model
from torchsse.experiments.pool import Observer, Unit
from torchsse.experiments.search import BATCH, Trial, best_trial, propose
from torchsse.experiments.settings import CompareSettings
from torchsse.experiments.task import Task, loss

__all__ = ["Plan"]


@dataclass
class _Progress:
    """How far the search of one arm has come: whole batches, then what is open of the current one."""

    arm: Arm
    task: Task
    batches: int = 0
    open: set[int] = field(default_factory=set)
    records: dict[int, Record] = field(default_factory=dict)

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
        """The record of the best trial."""
        record = self.records[best_trial(self.trials).number]
        if record["value"] is None:
            raise ConfigError(
                f"every trial of arm {self.arm.name!r} diverged: lower --learning-rate, with --restart or another --out"
            )
        return record


class Plan:
    """Units of work and what follows from them.

    Attributes:
        total, finished: units in all, and those that the journal held at the start.
    """

    def __init__(
        self,
        arms: tuple[Arm, ...],
        settings: CompareSettings,
        fitter: Fitter,
        journal: Journal,
        observer: Observer,
    ) -> None:
        self._settings, self._fitter = settings, fitter
        self._journal, self._observer = journal, observer
        self._out = journal.path.parent
        self._searches = {arm.name: _Progress(arm, fitter.task) for arm in arms}
        held = journal.counting
        self._trials = {(r["arm"], r["number"]): r for r in held if r["kind"] == "trial"}
        self._finals = {(r["arm"], r["seed"]): r for r in held if r["kind"] == "final" and intact(self._out, r)}
        self._saved = saved_model(self._out, journal.records, held)
        self._queues = [self._advance(search) for search in self._searches.values()]
        self._model = self._saved if self._saved and self._decided(self._saved) else None
        self.total = sum(arm.trials(settings.trials) + settings.seeds for arm in arms) + 1
        self.finished = len(self._trials) + len(self._finals) + (self._model is not None)

    def ready(self) -> list[Unit]:
        """What can run at once: one unit of each arm in turn, so that the arms proceed together."""
        queues = self._queues
        if not any(queues):
            return self._last()
        return [queue[place] for place in range(max(map(len, queues))) for queue in queues if place < len(queue)]

    def done(self, unit: Unit, record: Record) -> list[Unit]:
        """Note a finished unit; returns what became ready."""
        self._journal.append(record)
        self._observer.finished(unit.label, record)
        if record["kind"] == "final":
            self._finals[record["arm"], record["seed"]] = record
            return self._last()
        if record["kind"] == "model":
            self._model = record
            return []
        search = self._searches[record["arm"]]
        search.take(record)
        return [] if search.open else self._advance(search)

    def outcome(self, arm: str) -> tuple[Record, list[Record], list[Record]]:
        """When nothing is left: the chosen trial of an arm, all its trials by number, its final fits by seed."""
        search = self._searches[arm]
        trials = [search.records[number] for number in sorted(search.records)]
        return search.chosen, trials, [self._finals[arm, seed] for seed in self._settings.final_seeds]

    @property
    def model(self) -> Record | None:
        """When nothing is left: which arm and seed the saved model has."""
        return self._model

    def _last(self) -> list[Unit]:
        """The model to save, once every final fit is measured."""
        if self._model is not None or len(self._finals) < len(self._searches) * self._settings.seeds:
            return []
        best = self._best()
        return [Unit(f"{best.arm.name}, model", partial(self._save, best.arm, best.chosen))]

    def _best(self) -> _Progress:
        """The arm that was best on validation, of searches that are over; of equals the first."""
        return min(self._searches.values(), key=lambda search: loss(search.task, search.chosen["value"]))

    def _decided(self, saved: Record) -> bool:
        """Whether all searches are over, with the arm of a saved model the best."""
        over = all(len(s.records) == s.arm.trials(self._settings.trials) for s in self._searches.values())
        return over and self._best().arm.name == saved["arm"]

    def _advance(self, search: _Progress) -> list[Unit]:
        """The next units of an arm of which nothing is open: the rest of a batch, or the missing final fits."""
        arm = search.arm
        budget = arm.trials(self._settings.trials)
        while len(search.records) < budget:
            proposals = propose(arm, search.batches, search.trials, budget, self._settings.seed)
            batch = dict(enumerate(proposals, search.batches * BATCH))
            search.batches += 1
            search.open = set(batch)
            for number in batch:
                if (arm.name, number) in self._trials:
                    search.take(self._trials[arm.name, number])
            if search.open:
                return [
                    Unit(f"{arm.name}, trial {number + 1}", partial(self._trial, arm, number, batch[number]))
                    for number in sorted(search.open)
                ]
        chosen = search.chosen
        return [
            Unit(f"{arm.name}, seed {seed}", partial(self._final, arm, chosen, seed))
            for seed in self._settings.final_seeds
            if (arm.name, seed) not in self._finals
        ]

    def _trial(self, arm: Arm, number: int, searched: dict[str, float], report: Report) -> Record:
        return {"kind": "trial", "arm": arm.name, "number": number, **self._fitter.trial(arm, searched, report)}

    def _final(self, arm: Arm, chosen: Record, seed: int, report: Report) -> Record:
        started = time.perf_counter()
        model = self._fitter.final(arm, chosen["searched"], chosen["epoch"], seed, report)
        predicted = self._fitter.predict(model)
        path = self._out / "predictions" / f"{arm.name}-{seed}.npy"
        write_array(path, predicted)
        return {
            "kind": "final",
            "arm": arm.name,
            "seed": seed,
            "epochs": chosen["epoch"],
            **self._fitter.part.values(predicted),
            "predictions": path.relative_to(self._out).as_posix(),
            "sha256": digest(path),
            "seconds": round(time.perf_counter() - started, 3),
        }

    def _save(self, arm: Arm, chosen: Record, report: Report) -> Record:
        """The same fit as the first final one of this arm, so what was measured is what is saved."""
        if self._saved is not None and self._saved["arm"] == arm.name:
            return self._saved  # arms were added or changed, and this one is the best still
        seed = self._settings.final_seeds[0]
        self._fitter.final(arm, chosen["searched"], chosen["epoch"], seed, report).save(self._out / MODEL)
        sha256 = digest(self._out / MODEL / MANIFEST)
        return {"kind": "model", "arm": arm.name, "seed": seed, "directory": MODEL, "sha256": sha256}
