"""The settings of one model, searched on validation; the best ones retrained on everything. Survives any kill."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from torchsse.errors import ConfigError
from torchsse.experiments.files import claim_directory
from torchsse.experiments.fitting import Report
from torchsse.experiments.journal import Journal, fingerprint
from torchsse.experiments.pool import Observer, Unit, run_units
from torchsse.experiments.provenance import now, provenance
from torchsse.experiments.tuning.fitting import TuneFitter
from torchsse.experiments.tuning.models import MODELS, ModelName
from torchsse.experiments.tuning.outcome import document_of, write_best, write_trials
from torchsse.experiments.tuning.settings import TuneData, TuneSettings, config_of, roles, validation_words
from torchsse.experiments.tuning.space import TuneSpace
from torchsse.experiments.tuning.study import Asked, Study, Trial, best_of

__all__ = ["BEST", "JOURNAL", "MODEL", "STUDY", "TRIALS", "tune"]

JOURNAL, STUDY, BEST, TRIALS, MODEL = "journal.jsonl", "study.db", "best.json", "trials.csv", "model"

Record = dict[str, Any]


def tune(
    name: ModelName,
    data: TuneData,
    space: TuneSpace,
    settings: TuneSettings,
    out: Path,
    *,
    jobs: int,
    observer: Observer,
    restart: bool = False,
) -> Record:
    """Run, or resume, the study in directory `out`; returns the document it wrote to best.json.

    A study that was killed, at any moment, goes on with the trials that were finished, and with `jobs` = 1 proposes
    what it would have proposed without the kill. A larger `settings.trials` makes a finished one go on.

    Args:
        name: the model.
        data: train, validation, graphs.
        space: what is searched and what is fixed.
        settings: the budget.
        out: the directory; made if it does not exist.
        jobs: trials at a time, in threads.
        observer: told how the run proceeds.
        restart: discard an earlier study in `out`, whatever its settings.

    Raises:
        ConfigError: an `out` that holds something else or a study with other settings or data, or is in use; every
            trial diverged.
        CorruptFileError: a damaged study or journal.
    """
    if jobs < 1:
        raise ConfigError(f"jobs must be at least 1, got {jobs}")
    model = MODELS[name]
    started, clock, origin = now(), time.perf_counter(), provenance()
    config = config_of(name, space, settings, data)
    fitter = TuneFitter(model, data, settings, data.splits(settings))
    claim_directory(out, JOURNAL)
    with ExitStack() as held:
        journal = held.enter_context(Journal(out / JOURNAL, config, restart=restart))
        if restart:
            for path in (*out.glob(f"{STUDY}*"), out / BEST, out / TRIALS):
                path.unlink(missing_ok=True)
        study = held.enter_context(
            Study(
                out / STUDY,
                fingerprint(config),
                space,
                higher=model.higher_is_better,
                seed=settings.seed,
                warmup=-(-settings.epochs // 5) if settings.pruning else None,
                parallel=jobs > 1,
            )
        )
        journal.append({"kind": "session", "started": started, "git_commit": origin["git_commit"]})
        run = _Run(name, fitter, space, study, journal, observer, out)
        observer.start(run.total, run.finished, jobs)
        run_units(run.first(jobs), run.done, jobs, observer)
        best, reference, saved = run.results()
        trials = [study.trials[number] for number in sorted(study.trials)]
        origin |= {
            "data": roles(data.files),
            "config": {**config, "trials": settings.trials, "jobs": jobs},
            "notes": list(data.notes),
            "started": started,
            "finished": now(),
            "wall_seconds": round(time.perf_counter() - clock, 1),
            "fit_seconds": round(sum(trial.seconds for trial in trials), 1),
            "sessions": [record["started"] for record in journal.records if record["kind"] == "session"],
        }
        document = document_of(
            name, model, space, trials, best, reference, saved, study.importances(), validation_words(settings, data)
        )
        document = {"schema": 1, **document, "provenance": origin}
        write_trials(out / TRIALS, trials, space)
        write_best(out / BEST, document)
    return document


class _Run:
    """The order of work: trials as places become free, then the best settings without SSE and the model to keep."""

    def __init__(
        self,
        name: ModelName,
        fitter: TuneFitter,
        space: TuneSpace,
        study: Study,
        journal: Journal,
        observer: Observer,
        out: Path,
    ) -> None:
        self._name, self._fitter, self._space, self._study = name.value, fitter, space, study
        self._journal, self._observer, self._out = journal, observer, out
        self._higher = fitter.model.higher_is_better
        self._budget = fitter.settings.trials
        self._under_way: dict[str, Asked] = {}
        self._ended: dict[str, Record] = {}
        swaps = fitter.model.swaps is not None
        zero = [side for side in ("p0_user", "p0_item") if space.fixed.get(side) != 0]
        self._without = dict.fromkeys(zero, 0.0) if swaps and zero else None
        finals = 1 + (self._without is not None)
        self.total = max(self._budget, len(study.trials)) + finals
        self.finished = len(study.trials)
        if not self._missing_trials():
            self.finished += finals - len(self._finals())

    def first(self, jobs: int) -> list[Unit]:
        """What can run at once."""
        units = [self._next() for _ in range(min(jobs, self._missing_trials()))]
        return units or self._finals()

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

    def results(self) -> tuple[Trial, Record | None, Record]:
        """When nothing is left: the best trial, the same without SSE, and what is said of the saved model."""
        best = self._best()
        reference = self._recorded("reference", best) if self._without is not None else None
        saved = self._recorded("model", best)
        assert saved is not None
        return best, reference, saved

    def _missing_trials(self) -> int:
        return max(0, self._budget - len(self._study.trials) - len(self._under_way))

    def _next(self) -> Unit:
        asked = self._study.ask()
        label = f"trial {asked.number}"
        self._under_way[label] = asked
        return Unit(label, partial(self._trial, asked))

    def _finals(self) -> list[Unit]:
        best = self._best()
        units = []
        if self._without is not None and self._recorded("reference", best) is None:
            units.append(Unit("best settings without SSE", partial(self._reference, best)))
        if self._recorded("model", best) is None or not (self._out / MODEL / "model.json").is_file():
            units.append(Unit("best settings, on all ratings", partial(self._model, best)))
        return units

    def _best(self) -> Trial:
        best = best_of(list(self._study.trials.values()), self._higher)
        if best is None:
            raise ConfigError(
                f"all of the {len(self._study.trials)} trials diverged: search a lower learning rate "
                "(--search learning_rate=low:high:log), with --restart or another --out"
            )
        return best

    def _recorded(self, kind: str, best: Trial) -> Record | None:
        """The last journal record of a kind, if it is about this trial."""
        records = [record for record in self._journal.records if record["kind"] == kind]
        return records[-1] if records and records[-1]["trial"] == best.number else None

    # in a thread of the pool -------------------------------------------------------------------------------------

    def _trial(self, asked: Asked, report: Report) -> Record:
        go_on = partial(self._study.worth_going_on, asked) if self._fitter.settings.pruning else None
        fit = self._fitter.trial(self._space.params(asked.chosen), report, go_on)
        trial = Trial(asked.number, fit.state, fit.value, fit.epoch, asked.chosen, round(fit.seconds, 3))
        shown = fit.value if fit.state == "complete" else None
        return {"kind": "trial", "arm": self._name, "value": shown, "trial": trial}

    def _reference(self, best: Trial, report: Report) -> Record:
        params = {**self._space.params(best.chosen), **(self._without or {})}
        fit = self._fitter.trial(params, report)
        return {"kind": "reference", "trial": best.number, "value": fit.value, "epoch": fit.epoch}

    def _model(self, best: Trial, report: Report) -> Record:
        assert best.epoch is not None
        started = time.perf_counter()
        self._fitter.final(self._space.params(best.chosen), best.epoch, report).save(self._out / MODEL)
        return {
            "kind": "model",
            "trial": best.number,
            "epochs": best.epoch,
            "ratings": len(self._fitter.data.whole),
            "directory": MODEL,
            "seconds": round(time.perf_counter() - started, 3),
        }
