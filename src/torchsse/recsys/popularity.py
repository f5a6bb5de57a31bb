"""Popularity: everybody gets what most have. What any recommender has to beat."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.recsys.base import Codes, Floats
from torchsse.recsys.closed_form import ClosedForm

__all__ = ["Popularity"]


class Popularity(ClosedForm):
    """Ranks items by the number of users who have them in train.

    s(u, i) = users with i, the same for every user, whatever their ratings. The baseline that knows nothing of
    persons; a model that does not beat it has learned nothing.

    Args:
        metric: what is taken on validation: precision, recall, ndcg, hr, map or mrr, "@", k.

    Attributes, once fitted:
        history_: one dict: ``epoch`` (1), ``seconds``, and ``validation_<metric>`` if there is validation.
        best_epoch_, stopped_: as every estimator has them.
        user_ids, item_ids: `torchsse.data.IdMap`.

    Prediction: the count. An unknown item scores 0; an unknown user is as any other.

    >>> model = Popularity().fit((["ann", "bob", "bob", "cy"], [1, 1, 2, 2]))
    >>> items, scores = model.recommend(["ann"], k=1)
    >>> items.tolist(), scores.tolist()
    ([[2]], [[2.0]])
    """

    def __init__(self, metric: str = "precision@10") -> None:
        self.metric = metric
        self._check_params()

    def _count(self, seen: Any) -> None:
        self._counts = np.bincount(seen.indices, minlength=seen.shape[1]).astype(np.float32)

    def _score_pairs(self, users: Codes, items: Codes) -> Floats:
        found: Floats = np.append(self._counts, np.float32(0))[items]
        return found

    def _score_users(self, users: Codes) -> Floats:
        return np.tile(self._counts, (len(users), 1))

    def _state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        return self._facts(), {"counts": self._counts}

    def _restore(self, facts: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._set_facts(facts)
        self._counts = arrays["counts"]
