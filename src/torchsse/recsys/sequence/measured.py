"""How estimators that read histories are measured: both protocols, with what happened in between known."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from torchsse.data import Sequences, as_sequences
from torchsse.errors import DataError
from torchsse.recsys.base import Codes, Floats, Recommender
from torchsse.recsys.ranking import RankingTest
from torchsse.recsys.sequence.candidates import Candidates, draw_candidates, measure_candidates
from torchsse.recsys.sequence.check import SAMPLED
from torchsse.recsys.sequence.histories import History, merge

__all__ = ["MeasuredHistories"]


class MeasuredHistories(Recommender):
    """Metrics of an estimator whose users and items are scored by inner products. A subclass encodes histories."""

    hidden: int
    metric: str
    num_threads: int

    @abstractmethod
    def _encode(self, users: Codes) -> Floats:
        """What stands for each user now; the first `hidden` columns score items."""

    @abstractmethod
    def _item_rows(self) -> Floats:
        """(items, hidden)."""

    @abstractmethod
    def _scores(self, users: Codes, vectors: torch.Tensor) -> Floats:
        """Of all items."""

    def observe(self, actions: Any) -> int:
        """Lengthen the histories of known users by later actions, without training; predictions start from there.

        Args:
            actions: whatever `torchsse.data.as_sequences` takes; unknown users and items are left out.

        Returns:
            How many actions were left out.
        """
        self._check_fitted()
        (self._indptr, self._indices), dropped = merge(
            (self._indptr, self._indices), actions, self.user_ids, self.item_ids
        )
        return dropped

    def _scorer(self, test: RankingTest) -> Callable[[Codes], Floats]:
        users = np.unique(test._model_users[test._model_users >= 0])
        vectors = torch.from_numpy(self._encode(users)[:, : self.hidden])
        return lambda codes: self._scores(codes, vectors[torch.from_numpy(np.searchsorted(users, codes))])

    def evaluate(
        self, test: Any, ks: Sequence[int] = (1, 5, 10), exclude_seen: bool = True, history: Any = None
    ) -> dict[str, Any]:
        """Rankings of all items against what each user did next: see `torchsse.recsys.ranking.evaluate_ranking`.

        Args:
            test: whatever `torchsse.data.as_sequences` takes; all of a user's actions in it are positives.
            ks: cut-offs.
            exclude_seen: leave out what is in a user's history. False where users come back to items.
            history: actions between train and test, such as the validation part.
        """
        self._check_fitted()
        with _observed(self, history):
            found = RankingTest(self, as_sequences(test).to_ratings(), ks, exclude_seen, self.num_threads)
            return {"protocol": "all items", **found.run(self._scorer(found))}

    def draw_candidates(self, test: Any, history: Any = None, negatives: int = 100, seed: int = 0) -> Candidates:
        """Random negatives for `evaluate_sampled`: items in neither history nor test of a user, drawn once.

        Args:
            test: as for `evaluate`; the first action of each user is the target.
            history: as for `evaluate`.
            negatives: items for each user.
            seed: of the draw.
        """
        self._check_fitted()
        sequences = as_sequences(test)
        with _observed(self, history):
            (indptr, items), _ = merge((self._indptr, self._indices), sequences, self.user_ids, self.item_ids)
            place = sequences.offsets[:-1][sequences.lengths > 0]
            users = self.user_ids.encode(sequences.user_ids.ids[sequences.lengths > 0])
            targets = self.item_ids.encode(sequences.item_ids.ids[sequences.items[place]])
            kept = (users >= 0) & (targets >= 0)
            if not kept.any():
                raise DataError("test: expected users and items of the train set, got none")
            return draw_candidates(
                indptr, items, users[kept], targets[kept], self.user_ids, self.item_ids, negatives, seed
            )

    def evaluate_sampled(
        self, candidates: Candidates, ks: Sequence[int] = (1, 5, 10), history: Any = None
    ) -> dict[str, Any]:
        """The paper's protocol: NDCG@k and HR@k of the next item among random ones. No substitute for `evaluate`.

        Args:
            candidates: from `draw_candidates`, of this or another model of the same data.
            ks: cut-offs.
            history: as for `evaluate`.

        Returns:
            ``protocol``: a line that says so; ``means``; ``per_user``: arrays (n,); ``users``; ``n_users``.
        """
        self._check_fitted()
        codes = self.user_ids.encode(candidates.users)
        if len(codes) == 0 or codes.min() < 0:
            raise DataError("candidates: expected users of the train set")
        with _observed(self, history):
            vectors = self._encode(codes)[:, : self.hidden]
        per_user = measure_candidates(vectors, self._item_rows(), candidates, self.item_ids, ks)
        means = {name: float(values.mean()) for name, values in per_user.items()}
        return {
            "protocol": candidates.protocol, "means": means, "per_user": per_user, "users": candidates.users,
            "n_users": len(codes),
        }  # fmt: skip

    def _measure(self, held_out: Sequences) -> Callable[[], float]:
        k = int(self.metric.partition("@")[2])
        if self.metric.startswith(SAMPLED):
            candidates = self.draw_candidates(held_out)
            name = self.metric.removeprefix(SAMPLED)
            return lambda: float(self.evaluate_sampled(candidates, ks=(k,))["means"][name])
        test = RankingTest(self, held_out.to_ratings(), ks=(k,))
        return lambda: float(test.run(self._scorer(test))["means"][self.metric])


class _observed:  # noqa: N801 - a context manager, used like a function
    """The model knows `history` inside."""

    def __init__(self, model: MeasuredHistories, history: Any) -> None:
        self._model, self._history = model, history
        self._before: History = (model._indptr, model._indices)

    def __enter__(self) -> None:
        if self._history is not None:
            self._model.observe(self._history)

    def __exit__(self, *_: object) -> None:
        self._model._indptr, self._model._indices = self._before
