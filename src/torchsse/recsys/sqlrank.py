"""SQLRank: listwise ranking by stochastic queuing, explicit and implicit, SSE on users and items."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from torchsse.data import Ratings, as_ratings
from torchsse.errors import ConfigError, DataError
from torchsse.metrics import ORDER_METRICS, RANKING_METRICS, order_metrics
from torchsse.recsys.base import Codes
from torchsse.recsys.kernels.draw import swaps
from torchsse.recsys.kernels.negatives import seen_pairs
from torchsse.recsys.params import check_choice, check_integer
from torchsse.recsys.ranker import SampledRanker, check_metric, is_metric, pairs_in
from torchsse.recsys.sqlrank_sgd import ListRates, SQLRankTrainer
from torchsse.recsys.training import Trainer

if TYPE_CHECKING:
    from torchsse.transition import Law

__all__ = ["SQLRank"]

_FEEDBACK = ("auto", "explicit", "implicit")
#: Unobserved items for each observed one, unless the user says otherwise.
_NEGATIVES = {"implicit": 10, "explicit": 0}


class SQLRank(SampledRanker):
    """Listwise collaborative ranking by stochastic queuing (Wu, Hsieh and Sharpnack 2018), with Stochastic Shared
    Embeddings.

    s(u, i) = a_u . b_i. A user's items form a list: the observed ones from the highest rating to the lowest, then
    `num_negatives` times as many unobserved ones. A model of rankings (Plackett 1975, Luce 1959) gives the list the
    chance that its items are drawn in this order, each from those left, in proportion to exp(s):

        P(pi_1, ..., pi_n | u) = product over t = 1..n of exp s(u, pi_t) / sum over l >= t of exp s(u, pi_l)

    n counts the observed items: unobserved ones are only what an observed item is preferred to. Ties are broken at
    random, afresh in every epoch (stochastic queuing), so that no order among equal ratings is learned:

    - implicit feedback: all observed items tie. They are permuted afresh, ahead of unobserved items that are drawn
      afresh, with replacement, uniformly over the items of the table that the user has not in train.
    - explicit ratings: no unobserved items, unless `num_negatives` asks for them. The model orders what is rated.

    A list with more than `list_length` observed items is cut into parts of nearly equal length, to which its items are
    dealt at random, afresh in every epoch: a part keeps the order of the whole, and its likelihood is the one that the
    model gives to its items.

    Every epoch visits the lists in a fresh uniform order. A list is a sample: its user, each of its observed items and,
    with `swap_negatives`, each unobserved one are swapped with chance p0, each by a coin of its own. Then, with g_t the
    slope of log P in s(u, pi_t), of the rows after the swap, and the values before the update on the right-hand sides,

        a_u += lr (sum over t of g_t b_t - n weight_decay a_u)          b_t += lr (g_t a_u - weight_decay b_t)

        g_t = [t <= n] - sum over k <= min(t, n) of exp s(u, pi_t) / sum over l >= k of exp s(u, pi_l)

    An item that is in a list twice is updated twice, place after place. All g_t take one pass from the end of the list
    and one from its beginning: a list costs (n + unobserved) * factors. lr = learning_rate *
    learning_rate_decay**epoch, epochs counted from 0. Factors start normal, see `init_std`.

    Args:
        factors: rank, length of a row.
        epochs: passes over train at most.
        learning_rate, learning_rate_decay: the first step size, and its factor from one epoch to the next. A user's row
            takes the slopes of a whole list in one step: longer lists need a smaller one.
        weight_decay: L2 on the rows used: a user's for each observed item of the list, an item's for each place.
        dropout: each factor of the user's row and of each item's is zeroed with this chance and the rest scaled by
            1 / (1 - dropout), afresh for every list. None in prediction.
        num_negatives: unobserved items for each observed one (the paper's ratio rho). None: 10 for implicit feedback,
            0 for explicit.
        list_length: observed items of a list at most. None: whole lists. 1, with unobserved items: a softmax over each
            positive and its own negatives.
        p0_user, p0_item: SSE probabilities, 0 to 1.
        user_graph, item_graph: a `Graph` over the rows of train's table, or edges of raw ids: an `EdgeTable` (from
            `read_edges`), a file, a tuple (src, dst). None: SSE-SE, uniform over all rows.
        rho_user, rho_item: how much likelier a neighbour is drawn than another row, 1 to inf; needed with a graph.
        swap_unseen: let rows without training examples be swapped in; excluded by default.
        patience: stop after this many epochs without a better `metric` on validation. None: run all epochs.
        num_threads: 1 is deterministic to the bit. More share the item table without locks and are not.
        seed: of initial values, queues, order, unobserved items, swaps and dropout.
        feedback: "implicit" ignores the values of ratings, "explicit" needs ratings that differ; "auto": what train is.
        swap_negatives: swap unobserved items too, with p0_item.
        metric: what is taken on validation: precision, recall, ndcg, hr, map or mrr, "@", k, over all items, those of
            train masked; or "rated_ndcg@" k, over the rated items of validation (`torchsse.metrics.order_metrics`).
            None: "precision@10" for implicit feedback, "rated_ndcg@10" for explicit.
        validate_every: take it after every so many epochs (and after the last).
        init_std: standard deviation of the initial factors.
        checkpoint: a directory where the run is kept after every epoch. `fit` with the same settings and data goes on
            from there; with one thread the result equals that of an uninterrupted run to the bit. Also with more
            `epochs`: a run that has ended goes on (from a multiple of `validate_every` to the bit).
        checkpoint_seconds: write at most this often. 0: every epoch.

    Attributes, once fitted:
        history_: one dict per epoch: ``epoch`` (from 1), ``train_loss`` (mean over observed items of -log of the chance
            to be drawn next, each before its update, after swaps and dropout), ``validation_<metric>`` where it was
            taken, ``seconds`` of training, ``learning_rate``.
        best_epoch_: epochs that the parameters have seen: the one with the best validation metric, or the last.
        stopped_: "patience", "callback", or None if all epochs ran.
        dropped_edges_: edges that named unknown ids, {"user": n, "item": n}.
        user_ids, item_ids: `torchsse.data.IdMap`.

    The defaults were chosen among some forty settings on a validation part of MovieLens-1M, implicit, rank 100, 40
    items a user: the best precision@1, and precision@10 .001 below the best, lists of one item, which took longer.
    More unobserved items than 10 gained nothing, 3 lost .003. A `weight_decay` of 0.03 to 0.1 is worth a search.
    Explicit ratings are learned in fewer epochs: give validation and `patience`.

    Prediction: scores, of no scale but their order; for explicit ratings no ratings. An unknown user or item, and a
    user without observed items, scores 0. Without unobserved items in its lists the model orders rated items only: what
    it says of items that nobody chooses to rate rests on nothing.

    Raises:
        ConfigError: settings out of range or contradicting each other, when constructed, set, or fitted.

    Relations: the authors' code takes exp(sigmoid(s)) for exp(s), ranks the unobserved items too and steps on all users
    at once; exp(s) gave better rankings on validation and needs no second setting. `BPR` compares pairs, this compares
    lists: the unobserved items that score high weigh more, as with `BPR(hard_negatives=True)`.

    >>> from torchsse.data import Ratings
    >>> train = Ratings.from_arrays(["ann", "ann", "bob", "bob", "cy"], [1, 2, 1, 3, 2])
    >>> model = SQLRank(factors=4, epochs=20, p0_user=0.1, p0_item=0.1, seed=1).fit(train)
    >>> items, scores = model.recommend(["ann"], k=2)
    >>> items.tolist()      # ann has seen 1 and 2
    [[3, None]]
    """

    biases = False

    def __init__(
        self,
        factors: int = 100,
        epochs: int = 120,
        learning_rate: float = 0.02,
        learning_rate_decay: float = 0.98,
        weight_decay: float = 0.05,
        dropout: float = 0.0,
        num_negatives: int | None = None,
        list_length: int | None = 50,
        p0_user: float = 0.0,
        p0_item: float = 0.0,
        user_graph: Any = None,
        item_graph: Any = None,
        rho_user: float | None = None,
        rho_item: float | None = None,
        swap_unseen: bool = False,
        patience: int | None = None,
        num_threads: int = 1,
        seed: int = 0,
        *,
        feedback: str = "auto",
        swap_negatives: bool = False,
        metric: str | None = None,
        validate_every: int = 1,
        init_std: float = 0.01,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 0.0,
    ) -> None:
        self.factors, self.epochs = factors, epochs
        self.learning_rate, self.learning_rate_decay = learning_rate, learning_rate_decay
        self.weight_decay, self.dropout, self.init_std = weight_decay, dropout, init_std
        self.num_negatives, self.list_length, self.swap_negatives = num_negatives, list_length, swap_negatives
        self.p0_user, self.p0_item = p0_user, p0_item
        self.user_graph, self.item_graph = user_graph, item_graph
        self.rho_user, self.rho_item, self.swap_unseen = rho_user, rho_item, swap_unseen
        self.patience, self.metric, self.validate_every = patience, metric, validate_every
        self.num_threads, self.seed, self.feedback = num_threads, seed, feedback
        self.checkpoint, self.checkpoint_seconds = checkpoint, checkpoint_seconds
        self._check_params()

    def _check_params(self) -> None:
        self._check_ranker_words()
        check_choice("feedback", self.feedback, _FEEDBACK)
        if self.metric is not None:
            check_metric(self.metric, (*RANKING_METRICS, *ORDER_METRICS))
        if self.list_length is not None:
            check_integer("list_length", self.list_length, 1)
        if self.num_negatives is not None:
            check_integer("num_negatives", self.num_negatives, 1 if self.feedback == "implicit" else 0)

    # fitting ----------------------------------------------------------------------------------------------------

    def _read(self, data: Any, what: str) -> Ratings:
        ratings = pairs_in(data, what)
        if what == "train":
            self._kind = ratings.feedback if self.feedback == "auto" else self.feedback
        if ratings.feedback == "implicit" and (
            self._kind == "explicit" if what == "train" else is_metric(self._metric(), ORDER_METRICS)
        ):
            raise DataError(
                f"{what}: SQLRank(feedback={self.feedback!r}, metric={self.metric!r}) needs ratings that differ, got "
                "implicit feedback (no ratings, or all equal); for ratings that happen to be equal say "
                "feedback='explicit' when reading"
            )
        return ratings

    def _metric(self) -> str:
        if self.metric is not None:
            return self.metric
        return "precision@10" if self._kind == "implicit" else "rated_ndcg@10"

    def _measure(self, held_out: Ratings, metric: str) -> Callable[[], float]:
        if not is_metric(metric, ORDER_METRICS):
            return super()._measure(held_out, metric)
        pairs, ks = self._codes_of(held_out), (int(metric.partition("@")[2]),)

        def measure() -> float:
            values = order_metrics(held_out.users, self._score_pairs(*pairs), held_out.values, ks)[metric]
            return _mean(values)

        if np.isnan(_mean(order_metrics(held_out.users, np.zeros(len(held_out)), held_out.values, ks)[metric])):
            raise DataError(f"validation: {metric} needs a user with two ratings that differ, got none")
        return measure

    def _learned_from(self, users: Codes, items: Codes, values: npt.NDArray[np.float32]) -> tuple[Any, ...]:
        return (users, items) if self._kind == "implicit" else (users, items, values)

    def _judged_by(self, held_out: Ratings) -> tuple[Any, ...]:
        return (held_out.values,) if is_metric(self._metric(), ORDER_METRICS) else ()

    def _trainer(self, users: Codes, items: Codes, values: npt.NDArray[np.float32], laws: tuple[Law, Law]) -> Trainer:
        count = _NEGATIVES[self._kind] if self.num_negatives is None else int(self.num_negatives)
        if self._kind == "implicit":
            if not count:
                raise ConfigError("num_negatives: implicit feedback needs at least 1, got 0: equal items have no order")
            # who has every item prefers none
            some = np.diff(self._indptr)[users] < len(self._factors.Q)
            users, items, values = users[some], items[some], np.ones(int(some.sum()), np.float32)
        order = np.lexsort((items, -values, users))
        columns = users[order], items[order], values[order]
        views = swaps(laws[0], 0.0), swaps(laws[1], 0.0)
        seen = seen_pairs(self._indptr, self._indices, len(self._factors.Q))
        rates = ListRates(
            learning_rate=self._rate,
            p0_user=float(self.p0_user),
            p0_item=float(self.p0_item),
            swap_negatives=bool(self.swap_negatives),
            num_negatives=count,
            weight_decay=self.weight_decay,
            dropout=self.dropout,
            seed=int(self.seed),
        )
        return SQLRankTrainer(self._factors, *columns, self.list_length, seen, *views, rates, self.num_threads)

    # evaluation -------------------------------------------------------------------------------------------------

    def evaluate_rated(self, test: Any, ks: Sequence[int] = (1, 5, 10)) -> dict[str, Any]:
        """How well the scores order the items that each user has rated in `test`: what the explicit form learns.

        Returns:
            ``means``: ``rated_ndcg@k`` (`order_metrics`) over the users that have two ratings that differ;
            ``per_user``: float64 arrays over all users of test, NaN for the others; ``users``: raw ids in that order;
            ``n_users`` measured.

        Raises:
            NotFittedError: before `fit`. DataError: test has no ratings that differ.
        """
        self._check_fitted()
        ratings = as_ratings(test)
        scores = self._score_pairs(*self._codes_of(ratings))
        per_user = order_metrics(ratings.users, scores, ratings.values, ks)
        measured = ~np.isnan(next(iter(per_user.values())))
        if not measured.any():
            raise DataError("test: expected a user with two ratings that differ, found none")
        who = np.unique(ratings.users)
        return {
            "means": {name: _mean(values) for name, values in per_user.items()},
            "per_user": {name: values[who] for name, values in per_user.items()},
            "users": ratings.user_ids.ids[who],
            "n_users": int(measured.sum()),
        }


def _mean(values: npt.NDArray[np.float64]) -> float:
    """Of what is a number; NaN if nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
