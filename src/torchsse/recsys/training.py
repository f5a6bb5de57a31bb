"""The loop over epochs: early stopping and history. Knows no model but what `Trainer` says."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torchsse.errors import ConfigError
from torchsse.recsys.checkpoint import Checkpoint, progress_of
from torchsse.recsys.factors import Factors

__all__ = ["Callback", "DivergedError", "Outcome", "Trainer", "run_epochs"]

Callback = Callable[[int, dict[str, Any]], bool | None]


class DivergedError(ConfigError):
    """Training left the finite numbers: the learning rate is too large for this data."""


class Trainer(Protocol):
    """One way to train `factors`: a kernel, or torch."""

    factors: Factors

    def epoch(self, epoch: int) -> float:
        """Train one epoch, counted from 0; the mean training error, each example's taken before its update."""

    def skip(self, epochs: int) -> None:
        """Bring what is carried from epoch to epoch, but not in `factors`, to where `epochs` epochs leave it."""


@dataclass
class Outcome:
    """What a run leaves beside the trained factors."""

    history: list[dict[str, Any]]
    best_epoch: int
    stopped: str | None


def run_epochs(
    trainer: Trainer,
    *,
    epochs: int,
    patience: int | None,
    measure: Callable[[], float] | None,
    learning_rate: Callable[[int], float],
    callback: Callback | None,
    checkpoint: Checkpoint | None,
    history: list[dict[str, Any]],
    name: str = "validation_rmse",
    train_name: str = "train_rmse",
    higher: bool = False,
    every: int = 1,
) -> Outcome:
    """Train up to `epochs` epochs; with `measure` end at the factors of the best epoch measured.

    `history` is filled in place, so that a callback sees it grow. A callback that returns True ends the run.

    `name` and `train_name` are what `measure` and the trainer's error are called in `history`; with `higher` a larger
    value of `measure` is better; it is taken after `every` so many epochs, and after the last. A run that was asked
    for `epochs` only when it had them is measured then.

    Raises:
        DivergedError: an error or a parameter is no longer finite.
    """
    best: Factors | None = None
    best_value, best_epoch, stopped, start = math.inf, 0, None, 0
    found = checkpoint.load(epochs) if checkpoint is not None else None
    if found is not None:
        progress, factors, best = found
        trainer.factors.copy_from(factors)
        start, best_epoch, stopped = progress["epoch"], progress["best_epoch"], progress["stopped"]
        best_value = math.inf if progress["best_value"] is None else progress["best_value"]
        history.extend(progress["history"])
        trainer.skip(start)

    def judge(info: dict[str, Any]) -> None:
        nonlocal best, best_value, best_epoch, stopped
        if measure is None:
            return
        info[name] = measure()
        value = -info[name] if higher else info[name]
        if value < best_value:
            best_value, best_epoch = value, info["epoch"]
            best = best or trainer.factors.copy()
            best.copy_from(trainer.factors)
        elif patience is not None and info["epoch"] - best_epoch >= patience:
            stopped = "patience"

    def keep(epoch: int) -> None:
        if checkpoint is None:
            return
        progress = progress_of(epoch, best_epoch, best_value, stopped, history)
        checkpoint.save(progress, trainer.factors, best, force=stopped is not None or epoch == epochs)

    if start == epochs and stopped is None and measure is not None and name not in history[-1]:
        judge(history[-1])
        keep(start)
    for epoch in range(start, epochs if stopped is None else start):
        began = time.perf_counter()
        error = trainer.epoch(epoch)
        seconds = time.perf_counter() - began
        if not math.isfinite(error):
            raise DivergedError(
                f"training diverged in epoch {epoch + 1} ({train_name} {error}, learning rate "
                f"{learning_rate(epoch):g}): expected finite errors; lower learning_rate"
            )
        info = {"epoch": epoch + 1, train_name: error, "seconds": seconds, "learning_rate": learning_rate(epoch)}
        if (epoch + 1) % every == 0 or epoch + 1 == epochs:
            judge(info)
        history.append(info)
        if callback is not None and callback(epoch + 1, info):
            stopped = stopped or "callback"
        keep(epoch + 1)
        if stopped is not None:
            break
    if not trainer.factors.finite():
        raise DivergedError("training diverged in its last epoch: expected finite parameters; lower learning_rate")
    if measure is None or best_epoch == 0:
        best_epoch = len(history)
    elif best is not None:
        trainer.factors.copy_from(best)
    return Outcome(history, best_epoch, stopped)
