"""The fits of a study: trials, the best settings without SSE, the final model. The only file here that trains."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torchsse.experiments.arms import SIDES
from torchsse.experiments.fitting import Stopped
from torchsse.experiments.neighbours import Neighbours
from torchsse.experiments.tuning.data import TuneData
from torchsse.experiments.tuning.dimensions import Value
from torchsse.experiments.tuning.models import TunedModel
from torchsse.experiments.tuning.settings import TuneSettings

if TYPE_CHECKING:
    from torchsse.data import Ratings
    from torchsse.recsys.base import Recommender

__all__ = ["Fit", "TuneFitter"]

Report = Callable[[float], bool]
"""Told the fraction of a fit that is done; answers True when the fit must be abandoned."""

GoOn = Callable[[int, float], bool]
"""Told epoch and value on validation; answers False when the trial should be pruned."""


@dataclass(frozen=True)
class Fit:
    """How a trial ended: state as in `study.Trial`, value and epoch None if it diverged."""

    state: str
    value: float | None
    epoch: int | None
    curve: list[float]
    seconds: float


@dataclass(frozen=True)
class TuneFitter:
    """Safe to call from several threads; a fit depends on its arguments only."""

    model: TunedModel
    data: TuneData
    settings: TuneSettings
    splits: tuple[tuple[Ratings, Ratings], ...]
    neighbours: Neighbours = field(default_factory=Neighbours)

    def trial(self, params: Mapping[str, Value], report: Report, go_on: GoOn | None = None) -> Fit:
        """Fit once for each split and average their curves, up to the end of the shortest; the best value counts.

        Pruning looks at the first split: the fits follow one another. A trial that diverges in any has no value.
        """
        from torchsse.recsys import DivergedError

        started, count = time.perf_counter(), len(self.splits)
        curves: list[dict[int, float]] = []
        state = "complete"
        for number, (learn, validation) in enumerate(self.splits):
            watch = _Watch(
                self.model.metric, report, go_on if number == 0 else None, number, count, self.settings.epochs
            )
            estimator: Any = self._estimator(
                learn, params, self.settings.seed + number, self.settings.epochs, self.settings.patience
            )
            try:
                estimator.fit(learn, validation=validation, callback=watch)
            except DivergedError:
                watch.diverged = True
            if watch.stopped:
                raise Stopped
            if watch.diverged:
                return Fit("diverged", None, None, [], time.perf_counter() - started)
            curves.append(watch.curve)
            if watch.pruned:
                state = "pruned"
                break
        shared = [epoch for epoch in curves[0] if all(epoch in curve for curve in curves)]
        means = {epoch: sum(curve[epoch] for curve in curves) / len(curves) for epoch in shared}
        sign = -1.0 if self.model.higher_is_better else 1.0
        best = min(means, key=lambda epoch: (sign * means[epoch], epoch))
        return Fit(state, means[best], best, list(means.values()), time.perf_counter() - started)

    def final(self, params: Mapping[str, Value], epochs: int, report: Report) -> Recommender:
        """Fit on train and validation together for a given number of epochs."""
        estimator: Any = self._estimator(self.data.whole, params, self.settings.seed, epochs, None)
        stopped = False

        def after_epoch(epoch: int, info: dict[str, Any]) -> bool:
            nonlocal stopped
            stopped = report(epoch / epochs)
            return stopped

        estimator.fit(self.data.whole, callback=after_epoch)
        if stopped:
            raise Stopped
        fitted: Recommender = estimator
        return fitted

    def _estimator(
        self, learn: Any, params: Mapping[str, Value], seed: int, epochs: int, patience: int | None
    ) -> Recommender:
        words: dict[str, Any] = {**params, "epochs": epochs, "patience": patience, "seed": seed}
        for side in SIDES:
            graph = getattr(self.data, f"{side}_graph")
            if side in self.data.nearest:
                graph = self.neighbours.graph(learn, side, self.data.nearest[side])
            if graph is not None:
                words[f"{side}_graph"] = graph
        made: Recommender = self.model.estimator()(**words)
        return made


class _Watch:
    """The callback of one fit: keeps the curve, passes progress on, ends fits that are pruned, abandoned or NaN."""

    def __init__(self, metric: str, report: Report, go_on: GoOn | None, number: int, count: int, epochs: int) -> None:
        self._column, self._report, self._go_on = f"validation_{metric}", report, go_on
        self._number, self._count, self._epochs = number, count, epochs
        self.curve: dict[int, float] = {}
        self.stopped = self.pruned = self.diverged = False

    def __call__(self, epoch: int, info: dict[str, Any]) -> bool:
        self.stopped = self._report((self._number + epoch / self._epochs) / self._count)
        if self._column in info and not self.stopped:
            value = float(info[self._column])
            self.diverged = not math.isfinite(value)
            if not self.diverged:
                self.curve[epoch] = value
                self.pruned = self._go_on is not None and not self._go_on(epoch, value)
        return self.stopped or self.pruned or self.diverged
