"""The order of work of a comparison, and what of it is done already.

Each arm is searched in batches (`search.py`). When its last batch is in, the best trial gives the settings and the
number of epochs of the final fits, one per seed. When all are done, the arm that was best on validation is fitted once
more with the first seed and saved, as a model to use. A unit is in the journal before anything is built on it.

A trial whose settings diverge in a final fit, with any seed, is passed over for the next best: settings that may fail
are none to recommend, and leaving out the seed would flatter them.
"""

from __future__ import annotations

import time
from functools import partial

from torchsse.data.digest import digest
from torchsse.experiments.arm_progress import ArmProgress
from torchsse.experiments.arms import Arm
from torchsse.experiments.arms_stated import Record
from torchsse.experiments.files import write_array
from torchsse.experiments.fitting import Fitter, Report
from torchsse.experiments.journal import Journal
from torchsse.experiments.kept import MANIFEST, MODEL, intact, saved_model
from torchsse.experiments.pool import Observer, Unit
from torchsse.experiments.search import BATCH, best_trial, propose
from torchsse.experiments.settings import CompareSettings
from torchsse.experiments.task import loss

__all__ = ["Plan"]

DIVERGED = "diverged"
"""The kind of the record of a final fit that came to nothing."""


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
        self._searches = {arm.name: ArmProgress(arm, fitter.task) for arm in arms}
        held = journal.counting
        self._trials = {(r["arm"], r["number"]): r for r in held if r["kind"] == "trial"}
        finals = [r for r in held if r["kind"] == "final" and intact(self._out, r)]
        self._finals = {(r["arm"], r.get("number"), r["seed"]): r for r in finals}
        for record in held:
            if record["kind"] == DIVERGED and record["seed"] in settings.final_seeds:
                self._searches[record["arm"]].unstable.add(record["number"])
        self._saved = saved_model(self._out, journal.records, held)
        self._queues = [self._advance(search) for search in self._searches.values()]
        self._model = self._saved if self._saved and self._still_best(self._saved) else None
        self.total = sum(arm.trials(settings.trials) + settings.seeds for arm in arms) + 1
        over = [search for search in self._searches.values() if self._over(search)]
        measured = sum(settings.seeds - len(self._missing(search)) for search in over)
        self.finished = len(self._trials) + measured + (self._model is not None)

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
        if record["kind"] == "model":
            self._model = record
            if self._fitter.files is not None:
                self._fitter.files.clear()
            return []
        search = self._searches[record["arm"]]
        if record["kind"] == "trial":
            search.take(record)
        else:
            search.open.discard(record["seed"])
            if record["kind"] == DIVERGED:
                search.unstable.add(record["number"])
            else:
                self._finals[record["arm"], record["number"], record["seed"]] = record
        self._tidy(search, record)
        # other settings wait for all seeds of these: their predictions have the same names
        return [] if search.open else self._advance(search) or self._last()

    def _tidy(self, search: ArmProgress, record: Record) -> None:
        """Remove checkpoints that nothing goes on from: the best trial of each arm is its first final fit too."""
        files, first = self._fitter.files, self._settings.seed
        if files is None:
            return
        if record["kind"] == "trial":
            best = best_trial(search.trials).number
            for number, each in search.records.items():
                if number != best:
                    files.drop(search.arm, each["searched"], first)
        elif record["kind"] == DIVERGED or record["seed"] != first:
            files.drop(search.arm, search.records[record["number"]]["searched"], record["seed"])

    def outcome(self, arm: str) -> tuple[Record, list[Record], list[Record]]:
        """When nothing is left: the chosen trial of an arm, all its trials by number, its final fits by seed."""
        search = self._searches[arm]
        trials = [search.records[number] for number in sorted(search.records)]
        return search.chosen, trials, [self._final_of(search, seed) or {} for seed in self._settings.final_seeds]

    @property
    def notes(self) -> list[str]:
        """When nothing is left: which trials were passed over."""
        return [
            f"{name}: trial {number + 1} diverged in a final fit, not on validation; the next best took its place"
            for name, search in self._searches.items()
            for number in sorted(search.unstable)
        ]

    @property
    def model(self) -> Record | None:
        """When nothing is left: which arm and seed the saved model has."""
        return self._model

    def _last(self) -> list[Unit]:
        """The model to save, once every final fit is measured."""
        if not all(self._over(s) and not self._missing(s) for s in self._searches.values()):
            return []
        if self._model is not None and self._still_best(self._model):
            return []
        self._model = None  # settings that were the best diverged with a seed that was missing
        best = self._best()
        return [Unit(f"{best.arm.name}, model", partial(self._save, best.arm, best.chosen))]

    def _best(self) -> ArmProgress:
        """The arm that was best on validation, of searches that are over; of equals the first."""
        return min(self._searches.values(), key=lambda search: loss(search.task, search.chosen["value"]))

    def _still_best(self, saved: Record) -> bool:
        """Whether all searches are over, with the arm of a saved model the best and its settings the chosen ones.

        A record that does not say of which trial the settings are counts where there was one choice only.
        """
        if not all(map(self._over, self._searches.values())):
            return False
        best = self._best()
        if best.arm.name != saved["arm"] or ("number" not in saved and best.unstable):
            return False
        return bool(saved.get("number", best.chosen["number"]) == best.chosen["number"])

    def _over(self, search: ArmProgress) -> bool:
        """Whether all trials of an arm are in."""
        return len(search.records) == search.arm.trials(self._settings.trials)

    def _final_of(self, search: ArmProgress, seed: int) -> Record | None:
        """The final fit of the chosen settings; of a journal that did not note whose it is, if there was one choice."""
        found = self._finals.get((search.arm.name, search.chosen["number"], seed))
        return found or (None if search.unstable else self._finals.get((search.arm.name, None, seed)))

    def _missing(self, search: ArmProgress) -> list[int]:
        """Seeds without a final fit of the chosen settings, once all trials are in."""
        return [seed for seed in self._settings.final_seeds if self._final_of(search, seed) is None]

    def _advance(self, search: ArmProgress) -> list[Unit]:
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
        chosen, seeds = search.chosen, self._missing(search)
        search.open = set(seeds)
        return [Unit(f"{arm.name}, seed {seed}", partial(self._final, arm, chosen, seed)) for seed in seeds]

    def _trial(self, arm: Arm, number: int, searched: dict[str, float], report: Report) -> Record:
        return {"kind": "trial", "arm": arm.name, "number": number, **self._fitter.trial(arm, searched, report)}

    def _final(self, arm: Arm, chosen: Record, seed: int, report: Report) -> Record:
        from torchsse.recsys import DivergedError

        started, whose = time.perf_counter(), {"arm": arm.name, "number": chosen["number"], "seed": seed}
        try:
            model = self._fitter.final(arm, chosen["searched"], chosen["epoch"], seed, report)
        except DivergedError:
            return {"kind": DIVERGED, **whose, "seconds": round(time.perf_counter() - started, 3)}
        predicted = self._fitter.predict(model)
        path = self._out / "predictions" / f"{arm.name}-{seed}.npy"
        write_array(path, predicted)
        return {
            "kind": "final",
            **whose,
            **self._fitter.ended(model, chosen["epoch"]),
            **self._fitter.part.values(predicted),
            "predictions": path.relative_to(self._out).as_posix(),
            "sha256": digest(path),
            "seconds": round(time.perf_counter() - started, 3),
        }

    def _save(self, arm: Arm, chosen: Record, report: Report) -> Record:
        """The same fit as the first final one of this arm, so what was measured is what is saved."""
        whose = {"arm": arm.name, "number": chosen["number"]}
        if self._saved is not None and self._still_best(self._saved):
            return {**self._saved, **whose}  # arms were added or changed, and this one is the best still
        seed = self._settings.final_seeds[0]
        self._fitter.final(arm, chosen["searched"], chosen["epoch"], seed, report).save(self._out / MODEL)
        sha256 = digest(self._out / MODEL / MANIFEST)
        return {"kind": "model", **whose, "seed": seed, "directory": MODEL, "sha256": sha256}
