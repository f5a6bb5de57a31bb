"""MarginalizedMF: explicit ratings, the SSE objective minimised exactly by alternating least squares."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.recsys.als.explicit import BiasedTables, ratings_matrix
from torchsse.recsys.als.loop import FREE_WORDS, SwapWords, run_sweeps
from torchsse.recsys.als.propagate import MAX_ENTRIES, Propagated, propagate
from torchsse.recsys.als.solve import Penalty, Solver
from torchsse.recsys.als.spread import Doubles
from torchsse.recsys.checkpoint import checkpoint_for
from torchsse.recsys.explicit import ExplicitRecommender
from torchsse.recsys.params import check_number
from torchsse.recsys.storage import Arrays
from torchsse.recsys.training import Callback

__all__ = ["MarginalizedMF", "MarginalizedSweeper"]


class MarginalizedMF(SwapWords, ExplicitRecommender):
    """Matrix factorisation of explicit ratings with SSE in expectation: the objective of Eq. 4, without sampling.

    r(u, i) = mean + b_u + b_i + a_u . b_i, or a_u . b_i with ``biases=False``. With P the transition matrices, sweeps
    of alternating least squares minimise

        sum over examples (u, i, r), k1, k2 of P_u(u, k1) P_i(i, k2) (r - r(k1, k2))^2
        + regularization (sum n_u |a_u|^2 + sum n_i |b_i|^2) + bias_regularization (sum n_u b_u^2 + sum n_i b_i^2),

    n the examples of a row (1 for a row without). For this squared loss the sum over all k1, k2 collapses to weighted
    least squares on data propagated along P (`torchsse.recsys.als.propagate`). A row's bias and factors swap together:
    the rows are [a, b_u, 1] and [b, 1, b_i]. The mean is a constant, and the L2 is a penalty, not an example: neither
    is swapped. `MatrixFactorization` follows stochastic gradients of the same data term; its weight decay acts on
    the rows after the swap, which makes a difference of the order of p0.

    Deterministic but for the initial values; nothing is drawn while it fits.

    Args:
        factors: rank, length of a row.
        epochs: sweeps at most.
        regularization: L2 on the factors, per example, as `weight_decay` of `MatrixFactorization`.
        biases: with the global mean and a bias per user and item; False: the paper's model.
        p0_user, p0_item: SSE probabilities, 0 to 1.
        user_graph, item_graph: a `Graph` over the rows of train's table, or edges of raw ids: an `EdgeTable` (from
            `read_edges`), a file, a tuple (src, dst). None: SSE-SE, uniform over all rows.
        rho_user, rho_item: how much likelier a neighbour is drawn than another row, 1 to inf; needed with a graph.
        swap_unseen: let rows without training examples be swapped in; excluded by default.
        patience: stop after this many sweeps without a lower validation RMSE. None: run all.
        num_threads: rows are shared out among threads; the result does not depend on it.
        seed: of the initial values.
        solver: "cg": `cg_steps` steps of conjugate gradients for each row from its last value; "cholesky": exact.
        cg_steps: see `solver`.
        bias_regularization: None: a quarter of `regularization`, as in `MatrixFactorization`.
        init_std: standard deviation of the initial factors.
        max_entries: of the filled-in examples, up to which they are kept in memory, 20 bytes each and twice; beyond,
            their rows are computed anew in every sweep, in blocks: the same result, slower.
        checkpoint: a directory where the run is kept after every sweep. `fit` with the same settings and data goes on
            from there; the result equals that of an uninterrupted run to the bit, whatever `num_threads` and
            `max_entries`. Also with more `epochs`: a run that has ended goes on.
        checkpoint_seconds: write at most this often. 0: every sweep.

    Attributes, once fitted:
        history_: one dict per sweep: ``epoch`` (from 1), ``train_rmse`` (root of the expected squared error under
            swaps, exact), ``objective`` (the minimised sum), ``validation_rmse`` if there is validation, ``seconds``.
        best_epoch_: sweeps that the parameters have seen: the one with the lowest validation RMSE, or the last.
        stopped_: "patience", "callback", or None if all sweeps ran.
        fill_in_: entries of the propagated examples over the examples; 1 without a graph.
        mean_, rating_range_, dropped_edges_, user_ids, item_ids: as `MatrixFactorization` has them.

    Prediction: clipped to the rating range of train. A pair with an unseen user or item is predicted by the bias
    terms that exist; without biases by the train mean.

    Raises:
        ConfigError: settings out of range or contradicting each other, when constructed, set, or fitted.

    >>> from torchsse.data import Ratings
    >>> train = Ratings.from_arrays(["ann", "ann", "bob", "bob", "cy"], [1, 2, 1, 3, 2], [5, 3, 4, 1, 2])
    >>> model = MarginalizedMF(factors=2, p0_user=0.05, p0_item=0.05, seed=1).fit(train)
    >>> model.predict(["ann", "cy"], [3, 3]).shape
    (2,)
    """

    def __init__(
        self,
        factors: int = 100,
        epochs: int = 30,
        regularization: float = 0.08,
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
        *,
        solver: str = "cg",
        cg_steps: int = 3,
        bias_regularization: float | None = None,
        init_std: float = 0.1,
        max_entries: int = MAX_ENTRIES,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 0.0,
    ) -> None:
        self.factors, self.epochs = factors, epochs
        self.regularization, self.bias_regularization, self.biases = regularization, bias_regularization, biases
        self.p0_user, self.p0_item = p0_user, p0_item
        self.user_graph, self.item_graph = user_graph, item_graph
        self.rho_user, self.rho_item, self.swap_unseen = rho_user, rho_item, swap_unseen
        self.patience, self.num_threads, self.seed = patience, num_threads, seed
        self.solver, self.cg_steps, self.init_std, self.max_entries = solver, cg_steps, init_std, max_entries
        self.checkpoint, self.checkpoint_seconds = checkpoint, checkpoint_seconds
        self._check_params()

    def _check_params(self) -> None:
        self._check_words()
        check_number("regularization", self.regularization, 0.0, open_low=True)
        if self.bias_regularization is not None:
            check_number("bias_regularization", self.bias_regularization, 0.0, open_low=True)

    def fit(self, train: Any, validation: Any = None, callback: Callback | None = None) -> MarginalizedMF:
        """Train from scratch.

        Args:
            train: `Ratings`, a scipy sparse matrix (users x items), or a table of raw ids: see
                `torchsse.data.as_ratings`.
            validation: of the same kinds; its RMSE is taken after each sweep and the best sweep's parameters are
                kept. Ids are matched by raw id.
            callback: called as ``callback(epoch, info)`` after each sweep, epoch counted from 1 and info the entry of
                `history_`; ends the run by returning True. Inside it the model predicts with that sweep's parameters.

        Returns:
            self.

        Raises:
            DataError: no ratings, implicit feedback, NaN. ConfigError: settings or graphs that do not fit.
        """
        self._check_params()
        ratings = self._ratings(train, "train")
        held_out = None if validation is None else self._ratings(validation, "validation")
        ones, targets = ratings_matrix(self, ratings)
        counts = ratings.user_counts(), ratings.item_counts()
        laws = self._laws((ratings.user_ids, ratings.item_ids), counts)
        data = propagate(laws[0], ones, targets, laws[1], "float64", self.max_entries)
        self.fill_in_ = data[0].entries / ones.nnz
        tables = BiasedTables.initial(counts, self.factors, bool(self.biases), self.init_std, self.seed)
        self._factors = tables.factors()
        bias = self.regularization / 4 if self.bias_regularization is None else self.bias_regularization
        columns = np.r_[np.full(self.factors, float(self.regularization)), np.full(int(bool(self.biases)), float(bias))]
        solver = Solver(self.solver, self.cg_steps, "float64", self.num_threads)
        sweeper = MarginalizedSweeper(data, tables, solver, counts, columns, ones, targets, self._factors)
        checked = [] if held_out is None else [*self._codes_of(held_out), held_out.values]
        examples = [ones.indptr, ones.indices, targets.data, *laws[0].arrays(), *laws[1].arrays()]
        checkpoint = checkpoint_for(self, examples, checked, (), FREE_WORDS)
        run_sweeps(self, sweeper, self._rmse_on(held_out), "validation_rmse", callback, checkpoint)
        return self

    def _state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        facts, arrays = super()._state()
        return {**facts, "fill_in": self.fill_in_}, arrays

    def _restore(self, facts: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        super()._restore(facts, arrays)
        self.fill_in_ = facts["fill_in"]


class MarginalizedSweeper:
    """Sweeps over two augmented tables, in place.

    Args:
        data: the propagated examples by user and by item.
        tables: solved for.
        solver: how.
        counts: examples of each user and each item: the weights of the L2.
        columns: L2 of each column.
        ones: the examples, CSR (users, items) of 1.
        targets: the same entries, the ratings without the mean.
        out: float32 factors that every sweep is copied to.
    """

    def __init__(
        self,
        data: tuple[Propagated, Propagated],
        tables: BiasedTables,
        solver: Solver,
        counts: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
        columns: Doubles,
        ones: Any,
        targets: Any,
        out: Any,
    ) -> None:
        self._data, self._tables, self._solver, self._columns, self._out = data, tables, solver, columns, out
        self._rows = [np.maximum(count, 1).astype(np.float64) for count in counts]
        self._size, self._constant = ones.nnz, float((targets.data**2).sum())
        # by user: what the user biases meet when the items are solved for
        users = data[0].rows
        self._mass = users.received(np.asarray(ones.sum(axis=1)).ravel())
        self._pull = users.received(np.asarray(targets.sum(axis=1)).ravel())

    def sweep(self) -> dict[str, float]:
        """Solve for the users, then for the items."""
        total = 0.0
        for side in (0, 1):
            Z, offset = self._tables.features(1 - side)
            penalty = Penalty(None, self._rows[side], self._columns)
            total = self._solver.solve(self._data[side], Z, offset, penalty, self._tables.tables[side])
        self._tables.copy_to(self._out)
        if offset is not None:
            total += float(self._mass @ offset**2 - 2 * self._pull @ offset)
        width = len(self._columns)
        users, items = (
            float(rows @ (np.square(table[:, :width]) @ self._columns))
            for rows, table in zip(self._rows, self._tables.tables)
        )
        expected = total - items + self._constant
        return {"train_rmse": math.sqrt(max(expected, 0.0) / self._size), "objective": expected + items + users}

    def state(self) -> Arrays:
        return self._tables.state()

    def restore(self, state: Arrays) -> None:
        self._tables.restore(state)
        self._tables.copy_to(self._out)
