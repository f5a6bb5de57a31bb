"""Measure a model's rankings of all items on held-out pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.data import Ratings, as_ratings
from torchsse.errors import DataError
from torchsse.metrics.ranking import checked_ks, ranking_metrics
from torchsse.recsys.base import Recommender
from torchsse.recsys.blocks import Codes, ScoreBlock, Seen, factor_scores, one_thread, rank_all

__all__ = ["RankingTest", "evaluate_ranking", "factor_scores", "measure_of", "one_thread", "rank_all"]


class RankingTest:
    """Held-out pairs made ready to measure one model many times, as after each epoch.

    Args:
        model: a fitted recommender, or one that at least knows its ids and train pairs (inside `fit`).
        test: `Ratings` or what `torchsse.data.as_ratings` takes. Every pair is a positive, whatever its rating: select
            before (``ratings.select(ratings.values >= 4)``).
        ks: cut-offs.
        exclude_seen: leave out of each ranking what its user has in train. Test pairs that are in train too
            cannot be found then and are dropped (`n_seen`).
        num_threads: for `rank_all`.

    All items of the model are ranked, those without a train pair too. Users are those with at least one pair left;
    a user unknown to the model has an empty ranking (0 in every metric), and an unknown item stays among its user's
    positives, where no ranking can find it. Such cold pairs are counted, and ``means_warm`` leaves them out.

    Raises:
        DataError: no pair is left.

    Attributes:
        users: raw ids of the users measured, in the order of the arrays in ``per_user``.
        n_users, n_pairs, n_seen, n_cold, n_cold_users: users and pairs measured; pairs dropped because they are in
            train; pairs with a user or item that has no train pair; users without a train pair.
    """

    def __init__(
        self,
        model: Recommender,
        test: Any,
        ks: Sequence[int] = (1, 5, 10),
        exclude_seen: bool = True,
        num_threads: int = 1,
    ) -> None:
        import scipy.sparse

        ratings: Ratings = as_ratings(test)
        self._ks, self._threads = checked_ks(ks), num_threads
        seen: Seen = (model._indptr, model._indices)
        self._seen = seen if exclude_seen else None
        known_items = len(model.item_ids)
        user, item = model._codes_of(ratings)
        pairs = np.unique(ratings.users.astype(np.int64) * ratings.num_items + ratings.items, return_index=True)[1]
        self.n_seen = 0
        if exclude_seen:
            again = stored_pairs(seen, user[pairs], item[pairs], known_items)
            self.n_seen = int(again.sum())
            pairs = pairs[~again]
        if not len(pairs):
            raise DataError(f"test: expected at least one pair that is not in train, got {len(ratings)} pairs, none")
        who, row = np.unique(ratings.users[pairs], return_inverse=True)
        self.users = ratings.user_ids.ids[who]
        self._model_users = np.full(len(who), -1, dtype=np.int64)
        self._model_users[row] = user[pairs]
        # unknown items: columns of their own behind the known ones
        column = np.where(item[pairs] >= 0, item[pairs], known_items + ratings.items[pairs].astype(np.int64))
        shape = (len(who), known_items + ratings.num_items)
        self._relevant = scipy.sparse.csr_matrix((np.ones(len(pairs), np.int8), (row, column)), shape=shape)
        warm_user = np.append(np.diff(seen[0]) > 0, False)
        warm_item = np.append(np.bincount(seen[1], minlength=known_items) > 0, False)
        warm = warm_user[user[pairs]] & warm_item[item[pairs]]
        self._warm = None
        if not warm.all():
            self._warm = scipy.sparse.csr_matrix((np.ones(warm.sum(), np.int8), (row[warm], column[warm])), shape=shape)
        self.n_users, self.n_pairs, self.n_cold = len(who), len(pairs), int((~warm).sum())
        self.n_cold_users = int((~warm_user[self._model_users]).sum())

    def run(self, score_block: ScoreBlock) -> dict[str, Any]:
        """Rank by `score_block` (codes of the model) and measure: the result of `evaluate_ranking`."""
        known = np.flatnonzero(self._model_users >= 0)
        top = np.full((self.n_users, self._ks[-1]), -1, dtype=np.int64)
        ranked = self._model_users[known]
        top[known] = rank_all(score_block, self._seen, ranked, self._ks[-1], num_threads=self._threads)
        per_user = ranking_metrics(top, self._relevant, self._ks)
        means = {name: float(values.mean()) for name, values in per_user.items()}
        means_warm = dict(means)
        if self._warm is not None:
            for name, values in ranking_metrics(top, self._warm, self._ks).items():
                left = values[~np.isnan(values)]
                means_warm[name] = float(left.mean()) if len(left) else float("nan")
        counts = {name: getattr(self, name) for name in ("n_users", "n_pairs", "n_seen", "n_cold", "n_cold_users")}
        return {"means": means, "means_warm": means_warm, "per_user": per_user, "users": self.users, **counts}


def evaluate_ranking(
    model: Recommender,
    test: Any,
    ks: Sequence[int] = (1, 5, 10),
    exclude_seen: bool = True,
    num_threads: int = 1,
) -> dict[str, Any]:
    """Measure a model's rankings of all items on held-out pairs; no sampled negatives.

    Arguments, rules and errors as for `RankingTest`; definitions in `torchsse.metrics.ranking_metrics`.

    Returns:
        ``means``: each metric over all users; ``means_warm``: over the pairs whose user and item have train pairs (NaN
        if there are none); ``per_user``: float64 arrays of shape (n_users,), for paired tests; ``users``: raw ids in
        that order; ``n_users``, ``n_pairs``, ``n_seen``, ``n_cold``, ``n_cold_users``.

    Raises:
        NotFittedError: before `fit`.

    >>> from torchsse.recsys import MatrixFactorization
    >>> users, items = np.divmod(np.arange(40), 8)
    >>> train = Ratings.from_arrays(users[::2], items[::2], 1.0 + items[::2] % 5)
    >>> model = MatrixFactorization(factors=4, epochs=2).fit(train)
    >>> found = evaluate_ranking(model, train, ks=(2,), exclude_seen=False)
    >>> sorted(found["means"]), found["n_users"], found["n_pairs"]
    (['hr@2', 'map@2', 'mrr@2', 'ndcg@2', 'precision@2', 'recall@2'], 5, 20)
    """
    model._check_fitted()
    return RankingTest(model, test, ks, exclude_seen, num_threads).run(model._score_users)


def measure_of(model: Recommender, held_out: Ratings, metric: str) -> Callable[[], float]:
    """The function that takes one metric, such as precision@10, on validation now: for use inside `fit`."""
    test = RankingTest(model, held_out, ks=(int(metric.partition("@")[2]),))
    return lambda: float(test.run(model._score_users)["means"][metric])


def stored_pairs(seen: Seen, users: Codes, items: Codes, num_items: int) -> npt.NDArray[np.bool_]:
    """Which pairs are stored in a CSR; -1 never is."""
    indptr, indices = seen
    keys = np.repeat(np.arange(len(indptr) - 1, dtype=np.int64) * num_items, np.diff(indptr)) + indices
    asked = np.where((users >= 0) & (items >= 0), users * num_items + items, -1)
    if not len(keys):
        return np.zeros(len(asked), dtype=bool)
    keys.sort()  # items need not be sorted within a user
    found: npt.NDArray[np.bool_] = keys[np.minimum(np.searchsorted(keys, asked), len(keys) - 1)] == asked
    return found
