"""The test part of explicit ratings, and what is computed from predictions for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from torchsse.metrics import Difference, paired_bootstrap, rmse, squared_errors

if TYPE_CHECKING:
    from torchsse.data import Ratings

__all__ = ["TestPart"]

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class TestPart:
    """True ratings of the test pairs, their users, and which pairs are warm (user and item have training examples).

    >>> part = TestPart(np.array([4.0, 2.0]), np.array([0, 1]), np.array([True, False]))
    >>> part.rmse(np.array([3.0, 2.0])), part.warm_rmse(np.array([3.0, 2.0])), part.n_cold
    (0.7071067811865476, 1.0, 1)
    """

    __test__ = False  # no test class, whatever pytest makes of the name

    truth: Floats
    users: npt.NDArray[np.integer]
    warm: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, train: Ratings, test: Ratings) -> TestPart:
        return cls(test.values, test.users, train.warm(test))

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def n_cold(self) -> int:
        return len(self.warm) - int(self.warm.sum())

    def values(self, predicted: Floats) -> dict[str, float | None]:
        """RMSE of one fit, on all pairs and on the warm ones."""
        return {"rmse": self.rmse(predicted), "warm_rmse": self.warm_rmse(predicted)}

    def facts(self, finals: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """How many pairs are cold, and the mean RMSE on the others."""
        warm = [final["warm_rmse"] for final in finals if final["warm_rmse"] is not None]
        return {"n_cold": self.n_cold, "warm_rmse": float(np.mean(warm)) if warm else None}

    def store(self, out: Path) -> None:
        """The predictions say it all."""

    def rmse(self, predicted: Floats) -> float:
        return rmse(predicted, self.truth)

    def warm_rmse(self, predicted: Floats) -> float | None:
        """None where no pair is warm."""
        return rmse(predicted, self.truth, mask=self.warm) if self.warm.any() else None

    def difference(self, metric: str, arm: list[Floats], baseline: list[Floats], seed: int) -> Difference:
        """Paired bootstrap over users: squared errors of each pair, averaged over seeds, arm against baseline.

        Args:
            metric: rmse, there is no other.
            arm: predictions, one array (n_test,) per seed.
            baseline: the same of the baseline.
            seed: of the resampling; the same for all arms, so that they are judged on the same resamples.
        """
        return paired_bootstrap(
            self._errors(arm), self._errors(baseline), groups=self.users, statistic="rmse", seed=seed
        )

    def _errors(self, predictions: list[Floats]) -> npt.NDArray[np.float64]:
        total = np.zeros(len(self))
        for predicted in predictions:
            total += squared_errors(predicted, self.truth)
        return total / len(predictions)
