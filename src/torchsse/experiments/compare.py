"""Does SSE help on these data? Every arm tuned alike on validation, then measured on test over several seeds."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from torchsse.errors import ConfigError
from torchsse.experiments.arms import Arm
from torchsse.experiments.files import claim_directory, write_json
from torchsse.experiments.fit_files import FITS, FitFiles
from torchsse.experiments.fitting import Fitter
from torchsse.experiments.journal import Journal
from torchsse.experiments.kept import MODEL
from torchsse.experiments.plan import Plan
from torchsse.experiments.pool import Observer, run_units
from torchsse.experiments.provenance import commits_of, now, provenance, sessions_of
from torchsse.experiments.results import result_records
from torchsse.experiments.settings import CompareData, CompareSettings, config_of
from torchsse.experiments.task import Part, task_of

__all__ = ["JOURNAL", "RESULTS", "compare"]

JOURNAL = "journal.jsonl"
RESULTS = "results.json"


def compare(
    data: CompareData,
    arms: tuple[Arm, ...],
    settings: CompareSettings,
    out: Path,
    *,
    jobs: int,
    observer: Observer,
    restart: bool = False,
    allowed: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Run, or resume, the comparison in directory `out`; returns the document it wrote to results.json.

    A run that was killed, at any moment, goes on where it stopped and ends with the same results as one that was not,
    on any number of cores. So does one that other arms are asked of: those that are declared as before keep their fits.

    Args:
        data: train, test, graphs.
        arms: the first is the baseline.
        settings: what holds for every arm.
        out: the directory; made if it does not exist.
        jobs: fits at a time.
        observer: told how the run proceeds.
        restart: discard an earlier run in `out`, whatever its settings.
        allowed: names that `out` may hold before the run's first file is there.

    Raises:
        ConfigError: settings for another kind of feedback, an empty test part, an `out` that holds something else or a
            run with other settings or data (arms aside), an arm all of whose trials diverge.
        CorruptFileError: a damaged journal.
    """
    task = task_of(data.train, settings)
    task.check(data.train, data.test, settings)
    if jobs < 1:
        raise ConfigError(f"jobs must be at least 1, got {jobs}")
    jobs = task.prepare(settings, jobs)
    test_notes = task.check_test(data)
    started, clock = now(), time.perf_counter()
    origin = provenance(str(getattr(settings, "device", "cpu")))
    config = config_of(task, settings, arms, data)
    claim_directory(out, JOURNAL, allowed)
    with Journal(out / JOURNAL, config, restart=restart) as journal:
        _make_room(out, fresh=not journal.records)
        journal.append({"kind": "session", "started": started, "git_commit": origin["git_commit"]})
        plan, part = _plan(data, arms, settings, journal, observer)
        observer.start(plan.total, plan.finished, jobs)
        run_units(plan.ready(), plan.done, jobs, observer)
        FitFiles(out / FITS).clear()  # also where the model was there already, and lost fits were made again
        part.store(out)
        origin |= {
            "data": [vars(file) for file in data.files],
            "config": {**config, "final_seeds": settings.final_seeds, "jobs": jobs},
            "notes": [*data.notes, *test_notes, *plan.notes],
            "started": started,
            "finished": now(),
            "wall_seconds": round(time.perf_counter() - clock, 1),
            "fit_seconds": round(sum(record.get("seconds", 0.0) for record in journal.counting), 1),
            "model": plan.model and {name: plan.model[name] for name in ("arm", "seed", "directory")},
            "sessions": sessions_of(journal.records),
            "commits": commits_of(journal.records),
        }
        records = result_records(task, [arm.name for arm in arms], plan, part, out, settings)
    document = {"schema": 1, "provenance": origin, "results": records}
    write_json(out / RESULTS, document)
    return document


def _plan(
    data: CompareData, arms: tuple[Arm, ...], settings: CompareSettings, journal: Journal, observer: Observer
) -> tuple[Plan, Part]:
    splits = task_of(data.train, settings).splits(data, settings)
    fitter = Fitter(data, settings, splits, files=FitFiles(journal.path.parent / FITS))
    return Plan(arms, settings, fitter, journal, observer), fitter.part


def _make_room(out: Path, fresh: bool) -> None:
    """The folder of predictions; before a fresh run, without the results and the model of an earlier one."""
    folder = out / "predictions"
    folder.mkdir(exist_ok=True)
    if fresh:
        FitFiles(out / FITS).clear()
        for path in [*folder.glob("*.npy"), out / RESULTS, out / MODEL / "model.json"]:
            path.unlink(missing_ok=True)
