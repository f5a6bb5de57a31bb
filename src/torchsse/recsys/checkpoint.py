"""Where a run is kept between its epochs, and what tells it from another run."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from torchsse.errors import ConfigError
from torchsse.graph import Graph
from torchsse.recsys import storage
from torchsse.recsys.factors import Factors

__all__ = ["Checkpoint", "best_of", "checkpoint_for", "fingerprint", "progress_of"]


class Checkpoint:
    """A directory that a run can go on from after it was killed.

    The state is written after every epoch (at most every `seconds`), atomically. It is tied to the fingerprint of
    settings and data: another run's checkpoint is refused, not overwritten. `epochs` is no part of the fingerprint
    where no step depends on it: a run that has ended can be asked for more.
    """

    KIND = "checkpoint"

    def __init__(self, directory: str | os.PathLike[str], mark: str, seconds: float) -> None:
        self.directory, self.mark, self.seconds = directory, mark, seconds
        self._last = -math.inf

    def read(self, epochs: int) -> tuple[dict[str, Any], storage.Arrays] | None:
        """(progress, arrays) or None if there is nothing yet.

        Args:
            epochs: how many the run is asked for now.

        Raises:
            ConfigError: another run's, one that is past `epochs`, or a directory that holds something else.
            CorruptFileError: damaged.
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
        progress = document["progress"]
        if progress["epoch"] > epochs:
            raise ConfigError(
                f"checkpoint {os.fspath(self.directory)}: the run in it has {progress['epoch']:,} epochs, got epochs "
                f"{epochs:,}: ask for as many or more, or name another directory"
            )
        return progress, arrays

    def load(self, epochs: int) -> tuple[dict[str, Any], Factors, Factors | None] | None:
        """(progress, factors, best factors) or None if there is nothing yet; arguments and errors as for `read`."""
        found = self.read(epochs)
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


def progress_of(
    epoch: int, best_epoch: int, best_value: float, stopped: str | None, history: list[dict[str, Any]]
) -> dict[str, Any]:
    """What a checkpoint says of a run beside its arrays; JSON has no infinity, which `best_value` is at first."""
    return {
        "epoch": epoch, "best_epoch": best_epoch, "history": history, "stopped": stopped,
        "best_value": best_value if math.isfinite(best_value) else None,
    }  # fmt: skip


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
        free: words that the result does not depend on: they may change when the run goes on. `epochs` is one of them,
            unless p0 follows a schedule over all of them.
    """
    if model.checkpoint is None:
        return None
    words = model.get_params()
    apart = {"user_graph", "item_graph", "checkpoint", "checkpoint_seconds", *free}
    if words.get("p0_schedule", "constant") == "constant":
        apart.add("epochs")
    words = {k: v for k, v in words.items() if k not in apart}
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
