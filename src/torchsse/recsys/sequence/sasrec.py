"""SASRec: self-attention over a user's history, with SSE on what goes in and on what should come out."""

from __future__ import annotations

import os
from typing import Any

from torchsse.recsys.sequence.estimator import SequenceRecommender
from torchsse.recsys.sequence.network import SequenceNetwork
from torchsse.recsys.training import Callback

__all__ = ["SASRec"]


class SASRec(SequenceRecommender):
    """Self-attentive sequential recommendation (Kang and McAuley 2018) with Stochastic Shared Embeddings.

    From the latest `max_length` items of a user the network makes a vector at each place (see `SequenceNetwork`); its
    product with an item's row scores that item as the next. Adam, betas .9 and .98, learns to tell the item that did
    follow from others. The paper's settings (section 4.2): loss "bce", p0_input and p0_output .1 (its p_x and p_y),
    hidden 100, dropout .1, weight_decay 1e-5, learning_rate 1e-3. `torchsse.recsys.sequence.settings` names those of
    the authors' codes.

    Args:
        hidden: length of an item's row, d.
        blocks: blocks of attention and feed-forward, b.
        heads: of attention; they divide `hidden`.
        max_length: items of a history that count, the latest.
        dropout: of the embedded history and within the feed-forward parts.
        weight_decay: L2 on the embedding tables, as part of their gradient.
        p0_input: SSE probability of the items of the history.
        p0_output: SSE probability of the items that should follow; neither the negatives nor the table move.
        item_graph: a `Graph` over the items, or edges of raw ids as for `torchsse.recsys.BPR`. None: SSE-SE.
        rho_item: how much likelier a neighbour is drawn than another item, 1 to inf; needed with a graph.
        loss: "bce", "gbce", "sampled-softmax" or "softmax": see `torchsse.recsys.sequence.losses`.
        num_negatives: for each target (or for each batch, if shared).
        learning_rate: of Adam, in the first epoch.
        batch_size: users in a step.
        epochs: passes over the users at most.
        patience: stop after this many epochs without a better `metric` on validation. None: run all epochs.
        seed: of initial values, order, swaps, negatives and dropout.
        device: "cpu", or another torch device.
        num_threads: of torch. The result is fixed for a seed and a number of threads.
        learning_rate_decay: its factor from one epoch to the next.
        attention_dropout: of attention weights. None: as `dropout`, as in the public codes.
        inner: width within the feed-forward parts. None: `hidden`, as in the paper; four times that, usual in
            transformers, fits faster and better on MovieLens-1M.
        shared_negatives: one set of negatives for a batch, drawn from all items: a matrix product, so that hundreds
            are cheap. False: each target has its own, none of which its user has in train (any, for who has all
            items). "sampled-softmax" always shares.
        unseen_negatives: shared negatives that the user has in train count for nothing in that user's losses; the
            sampled softmax is over the items left then. These are what ranks against the target when what was seen is
            masked, in either protocol. A target's own negatives are such anyway.
        calibration: t of "gbce".
        positions: "learned", a row for each place counted from the end, as in the paper; "rotary": queries and keys are
            turned by their places (Su et al. 2021), so that what attention finds depends on how far back it is, and
            fits need fewer epochs. The width of a head must be even then.
        random_window: chance that a user with more than `max_length` actions gives, for an epoch, a stretch of that
            length from anywhere in the history instead of the latest. 0: always the latest, as in the paper, and
            nothing is learned from what lies further back.
        temperature: scores are the cosine of vector and item row, divided by it (.05 is usual; Zhai et al. 2024 train
            SASRec so): a softmax over cosines fits head and tail of the items alike. None: inner products, as in the
            paper.
        ema_decay: measure, keep and save an exponential moving average of the parameters over the updates (Polyak
            averaging) with this decay, 0 to below 1: .998 remembers about 500 updates. 0: none, as in the paper.
        precision: "fp32", or "bf16": the blocks' matrix products and what lies between them in bfloat16, in training
            alone; parameters, sums along the blocks and losses stay fp32. For GPUs, and wide networks on CPUs with
            instructions for it: see benchmarks.sasrec_speed.
        coupled: one coin moves the input and the target of a place, and the moved input is the target before it, as
            in the second of the authors' codes. Uses p0_input.
        swap_unseen: let items without training examples be swapped in; excluded by default.
        p0_schedule: of each p0: "constant", "anneal" (linearly to 0 in the last of `epochs`), "warmup" (from 0).
        metric: what is taken on validation: precision, recall, ndcg, hr, map or mrr, "@", k, over all items with the
            history masked; "sampled_ndcg@10" and "sampled_hr@10": against 100 random items.
        validate_every: take it after every so many epochs, and after the last.
        checkpoint: a directory where the run is kept after every epoch. `fit` with the same settings and data goes on
            from there, and ends as an uninterrupted run to the bit. Also with more `epochs`: a run that has ended
            goes on (from a multiple of `validate_every` to the bit; elsewhere it was measured once more).
        checkpoint_seconds: write at most this often. 0: every epoch.

    Attributes, once fitted:
        network: the `SequenceNetwork`.
        history_: one dict per epoch: ``epoch`` (from 1), ``train_loss``, ``validation_<metric>`` where it was taken,
            ``seconds`` of training, ``targets_per_second``, ``swap_seconds`` of these spent on SSE, ``learning_rate``.
        best_epoch_: epochs that the parameters have seen: the one with the best validation metric, or the last.
        stopped_: "patience", "callback", or None if all epochs ran.
        dropped_edges_: edges that named unknown ids, {"item": n}.
        user_ids, item_ids: `torchsse.data.IdMap`.

    Prediction: scores, of no scale but their order, from the history in train and what `observe` added. An unknown
    user or item scores 0; a known user without a history has no ranking: `recommend` fills the row with None.

    With `torch.distributed` initialised each process calls `fit` on the same data; see `SequenceTrainer`.

    Raises:
        ConfigError: settings out of range or contradicting each other, when constructed, set, or fitted.

    >>> from torchsse.data import Sequences
    >>> clock = Sequences.from_arrays([u for u in range(8) for _ in range(9)], [(u + t) % 6 for u in range(8)
    ...                                                                         for t in range(9)])
    >>> model = SASRec(hidden=16, dropout=0.0, learning_rate=0.01, epochs=30, loss="softmax").fit(clock)
    >>> model.recommend_next([2, 3, 4], k=1)[0].tolist()
    [5]
    """

    def __init__(
        self,
        hidden: int = 50,
        blocks: int = 2,
        heads: int = 1,
        max_length: int = 200,
        dropout: float = 0.2,
        weight_decay: float = 0.0,
        p0_input: float = 0.0,
        p0_output: float = 0.0,
        item_graph: Any = None,
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
        self.hidden, self.blocks, self.heads, self.inner, self.max_length = hidden, blocks, heads, inner, max_length
        self.positions, self.random_window, self.unseen_negatives = positions, random_window, unseen_negatives
        self.dropout, self.attention_dropout, self.weight_decay = dropout, attention_dropout, weight_decay
        self.p0_input, self.p0_output, self.coupled = p0_input, p0_output, coupled
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

    def fit(self, train: Any, validation: Any = None, callback: Callback | None = None) -> SASRec:
        """Train from scratch, or from the checkpoint.

        Args:
            train: whatever `torchsse.data.as_sequences` takes: `Sequences`, `Ratings` with times or in order, a path.
            validation: what followed, of the same kinds; `metric` is taken on it and the best epoch's parameters are
                kept. The model does not take it into its histories: see `observe`.
            callback: called as ``callback(epoch, info)`` after each epoch; ends the run by returning True.

        Returns:
            self.

        Raises:
            DataError: no actions, none that follows another, or no order. ConfigError: settings or graphs that do not
                fit.
            DivergedError (a ConfigError): the learning rate was too large.
        """
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
            seed=self.seed,
            temperature=self.temperature,
            positions=self.positions,
            inner=self.inner,
        )
