"""What `torchsse fit` shows while a model trains."""

from __future__ import annotations

import time
from typing import Any

from torchsse.cli.models import Kind
from torchsse.cli.progress import duration
from torchsse.cli.shell import say, stderr
from torchsse.report.metric import label

__all__ = ["INTERVAL", "fit_with_progress"]

INTERVAL = 10.0
"""Seconds between plain lines about a run that may take hours."""


def fit_with_progress(estimator: Any, kind: Kind, train: Any, validation: Any) -> None:
    """Fit with a bar on a terminal; elsewhere in silence, with a plain line now and then if histories are read."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    parts = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn(), TimeRemainingColumn())
    terminal = stderr().is_terminal
    with Progress(*parts, console=stderr(), disable=not terminal) as bar:
        unit = kind.unit or "counting"
        task = bar.add_task(unit if kind.unit is None else f"{unit} 0", total=getattr(estimator, "epochs", 1))
        lines = Lines(unit, getattr(estimator, "epochs", 1))

        def after_epoch(epoch: int, info: dict[str, Any]) -> None:
            text = state(unit, epoch, info)
            bar.update(task, completed=epoch, description=text)
            if kind.ordered and not terminal:
                lines.epoch(epoch, text)

        estimator.fit(train, validation=validation, callback=after_epoch)


def state(unit: str, epoch: int, info: dict[str, Any]) -> str:
    """Where a run is.

    >>> state("epoch", 5, {"validation_ndcg@10": 0.12345, "targets_per_second": 41234.5})
    'epoch 5, validation NDCG@10 0.1235, 41,234 targets/s'
    """
    text = f"{unit} {epoch}"
    measured = next((name for name in info if name.startswith("validation_")), None)
    if measured is not None:
        text += f", validation {label(measured.removeprefix('validation_'))} {info[measured]:.4f}"
    elif "objective" in info:
        text += f", objective {info['objective']:.6g}"
    if "targets_per_second" in info:
        text += f", {info['targets_per_second']:,.0f} targets/s"
    return text


class Lines:
    """A line after the first epoch, then every `INTERVAL` seconds at most, with the time left if no epoch is spared."""

    def __init__(self, unit: str, total: int) -> None:
        self._unit, self._total = unit, total
        self._began = time.monotonic()
        self._last: float | None = None
        self._first: tuple[float, int] | None = None

    def epoch(self, epoch: int, text: str) -> None:
        now = time.monotonic()
        if self._last is not None and now - self._last < INTERVAL and "validation" not in text:
            return
        if self._first is None:  # a run may go on from a checkpoint
            self._first = self._began, epoch - 1
        since, before = self._first
        left = (now - since) / (epoch - before) * (self._total - epoch)
        say(text + (f", at most {duration(left)} left" if epoch < self._total else ""))
        self._last = now
