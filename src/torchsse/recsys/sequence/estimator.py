"""What SASRec and SSEPT share as estimators: fitting, scoring, files."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from torchsse.data import Sequences, as_sequences
from torchsse.errors import ConfigError, DataError
from torchsse.recsys.base import Codes, Floats
from torchsse.recsys.checkpoint import checkpoint_for
from torchsse.recsys.graphs import table_law
from torchsse.recsys.params import check_integer
from torchsse.recsys.sequence.check import check_sequence_params
from torchsse.recsys.sequence.encode import encode_histories, threads
from torchsse.recsys.sequence.histories import last_known
from torchsse.recsys.sequence.loop import run_sequence_epochs
from torchsse.recsys.sequence.measured import MeasuredHistories
from torchsse.recsys.sequence.network import SequenceNetwork
from torchsse.recsys.sequence.trainer import SequenceTrainer
from torchsse.recsys.sequence.words import TrainWords
from torchsse.recsys.topk import top_k
from torchsse.recsys.training import Callback
from torchsse.transition import Law

__all__ = ["SequenceRecommender"]


class SequenceRecommender(MeasuredHistories):
    """An estimator that reads each user's history in the order of time. A subclass holds the constructor words."""

    network: SequenceNetwork
    blocks: int
    heads: int
    inner: int | None
    max_length: int
    random_window: float
    positions: str
    dropout: float
    attention_dropout: float | None
    weight_decay: float
    p0_input: float
    p0_output: float
    item_graph: Any
    rho_item: float | None
    swap_unseen: bool
    p0_schedule: str
    coupled: bool
    loss: str
    num_negatives: int
    shared_negatives: bool
    unseen_negatives: bool
    calibration: float
    temperature: float | None
    learning_rate: float
    learning_rate_decay: float
    ema_decay: float
    precision: str
    batch_size: int
    epochs: int
    patience: int | None
    validate_every: int
    seed: int
    device: str
    checkpoint: Any
    checkpoint_seconds: float

    def _check_params(self) -> None:
        check_sequence_params(self)

    # fitting ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def _network(self, num_users: int, num_items: int) -> SequenceNetwork:
        """A network with initial values."""

    def _attention_dropout(self) -> float:
        return self.dropout if self.attention_dropout is None else self.attention_dropout

    def _user_law(self, sequences: Sequences) -> Law | None:
        return None

    def _fit(self, train: Any, validation: Any, callback: Callback | None) -> None:
        self._check_params()
        sequences = as_sequences(train)
        if not len(sequences):
            raise DataError("train: expected at least one action, got none")
        if sequences.lengths.max() < 2:
            raise DataError(
                f"train: expected a user with at least two actions, of which one follows the other, got "
                f"{len(sequences):,} users with one each"
            )
        held_out = None if validation is None else as_sequences(validation)
        # what was seen is the history, in the order of time
        self._remember(sequences.to_ratings(), sequences.users, sequences.items.astype(np.int64))
        law, dropped = table_law(
            "item", self.item_graph, self.rho_item, self.item_ids, sequences.item_counts(), self.swap_unseen
        )
        self.dropped_edges_ = {"item": dropped}
        user_law = self._user_law(sequences)
        try:
            self.network = self._network(sequences.num_users, sequences.num_items).to(torch.device(self.device))
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(f"device: torch cannot use {self.device!r} ({str(error).splitlines()[0]})") from None
        self.history_: list[dict[str, Any]] = []
        self.best_epoch_, self.stopped_ = 0, None
        swaps = max(self.p0_input, self.p0_output) > 0.0
        trainer = SequenceTrainer(
            self.network, self._indptr, self._indices, self._words(), law if swaps else None, user_law
        )
        with threads(self.num_threads):
            self.best_epoch_, self.stopped_ = run_sequence_epochs(
                trainer,
                epochs=self.epochs,
                patience=self.patience,
                measure=None if held_out is None else self._measure(held_out),
                every=self.validate_every,
                metric=self.metric,
                callback=callback,
                checkpoint=checkpoint_for(
                    self,
                    (self._indptr, self._indices),
                    () if held_out is None else (held_out.offsets, held_out.items),
                    (law, user_law),
                ),
                history=self.history_,
            )

    def _words(self) -> TrainWords:
        return TrainWords(
            learning_rate=float(self.learning_rate),
            learning_rate_decay=float(self.learning_rate_decay),
            weight_decay=float(self.weight_decay),
            batch_size=int(self.batch_size),
            loss=self.loss,
            num_negatives=int(self.num_negatives),
            shared_negatives=bool(self.shared_negatives) or self.loss == "sampled-softmax",
            unseen_negatives=bool(self.unseen_negatives),
            random_window=float(self.random_window),
            calibration=float(self.calibration),
            p0_input=float(self.p0_input),
            p0_output=float(self.p0_output),
            p0_user=float(getattr(self, "p0_user", 0.0)),
            p0_schedule=self.p0_schedule,
            coupled=bool(self.coupled),
            ema_decay=float(self.ema_decay),
            precision=self.precision,
            seed=int(self.seed),
            epochs=int(self.epochs),
        )

    # prediction -------------------------------------------------------------------------------------------------

    def _encode(self, users: Codes) -> Floats:
        with threads(self.num_threads):
            return encode_histories(self.network, self._indptr, self._indices, np.asarray(users, dtype=np.int64))

    def _item_rows(self) -> Floats:
        rows: Floats = self.network.item_rows().detach().cpu().numpy()[: len(self.item_ids)]
        return rows

    def _score_pairs(self, users: Codes, items: Codes) -> Floats:
        out = np.zeros(len(users), dtype=np.float32)
        known = np.flatnonzero((users >= 0) & (items >= 0))
        if len(known):
            who, row = np.unique(users[known], return_inverse=True)
            vectors = self._encode(who)[:, : self.hidden]
            out[known] = (vectors[row] * self._item_rows()[items[known]]).sum(1)
        return out

    def _score_users(self, users: Codes) -> Floats:
        return self._scores(users, torch.from_numpy(self._encode(users)[:, : self.hidden]))

    def _scores(self, users: Codes, vectors: torch.Tensor) -> Floats:
        """Of all items; -inf for a user without a history, of whom nothing is known: no ranking is better than any."""
        found: Floats = (vectors @ torch.from_numpy(self._item_rows()).T).numpy()
        found[self._indptr[users + 1] == self._indptr[users]] = -np.inf
        return found

    def recommend_next(
        self, history: Sequence[Any], k: int = 10, exclude_seen: bool = True, user: Any = None
    ) -> tuple[npt.NDArray[Any], Floats]:
        """The k best items to follow a history that is typed in.

        Args:
            history: raw item ids, the earliest first; unknown ones are left out.
            k: how many.
            exclude_seen: leave out the items of the history.
            user: raw id of the user it is of, for a model with a user table; None: the mean of all users.

        Returns:
            (items, scores), both (k,), best first; short ones end in None and -inf.

        Raises:
            DataError: no item of the history is known, or the user is not. ConfigError: k below 1.
        """
        self._check_fitted()
        check_integer("k", k, 1)
        codes = last_known(history, self.item_ids)
        indptr, row = np.array([0, len(codes)]), np.zeros(1, dtype=np.int64)
        with threads(self.num_threads):
            vector = encode_histories(self.network, indptr, codes, row, self._table_user(user))[:, : self.hidden]
        score = vector @ self._item_rows().T
        if exclude_seen:
            score[0, codes] = -np.inf
        best, scores = top_k(score, k)
        items = np.full(k, None, dtype=object)
        items[best[0] >= 0] = self.item_ids.ids.astype(object)[best[0][best[0] >= 0]]
        return items, scores[0]

    def _table_user(self, user: Any) -> Codes:
        return np.zeros(1, dtype=np.int64)

    # files ------------------------------------------------------------------------------------------------------

    def _state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        facts = {
            "best_epoch": self.best_epoch_, "stopped": self.stopped_, "history": self.history_,
            "dropped_edges": self.dropped_edges_,
        }  # fmt: skip
        return facts, {f"network.{k}": v.detach().cpu().numpy() for k, v in self.network.state_dict().items()}

    def _restore(self, facts: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        self.best_epoch_, self.stopped_ = facts["best_epoch"], facts["stopped"]
        self.history_, self.dropped_edges_ = facts["history"], facts["dropped_edges"]
        self.network = self._network(len(self.user_ids), len(self.item_ids))
        state = {k.removeprefix("network."): torch.from_numpy(np.array(v)) for k, v in arrays.items()}
        try:
            self.network.load_state_dict(state)
        except RuntimeError as error:
            raise KeyError(str(error)) from None
        device = torch.device(self.device)
        if device.type != "cuda" or torch.cuda.is_available():  # trained on a GPU, served without one
            self.network.to(device)
