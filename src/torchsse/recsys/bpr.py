"""BPR: implicit feedback, pairwise ranking by SGD, SSE on users and items."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from torchsse.errors import ConfigError
from torchsse.recsys.base import Codes
from torchsse.recsys.bpr_sgd import BPRKernelTrainer, RankingRates, pairs_of
from torchsse.recsys.kernels.draw import swaps
from torchsse.recsys.kernels.negatives import seen_pairs
from torchsse.recsys.params import check_backend_words, check_integer
from torchsse.recsys.ranker import SampledRanker, check_metric
from torchsse.recsys.training import Trainer

if TYPE_CHECKING:
    from torchsse.transition import Law

__all__ = ["BPR"]


class BPR(SampledRanker):
    """Bayesian personalised ranking (Rendle et al. 2009) with Stochastic Shared Embeddings (paper, section 4.2).

    s(u, i) = a_u . b_i, plus c_i with ``biases=True``. Every epoch visits the (user, positive) pairs of train in a
    fresh uniform order and draws `num_negatives` items for each, every one uniform over the items of the table that
    the user has not in train. Each (user, positive, negative) triplet is a sample: its user, its positive and, with
    `swap_negatives`, its negative are swapped with chance p0, each by a coin of its own. Then, with
    g = sigmoid(s(u, j) - s(u, i)) of the rows after the swap, and the values before the update on the right-hand sides,

        a_u += lr (g (b_i - b_j) - weight_decay a_u)    c_i += lr (g - bias_weight_decay c_i)
        b_i += lr (g a_u - weight_decay b_i)            c_j += lr (-g - bias_weight_decay c_j)
        b_j += lr (-g a_u - weight_decay b_j)

    A row's bias and factors swap together. A triplet whose two items are swapped onto each other is passed over.
    lr = learning_rate * learning_rate_decay**epoch, epochs counted from 0. Factors start normal, see `init_std`;
    biases at 0. Values of ratings are ignored: a pair that is there is a positive.

    Args:
        factors: rank, length of a row.
        epochs: passes over train at most.
        learning_rate, learning_rate_decay: the first step size, and its factor from one epoch to the next.
        weight_decay: L2 on the factors of the rows used, per triplet.
        dropout: each factor of each of the three rows is zeroed with this chance and the rest scaled by
            1 / (1 - dropout), afresh for every triplet; biases are kept. None in prediction.
        biases: with a bias per item. Off by default, as in the paper.
        num_negatives: negatives for each positive and epoch.
        hard_negatives: of these take the one that scores highest with the swapped user, one triplet for each positive.
        swap_negatives: swap negatives too (before the highest is taken), with p0_item.
        p0_user, p0_item: SSE probabilities, 0 to 1.
        user_graph, item_graph: a `Graph` over the rows of train's table, or edges of raw ids: an `EdgeTable` (from
            `read_edges`), a file, a tuple (src, dst). None: SSE-SE, uniform over all rows.
        rho_user, rho_item: how much likelier a neighbour is drawn than another row, 1 to inf; needed with a graph.
        swap_unseen: let rows without training examples be swapped in; excluded by default.
        patience: stop after this many epochs without a better `metric` on validation. None: run all epochs.
        metric: what is taken on validation: precision, recall, ndcg, hr, map or mrr, "@", k. Over all items, those of
            train masked.
        validate_every: take it after every so many epochs (and after the last): ranking all items can cost more
            than an epoch.
        num_threads: 1 is deterministic to the bit. More share the tables without locks and are not.
        seed: of initial values, order, negatives, swaps and dropout.
        device: "cpu" trains with the fused kernel, any other torch device the same model through torch in minibatches.
        backend: "auto" (the kernel on "cpu", else torch), "kernel", "torch".
        batch_size: triplets per step of the torch backend; their gradients are summed, as if the kernel had taken the
            steps at once.
        bias_weight_decay: None: as `weight_decay`.
        init_std: standard deviation of the initial factors.
        checkpoint: a directory where the run is kept after every epoch. `fit` with the same settings and data goes on
            from there; with one thread the result equals that of an uninterrupted run to the bit. Also with more
            `epochs`: a run that has ended goes on (from a multiple of `validate_every` to the bit).
        checkpoint_seconds: write at most this often. 0: every epoch.

    Attributes, once fitted:
        history_: one dict per epoch: ``epoch`` (from 1), ``train_loss`` (mean of -log sigmoid of the differences, each
            before its update, after swaps and dropout), ``validation_<metric>`` where it was taken, ``seconds`` of
            training, ``learning_rate``.
        best_epoch_: epochs that the parameters have seen: the one with the best validation metric, or the last.
        stopped_: "patience", "callback", or None if all epochs ran.
        dropped_edges_: edges that named unknown ids, {"user": n, "item": n}.
        user_ids, item_ids: `torchsse.data.IdMap`.

    Prediction: scores, of no scale but their order. An unknown user, or one without positives, has only the item's
    bias; an unknown item scores 0. An item of the table without positives has been trained as a negative and scores
    as any other.

    Raises:
        ConfigError: settings out of range or contradicting each other, when constructed, set, or fitted.

    >>> from torchsse.data import Ratings
    >>> train = Ratings.from_arrays(["ann", "ann", "bob", "bob", "cy"], [1, 2, 1, 3, 2])
    >>> model = BPR(factors=4, epochs=20, p0_user=0.1, p0_item=0.1, seed=1).fit(train)
    >>> items, scores = model.recommend(["ann"], k=2)
    >>> items.tolist()      # ann has seen 1 and 2
    [[3, None]]
    """

    def __init__(
        self,
        factors: int = 100,
        epochs: int = 100,
        learning_rate: float = 0.05,
        learning_rate_decay: float = 0.98,
        weight_decay: float = 0.02,
        dropout: float = 0.0,
        biases: bool = False,
        num_negatives: int = 3,
        hard_negatives: bool = False,
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
        device: str = "cpu",
        *,
        backend: str = "auto",
        batch_size: int = 1024,
        swap_negatives: bool = False,
        metric: str = "precision@10",
        validate_every: int = 1,
        bias_weight_decay: float | None = None,
        init_std: float = 0.01,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 0.0,
    ) -> None:
        self.factors, self.epochs = factors, epochs
        self.learning_rate, self.learning_rate_decay = learning_rate, learning_rate_decay
        self.weight_decay, self.bias_weight_decay = weight_decay, bias_weight_decay
        self.dropout, self.biases, self.init_std = dropout, biases, init_std
        self.num_negatives, self.hard_negatives, self.swap_negatives = num_negatives, hard_negatives, swap_negatives
        self.p0_user, self.p0_item = p0_user, p0_item
        self.user_graph, self.item_graph = user_graph, item_graph
        self.rho_user, self.rho_item, self.swap_unseen = rho_user, rho_item, swap_unseen
        self.patience, self.metric, self.validate_every = patience, metric, validate_every
        self.num_threads, self.seed = num_threads, seed
        self.device, self.backend, self.batch_size = device, backend, batch_size
        self.checkpoint, self.checkpoint_seconds = checkpoint, checkpoint_seconds
        self._check_params()

    def _check_params(self) -> None:
        self._check_ranker_words()
        check_backend_words(self)
        check_metric(self.metric)
        check_integer("num_negatives", self.num_negatives, 1)
        if self.hard_negatives and self.num_negatives < 2:
            raise ConfigError(
                f"hard_negatives: expected num_negatives of at least 2 to take from, got {self.num_negatives}"
            )

    def _trainer(self, users: Codes, items: Codes, values: Any, laws: tuple[Law, Law]) -> Trainer:
        rates = self._rates()
        # who has every item has no negative, and so no sample
        some = np.diff(self._indptr)[users] < len(self._factors.Q)
        users, items = users[some], items[some]
        if self.backend == "torch" or (self.backend == "auto" and str(self.device) != "cpu"):
            from torchsse.recsys.torch_bpr import TorchBPRTrainer

            columns = users, items, self._indptr, self._indices
            return TorchBPRTrainer(self._factors, *columns, laws, rates, self.factors, self.batch_size, self.device)
        seen = seen_pairs(self._indptr, self._indices, len(self._factors.Q))
        views = swaps(laws[0], 0.0), swaps(laws[1], 0.0)
        return BPRKernelTrainer(self._factors, pairs_of(users, items), seen, *views, rates, self.num_threads)

    def _rates(self) -> RankingRates:
        return RankingRates(
            learning_rate=self._rate,
            p0_user=float(self.p0_user),
            p0_item=float(self.p0_item),
            swap_negatives=bool(self.swap_negatives),
            num_negatives=int(self.num_negatives),
            hard_negatives=bool(self.hard_negatives),
            weight_decay=self.weight_decay,
            bias_weight_decay=self.weight_decay if self.bias_weight_decay is None else self.bias_weight_decay,
            dropout=self.dropout,
            biases=bool(self.biases),
            seed=int(self.seed),
        )
