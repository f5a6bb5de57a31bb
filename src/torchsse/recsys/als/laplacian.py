"""GraphALS: explicit ratings by alternating least squares with graph-Laplacian penalties (GRALS)."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from torchsse.recsys.als.explicit import BiasedTables, ratings_matrix
from torchsse.recsys.als.loop import FREE_WORDS, AlternatingWords, run_sweeps
from torchsse.recsys.als.solve import balanced
from torchsse.recsys.als.spread import Doubles
from torchsse.recsys.checkpoint import checkpoint_for
from torchsse.recsys.explicit import ExplicitRecommender
from torchsse.recsys.graphs import table_graph
from torchsse.recsys.kernels import als
from torchsse.recsys.params import check_number
from torchsse.recsys.storage import Arrays
from torchsse.recsys.training import Callback

__all__ = ["GraphALS", "GraphSweeper", "laplacian"]


class GraphALS(AlternatingWords, ExplicitRecommender):
    """Matrix factorisation that pulls linked rows together: graph-regularised ALS (GRALS, Rao et al. 2015).

    r(u, i) = mean + b_u + b_i + a_u . b_i, or a_u . b_i with ``biases=False``, the model of the paper. Minimised in
    turn over all users and over all items:

        sum over examples of (r - r(u, i))^2
        + regularization (sum n_u |a_u|^2 + sum n_i |b_i|^2) + bias_regularization (sum n_u b_u^2 + sum n_i b_i^2)
        + graph_weight (sum over linked users of w |x_u - x_v|^2 + the same over linked items),

    n the examples of a row (1 for all rows with ``per_example=False``, as in the paper), w the weight of an edge, each
    taken once, and x = [a, b_u] a row with its bias. The last line is graph_weight tr(X' L X), L the graph's
    Laplacian; it couples the rows, so that a half sweep is one system over the whole table, improved by `cg_steps`
    steps of conjugate gradients with products that form no matrix: O(examples * factors + edges * factors) each.

    The baseline that SSE-Graph is compared with: the graph enters as a penalty instead of as swaps. Without graphs it
    is plain ALS.

    Args:
        factors: rank, length of a row.
        epochs: sweeps at most.
        regularization: L2 on the factors.
        graph_weight: of the Laplacian penalties.
        biases: with the global mean and a bias per user and item; False: the paper's model.
        user_graph, item_graph: a `Graph` over the rows of train's table, or edges of raw ids: an `EdgeTable` (from
            `read_edges`), a file, a tuple (src, dst). None: no such penalty. Rows without training examples are left
            out; a directed graph counts each direction by half.
        patience: stop after this many sweeps without a lower validation RMSE. None: run all.
        num_threads: rows are shared out among threads; the result does not depend on it.
        seed: of the initial values.
        cg_steps: of conjugate gradients in each half sweep, preconditioned by the diagonal.
        per_example: weigh a row's L2 by its examples.
        bias_regularization: None: a quarter of `regularization`.
        init_std: standard deviation of the initial factors.
        checkpoint: a directory where the run is kept after every sweep. `fit` with the same settings and data goes on
            from there; the result equals that of an uninterrupted run to the bit, whatever `num_threads`. Also with
            more `epochs`: a run that has ended goes on.
        checkpoint_seconds: write at most this often. 0: every sweep.

    Attributes, once fitted:
        history_: one dict per sweep: ``epoch`` (from 1), ``train_rmse``, ``objective``, ``validation_rmse`` if there is
            validation, ``seconds``.
        best_epoch_: sweeps that the parameters have seen: the one with the lowest validation RMSE, or the last.
        stopped_: "patience", "callback", or None if all sweeps ran.
        mean_, rating_range_, dropped_edges_, user_ids, item_ids: as `MatrixFactorization` has them.

    Prediction: clipped to the rating range of train. A pair with an unseen user or item is predicted by the bias
    terms that exist; without biases by the train mean.

    Raises:
        ConfigError: settings out of range, when constructed, set, or fitted.

    >>> from torchsse.data import Ratings
    >>> train = Ratings.from_arrays(["ann", "ann", "bob", "bob", "cy"], [1, 2, 1, 3, 2], [5, 3, 4, 1, 2])
    >>> model = GraphALS(factors=2, graph_weight=1.0, item_graph=([1, 2], [2, 3]), seed=1).fit(train)
    >>> model.predict(["ann", "cy"], [3, 3]).shape
    (2,)
    """

    def __init__(
        self,
        factors: int = 100,
        epochs: int = 30,
        regularization: float = 0.08,
        graph_weight: float = 0.1,
        biases: bool = True,
        user_graph: Any = None,
        item_graph: Any = None,
        patience: int | None = None,
        num_threads: int = 1,
        seed: int = 0,
        *,
        cg_steps: int = 5,
        per_example: bool = True,
        bias_regularization: float | None = None,
        init_std: float = 0.1,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 0.0,
    ) -> None:
        self.factors, self.epochs = factors, epochs
        self.regularization, self.bias_regularization = regularization, bias_regularization
        self.graph_weight, self.biases, self.per_example = graph_weight, biases, per_example
        self.user_graph, self.item_graph = user_graph, item_graph
        self.patience, self.num_threads, self.seed = patience, num_threads, seed
        self.cg_steps, self.init_std = cg_steps, init_std
        self.checkpoint, self.checkpoint_seconds = checkpoint, checkpoint_seconds
        self._check_params()

    def _check_params(self) -> None:
        self._check_words()
        check_number("regularization", self.regularization, 0.0, open_low=True)
        check_number("graph_weight", self.graph_weight, 0.0)
        if self.bias_regularization is not None:
            check_number("bias_regularization", self.bias_regularization, 0.0, open_low=True)

    def fit(self, train: Any, validation: Any = None, callback: Callback | None = None) -> GraphALS:
        """Train from scratch. Arguments and errors as for `MarginalizedMF.fit`."""
        self._check_params()
        ratings = self._ratings(train, "train")
        held_out = None if validation is None else self._ratings(validation, "validation")
        ones, targets = ratings_matrix(self, ratings)
        counts = ratings.user_counts(), ratings.item_counts()
        users, dropped = table_graph("user", self.user_graph, ratings.user_ids)
        items, also = table_graph("item", self.item_graph, ratings.item_ids)
        self.dropped_edges_ = {"user": dropped, "item": also}
        tables = BiasedTables.initial(counts, self.factors, bool(self.biases), self.init_std, self.seed)
        self._factors = tables.factors()
        bias = self.regularization / 4 if self.bias_regularization is None else self.bias_regularization
        sweeper = GraphSweeper(
            (ones, ones.T.tocsr()),
            (targets, targets.T.tocsr()),
            tables,
            [np.maximum(count, 1).astype(np.float64) if self.per_example else np.ones(len(count)) for count in counts],
            np.r_[np.full(self.factors, float(self.regularization)), np.full(int(bool(self.biases)), float(bias))],
            [self.graph_weight * laplacian(graph, count > 0) for graph, count in zip((users, items), counts)],
            self.cg_steps,
            self.num_threads,
            self._factors,
        )
        checked = [] if held_out is None else [*self._codes_of(held_out), held_out.values]
        examples = [ones.indptr, ones.indices, targets.data]
        checkpoint = checkpoint_for(self, examples, checked, (users, items), FREE_WORDS)
        run_sweeps(self, sweeper, self._rmse_on(held_out), "validation_rmse", callback, checkpoint)
        return self


def laplacian(graph: Any, active: npt.NDArray[np.bool_]) -> Any:
    """D - W of the graph over the active rows as CSR float64, W = (weights + weights') / 2; zeros for None.

    >>> from torchsse.graph import Graph
    >>> laplacian(Graph.from_edges([0], [1], num_nodes=3), np.ones(3, bool)).toarray().tolist()
    [[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    if graph is None:
        return sp.csr_matrix((len(active), len(active)))
    both = graph.subgraph_of_active(active).to_scipy().astype(np.float64)
    weights = (both + both.T) / 2
    return (sp.diags(np.asarray(weights.sum(axis=1)).ravel()) - weights).tocsr()


class GraphSweeper:
    """Sweeps over two augmented tables, in place.

    Args:
        ones: the examples as CSR of 1, by user and by item.
        targets: the same entries, the ratings without the mean.
        tables: improved in place.
        rows: weights of the L2 of each user and each item.
        columns: L2 of each column.
        links: the Laplacians of users and items, times their weight.
        steps: of conjugate gradients in a half sweep.
        num_threads: rows are shared out.
        out: float32 factors that every sweep is copied to.
    """

    def __init__(
        self,
        ones: tuple[Any, Any],
        targets: tuple[Any, Any],
        tables: BiasedTables,
        rows: list[Doubles],
        columns: Doubles,
        links: list[Any],
        steps: int,
        num_threads: int,
        out: Any,
    ) -> None:
        self._ones, self._targets, self._tables, self._links = ones, targets, tables, links
        self._steps, self._threads, self._out = steps, num_threads, out
        padded = np.zeros(tables.tables[0].shape[1])
        padded[: len(columns)] = columns
        self._l2 = [np.outer(row, padded) for row in rows]
        self._used = len(columns)
        self._entries = [
            (m.indptr.astype(np.int64), m.indices.astype(np.int32), np.asarray(m.data, np.float64)) for m in ones
        ]
        self._constant = float((targets[0].data ** 2).sum())
        self._pull = np.asarray(targets[0].sum(axis=1)).ravel()

    def sweep(self) -> dict[str, float]:
        """Improve the users, then the items."""
        total = 0.0
        for side in (0, 1):
            total = self._half(side)
        self._tables.copy_to(self._out)
        offset = self._tables.features(0)[1]
        if offset is not None:
            total += float(self._ones[0].getnnz(axis=1) @ offset**2 - 2 * self._pull @ offset)
        users, items = (self._penalty(side) for side in (0, 1))
        squares = total - items + self._constant
        return {
            "train_rmse": math.sqrt(max(squares, 0.0) / self._ones[0].nnz),
            "objective": squares + items + users,
        }

    def state(self) -> Arrays:
        return self._tables.state()

    def restore(self, state: Arrays) -> None:
        self._tables.restore(state)
        self._tables.copy_to(self._out)

    def _penalty(self, side: int) -> float:
        X = self._tables.tables[side]
        return float((self._l2[side] * X**2).sum() + (X * (self._links[side] @ X)).sum())

    def _half(self, side: int) -> float:
        """Conjugate gradients on one table's whole system; x' H x - 2 x' g afterwards."""
        X = self._tables.tables[side]
        Z, offset = self._tables.features(1 - side)
        targets, l2, links = self._targets[side], self._l2[side], self._links[side]
        if offset is not None:
            targets = targets.copy()
            targets.data -= self._ones[side].data * offset[targets.indices]
        goal = targets @ Z
        # columns without a penalty are padding: all zeros, and 1 keeps the quotient finite
        scale = self._ones[side] @ Z**2 + l2 + links.diagonal()[:, None]
        scale[:, self._used :] = 1.0
        residual = goal - self._times(side, Z, X)
        step = residual / scale
        along = step.copy()
        old = float((residual * step).sum())
        for _ in range(self._steps):
            if not old > 0:
                break
            image = self._times(side, Z, along)
            length = old / float((along * image).sum())
            X += length * along
            residual -= length * image
            step = residual / scale
            new = float((residual * step).sum())
            along *= new / old
            along += step
            old = new
        return -float((X * (goal + residual)).sum())

    def _times(self, side: int, Z: Doubles, V: Doubles) -> Doubles:
        """The system's matrix times V."""
        out: Doubles = self._l2[side] * V
        if self._links[side].nnz:
            out += self._links[side] @ V
        indptr, indices, values = self._entries[side]
        kernel = als.product("float64")

        def run(part: tuple[int, int]) -> None:
            kernel(indptr, indices, values, Z, V, out, *part)

        parts = list(pairwise(balanced(indptr, self._threads)))
        if len(parts) == 1:
            run(parts[0])
        else:
            with ThreadPoolExecutor(len(parts)) as pool:
                list(pool.map(run, parts))
        return out
