"""Progress of a training run that counts steps: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torchsse.cli.progress import INTERVAL, duration
from torchsse.cli.shell import say, stderr

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from torchsse.nlp.steps import Observer, Progress

__all__ = ["step_progress"]


@contextmanager
def step_progress() -> Iterator[Observer]:
    """An observer for `torchsse.nlp` that suits stderr."""
    console = stderr()
    if not console.is_terminal:
        yield StepLines()
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
    with Progress(*columns, console=console, refresh_per_second=4) as bar:
        yield StepBar(bar)


def _words(at: Progress) -> str:
    left = f", about {duration(at.seconds_left)} left" if at.step < at.steps else ""
    return f"step {at.step:,} of {at.steps:,}, loss {at.loss:.3f}, {at.tokens_per_second:,.0f} tokens/s{left}"


class StepLines:
    """The first step, one line every `INTERVAL` seconds, the last step."""

    def __init__(self) -> None:
        self._said = float("-inf")

    def say(self, message: str) -> None:
        say(message)

    def step(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._said >= INTERVAL or progress.step == progress.steps:
            self._said = now
            say(_words(progress))


class StepBar:
    """A bar, with the loss and the time left beside it."""

    def __init__(self, bar: RichProgress) -> None:
        self._bar = bar
        self._task = bar.add_task("preparing", total=None)

    def say(self, message: str) -> None:
        self._bar.console.print(message)

    def step(self, progress: Progress) -> None:
        self._bar.update(self._task, total=progress.steps, completed=progress.step, description=_words(progress))
