"""Epochs of a sequence trainer: early stopping, history, and a checkpoint after each that a run goes on from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from torchsse.recsys.checkpoint import Checkpoint, progress_of
from torchsse.recsys.sequence.state import arrays_of, restore
from torchsse.recsys.sequence.trainer import SequenceTrainer
from torchsse.recsys.training import Callback, DivergedError

__all__ = ["run_sequence_epochs"]

Arrays = dict[str, npt.NDArray[Any]]
_BEST = "best."


@dataclass
class _Run:
    best_value: float = -math.inf
    best_epoch: int = 0
    stopped: str | None = None
    best: Arrays | None = None
    start: int = 0


def run_sequence_epochs(
    trainer: SequenceTrainer,
    *,
    epochs: int,
    patience: int | None,
    measure: Callable[[], float] | None,
    every: int,
    metric: str,
    callback: Callback | None,
    checkpoint: Checkpoint | None,
    history: list[dict[str, Any]],
) -> tuple[int, str | None]:
    """Train up to `epochs` epochs; with `measure` end at the parameters of the best epoch measured.

    `history` is filled in place. Of several processes the first writes the checkpoint; all read it. A run that was
    asked for `epochs` only when it had them is measured then.

    Returns:
        (best epoch, what stopped the run).

    Raises:
        DivergedError: a loss or a parameter is not finite.
    """
    name = f"validation_{metric}"
    run = _resume(trainer, checkpoint, epochs, history)
    first = not (torch.distributed.is_available() and torch.distributed.is_initialized()) or (
        torch.distributed.get_rank() == 0
    )

    def judge(info: dict[str, Any]) -> None:
        if measure is None:
            return
        with trainer.judged():
            value = info[name] = measure()
            if value > run.best_value:
                run.best_value, run.best_epoch, run.best = value, info["epoch"], _parameters(trainer)
            elif patience is not None and info["epoch"] - run.best_epoch >= patience:
                run.stopped = "patience"

    def keep(epoch: int) -> None:
        if checkpoint is not None and first:
            over = run.stopped is not None or epoch == epochs
            progress = progress_of(epoch, run.best_epoch, run.best_value, run.stopped, history)
            checkpoint.write(progress, _arrays(trainer, run), force=over)

    if measure is not None and run.start == epochs and run.stopped is None and name not in history[-1]:
        judge(history[-1])
        keep(run.start)
    for epoch in range(run.start, epochs if run.stopped is None else run.start):
        began = time.perf_counter()
        loss = trainer.epoch(epoch)
        seconds = time.perf_counter() - began
        if not math.isfinite(loss):
            raise DivergedError(f"training diverged in epoch {epoch + 1} (train_loss {loss}); lower learning_rate")
        info = {
            "epoch": epoch + 1, "train_loss": loss, "seconds": seconds, "learning_rate": trainer.learning_rate(epoch),
            "targets_per_second": trainer.targets / max(seconds, 1e-9), "swap_seconds": trainer.swap_seconds,
        }  # fmt: skip
        if (epoch + 1) % every == 0 or epoch + 1 == epochs:
            judge(info)
        history.append(info)
        if callback is not None and callback(epoch + 1, info):
            run.stopped = run.stopped or "callback"
        keep(epoch + 1)
        if run.stopped is not None:
            break
    if not all(bool(torch.isfinite(p).all()) for p in trainer.network.parameters()):
        raise DivergedError("training diverged: expected finite parameters; lower learning_rate")
    if run.best is None:
        if trainer.average is not None:
            trainer.average.apply()
        return len(history), run.stopped
    with torch.no_grad():
        for name, parameter in trainer.network.named_parameters():
            parameter.copy_(torch.from_numpy(run.best[name]))
    return run.best_epoch, run.stopped


def _parameters(trainer: SequenceTrainer) -> Arrays:
    return {name: p.detach().cpu().numpy().copy() for name, p in trainer.network.named_parameters()}


def _arrays(trainer: SequenceTrainer, run: _Run) -> Arrays:
    return {**arrays_of(trainer), **{_BEST + name: value for name, value in (run.best or {}).items()}}


def _resume(
    trainer: SequenceTrainer, checkpoint: Checkpoint | None, epochs: int, history: list[dict[str, Any]]
) -> _Run:
    found = None if checkpoint is None else checkpoint.read(epochs)
    if found is None:
        return _Run()
    progress, arrays = found
    restore(trainer, arrays)
    history.extend(progress["history"])
    best = {name.removeprefix(_BEST): np.array(a) for name, a in arrays.items() if name.startswith(_BEST)}
    return _Run(
        best_value=-math.inf if progress["best_value"] is None else progress["best_value"],
        best_epoch=progress["best_epoch"],
        stopped=progress["stopped"],
        best=best or None,
        start=progress["epoch"],
    )
