"""Progress of a comparison: a bar with time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torchsse.cli.shell import say, stderr
from torchsse.report.metric import higher_is_better, label

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["duration", "progress"]

INTERVAL = 10.0
"""Seconds between plain lines."""


@contextmanager
def progress(metric: str) -> Iterator[Lines | Bar]:
    """An observer that suits stderr, for trials that are measured by `metric` on validation."""
    console = stderr()
    if not console.is_terminal:
        yield Lines(metric)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[fits]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        console=console,
        refresh_per_second=4,
    )
    with bar:
        yield Bar(metric, bar)


class _Tally:
    """What both forms count: fits done, shares of fits under way, the best value on validation per arm."""

    def __init__(self, metric: str) -> None:
        self.metric, self._better = label(metric), max if higher_is_better(metric) else min
        self._lock = threading.Lock()
        self._under_way: dict[str, float] = {}
        self.best: dict[str, float] = {}
        self.total = self.done = 0
        self._first: tuple[float, float] | None = None

    def start(self, total: int, done: int, jobs: int) -> None:
        self.total, self.done = total, done

    def progress(self, label: str, fraction: float) -> None:
        with self._lock:
            if self._first is None:
                # The clock of the pace starts with the first epoch done: what came before may be a compilation.
                self._first = (time.monotonic(), self.done + fraction)
            self._under_way[label] = fraction

    def finished(self, label: str, record: dict[str, Any]) -> None:
        with self._lock:
            self._under_way.pop(label, None)
            self.done = min(self.done + 1, self.total)  # settings that diverge at last are fitted anew
        value = record.get("value")
        if record["kind"] == "trial" and value is not None:
            self.best[record["arm"]] = self._better(value, self.best.get(record["arm"], value))

    @property
    def reached(self) -> float:
        """Fits done, those under way in part."""
        with self._lock:
            return min(self.done + sum(self._under_way.values()), float(self.total))

    @property
    def left(self) -> str:
        """Time left, from the pace so far; early stopping makes it an upper estimate."""
        if self._first is None:
            return "estimating the time left"
        since, before = self._first
        elapsed, gained = time.monotonic() - since, self.reached - before
        if gained <= 0:
            return "estimating the time left"
        return f"about {duration(elapsed * (self.total - self.reached) / gained)} left"

    @property
    def best_so_far(self) -> str:
        return ", ".join(f"{arm} {value:.4f}" for arm, value in self.best.items())


class Lines(_Tally):
    """A line at the start, then one every `INTERVAL` seconds at most."""

    def start(self, total: int, done: int, jobs: int) -> None:
        super().start(total, done, jobs)
        self._last = time.monotonic()
        self._first_estimate = False
        resumed = f", {done} of them done before" if done else ""
        say(f"{total} fits{resumed}, {jobs} at a time")

    def progress(self, label: str, fraction: float) -> None:
        super().progress(label, fraction)
        if not self._first_estimate and self._first is not None and time.monotonic() - self._first[0] > 1.0:
            self._first_estimate = True
            say(f"{self.done}/{self.total} fits, {self.left}")

    def finished(self, label: str, record: dict[str, Any]) -> None:
        super().finished(label, record)
        if time.monotonic() - self._last >= INTERVAL or self.done == self.total:
            self._last = time.monotonic()
            best = f"; best validation {self.metric}: {self.best_so_far}" if self.best else ""
            left = f", {self.left}" if self.done < self.total else ""
            say(f"{self.done}/{self.total} fits{left}{best}")


class Bar(_Tally):
    """A bar for the fits and a line with the best so far."""

    def __init__(self, metric: str, bar: Progress) -> None:
        super().__init__(metric)
        self._bar = bar
        self._task = bar.add_task("fitting", total=None, fits="", left="")

    def start(self, total: int, done: int, jobs: int) -> None:
        super().start(total, done, jobs)
        self._show()

    def progress(self, label: str, fraction: float) -> None:
        super().progress(label, fraction)
        self._show()

    def finished(self, label: str, record: dict[str, Any]) -> None:
        improved = dict(self.best)
        super().finished(label, record)
        if self.best != improved:
            arm = record["arm"]
            self._bar.console.print(
                f"[dim]{label}: validation {self.metric} {self.best[arm]:.4f}, the best of {arm} so far[/dim]"
            )
        self._show()

    def _show(self) -> None:
        self._bar.update(
            self._task, total=self.total, completed=self.reached, fits=f"{self.done}/{self.total} fits", left=self.left
        )


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(4.2), duration(95), duration(7320)
    ('4 s', '1 min 35 s', '2 h 2 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
