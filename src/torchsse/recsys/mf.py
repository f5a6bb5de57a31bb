"""MatrixFactorization: explicit ratings, SGD, SSE on users and items."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.data import Ratings
from torchsse.recsys.checkpoint import Checkpoint, checkpoint_for
from torchsse.recsys.explicit import ExplicitRecommender
from torchsse.recsys.factors import Factors
from torchsse.recsys.graphs import check_graph_words, table_law
from torchsse.recsys.kernels.draw import swaps
from torchsse.recsys.params import check_backend_words, check_choice, check_number, check_sgd_words
from torchsse.recsys.schedules import SCHEDULES, p0_by_frequency, p0_factor
from torchsse.recsys.sgd import KernelTrainer, Rates, examples_of
from torchsse.recsys.training import Callback, Trainer, run_epochs

__all__ = ["MatrixFactorization"]


class MatrixFactorization(ExplicitRecommender):
    """Matrix factorisation of explicit ratings by SGD with Stochastic Shared Embeddings (paper, Algorithm 1 and 4.1).

    r(u, i) = mean + b_u + b_i + a_u . b_i, or a_u . b_i with ``biases=False``. Every epoch visits the ratings one at a
    time, in a fresh uniform order. For each, user and item are swapped with chance p0 (each by a coin of its own);
    then, with e the error of the rows after the swap and the values before the update on the right-hand sides,

        a += lr (e b - weight_decay a)          b += lr (e a - weight_decay b)
        b_u += lr (e - bias_weight_decay b_u)   b_i += lr (e - bias_weight_decay b_i)

    A row's bias and factors swap together. lr = learning_rate * learning_rate_decay**epoch, epochs counted from 0.

    Args:
        factors: rank, length of a row.
        epochs: passes over train at most.
        learning_rate, learning_rate_decay: the first step size, and its factor from one epoch to the next.
        weight_decay: L2 on the factors of the rows used, per example.
        dropout: each factor of each row is zeroed with this chance, user and item apart, and the rest scaled by
            1 / (1 - dropout), afresh for every example; biases are kept. None in prediction.
        biases: with the global mean and a bias per user and item; False: the paper's model.
        p0_user, p0_item: SSE probabilities, 0 to 1.
        user_graph, item_graph: a `Graph` over the rows of train's table, or edges of raw ids: an `EdgeTable` (from
            `read_edges`), a file, a tuple (src, dst). None: SSE-SE, uniform over all rows.
        rho_user, rho_item: how much likelier a neighbour is drawn than another row, 1 to inf; needed with a graph.
        swap_unseen: let rows without training examples be swapped in. They are excluded by default, since no
            data says anything about them; True mimics the authors' code.
        patience: stop after this many epochs without a lower validation RMSE. None: run all epochs.
        num_threads: 1 is deterministic to the bit. More share the tables without locks and are not.
        seed: of initial values, order, swaps and dropout.
        device: "cpu" trains with the fused kernel, any other torch device the same model through torch in minibatches.
        backend: "auto" (the kernel on "cpu", else torch), "kernel", "torch".
        batch_size: examples per step of the torch backend; their gradients are summed, as if the kernel had taken the
            steps at once.
        bias_weight_decay: None: a quarter of `weight_decay`; biases rest on many more examples a number than factors.
        init_std: standard deviation of the initial factors; None: 0.01 with biases, 0.1 without.
        p0_schedule: "constant", "anneal" (linearly to 0 in the last epoch), "warmup" (linearly from 0).
        p0_power: p0 of a row in proportion to (its training examples)^-power, mean p0 over the examples. 0: all alike.
        checkpoint: a directory where the run is kept after every epoch. `fit` with the same settings and data goes on
            from there; with one thread the result equals that of an uninterrupted run to the bit. With
            `p0_schedule="constant"` also with more `epochs`: a run that has ended goes on.
        checkpoint_seconds: write at most this often. 0: every epoch.

    Attributes, once fitted:
        history_: one dict per epoch: ``epoch`` (from 1), ``train_rmse`` (of each example before its update, after
            swaps and dropout), ``validation_rmse`` if there is validation, ``seconds`` of training, ``learning_rate``.
        best_epoch_: epochs that the parameters have seen: the one with the lowest validation RMSE, or the last.
        stopped_: "patience", "callback", or None if all epochs ran.
        mean_, rating_range_: of train.
        dropped_edges_: edges that named unknown ids, {"user": n, "item": n}.
        user_ids, item_ids: `torchsse.data.IdMap`.

    Prediction: clipped to the rating range of train. A pair with an unseen user or item is predicted by the bias
    terms that exist; without biases by the train mean.

    Raises:
        ConfigError: settings out of range or contradicting each other, when constructed, set, or fitted.

    >>> train = Ratings.from_arrays(["ann", "ann", "bob", "bob", "cy"], [1, 2, 1, 3, 2], [5, 3, 4, 1, 2])
    >>> model = MatrixFactorization(factors=4, epochs=20, p0_user=0.01, p0_item=0.01, seed=1).fit(train)
    >>> model.predict(["ann", "cy"], [3, 3]).shape
    (2,)
    >>> items, scores = model.recommend(["ann"], k=2)
    >>> items.tolist()      # ann has seen 1 and 2
    [[3, None]]
    """

    def __init__(
        self,
        factors: int = 100,
        epochs: int = 60,
        learning_rate: float = 0.02,
        learning_rate_decay: float = 0.97,
        weight_decay: float = 0.08,
        dropout: float = 0.0,
        biases: bool = True,
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
        batch_size: int = 4096,
        bias_weight_decay: float | None = None,
        init_std: float | None = None,
        p0_schedule: str = "constant",
        p0_power: float = 0.0,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 0.0,
    ) -> None:
        self.factors, self.epochs = factors, epochs
        self.learning_rate, self.learning_rate_decay = learning_rate, learning_rate_decay
        self.weight_decay, self.bias_weight_decay = weight_decay, bias_weight_decay
        self.dropout, self.biases, self.init_std = dropout, biases, init_std
        self.p0_user, self.p0_item = p0_user, p0_item
        self.user_graph, self.item_graph = user_graph, item_graph
        self.rho_user, self.rho_item = rho_user, rho_item
        self.swap_unseen, self.p0_schedule, self.p0_power = swap_unseen, p0_schedule, p0_power
        self.patience, self.num_threads, self.seed = patience, num_threads, seed
        self.device, self.backend, self.batch_size = device, backend, batch_size
        self.checkpoint, self.checkpoint_seconds = checkpoint, checkpoint_seconds
        self._check_params()

    def _check_params(self) -> None:
        check_sgd_words(self)
        check_backend_words(self)
        if self.init_std is not None:
            check_number("init_std", self.init_std, 0.0)
        check_number("p0_power", self.p0_power, -10.0, 10.0)
        check_choice("p0_schedule", self.p0_schedule, SCHEDULES)
        check_graph_words("user", self.user_graph, self.rho_user)
        check_graph_words("item", self.item_graph, self.rho_item)

    # fitting ----------------------------------------------------------------------------------------------------

    def fit(self, train: Any, validation: Any = None, callback: Callback | None = None) -> MatrixFactorization:
        """Train from scratch.

        Args:
            train: `Ratings`, a scipy sparse matrix (users x items), or a table of raw ids: see
                `torchsse.data.as_ratings`.
            validation: of the same kinds; its RMSE is taken after each epoch and the best epoch's parameters are
                kept. Ids are matched by raw id.
            callback: called as ``callback(epoch, info)`` after each epoch, epoch counted from 1 and info the entry of
                `history_`; ends the run by returning True. Inside it the model predicts with that epoch's parameters.

        Returns:
            self.

        Raises:
            DataError: no ratings, implicit feedback, NaN. ConfigError: settings or graphs that do not fit.
            DivergedError (a ConfigError): the learning rate was too large.
        """
        self._check_params()
        ratings = self._ratings(train, "train")
        held_out = None if validation is None else self._ratings(validation, "validation")
        # by user and item: the order of the file does not matter, and threads can own ranges of users
        order = np.lexsort((ratings.items, ratings.users))
        users, items = ratings.users[order].astype(np.int64), ratings.items[order].astype(np.int64)
        values = ratings.values[order]
        counts = ratings.user_counts(), ratings.item_counts()
        user_law, dropped_users = table_law(
            "user", self.user_graph, self.rho_user, ratings.user_ids, counts[0], self.swap_unseen
        )
        item_law, dropped_items = table_law(
            "item", self.item_graph, self.rho_item, ratings.item_ids, counts[1], self.swap_unseen
        )
        self._remember(ratings, users, items)
        self.dropped_edges_ = {"user": dropped_users, "item": dropped_items}
        self.mean_, self.rating_range_ = float(values.mean(dtype=np.float64)), ratings.rating_range
        self._warm = counts[0] > 0, counts[1] > 0
        std = self.init_std if self.init_std is not None else (0.01 if self.biases else 0.1)
        self._factors = Factors.initial(ratings.num_users, ratings.num_items, self.factors, std, self.seed)
        rates = self._rates(counts)
        trainer: Trainer
        if self._uses_torch():
            from torchsse.recsys.torch_mf import TorchTrainer

            trainer = TorchTrainer(
                self._factors,
                users,
                items,
                values,
                (user_law, item_law),
                rates,
                self.factors,
                self.batch_size,
                self.device,
            )
        else:
            laws = swaps(user_law, rates.p0_user), swaps(item_law, rates.p0_item)
            trainer = KernelTrainer(self._factors, examples_of(users, items, values), *laws, rates, self.num_threads)
        self.history_ = []
        self.best_epoch_, self.stopped_ = 0, None
        outcome = run_epochs(
            trainer,
            epochs=self.epochs,
            patience=self.patience,
            measure=self._rmse_on(held_out),
            learning_rate=rates.learning_rate,
            callback=callback,
            checkpoint=self._checkpoint((users, items, values), held_out, (user_law, item_law)),
            history=self.history_,
        )
        self.best_epoch_, self.stopped_ = outcome.best_epoch, outcome.stopped
        return self

    def _uses_torch(self) -> bool:
        return self.backend == "torch" or (self.backend == "auto" and str(self.device) != "cpu")

    def _rates(self, counts: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]) -> Rates:
        p0 = [
            p0_by_frequency(p, self.p0_power, count) if self.p0_power and p else float(p)
            for p, count in zip((self.p0_user, self.p0_item), counts)
        ]
        rate, decay, schedule, epochs = self.learning_rate, self.learning_rate_decay, self.p0_schedule, self.epochs
        return Rates(
            learning_rate=lambda epoch: float(rate * decay**epoch),
            p0_user=p0[0],
            p0_item=p0[1],
            p0_factor=lambda epoch: p0_factor(schedule, epoch, epochs),
            weight_decay=self.weight_decay,
            bias_weight_decay=self.weight_decay / 4 if self.bias_weight_decay is None else self.bias_weight_decay,
            dropout=self.dropout,
            mean=self.mean_ if self.biases else 0.0,
            biases=bool(self.biases),
            seed=int(self.seed),
        )

    def _checkpoint(self, arrays: Any, held_out: Ratings | None, laws: Any) -> Checkpoint | None:
        checked = [] if held_out is None else [*self._codes_of(held_out), held_out.values]
        return checkpoint_for(self, arrays, checked, laws)
