"""Units of work side by side on threads; the kernels release the interpreter lock.

The plan (what becomes ready when a unit is done) stays in the calling thread, so it needs no locks. Results do not
depend on the number of threads because no unit sees another one's, except through the plan.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol

from torchsse.experiments.fitting import Report, Stopped

__all__ = ["Observer", "Unit", "run_units"]


@dataclass(frozen=True)
class Unit:
    """One fit: what people call it (unique within a run), and how to run it."""

    label: str
    run: Callable[[Report], dict[str, Any]]


class Observer(Protocol):
    """Told how the run proceeds. `progress` is called from worker threads, the rest from the calling one."""

    def start(self, total: int, done: int, jobs: int) -> None: ...

    def progress(self, label: str, fraction: float) -> None: ...

    def finished(self, label: str, record: dict[str, Any]) -> None: ...


def run_units(
    ready: Sequence[Unit], done: Callable[[Unit, dict[str, Any]], Sequence[Unit]], jobs: int, observer: Observer
) -> None:
    """Run units, `jobs` at a time, in the order they became ready, until none is left.

    Args:
        ready: what can run at once.
        done: called in this thread with each unit and its result; returns the units that became ready.
        jobs: units at a time.
        observer: told of progress.

    An exception in a unit, in `done`, or Ctrl-C abandons the fits under way and is raised here.
    """
    stop = threading.Event()
    running: dict[Future[dict[str, Any]], Unit] = {}

    def work(unit: Unit) -> dict[str, Any]:
        def report(fraction: float) -> bool:
            observer.progress(unit.label, fraction)
            return stop.is_set()

        if stop.is_set():
            raise Stopped
        return unit.run(report)

    executor = ThreadPoolExecutor(jobs, thread_name_prefix="torchsse-fit")
    try:
        running |= {executor.submit(work, unit): unit for unit in ready}
        while running:
            # A timeout, however long, keeps the wait open to Ctrl-C on every platform.
            finished, _ = wait(running, timeout=3600.0, return_when=FIRST_COMPLETED)
            # in the order of submission: a set of several that finished at once has none
            for future in [future for future in running if future in finished]:
                unit = running.pop(future)
                running |= {executor.submit(work, new): new for new in done(unit, future.result())}
    finally:
        stop.set()
        executor.shutdown(wait=True, cancel_futures=True)
