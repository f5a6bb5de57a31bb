"""Rank all items for many users, and measure the rankings on held-out pairs. Works in blocks, never users x items."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from torchsse.data import Ratings, as_ratings
from torchsse.errors import ConfigError, DataError
from torchsse.metrics.ranking import checked_ks, ranking_metrics
from torchsse.recsys.base import Recommender
from torchsse.recsys.topk import top_k

if TYPE_CHECKING:
    import scipy.sparse

__all__ = ["RankingTest", "evaluate_ranking", "factor_scores", "one_thread", "rank_all"]

Codes = npt.NDArray[np.int64]
ScoreBlock = Callable[[Codes], npt.NDArray[Any]]
Seen = tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]

#: A block of users has about this many scores, 2 MiB of float32: they are ranked while they lie in the cache. It has
#: at least _ROWS users, so that a matrix product reads the item table only once for that many.
_SCORES, _ROWS = 1 << 19, 64

_lock = threading.Lock()
_inside, _before = 0, 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes on one thread inside: blocks are too small to share, and fits that run side by side would fight.

    The setting is global to the process; the last one to leave restores it.
    """
    global _inside, _before
    with _lock:
        if not _inside:
            _before = torch.get_num_threads()
        _inside += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                torch.set_num_threads(_before)


def factor_scores(P: Any, Q: Any, item_bias: Any = None) -> ScoreBlock:
    """The function for `rank_all` of a dot-product model: users -> P[users] Q' (+ item_bias), float32.

    Args:
        P: user factors, shape (users, width), float32.
        Q: item factors, shape (items, width), float32.
        item_bias: shape (items,), or None. A bias per user does not change a ranking.

    >>> factor_scores(np.eye(2), np.array([[1, 2], [3, 4], [5, 6]]))(np.array([1])).tolist()
    [[2.0, 4.0, 6.0]]
    """
    users, items = (torch.as_tensor(np.asarray(table, dtype=np.float32)) for table in (P, Q))
    bias = None if item_bias is None else torch.as_tensor(np.asarray(item_bias, dtype=np.float32))
    turned = items.T

    def scores(codes: Codes) -> npt.NDArray[Any]:
        left = users[torch.from_numpy(codes)]
        found = left @ turned if bias is None else torch.addmm(bias, left, turned)
        return found.numpy()

    return scores


def rank_all(
    score_block: ScoreBlock,
    seen: scipy.sparse.csr_matrix | Seen | None,
    users: Any,
    k: int,
    *,
    block: int | None = None,
    num_threads: int = 1,
) -> Codes:
    """The k best of all items for each user.

    Args:
        score_block: from user codes, int64 (b,), to scores (b, items) in memory of their own, float32 or float64; with
            several threads it is called from them at the same time. `factor_scores` makes one from factors.
        seen: items to leave out, scipy CSR (users, items) of which every stored entry counts, or its (indptr, indices);
            None leaves out nothing.
        users: user codes, shape (n,): the rows of `seen`.
        k: items per user.
        block: users per call; default: about 2 MiB of scores, at least 64 users. Memory is one block per thread
            and the result.
        num_threads: blocks at a time. Within a block torch computes on one thread.

    Returns:
        int64 (n, k) item codes, best first, equal scores by the smaller code; -1 where an item is missing (fewer than
        k are left). An item whose score is -inf is never listed.

        The result does not depend on `num_threads`. A matrix product may round differently for another `block`.

    Raises:
        DataError: a score is NaN, `score_block` returns another shape, or a user code is out of range.
        ConfigError: k, block or num_threads is no positive integer.

    >>> scores = np.array([[1, 2, 2], [3, 0, 1]], dtype=np.float32)
    >>> rank_all(lambda users: scores[users], None, [0, 1], 2).tolist()
    [[1, 2], [0, 2]]
    """
    given = (("k", k), ("num_threads", num_threads), *([] if block is None else [("block", block)]))
    for name, value in given:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ConfigError(f"{name}: expected an integer of at least 1, got {value!r}")
    codes, held, items = _codes(users), None, None
    if seen is not None:
        held, items = _seen(seen, codes)
    top = np.full((len(codes), k), -1, dtype=np.int64)
    if not len(codes):
        return top

    def rank(start: int, stop: int) -> int:
        part = codes[start:stop]
        scores = score_block(part)
        if scores.ndim != 2 or len(scores) != len(part) or (items is not None and scores.shape[1] != items):
            wanted = f"({len(part)}, {'items' if items is None else items})"
            raise DataError(f"score_block: expected scores of shape {wanted}, got {scores.shape}")
        if held is not None and scores.shape[1] <= highest:
            raise DataError(f"seen: expected item codes below {scores.shape[1]}, got {highest}")
        top[start:stop] = top_k(scores, k, part, held)[0]
        return int(scores.shape[1])

    highest = int(held[1].max(initial=-1)) if held is not None else -1
    with one_thread():
        # the first user alone tells how many items there are
        width = items if items is not None else rank(0, 1)
    rows = block if block is not None else max(_ROWS, _SCORES // max(1, width))
    spans = [(start, min(start + rows, len(codes))) for start in range(0, len(codes), rows)]

    def work(mine: Sequence[tuple[int, int]]) -> None:
        with one_thread():
            for span in mine:
                rank(*span)

    if num_threads == 1 or len(spans) == 1:
        work(spans)
    else:
        with ThreadPoolExecutor(num_threads, thread_name_prefix="torchsse-rank") as pool:
            list(pool.map(work, [spans[t::num_threads] for t in range(num_threads)]))
    return top


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
            again = _stored(seen, user[pairs], item[pairs], known_items)
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


def _codes(users: Any) -> Codes:
    codes = np.asarray(users)
    if codes.ndim != 1 or (codes.size and codes.dtype.kind not in "iu"):
        raise DataError(f"users: expected integer codes in one dimension, got {codes.dtype} of shape {codes.shape}")
    if codes.size and codes.min() < 0:
        raise DataError(f"users: expected codes from 0, got {codes.min()}")
    return np.ascontiguousarray(codes, dtype=np.int64)


def _seen(seen: Any, users: Codes) -> tuple[Seen, int | None]:
    """CSR arrays in the kernel's types, and the number of items if it is known."""
    items: int | None = None
    if isinstance(seen, tuple):
        indptr, indices = seen
    elif hasattr(seen, "tocsr"):
        matrix = seen.tocsr()
        indptr, indices, items = matrix.indptr, matrix.indices, int(matrix.shape[1])
    else:
        raise DataError(f"seen: expected a scipy sparse matrix or (indptr, indices), got {type(seen).__name__}")
    if len(users) and users.max() >= len(indptr) - 1:
        raise DataError(f"users: expected codes from 0 to {len(indptr) - 2}, got {users.max()}")
    held = np.ascontiguousarray(indptr, dtype=np.int64), np.ascontiguousarray(indices, dtype=np.int32)
    return held, items


def _stored(seen: Seen, users: Codes, items: Codes, num_items: int) -> npt.NDArray[np.bool_]:
    """Which pairs are stored in a CSR; -1 never is."""
    indptr, indices = seen
    keys = np.repeat(np.arange(len(indptr) - 1, dtype=np.int64) * num_items, np.diff(indptr)) + indices
    asked = np.where((users >= 0) & (items >= 0), users * num_items + items, -1)
    return np.isin(asked, keys)
