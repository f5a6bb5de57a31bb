"""The loop over epochs: early stopping, history, checkpoints. Knows no model but what `Trainer` says."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from torchsse.errors import ConfigError
from torchsse.graph import Graph
from torchsse.recsys import storage
from torchsse.recsys.factors import Factors

__all__ = [
    "Callback", "Checkpoint", "DivergedError", "Outcome", "Trainer",
    "best_of", "checkpoint_for", "fingerprint", "run_epochs",
]  # fmt: skip

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


class Checkpoint:
    """A directory that a run can go on from after it was killed.

    The state is written after every epoch (at most every `seconds`), atomically. It is tied to the fingerprint of
    settings and data: another run's checkpoint is refused, not overwritten.
    """

    KIND = "checkpoint"

    def __init__(self, directory: str | os.PathLike[str], mark: str, seconds: float) -> None:
        self.directory, self.mark, self.seconds = directory, mark, seconds
        self._last = -math.inf

    def read(self) -> tuple[dict[str, Any], storage.Arrays] | None:
        """(progress, arrays) or None if there is nothing yet.

        Raises:
            ConfigError: another run's, or a directory that holds something else. CorruptFileError: damaged.
        """
        if not os.path.exists(os.path.join(self.directory, storage.MANIFEST)):
            storage.check_free(self.directory)
            return None
        document, arrays, _ = storage.read(self.directory, self.KIND)
        if document["mark"] != self.mark:
            raise ConfigError(
                f"checkpoint {os.fspath(self.directory)}: belongs to a run with other settings or data; "
                "remove it or name another directory"
            )
        return document["progress"], arrays

    def load(self) -> tuple[dict[str, Any], Factors, Factors | None] | None:
        """(progress, factors, best factors) or None if there is nothing yet."""
        found = self.read()
        if found is None:
            return None
        progress, arrays = found
        return progress, Factors.from_arrays(arrays), best_of(arrays)

    def write(self, progress: dict[str, Any], arrays: storage.Arrays, *, force: bool = False) -> None:
        """Replace the state, unless the last one is younger than `seconds` and `force` is not set."""
        now = time.monotonic()
        if not force and now - self._last < self.seconds:
            return
        facts = {"estimator": self.KIND, "mark": self.mark, "progress": progress}
        # a rename survives SIGKILL; waiting for the disk after each epoch would cost more than the epoch
        storage.write(self.directory, facts, arrays, None, sync=False)
        self._last = now

    def save(self, progress: dict[str, Any], factors: Factors, best: Factors | None, *, force: bool = False) -> None:
        """`write` for factors."""
        best_arrays = best.arrays("best_") if best is not None else {}
        self.write(progress, {**factors.arrays(), **best_arrays}, force=force)


def best_of(arrays: storage.Arrays) -> Factors | None:
    """The best factors so far that a checkpoint holds beside the last ones, or None."""
    return Factors.from_arrays(arrays, "best_") if "best_P" in arrays else None


def checkpoint_for(
    model: Any, train: Sequence[Any], held_out: Sequence[Any], graphs: Sequence[Any], free: Sequence[str] = ()
) -> Checkpoint | None:
    """The checkpoint of an estimator's run, None without the word `checkpoint`.

    Args:
        model: an estimator that knows its ids; has the words `checkpoint` and `checkpoint_seconds`.
        train: arrays that say what it trains on.
        held_out: the same of the validation data, empty without.
        graphs: `Graph`, laws that may hold one, or None.
        free: words that the result does not depend on: they may change when the run goes on.
    """
    if model.checkpoint is None:
        return None
    apart = {"user_graph", "item_graph", "checkpoint", "checkpoint_seconds", *free}
    words = {k: v for k, v in model.get_params().items() if k not in apart}
    ids = [model.user_ids.ids.tolist(), model.item_ids.ids.tolist()]
    edges: list[Any] = []
    for found in graphs:
        graph = getattr(found, "graph", found)
        if isinstance(graph, Graph):
            edges += [graph.indptr, graph.indices, *([] if graph.weights is None else [graph.weights])]
    return Checkpoint(model.checkpoint, fingerprint(words, ids, *train, *held_out, *edges), model.checkpoint_seconds)


def fingerprint(*parts: Any) -> str:
    """A hash of settings (JSON values) and arrays."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).view(np.uint8).data)
        else:
            digest.update(json.dumps(part, sort_keys=True, default=str).encode())
        digest.update(b"\0")
    return digest.hexdigest()


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
    value of `measure` is better; it is taken after `every` so many epochs, and after the last.

    Raises:
        DivergedError: an error or a parameter is no longer finite.
    """
    best: Factors | None = None
    best_value, best_epoch, stopped, start = math.inf, 0, None, 0
    found = checkpoint.load() if checkpoint is not None else None
    if found is not None:
        progress, factors, best = found
        trainer.factors.copy_from(factors)
        start, best_epoch, stopped = progress["epoch"], progress["best_epoch"], progress["stopped"]
        best_value = math.inf if progress["best_value"] is None else progress["best_value"]
        history.extend(progress["history"])
        trainer.skip(start)
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
        if measure is not None and ((epoch + 1) % every == 0 or epoch + 1 == epochs):
            info[name] = measure()
            value = -info[name] if higher else info[name]
            if value < best_value:
                best_value, best_epoch = value, epoch + 1
                best = best or trainer.factors.copy()
                best.copy_from(trainer.factors)
            elif patience is not None and epoch + 1 - best_epoch >= patience:
                stopped = "patience"
        history.append(info)
        if callback is not None and callback(epoch + 1, info):
            stopped = stopped or "callback"
        if checkpoint is not None:
            progress = {
                "epoch": epoch + 1, "best_epoch": best_epoch, "history": history, "stopped": stopped,
                "best_value": best_value if math.isfinite(best_value) else None,
            }  # fmt: skip
            checkpoint.save(progress, trainer.factors, best, force=stopped is not None or epoch + 1 == epochs)
        if stopped is not None:
            break
    if not trainer.factors.finite():
        raise DivergedError("training diverged in its last epoch: expected finite parameters; lower learning_rate")
    if measure is None or best_epoch == 0:
        best_epoch = len(history)
    elif best is not None:
        trainer.factors.copy_from(best)
    return Outcome(history, best_epoch, stopped)
