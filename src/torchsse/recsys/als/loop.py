"""The loop over sweeps, and the constructor words that alternating estimators have in common."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from torchsse.recsys.als.solve import SOLVERS
from torchsse.recsys.als.spread import Spread, spread
from torchsse.recsys.checkpoint import Checkpoint, best_of, progress_of
from torchsse.recsys.factors import Factors
from torchsse.recsys.graphs import check_graph_words, table_law
from torchsse.recsys.params import check_choice, check_integer, check_number
from torchsse.recsys.storage import Arrays
from torchsse.recsys.training import Callback

if TYPE_CHECKING:
    from torchsse.data import IdMap

__all__ = ["FREE_WORDS", "AlternatingWords", "SwapWords", "Sweeper", "run_sweeps"]


class Sweeper(Protocol):
    """One way to sweep."""

    def sweep(self) -> dict[str, float]:
        """One sweep over both tables; facts for the history."""

    def state(self) -> Arrays:
        """All that a sweep starts from, by name."""

    def restore(self, state: Arrays) -> None:
        """Go on from what `state` gave."""


#: Words that the result of alternating least squares does not depend on.
FREE_WORDS = ("num_threads", "max_entries")


class AlternatingWords:
    """Checks of the words that all have; mixed into an estimator."""

    factors: int
    epochs: int
    patience: int | None
    num_threads: int
    seed: int
    cg_steps: int
    init_std: float
    checkpoint: str | os.PathLike[str] | None
    checkpoint_seconds: float
    history_: list[dict[str, Any]]
    best_epoch_: int
    stopped_: str | None
    dropped_edges_: dict[str, int]
    _factors: Factors

    def _check_words(self) -> None:
        for name in ("factors", "epochs", "num_threads", "cg_steps"):
            check_integer(name, getattr(self, name), 1)
        check_integer("seed", self.seed, 0)
        if self.patience is not None:
            check_integer("patience", self.patience, 1)
        check_number("init_std", self.init_std, 0.0, open_low=True)
        check_number("checkpoint_seconds", self.checkpoint_seconds, 0.0)


class SwapWords(AlternatingWords):
    """The words of SSE in the marginalised form too."""

    p0_user: float
    p0_item: float
    user_graph: Any
    item_graph: Any
    rho_user: float | None
    rho_item: float | None
    swap_unseen: bool
    solver: str
    max_entries: int

    def _check_words(self) -> None:
        super()._check_words()
        check_integer("max_entries", self.max_entries, 1)
        for name in ("p0_user", "p0_item"):
            check_number(name, getattr(self, name), 0.0, 1.0)
        check_choice("solver", self.solver, SOLVERS)
        check_graph_words("user", self.user_graph, self.rho_user)
        check_graph_words("item", self.item_graph, self.rho_item)

    def _laws(
        self, ids: tuple[IdMap, IdMap], counts: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    ) -> tuple[Spread, Spread]:
        """The transition matrices of users and items; counts the edges that are dropped."""
        user, dropped = table_law("user", self.user_graph, self.rho_user, ids[0], counts[0], self.swap_unseen)
        item, also = table_law("item", self.item_graph, self.rho_item, ids[1], counts[1], self.swap_unseen)
        self.dropped_edges_ = {"user": dropped, "item": also}
        return spread(user, float(self.p0_user)), spread(item, float(self.p0_item))


def run_sweeps(
    model: AlternatingWords,
    sweeper: Sweeper,
    measure: Callable[[], float] | None,
    name: str,
    callback: Callback | None,
    checkpoint: Checkpoint | None,
    *,
    higher: bool = False,
) -> None:
    """Sweep up to `model.epochs` times; with `measure` end at the factors of the best sweep.

    Args:
        model: its `history_`, `best_epoch_` and `stopped_` are filled; `_factors` hold each sweep's result.
        sweeper: what a sweep is.
        measure: the validation metric, or None.
        name: what it is called in the history.
        callback: as for `fit`.
        checkpoint: where the run is kept after every sweep, and goes on from.
        higher: larger values of `measure` are better.
    """
    best: Factors | None = None
    best_value, done = math.inf, 0
    found = checkpoint.read(model.epochs) if checkpoint is not None else None
    if found is not None:
        progress, arrays = found
        sweeper.restore(arrays)
        best = best_of(arrays)
        done, model.best_epoch_, model.stopped_ = progress["epoch"], progress["best_epoch"], progress["stopped"]
        best_value = math.inf if progress["best_value"] is None else progress["best_value"]
        model.history_.extend(progress["history"])
    for epoch in range(done + 1, model.epochs + 1 if model.stopped_ is None else done + 1):
        began = time.perf_counter()
        facts = sweeper.sweep()
        info: dict[str, Any] = {"epoch": epoch, **facts, "seconds": time.perf_counter() - began}
        if measure is None:
            model.best_epoch_ = epoch
        else:
            info[name] = measure()
            value = -info[name] if higher else info[name]
            if value < best_value:
                best_value, model.best_epoch_, best = value, epoch, model._factors.copy()
            elif model.patience is not None and epoch - model.best_epoch_ >= model.patience:
                model.stopped_ = "patience"
        model.history_.append(info)
        if callback is not None and callback(epoch, info):
            model.stopped_ = model.stopped_ or "callback"
        if checkpoint is not None:
            progress = progress_of(epoch, model.best_epoch_, best_value, model.stopped_, model.history_)
            arrays = {**sweeper.state(), **(best.arrays("best_") if best is not None else {})}
            checkpoint.write(progress, arrays, force=model.stopped_ is not None or epoch == model.epochs)
        if model.stopped_ is not None:
            break
    if best is not None:
        model._factors.copy_from(best)
