"""The units of work: fit the task's estimator with an arm's settings and measure it. The only file that trains."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from torchsse.experiments.arms import SIDES, Arm
from torchsse.experiments.files import jsonable
from torchsse.experiments.fit_files import FitFiles
from torchsse.experiments.kinds import ModelKind
from torchsse.experiments.neighbours import Neighbours
from torchsse.experiments.settings import CompareData, CompareSettings
from torchsse.experiments.task import Array, Part, Splits, Task, loss, task_of

if TYPE_CHECKING:
    from torchsse.data import Ratings
    from torchsse.recsys.base import Recommender

__all__ = ["Fitter", "Stopped"]

Report = Callable[[float], bool]
"""Told the fraction of a fit that is done, in the thread that runs it; answers True when the fit must be abandoned."""


class Stopped(Exception):  # noqa: N818  (an event, no error)
    """A fit was abandoned because the run is ending; its result means nothing."""


def _share(report: Report, number: int, count: int, fraction: float) -> bool:
    """Report a fraction of fit `number` of `count`."""
    return report((number + fraction) / count)


@dataclass(frozen=True)
class Fitter:
    """Runs trials and final fits; safe to call from several threads, the result depends on the arguments only.

    Attributes:
        splits: for the search: train without its validation part, and that part, as often as train was split.
        files: where long fits are kept while they run.
    """

    data: CompareData
    settings: CompareSettings
    splits: Splits
    _neighbours: Neighbours = field(default_factory=Neighbours)
    files: FitFiles | None = None

    @property
    def task(self) -> Task:
        """What the data are for."""
        return task_of(self.data.train, self.settings)

    @cached_property
    def part(self) -> Part:
        """The test part."""
        return self.task.part(self.data)

    def trial(self, arm: Arm, searched: dict[str, float], report: Report) -> dict[str, Any]:
        """Fit on train without validation, stop early; the best value on validation and the epoch it came at.

        With several splits one fit each, with seeds of their own; their curves are averaged, up to the end of the
        shortest. A fit that diverges has the value None.
        """
        from torchsse.recsys import DivergedError

        started, task, settings = time.perf_counter(), self.task, self.settings
        kind, count = self._kind(arm), len(self.splits)
        measured = f"validation_{task.metric}"
        names = ("epoch", *((kind.trained,) if kind.trained else ()), measured)
        epochs, patience = kind.limits(settings)
        curves: list[list[dict[str, float]]] = []
        for number, (learn, validation) in enumerate(self.splits):
            model: Any = self._model(arm, searched, learn, settings.seed + number, epochs, patience)
            # A fit that diverges has no value, however good an early epoch was.
            try:
                so_far = partial(_share, report, number, count)
                self._fit(model, epochs, so_far, learn, validation)
            except DivergedError:
                curves = []
                break
            curves.append([{name: float(row[name]) for name in names} for row in model.history_ if measured in row])
        curve = [{name: sum(row[name] for row in rows) / count for name in names} for rows in zip(*curves)]
        best = min(curve, key=lambda row: loss(task, row[measured]), default=None)
        return {
            "params": jsonable(arm.params(searched)),
            "searched": searched,
            "value": None if best is None else best[measured],
            "epoch": None if best is None else int(best["epoch"]),
            "curve": {name: [round(row[name], 6) for row in curve] for name in names},
            "seconds": round(time.perf_counter() - started, 3),
        }

    def final(self, arm: Arm, searched: dict[str, float], epochs: int, seed: int, report: Report) -> Recommender:
        """Fit on the whole of train for a given number of epochs; where the task does not refit, as a trial does."""
        if not self.task.refits:
            most, patience = self._kind(arm).limits(self.settings)
            learn, validation = self.splits[0]
            stopping: Any = self._model(arm, searched, learn, seed, most, patience)
            self._fit(stopping, most, report, learn, validation)
            return stopping  # type: ignore[no-any-return]
        train: Any = self.data.train
        model: Any = self._model(arm, searched, train, seed, epochs, None)
        self._fit(model, epochs, report, train, None)
        fitted: Recommender = model
        return fitted

    def ended(self, model: Any, chosen: int) -> dict[str, Any]:
        """How many epochs a final fit has seen; of one that validation stopped, where and why it stopped too."""
        if self.task.refits:
            return {"epochs": chosen}
        return {
            "epochs": model.best_epoch_,
            "epochs_run": len(model.history_),
            "stopped": model.stopped_ or "epochs",
        }

    def predict(self, model: Recommender) -> Array:
        """What the model says about the test part, in the form that `Part` takes."""
        return self.task.predict(model, self.data, self.part)

    def _model(
        self,
        arm: Arm,
        searched: dict[str, float],
        train: Ratings,
        seed: int,
        epochs: int,
        patience: int | None,
    ) -> Recommender:
        chosen: dict[str, Any] = dict(arm.params(searched))
        if arm.graphs == "given":
            chosen |= {"user_graph": self.data.user_graph, "item_graph": self.data.item_graph}
        elif arm.graphs == "cooccurrence":
            # from what this fit learns from: never from the validation part of a trial
            k = int(chosen.pop("neighbours"))
            chosen |= {f"{s}_graph": self._neighbours.graph(train, s, k) for s in SIDES if f"rho_{s}" in chosen}
        words = {**chosen, "epochs": epochs, "patience": patience, "seed": seed}
        if self.files is not None and self._kind(arm).kept:
            words["checkpoint"] = self.files.place(arm, searched, seed)
        return self._kind(arm).build(self.settings, words)

    def _kind(self, arm: Arm) -> ModelKind:
        return arm.model or next(iter(self.task.kinds.values()))

    @staticmethod
    def _fit(model: Any, epochs: int, report: Report, train: Ratings, validation: Ratings | None) -> None:
        def after_epoch(epoch: int, info: dict[str, Any]) -> bool:
            # raised, not returned: a checkpoint would remember that the fit was told to end
            if report(epoch / epochs):
                raise Stopped
            return False

        model.fit(train, validation=validation, callback=after_epoch)
