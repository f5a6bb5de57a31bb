"""What estimators of explicit ratings share: prediction by mean, biases and factors, errors, files."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.data import Ratings, as_ratings
from torchsse.errors import DataError
from torchsse.recsys.base import Codes, Floats, Recommender
from torchsse.recsys.factors import Factors

__all__ = ["ExplicitRecommender"]


class ExplicitRecommender(Recommender):
    """r(u, i) = mean + b_u + b_i + a_u . b_i, or a_u . b_i without biases, clipped to the rating range of train.

    `fit` of a subclass sets the attributes below and calls `_remember`.
    """

    factors: int
    biases: bool

    history_: list[dict[str, Any]]
    best_epoch_: int
    stopped_: str | None
    mean_: float
    rating_range_: tuple[float, float]
    dropped_edges_: dict[str, int]
    _factors: Factors
    _warm: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]

    # prediction -------------------------------------------------------------------------------------------------

    def _score_pairs(self, users: Codes, items: Codes) -> Floats:
        """Clipped predictions for codes; -1 = unknown."""
        scores = self._factors.score(users, items, *self._warm, self.mean_, bool(self.biases))
        if not self.biases:
            warm_user = np.append(self._warm[0], False)
            warm_item = np.append(self._warm[1], False)
            scores[~(warm_user[users] & warm_item[items])] = self.mean_
        return np.clip(scores, *self.rating_range_, out=scores)

    def _score_users(self, users: Codes) -> Floats:
        tables, (warm_users, warm_items) = self._factors, self._warm
        scores = tables.products(users)
        warm = warm_users[users][:, None] & warm_items[None, :]
        if not self.biases:
            return np.where(warm, scores, np.float32(self.mean_))
        scores[~warm] = 0.0
        scores += np.float32(self.mean_) + np.where(warm_users, tables.bu, 0)[users][:, None]
        scores += np.where(warm_items, tables.bi, 0)[None, :]
        return scores

    def evaluate(self, test: Any) -> dict[str, Any]:
        """Errors of the predictions on held-out ratings.

        Returns:
            ``rmse`` and ``mae`` on all pairs, ``rmse_warm`` and ``mae_warm`` on those whose user and item are in train
            (NaN if there are none), ``n`` pairs and ``n_cold`` of them with an unseen user or item.
        """
        self._check_fitted()
        ratings = self._ratings(test, "test")
        users, items = self._codes_of(ratings)
        error = np.abs(self._score_pairs(users, items) - ratings.values.astype(np.float64))
        warm = np.append(self._warm[0], False)[users] & np.append(self._warm[1], False)[items]
        known = error[warm]
        return {
            "rmse": math.sqrt(float(np.mean(error**2))),
            "mae": float(np.mean(error)),
            "rmse_warm": math.sqrt(float(np.mean(known**2))) if len(known) else math.nan,
            "mae_warm": float(np.mean(known)) if len(known) else math.nan,
            "n": len(error),
            "n_cold": int((~warm).sum()),
        }

    # files ------------------------------------------------------------------------------------------------------

    def _state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        facts = {
            "mean": self.mean_, "rating_range": list(self.rating_range_), "best_epoch": self.best_epoch_,
            "stopped": self.stopped_, "history": self.history_, "dropped_edges": self.dropped_edges_,
        }  # fmt: skip
        warm = {"warm_users": self._warm[0], "warm_items": self._warm[1]}
        return facts, {**self._factors.arrays(factors=self.factors), **warm}

    def _restore(self, facts: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        self.mean_, self.rating_range_ = facts["mean"], (facts["rating_range"][0], facts["rating_range"][1])
        self.best_epoch_, self.stopped_ = facts["best_epoch"], facts["stopped"]
        self.history_, self.dropped_edges_ = facts["history"], facts["dropped_edges"]
        self._warm = arrays["warm_users"].astype(bool), arrays["warm_items"].astype(bool)
        self._factors = Factors.from_arrays(arrays)

    def _rmse_on(self, held_out: Ratings | None) -> Callable[[], float] | None:
        """The function that takes the RMSE on `held_out` now, or None."""
        if held_out is None:
            return None
        pairs, truth = self._codes_of(held_out), held_out.values.astype(np.float64)
        return lambda: math.sqrt(float(np.mean((self._score_pairs(*pairs) - truth) ** 2)))

    def _ratings(self, data: Any, what: str) -> Ratings:
        ratings = as_ratings(data)
        if not len(ratings):
            raise DataError(f"{what}: expected at least one rating, got none")
        if ratings.feedback == "implicit":
            raise DataError(
                f"{what}: {type(self).__name__} needs ratings that differ, got implicit feedback (no ratings, or all "
                "equal); for ratings that happen to be equal say feedback='explicit' when reading"
            )
        return ratings
