"""What the rankers have in common that train two tables of factors by SGD on samples of the pairs of train."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from torchsse.data import Ratings, as_ratings
from torchsse.errors import ConfigError, DataError
from torchsse.metrics import RANKING_METRICS
from torchsse.recsys.base import Codes, Floats, Recommender
from torchsse.recsys.checkpoint import checkpoint_for
from torchsse.recsys.factors import Factors
from torchsse.recsys.graphs import check_graph_words, table_law
from torchsse.recsys.params import check_integer, check_number, check_sgd_words
from torchsse.recsys.ranking import evaluate_ranking, measure_of
from torchsse.recsys.training import Callback, Trainer, run_epochs

if TYPE_CHECKING:
    from torchsse.transition import Law

__all__ = ["SampledRanker", "check_metric", "is_metric", "pairs_in"]

S = TypeVar("S", bound="SampledRanker")


def is_metric(metric: object, names: Sequence[str] = RANKING_METRICS) -> bool:
    """Whether it is one of the names, "@" and a number.

    >>> is_metric("ndcg@10"), is_metric("ndcg"), is_metric("rmse@10"), is_metric("hr@0")
    (True, False, False, False)
    """
    name, _, k = metric.partition("@") if isinstance(metric, str) else ("", "", "")
    return name in names and k.isascii() and k.isdigit() and int(k) > 0


def check_metric(metric: object, names: Sequence[str] = RANKING_METRICS) -> None:
    """`ConfigError` for what is no metric."""
    if not is_metric(metric, names):
        raise ConfigError(f"metric: expected {', '.join(names)}, '@' and a number, got {metric!r}")


class SampledRanker(Recommender):
    """s(u, i) = a_u . b_i, plus c_i with ``biases``, trained by a `Trainer` of the subclass.

    A subclass has the constructor words named below, checks them in `_check_params`, and makes its trainer.
    """

    factors: int
    epochs: int
    learning_rate: float
    learning_rate_decay: float
    biases: bool
    user_graph: Any
    item_graph: Any
    rho_user: float | None
    rho_item: float | None
    swap_unseen: bool
    init_std: float
    patience: int | None
    metric: str | None
    validate_every: int
    seed: int
    checkpoint: str | os.PathLike[str] | None
    checkpoint_seconds: float

    history_: list[dict[str, Any]]
    best_epoch_: int
    stopped_: str | None
    dropped_edges_: dict[str, int]
    _factors: Factors
    _warm: npt.NDArray[np.bool_]

    def _check_ranker_words(self) -> None:
        check_sgd_words(self)
        check_integer("validate_every", self.validate_every, 1)
        check_number("init_std", self.init_std, 0.0)
        check_graph_words("user", self.user_graph, self.rho_user)
        check_graph_words("item", self.item_graph, self.rho_item)

    @abstractmethod
    def _trainer(self, users: Codes, items: Codes, values: npt.NDArray[np.float32], laws: tuple[Law, Law]) -> Trainer:
        """Trains `_factors` in place; the pairs are distinct and sorted by user and item."""

    def _read(self, data: Any, what: str) -> Ratings:
        """`data` as ratings that this estimator can use."""
        return pairs_in(data, what)

    # fitting ----------------------------------------------------------------------------------------------------

    def fit(self: S, train: Any, validation: Any = None, callback: Callback | None = None) -> S:
        """Train from scratch.

        Args:
            train: `Ratings`, a scipy sparse matrix (users x items), or a table of raw ids: see
                `torchsse.data.as_ratings`.
            validation: of the same kinds; `metric` is taken on it and the best epoch's parameters are kept. Ids are
                matched by raw id.
            callback: called as ``callback(epoch, info)`` after each epoch, epoch counted from 1 and info the entry of
                `history_`; ends the run by returning True. Inside it the model predicts with that epoch's parameters.

        Returns:
            self.

        Raises:
            DataError: no pairs, NaN. ConfigError: settings or graphs that do not fit.
            DivergedError (a ConfigError): the learning rate was too large.
        """
        self._check_params()
        ratings = self._read(train, "train")
        held_out = None if validation is None else self._read(validation, "validation")
        # by user and item: the order of the file does not matter, and threads can own ranges of users
        both = ratings.users.astype(np.int64) * ratings.num_items + ratings.items
        order = np.lexsort((ratings.values, both))
        order = order[np.append(both[order][1:] != both[order][:-1], True)]
        users, items = both[order] // ratings.num_items, both[order] % ratings.num_items
        values = ratings.values[order]
        sizes = ratings.num_users, ratings.num_items
        counts = np.bincount(users, minlength=sizes[0]), np.bincount(items, minlength=sizes[1])
        user_law, dropped_users = table_law(
            "user", self.user_graph, self.rho_user, ratings.user_ids, counts[0], self.swap_unseen
        )
        item_law, dropped_items = table_law(
            "item", self.item_graph, self.rho_item, ratings.item_ids, counts[1], self.swap_unseen
        )
        self._remember(ratings, users, items)
        self.dropped_edges_ = {"user": dropped_users, "item": dropped_items}
        self._warm = counts[0] > 0
        self._factors = Factors.initial(*sizes, self.factors, self.init_std, self.seed)
        metric = self._metric()
        checked = [] if held_out is None else [*self._codes_of(held_out), *self._judged_by(held_out)]
        self.history_ = []
        self.best_epoch_, self.stopped_ = 0, None
        outcome = run_epochs(
            self._trainer(users, items, values, (user_law, item_law)),
            epochs=self.epochs,
            patience=self.patience,
            measure=None if held_out is None else self._measure(held_out, metric),
            learning_rate=self._rate,
            callback=callback,
            checkpoint=checkpoint_for(self, self._learned_from(users, items, values), checked, (user_law, item_law)),
            history=self.history_,
            name=f"validation_{metric}",
            train_name="train_loss",
            higher=True,
            every=self.validate_every,
        )
        self.best_epoch_, self.stopped_ = outcome.best_epoch, outcome.stopped
        return self

    def _rate(self, epoch: int) -> float:
        return float(self.learning_rate * self.learning_rate_decay**epoch)

    def _metric(self) -> str:
        assert self.metric is not None
        return self.metric

    def _measure(self, held_out: Ratings, metric: str) -> Callable[[], float]:
        """The function that takes `metric` on validation now."""
        return measure_of(self, held_out, metric)

    def _learned_from(self, users: Codes, items: Codes, values: npt.NDArray[np.float32]) -> tuple[Any, ...]:
        """What of train the result depends on."""
        return users, items

    def _judged_by(self, held_out: Ratings) -> tuple[Any, ...]:
        """What of validation the result depends on beside its pairs."""
        return ()

    # prediction -------------------------------------------------------------------------------------------------

    def _score_pairs(self, users: Codes, items: Codes) -> Floats:
        everything = np.ones(len(self.item_ids), dtype=bool)
        return self._factors.score(users, items, self._warm, everything, 0.0, True)

    def _score_users(self, users: Codes) -> Floats:
        scores = self._factors.products(users)
        scores[~self._warm[users]] = 0.0
        if self.biases:
            scores += self._factors.bi
        return scores

    def evaluate(self, test: Any, ks: Sequence[int] = (1, 5, 10), exclude_seen: bool = True) -> dict[str, Any]:
        """Ranking metrics on held-out pairs, over all items: see `torchsse.recsys.ranking.evaluate_ranking`."""
        self._check_fitted()
        return evaluate_ranking(self, pairs_in(test, "test"), ks=ks, exclude_seen=exclude_seen)

    # files ------------------------------------------------------------------------------------------------------

    def _state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        facts = {
            "best_epoch": self.best_epoch_, "stopped": self.stopped_, "history": self.history_,
            "dropped_edges": self.dropped_edges_,
        }  # fmt: skip
        return facts, {**self._factors.arrays(factors=self.factors), "warm_users": self._warm}

    def _restore(self, facts: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        self.best_epoch_, self.stopped_ = facts["best_epoch"], facts["stopped"]
        self.history_, self.dropped_edges_ = facts["history"], facts["dropped_edges"]
        self._warm = arrays["warm_users"].astype(bool)
        self._factors = Factors.from_arrays(arrays)


def pairs_in(data: Any, what: str) -> Ratings:
    """Ratings of any kind, at least one; `DataError` otherwise."""
    ratings = as_ratings(data)
    if not len(ratings):
        raise DataError(f"{what}: expected at least one (user, item) pair, got none")
    return ratings
