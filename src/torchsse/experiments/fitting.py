"""The units of work: fit a `MatrixFactorization` with an arm's settings and measure it. The only file that trains."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from torchsse.experiments.arms import Arm
from torchsse.experiments.files import jsonable
from torchsse.experiments.neighbours import Neighbours
from torchsse.experiments.settings import CompareData, CompareSettings

if TYPE_CHECKING:
    from torchsse.data import Ratings
    from torchsse.recsys import MatrixFactorization

__all__ = ["Fitter", "Stopped"]

Report = Callable[[float], bool]
"""Told the fraction of a fit that is done, in the thread that runs it; answers True when the fit must be abandoned."""


class Stopped(Exception):  # noqa: N818  (an event, no error)
    """A fit was abandoned because the run is ending; its result means nothing."""


@dataclass(frozen=True)
class Fitter:
    """Runs trials and final fits; safe to call from several threads, the result depends on the arguments only.

    Attributes:
        learn: train without its validation part, for the search.
        validation: the validation part.
    """

    data: CompareData
    settings: CompareSettings
    learn: Ratings
    validation: Ratings
    _neighbours: Neighbours = field(default_factory=Neighbours)

    def trial(self, arm: Arm, searched: dict[str, float], report: Report) -> dict[str, Any]:
        """Fit on train without validation, stop early; the lowest validation RMSE and the epoch it came at.

        A fit that diverges has the value None.
        """
        from torchsse.recsys import DivergedError

        started = time.perf_counter()
        model = self._model(arm, searched, self.learn, self.settings.seed, self.settings.epochs, self.settings.patience)
        curve: list[dict[str, Any]] = []
        # A fit that diverges has no value, however good an early epoch was.
        with contextlib.suppress(DivergedError):
            self._fit(model, self.settings.epochs, report, self.learn, self.validation)
            curve = model.history_
        best = min(curve, key=lambda row: float(row["validation_rmse"]), default=None)
        return {
            "params": jsonable(arm.params(searched)),
            "searched": searched,
            "value": None if best is None else float(best["validation_rmse"]),
            "epoch": None if best is None else int(best["epoch"]),
            "curve": {
                name: [round(float(row[name]), 6) for row in curve]
                for name in ("epoch", "train_rmse", "validation_rmse")
            },
            "seconds": round(time.perf_counter() - started, 3),
        }

    def final(
        self, arm: Arm, searched: dict[str, float], epochs: int, seed: int, report: Report
    ) -> MatrixFactorization:
        """Fit on the whole of train for a given number of epochs."""
        model = self._model(arm, searched, self.data.train, seed, epochs, None)
        self._fit(model, epochs, report, self.data.train, None)
        return model

    def predict(self, model: MatrixFactorization) -> NDArray[np.float32]:
        """Predictions for the test pairs, (n_test,)."""
        return model.predict(self.data.test.raw_users, self.data.test.raw_items)

    def _model(
        self,
        arm: Arm,
        searched: dict[str, float],
        train: Ratings,
        seed: int,
        epochs: int,
        patience: int | None,
    ) -> MatrixFactorization:
        from torchsse.recsys import MatrixFactorization

        settings: dict[str, Any] = {"learning_rate": self.settings.learning_rate, **arm.params(searched)}
        if arm.graphs == "given":
            settings |= {"user_graph": self.data.user_graph, "item_graph": self.data.item_graph}
        elif arm.graphs == "cooccurrence":
            # from what this fit learns from: never from the validation part of a trial
            settings["user_graph"], settings["item_graph"] = self._neighbours.graphs(
                train, int(settings.pop("neighbours"))
            )
        return MatrixFactorization(
            factors=self.settings.factors,
            epochs=epochs,
            learning_rate_decay=self.settings.decay,
            biases=self.settings.biases,
            patience=patience,
            num_threads=1,
            seed=seed,
            **settings,
        )

    @staticmethod
    def _fit(
        model: MatrixFactorization, epochs: int, report: Report, train: Ratings, validation: Ratings | None
    ) -> None:
        stopped = False

        def after_epoch(epoch: int, info: dict[str, Any]) -> bool:
            nonlocal stopped
            stopped = report(epoch / epochs)
            return stopped

        model.fit(train, validation=validation, callback=after_epoch)
        if stopped:
            raise Stopped
