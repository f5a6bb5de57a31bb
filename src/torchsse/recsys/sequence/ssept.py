"""SSE-PT: SASRec with a row for each user beside the items', and SSE on users at a large probability."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from torchsse.data import Sequences
from torchsse.errors import DataError
from torchsse.recsys.base import Codes
from torchsse.recsys.graphs import check_graph_words, table_law
from torchsse.recsys.params import check_integer
from torchsse.recsys.sequence.estimator import SequenceRecommender
from torchsse.recsys.sequence.network import SequenceNetwork
from torchsse.recsys.training import Callback
from torchsse.transition import Law

__all__ = ["SSEPT"]


class SSEPT(SequenceRecommender):
    """Sequential recommendation by a personalised transformer (Wu et al. 2020).

    As `SASRec`, with the row of the user beside the row of each item, in the history and where items are scored. A
    user's row is swapped as a whole, for the history and the scores alike, with chance p0_user; that is what lets so
    many parameters generalise. Nothing in a ranking depends on the user's part of the scores, only on the history's.

    Args:
        hidden: length of an item's row.
        user_hidden: length of a user's row.
        blocks: blocks of attention and feed-forward.
        heads: of attention; they divide `hidden` + `user_hidden`.
        max_length: items of a history that count, the latest.
        dropout: of the embedded history and within the feed-forward parts.
        weight_decay: L2 on the embedding tables, as part of their gradient.
        p0_user: SSE probability of users, large.
        p0_input: SSE probability of the items of the history.
        p0_output: SSE probability of the items that should follow.
        user_graph: a `Graph` over the users, or edges of raw ids. None: SSE-SE.
        item_graph: the same over the items.
        rho_user: with a graph, how much likelier a neighbour is drawn than another user.
        rho_item: the same for items.
        loss: as for `SASRec`, and so the words that follow it.
        num_negatives: see `SASRec`.
        learning_rate: of Adam, in the first epoch.
        batch_size: users in a step.
        epochs: passes over the users at most.
        patience: stop after this many epochs without a better `metric` on validation.
        seed: of everything random.
        device: "cpu", or another torch device.
        num_threads: of torch.
        learning_rate_decay: its factor from one epoch to the next.
        attention_dropout: see `SASRec`.
        inner: width within the feed-forward parts. None: `hidden` + `user_hidden`.
        shared_negatives: see `SASRec`.
        unseen_negatives: see `SASRec`.
        calibration: see `SASRec`.
        positions: see `SASRec`.
        random_window: see `SASRec`.
        temperature: see `SASRec`; of the item's part of a score, the user's stays an inner product.
        ema_decay: see `SASRec`.
        precision: see `SASRec`.
        coupled: see `SASRec`; the authors' code does so.
        swap_unseen: let users and items without training examples be swapped in.
        p0_schedule: see `SASRec`; of all three.
        metric: see `SASRec`.
        validate_every: see `SASRec`.
        checkpoint: see `SASRec`.
        checkpoint_seconds: see `SASRec`.

    Attributes and prediction as for `SASRec`; `recommend_next` takes the raw id of a user, or none for the mean user.

    Raises:
        ConfigError: settings out of range or contradicting each other, when constructed, set, or fitted.

    >>> SSEPT(p0_user=0.9, epochs=3)
    SSEPT(p0_user=0.9, epochs=3)
    """

    def __init__(
        self,
        hidden: int = 50,
        user_hidden: int = 50,
        blocks: int = 2,
        heads: int = 1,
        max_length: int = 200,
        dropout: float = 0.2,
        weight_decay: float = 0.0,
        p0_user: float = 0.92,
        p0_input: float = 0.1,
        p0_output: float = 0.1,
        user_graph: Any = None,
        item_graph: Any = None,
        rho_user: float | None = None,
        rho_item: float | None = None,
        loss: str = "bce",
        num_negatives: int = 1,
        learning_rate: float = 0.001,
        batch_size: int = 128,
        epochs: int = 100,
        patience: int | None = None,
        seed: int = 0,
        device: str = "cpu",
        num_threads: int = 1,
        *,
        learning_rate_decay: float = 1.0,
        attention_dropout: float | None = None,
        inner: int | None = None,
        shared_negatives: bool = False,
        unseen_negatives: bool = False,
        calibration: float = 0.75,
        positions: str = "learned",
        random_window: float = 0.0,
        temperature: float | None = None,
        ema_decay: float = 0.0,
        precision: str = "fp32",
        coupled: bool = False,
        swap_unseen: bool = False,
        p0_schedule: str = "constant",
        metric: str = "ndcg@10",
        validate_every: int = 5,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 0.0,
    ) -> None:
        self.hidden, self.user_hidden, self.blocks, self.heads, self.inner = hidden, user_hidden, blocks, heads, inner
        self.positions, self.random_window, self.unseen_negatives = positions, random_window, unseen_negatives
        self.max_length, self.dropout, self.attention_dropout = max_length, dropout, attention_dropout
        self.weight_decay, self.coupled = weight_decay, coupled
        self.p0_user, self.p0_input, self.p0_output = p0_user, p0_input, p0_output
        self.user_graph, self.rho_user = user_graph, rho_user
        self.item_graph, self.rho_item, self.swap_unseen = item_graph, rho_item, swap_unseen
        self.p0_schedule = p0_schedule
        self.loss, self.num_negatives, self.shared_negatives = loss, num_negatives, shared_negatives
        self.calibration, self.learning_rate, self.batch_size = calibration, learning_rate, batch_size
        self.temperature, self.ema_decay, self.precision = temperature, ema_decay, precision
        self.learning_rate_decay = learning_rate_decay
        self.epochs, self.patience, self.metric, self.validate_every = epochs, patience, metric, validate_every
        self.seed, self.device, self.num_threads = seed, device, num_threads
        self.checkpoint, self.checkpoint_seconds = checkpoint, checkpoint_seconds
        self._check_params()

    def _check_params(self) -> None:
        check_integer("user_hidden", self.user_hidden, 1)
        check_graph_words("user", self.user_graph, self.rho_user)
        super()._check_params()

    def fit(self, train: Any, validation: Any = None, callback: Callback | None = None) -> SSEPT:
        """Train from scratch, or from the checkpoint: arguments and errors as for `SASRec.fit`."""
        self._fit(train, validation, callback)
        return self

    def _network(self, num_users: int, num_items: int) -> SequenceNetwork:
        return SequenceNetwork(
            num_items,
            self.hidden,
            self.blocks,
            self.heads,
            self.max_length,
            self.dropout,
            self._attention_dropout(),
            num_users + 1,  # the last row: whoever is not known, the mean of the others
            self.user_hidden,
            seed=self.seed,
            temperature=self.temperature,
            positions=self.positions,
            inner=self.inner,
        )

    def _user_law(self, sequences: Sequences) -> Law | None:
        law, dropped = table_law(
            "user", self.user_graph, self.rho_user, self.user_ids, sequences.lengths, self.swap_unseen
        )
        self.dropped_edges_["user"] = dropped
        return law

    def _table_user(self, user: Any) -> Codes:
        if user is None:
            weight = self.network.user_embedding.weight.data  # type: ignore[union-attr]
            weight[-1] = weight[:-1].mean(0)
            return np.array([len(self.user_ids)])
        code = self.user_ids.encode([user])
        if code[0] < 0:
            raise DataError(f"user: expected a user of the train set or None, got {user!r}")
        return code
