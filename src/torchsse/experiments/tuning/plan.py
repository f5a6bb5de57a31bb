"""The order of work of a study, and what of it is done already.

Trials come as places become free. When the budget is spent, the best settings are tried without SSE and along each
setting whose response is plotted, the others held, and they are fitted once more on train and validation together.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torchsse.errors import ConfigError
from torchsse.experiments.fitting import Report
from torchsse.experiments.journal import Journal
from torchsse.experiments.pool import Observer, Unit
from torchsse.experiments.space import Range
from torchsse.experiments.tuning.dimensions import Value, at
from torchsse.experiments.tuning.fitting import TuneFitter
from torchsse.experiments.tuning.space import TuneSpace
from torchsse.experiments.tuning.study import Asked, Study, Trial, best_of

__all__ = ["MODEL", "Probe", "TunePlan"]

MODEL = "model"
"""The directory, within that of the results, of the model to use."""

Record = dict[str, Any]


@dataclass(frozen=True)
class Probe:
    """The best settings with a few of them changed: what is changed, and what people call it."""

    label: str
    changed: Mapping[str, Value]


class TunePlan:
    """Units of work and what follows from them.

    Attributes:
        total, finished: units in all, and those that were done at the start.
    """

    def __init__(
        self,
        name: str,
        fitter: TuneFitter,
        space: TuneSpace,
        study: Study,
        journal: Journal,
        observer: Observer,
        out: Path,
    ) -> None:
        self._name, self._fitter, self._space, self._study = name, fitter, space, study
        self._journal, self._observer, self._out = journal, observer, out
        self._budget = fitter.settings.trials
        self._under_way: dict[str, Asked] = {}
        self._probes = [*self._without_sse(), *self._along()]
        finals = len(self._probes) + 1
        self.total = max(self._budget, len(study.trials)) + finals
        self.finished = len(study.trials)
        if not self._missing_trials():
            self.finished += finals - len(self._finals())

    def first(self, jobs: int) -> list[Unit]:
        """What can run at once."""
        return [self._next() for _ in range(min(jobs, self._missing_trials()))] or self._finals()

    def done(self, unit: Unit, record: Record) -> Sequence[Unit]:
        """Note what a unit found; returns what became ready."""
        if record["kind"] != "trial":
            self._journal.append(record)
            self._observer.finished(unit.label, record)
            return []
        self._study.tell(self._under_way.pop(unit.label), record.pop("trial"))
        self._observer.finished(unit.label, record)
        if self._missing_trials():
            return [self._next()]
        return [] if self._under_way else self._finals()

    def best(self) -> Trial:
        """The complete trial with the best value.

        Raises:
            ConfigError: there is none.
        """
        best = best_of(list(self._study.trials.values()), self._fitter.model.higher_is_better)
        if best is None:
            raise ConfigError(
                f"all of the {len(self._study.trials)} trials diverged: search a lower learning rate "
                "(--search learning_rate=low:high:log), with --restart or another --out"
            )
        return best

    def probed(self) -> list[Record]:
        """When nothing is left: the probes of the best trial."""
        best = self.best()
        found = [self._recorded("probe", best, probe.changed) for probe in self._probes]
        return [record for record in found if record is not None]

    def saved(self) -> Record:
        """When nothing is left: what is said of the saved model."""
        record = self._recorded("model", self.best(), {})
        assert record is not None
        return record

    def _missing_trials(self) -> int:
        return max(0, self._budget - len(self._study.trials) - len(self._under_way))

    def _next(self) -> Unit:
        asked = self._study.ask()
        label = f"trial {asked.number}"
        self._under_way[label] = asked
        return Unit(label, partial(self._trial, asked))

    def _without_sse(self) -> list[Probe]:
        swapping = [name for name in ("p0_user", "p0_item") if self._space.fixed.get(name) != 0]
        if self._fitter.model.swaps is None or not swapping:
            return []
        return [Probe("best settings without SSE", dict.fromkeys(swapping, 0.0))]

    def _along(self) -> list[Probe]:
        """Values spread evenly over the range, ends included, of each setting whose response is plotted."""
        count, probes = self._fitter.settings.profile, []
        for name in self._fitter.model.response:
            dimension = self._space.searched.get(name)
            if isinstance(dimension, Range) and count:
                values = [at(dimension, place / max(count - 1, 1)) for place in range(count)]
                probes += [Probe(f"best settings, {name} {value:g}", {name: value}) for value in values]
        return probes

    def _finals(self) -> list[Unit]:
        best = self.best()
        units = []
        if self._recorded("model", best, {}) is None or not (self._out / MODEL / "model.json").is_file():
            units.append(Unit("best settings, on all ratings", partial(self._model, best)))
        missing = [probe for probe in self._probes if self._recorded("probe", best, probe.changed) is None]
        return units + [Unit(probe.label, partial(self._probe, best, probe)) for probe in missing]

    def _recorded(self, kind: str, best: Trial, changed: Mapping[str, Value]) -> Record | None:
        """The journal's last record of a kind about this trial. A model is the last one made, or none."""
        record: Record
        for record in reversed(self._journal.records):
            if record["kind"] != kind:
                continue
            if record["trial"] == best.number and record["changed"] == changed:
                return record
            if kind == "model":
                return None
        return None

    # in a thread of the pool -------------------------------------------------------------------------------------

    def _trial(self, asked: Asked, report: Report) -> Record:
        go_on = partial(self._study.worth_going_on, asked) if self._fitter.settings.pruning else None
        fit = self._fitter.trial(self._space.params(asked.chosen), report, go_on)
        trial = Trial(asked.number, fit.state, fit.value, fit.epoch, asked.chosen, round(fit.seconds, 3))
        shown = fit.value if fit.state == "complete" else None
        return {"kind": "trial", "arm": self._name, "value": shown, "trial": trial}

    def _probe(self, best: Trial, probe: Probe, report: Report) -> Record:
        fit = self._fitter.trial({**self._space.params(best.chosen), **probe.changed}, report)
        changed = dict(probe.changed)
        return {"kind": "probe", "trial": best.number, "changed": changed, "value": fit.value, "epoch": fit.epoch}

    def _model(self, best: Trial, report: Report) -> Record:
        assert best.epoch is not None
        started = time.perf_counter()
        self._fitter.final(self._space.params(best.chosen), best.epoch, report).save(self._out / MODEL)
        return {
            "kind": "model",
            "trial": best.number,
            "changed": {},
            "epochs": best.epoch,
            "ratings": len(self._fitter.data.whole),
            "directory": MODEL,
            "seconds": round(time.perf_counter() - started, 3),
        }
