"""ItemKNN: items that the same users have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.errors import DataError
from torchsse.graph.nearest import largest
from torchsse.recsys.base import Codes, Floats
from torchsse.recsys.closed_form import ClosedForm
from torchsse.recsys.params import check_choice, check_integer, check_number

__all__ = ["SIMILARITIES", "ItemKNN"]

SIMILARITIES = ("cosine", "jaccard", "tfidf", "bm25")

#: Similarities of one block at most: 4 Mi, about 50 MB.
_BLOCK_ENTRIES = 1 << 22
#: Pairs scored at once by `predict`.
_BLOCK_PAIRS = 1 << 14


class ItemKNN(ClosedForm):
    """Neighbourhood recommender (Sarwar et al. 2001): scores an item by its nearest items in the user's history.

    s(u, i) = sum of v_uj sim(i, j) over the items j that u has in train and that are among the `neighbors` items most
    similar to i. With X the matrix of train (users x items), v its values, x_j its column j, n_j the users of j, n_jk
    those of both, n_u the items of u:

        cosine   x_j . x_k / (|x_j| |x_k|)
        jaccard  n_jk / (n_j + n_k - n_jk)
        tfidf    cosine of the columns with rows weighed by log(items / n_u): users with few items tell more
        bm25     w_j . w_k, w_uj = log(items / n_u) v (k1 + 1) / (v + k1 (1 - b + b n_j / mean n)): not normalised,
                 so that popular items keep part of their lead

    each times n_jk / (n_jk + shrinkage), which keeps chance out of pairs that few users share (Bell and Koren 2007).
    Similarities are made a block of items at a time: memory O(pairs + items * neighbors).

    Args:
        neighbors: items kept for each item; of equally similar ones those with the smaller code. Similarities of 0 are
            not kept.
        similarity: see above.
        shrinkage: see above; 0: none.
        binary: v = 1 for every pair, whatever its rating. False: v is the rating, as a count of plays; above 0.
            "jaccard" compares who has an item in any case.
        bm25_k1, bm25_b: how soon further counts stop to matter, and how much popular items are held back.
        metric: what is taken on validation: precision, recall, ndcg, hr, map or mrr, "@", k.

    Attributes, once fitted:
        history_: one dict: ``epoch`` (1), ``seconds``, and ``validation_<metric>`` if there is validation.
        best_epoch_, stopped_: as every estimator has them.
        user_ids, item_ids: `torchsse.data.IdMap`.

    Prediction: scores to rank by. Unknown ids, and items without a neighbour in the user's history, score 0.

    Raises:
        ConfigError: settings out of range, when constructed, set, or fitted.

    >>> model = ItemKNN(neighbors=2).fit((["ann", "ann", "bob", "bob", "cy"], [1, 2, 1, 2, 2]))
    >>> items, scores = model.recommend(["cy"], k=1)        # two of the three who have 2 have 1: 2 / sqrt(2 * 3)
    >>> items.tolist(), round(float(scores[0, 0]), 4)
    ([[1]], 0.8165)
    """

    def __init__(
        self,
        neighbors: int = 200,
        similarity: str = "cosine",
        shrinkage: float = 0.0,
        *,
        binary: bool = True,
        bm25_k1: float = 1.2,
        bm25_b: float = 0.75,
        metric: str = "precision@10",
    ) -> None:
        self.neighbors, self.similarity, self.shrinkage, self.binary = neighbors, similarity, shrinkage, binary
        self.bm25_k1, self.bm25_b, self.metric = bm25_k1, bm25_b, metric
        self._check_params()

    def _check_params(self) -> None:
        super()._check_params()
        check_integer("neighbors", self.neighbors, 1)
        check_choice("similarity", self.similarity, SIMILARITIES)
        check_number("shrinkage", self.shrinkage, 0.0)
        check_number("bm25_k1", self.bm25_k1, 0.0)
        check_number("bm25_b", self.bm25_b, 0.0, 1.0)

    # fitting ----------------------------------------------------------------------------------------------------

    def _kept(self, seen: Any) -> Any:
        if self.binary:
            return None
        if seen.data.min() <= 0:
            raise DataError(f"train: ItemKNN(binary=False) needs ratings above 0, got {seen.data.min():g}")
        return seen.data

    def _count(self, seen: Any) -> None:
        import scipy.sparse

        if self.binary:
            seen.data[:] = 1.0
        items = seen.shape[1]
        indptr = np.zeros(items + 1, dtype=np.int64)
        others, values = [], []
        for item, other, value in self._similarities(seen):
            keep = (other != item) & (value > 0)
            other, value = other[keep], value[keep]
            chosen = np.sort(largest(value, other, self.neighbors))
            indptr[item + 1] = len(chosen)
            others.append(other[chosen])
            values.append(value[chosen])
        np.cumsum(indptr, out=indptr)
        near = scipy.sparse.csr_array(
            (np.concatenate(values).astype(np.float32), np.concatenate(others), indptr), shape=(items, items)
        )
        near.sort_indices()
        self._set_near(near)

    def _similarities(self, seen: Any) -> Iterator[tuple[int, npt.NDArray[Any], npt.NDArray[Any]]]:
        """Item by item: (item, codes of others in any order, similarities), the item itself among them."""
        incidence = seen.copy()
        incidence.data = np.ones_like(seen.data)
        size = np.bincount(seen.indices, minlength=seen.shape[1]).astype(np.float64)
        columns = incidence if self.similarity == "jaccard" else self._columns(seen, size)
        rows = columns.T.tocsr()
        counted = incidence.T.tocsr() if self.shrinkage else None
        step = max(1, _BLOCK_ENTRIES // max(1, seen.shape[1]))
        for low in range(0, seen.shape[1], step):
            block = rows[low : low + step] @ columns
            if self.similarity == "jaccard":
                line = np.repeat(np.arange(low, low + block.shape[0]), np.diff(block.indptr))
                block.data = block.data / (size[line] + size[block.indices] - block.data)
            if counted is not None:
                # sorted alike: both have an entry wherever a user has both items
                common = counted[low : low + step] @ incidence
                common.sort_indices()
                block.sort_indices()
                block.data *= common.data / (common.data + self.shrinkage)
            for row, (start, stop) in enumerate(zip(block.indptr[:-1].tolist(), block.indptr[1:].tolist())):
                yield low + row, block.indices[start:stop], block.data[start:stop]

    def _columns(self, seen: Any, size: npt.NDArray[np.float64]) -> Any:
        """The matrix whose columns are compared by dot products."""
        columns = seen.copy()
        users = np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr))
        if self.similarity in ("tfidf", "bm25"):
            held = np.count_nonzero(size)
            rarity = np.log(max(1, held) / np.maximum(np.diff(seen.indptr), 1))
            if self.similarity == "bm25":
                length = 1.0 - self.bm25_b + self.bm25_b * size / max(1.0, float(size[size > 0].mean()))
                columns.data = seen.data * (self.bm25_k1 + 1) / (seen.data + self.bm25_k1 * length[seen.indices])
            # a user who has everything tells nothing; a trace is left, so that the pattern stays that of the pairs
            columns.data = columns.data * np.maximum(rarity, 1e-9)[users]
        if self.similarity != "bm25":
            length = np.sqrt(np.bincount(columns.indices, weights=columns.data**2, minlength=columns.shape[1]))
            columns.data = columns.data / length[columns.indices]
        return columns

    def _set_near(self, near: Any) -> None:
        """`near`: CSR (items, items), row i the similarities of i to its nearest."""
        import scipy.sparse

        self._near, self._toward = near, near.T.tocsr()
        values = np.ones(len(self._indices), np.float32) if self._values is None else self._values
        self._histories: Any = scipy.sparse.csr_array(
            (values, self._indices, self._indptr), shape=(len(self.user_ids), len(self.item_ids))
        )

    # prediction -------------------------------------------------------------------------------------------------

    def _score_pairs(self, users: Codes, items: Codes) -> Floats:
        scores = np.zeros(len(users), dtype=np.float32)
        known = np.flatnonzero((users >= 0) & (items >= 0))
        for low in range(0, len(known), _BLOCK_PAIRS):
            some = known[low : low + _BLOCK_PAIRS]
            shared = self._near[items[some]].multiply(self._histories[users[some]])
            scores[some] = np.asarray(shared.sum(axis=1)).ravel()
        return scores

    def _score_users(self, users: Codes) -> Floats:
        found: Floats = (self._histories[users] @ self._toward).toarray()
        return found

    # files ------------------------------------------------------------------------------------------------------

    def _state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        near = self._near
        return self._facts(), {
            "near_indptr": near.indptr.astype(np.int64),
            "near_indices": near.indices.astype(np.int32),
            "near_values": near.data,
        }

    def _restore(self, facts: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        import scipy.sparse

        self._set_facts(facts)
        items = len(self.item_ids)
        parts = arrays["near_values"], arrays["near_indices"], arrays["near_indptr"]
        self._set_near(scipy.sparse.csr_array(parts, shape=(items, items)))
