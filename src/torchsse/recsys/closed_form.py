"""What estimators share that count instead of iterating: one pass over the pairs of train, then done."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from torchsse.recsys.base import Recommender
from torchsse.recsys.ranker import check_metric, pairs_in
from torchsse.recsys.ranking import evaluate_ranking, measure_of
from torchsse.recsys.training import Callback

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ClosedForm"]

C = TypeVar("C", bound="ClosedForm")


class ClosedForm(Recommender):
    """Counts the pairs of train; a subclass says how.

    Attributes, once fitted:
        history_: one dict: ``epoch`` (1), ``seconds``, and ``validation_<metric>`` if there is validation.
        best_epoch_: 1. stopped_: None; "callback" if the callback returned True.
    """

    metric: str

    history_: list[dict[str, Any]]
    best_epoch_: int
    stopped_: str | None

    @abstractmethod
    def _count(self, seen: Any) -> None:
        """Learn from train, CSR (users, items) of float64 without duplicates; a rating of 0 is stored too."""

    def _check_params(self) -> None:
        check_metric(self.metric)

    def fit(self: C, train: Any, validation: Any = None, callback: Callback | None = None) -> C:
        """Count.

        Args:
            train: `Ratings`, a scipy sparse matrix (users x items), or a table of raw ids: see
                `torchsse.data.as_ratings`. Every pair that is there counts.
            validation: of the same kinds; `metric` is taken on it and noted in `history_`. Nothing is chosen by it.
            callback: called once, as ``callback(1, history_[0])``, with the model ready to predict.

        Returns:
            self.

        Raises:
            DataError: no pairs, NaN. ConfigError: settings out of range.
        """
        self._check_params()
        ratings = pairs_in(train, "train")
        held_out = None if validation is None else pairs_in(validation, "validation")
        began = time.perf_counter()
        seen = ratings.to_csr().astype(np.float64)
        seen.sum_duplicates()
        users = np.repeat(np.arange(seen.shape[0], dtype=np.int64), np.diff(seen.indptr))
        self._remember(ratings, users, seen.indices.astype(np.int64), self._kept(seen))
        self._count(seen)
        info: dict[str, Any] = {"epoch": 1, "seconds": time.perf_counter() - began}
        self.history_, self.best_epoch_, self.stopped_ = [info], 1, None
        if held_out is not None:
            info[f"validation_{self.metric}"] = measure_of(self, held_out, self.metric)()
        if callback is not None and callback(1, info):
            self.stopped_ = "callback"
        return self

    def _kept(self, seen: Any) -> Any:
        """The values of the pairs that prediction needs, or None."""
        return None

    def evaluate(self, test: Any, ks: Sequence[int] = (1, 5, 10), exclude_seen: bool = True) -> dict[str, Any]:
        """Ranking metrics on held-out pairs, over all items: see `torchsse.recsys.ranking.evaluate_ranking`."""
        self._check_fitted()
        return evaluate_ranking(self, pairs_in(test, "test"), ks=ks, exclude_seen=exclude_seen)

    def _facts(self) -> dict[str, Any]:
        return {"history": self.history_, "best_epoch": self.best_epoch_, "stopped": self.stopped_}

    def _set_facts(self, facts: dict[str, Any]) -> None:
        self.history_, self.best_epoch_, self.stopped_ = facts["history"], facts["best_epoch"], facts["stopped"]
