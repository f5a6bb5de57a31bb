"""The order of work of a study, and what of it is done already.

Trials come as places become free. When the budget is spent, the settings of the best trial are tried without SSE and
along each setting whose response is plotted, the others held. What is best by then is fitted once more, on train and
validation together.
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

__all__ = ["MODEL", "Probe", "TunePlan", "Winner"]

MODEL = "model"
"""The directory, within that of the results, of the model to use."""

Record = dict[str, Any]


@dataclass(frozen=True)
class Probe:
    """The settings of the best trial with a few of them changed: what is changed, and what people call it."""

    label: str
    changed: Mapping[str, Value]


@dataclass(frozen=True)
class Winner:
    """The best that was measured: a trial, or a trial with something changed."""

    trial: Trial
    changed: Mapping[str, Value]
    value: float
    epoch: int


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
            missing = len(self._missing_probes())
            self.finished += finals - missing - (1 if missing else len(self._model_units()))

    def first(self, jobs: int) -> list[Unit]:
        """What can run at once."""
        return [self._next() for _ in range(min(jobs, self._missing_trials()))] or self._finals()

    def done(self, unit: Unit, record: Record) -> Sequence[Unit]:
        """Note what a unit found; returns what became ready."""
        if record["kind"] != "trial":
            self._journal.append(record)
            self._observer.finished(unit.label, record)
            return [] if record["kind"] == "model" or self._missing_probes() else self._model_units()
        self._study.tell(self._under_way.pop(unit.label), record.pop("trial"))
        self._observer.finished(unit.label, record)
        if self._missing_trials():
            return [self._next()]
        return [] if self._under_way else self._finals()

    def winner(self) -> Winner:
        """When every trial and probe is measured: the best; of equals the earlier. Without SSE counts too."""
        best = self.best()
        assert best.value is not None
        assert best.epoch is not None
        winner, sign = Winner(best, {}, best.value, best.epoch), -1 if self._fitter.model.higher_is_better else 1
        for record in self.probed():
            if record["value"] is not None and sign * record["value"] < sign * winner.value:
                winner = Winner(best, record["changed"], record["value"], record["epoch"])
        return winner

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
        winner = self.winner()
        record = self._recorded("model", winner.trial, winner.changed)
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
        swapping = [name for name in self._fitter.model.swapped if self._space.fixed.get(name) != 0]
        if not swapping:
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

    def _missing_probes(self) -> list[Probe]:
        best = self.best()
        return [probe for probe in self._probes if self._recorded("probe", best, probe.changed) is None]

    def _finals(self) -> list[Unit]:
        best, missing = self.best(), self._missing_probes()
        return [Unit(probe.label, partial(self._probe, best, probe)) for probe in missing] or self._model_units()

    def _model_units(self) -> list[Unit]:
        """The model to save, unless it is there."""
        winner = self.winner()
        there = (self._out / MODEL / "model.json").is_file()
        if there and self._recorded("model", winner.trial, winner.changed) is not None:
            return []
        return [Unit("best settings, on all ratings", partial(self._model, winner))]

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

    def _model(self, winner: Winner, report: Report) -> Record:
        started = time.perf_counter()
        params = {**self._space.params(winner.trial.chosen), **winner.changed}
        self._fitter.final(params, winner.epoch, report).save(self._out / MODEL)
        return {
            "kind": "model",
            "trial": winner.trial.number,
            "changed": dict(winner.changed),
            "epochs": winner.epoch,
            "ratings": len(self._fitter.data.whole),
            "directory": MODEL,
            "seconds": round(time.perf_counter() - started, 3),
        }
