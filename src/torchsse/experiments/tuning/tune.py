"""The settings of one model, searched on validation; the best ones retrained on everything. Survives any kill."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from torchsse.errors import ConfigError
from torchsse.experiments.files import claim_directory
from torchsse.experiments.journal import Journal, fingerprint
from torchsse.experiments.pool import Observer, run_units
from torchsse.experiments.provenance import now, provenance, sessions_of
from torchsse.experiments.tuning.data import TuneData
from torchsse.experiments.tuning.fitting import TuneFitter
from torchsse.experiments.tuning.models import MODELS, ModelName
from torchsse.experiments.tuning.outcome import document_of, write_best, write_trials
from torchsse.experiments.tuning.plan import MODEL, TunePlan
from torchsse.experiments.tuning.settings import TuneSettings, config_of, roles, validation_words
from torchsse.experiments.tuning.space import TuneSpace
from torchsse.experiments.tuning.study import Study

__all__ = ["BEST", "JOURNAL", "MODEL", "STUDY", "TRIALS", "tune"]

JOURNAL, STUDY, BEST, TRIALS = "journal.jsonl", "study.db", "best.json", "trials.csv"

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
        jobs: trials at a time, in threads; one where fits would share random numbers, see `TuneSpace.jobs`.
        observer: told how the run proceeds.
        restart: discard an earlier study in `out`, whatever its settings.

    Raises:
        ConfigError: an `out` that holds something else or a study with other settings or data, or is in use; every
            trial diverged.
        CorruptFileError: a damaged study or journal.
    """
    if jobs < 1:
        raise ConfigError(f"jobs must be at least 1, got {jobs}")
    model, jobs = MODELS[name], space.jobs(jobs)
    started, clock, origin = now(), time.perf_counter(), provenance()
    config = config_of(name, space, settings, data)
    if model.feedback == "sequences":
        import torch

        torch.set_num_threads(1)  # in every thread of the pool: a fit's bits depend on it
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
                warmup=-(-settings.epochs // 2) if settings.pruning else None,
                parallel=jobs > 1,
            )
        )
        journal.append({"kind": "session", "started": started, "git_commit": origin["git_commit"]})
        plan = TunePlan(name.value, fitter, space, study, journal, observer, out)
        observer.start(plan.total, plan.finished, jobs)
        run_units(plan.first(jobs), plan.done, jobs, observer)
        trials = [study.trials[number] for number in sorted(study.trials)]
        origin |= {
            "data": roles(data.files),
            "config": {**config, "trials": settings.trials, "jobs": jobs},
            "notes": list(data.notes),
            "started": started,
            "finished": now(),
            "wall_seconds": round(time.perf_counter() - clock, 1),
            "fit_seconds": round(sum(trial.seconds for trial in trials), 1),
            "sessions": sessions_of(journal.records),
        }
        document = document_of(
            name,
            model,
            space,
            trials,
            plan.winner(),
            plan.probed(),
            plan.saved(),
            study.importances(),
            validation_words(settings, data),
        )
        document = {"schema": 1, **document, "provenance": origin}
        write_trials(out / TRIALS, trials, space)
        write_best(out / BEST, document)
    return document
