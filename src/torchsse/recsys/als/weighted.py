"""WeightedALS: implicit feedback, confidence-weighted least squares, SSE in the marginalised form."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from torchsse.data import Ratings
from torchsse.errors import DataError
from torchsse.recsys.als.loop import FREE_WORDS, SwapWords, run_sweeps
from torchsse.recsys.als.propagate import MAX_ENTRIES, Propagated, propagate
from torchsse.recsys.als.solve import Penalty, Solver
from torchsse.recsys.base import Codes, Floats, Recommender
from torchsse.recsys.checkpoint import checkpoint_for
from torchsse.recsys.factors import Factors
from torchsse.recsys.params import check_number
from torchsse.recsys.ranker import check_metric, pairs_in
from torchsse.recsys.ranking import evaluate_ranking, measure_of
from torchsse.recsys.storage import Arrays
from torchsse.recsys.training import Callback

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["WeightedALS", "WeightedSweeper"]


class WeightedALS(SwapWords, Recommender):
    """Weighted matrix factorisation of implicit feedback (Hu, Koren and Volinsky 2008), with SSE taken in expectation.

    s(u, i) = a_u . b_i. An observed pair with value r (1 without ratings) has confidence c = 1 + alpha r and target 1,
    every other pair confidence 1 and target 0. Plain, with p0 = 0, a sweep solves for all users, then for all items,

        min  sum over all pairs of c (target - a_u . b_i)^2  +  regularization (sum |a_u|^2 + sum |b_i|^2).

    With SSE the observed pairs are the examples: what their confidence adds to the unit weight, alpha r, and their
    c * target are swapped, both tables at once by independent coins; the unit weight on all pairs and the L2 are
    penalties, and are not. The expectation over all swaps is minimised, nothing is drawn:

        min  sum over all pairs of (1 + Ct) (a_u . b_i)^2 - 2 (CR)t a_u . b_i  +  penalties,
        Ct = P_u' (alpha R) P_i,   (CR)t = P_u' ((1 + alpha R) * target) P_i,

    P the transition matrices: weighted factorisation of data propagated along them. SSE-SE costs a sweep next to
    nothing; a graph fills Ct in, and a sweep takes as much longer (`fill_in_`).

    Args:
        factors: rank, length of a row.
        epochs: sweeps at most.
        alpha: what an observation adds to the confidence.
        regularization: L2 on all rows, once each.
        p0_user, p0_item: SSE probabilities, 0 to 1.
        user_graph, item_graph: a `Graph` over the rows of train's table, or edges of raw ids: an `EdgeTable` (from
            `read_edges`), a file, a tuple (src, dst). None: SSE-SE, uniform over all rows.
        rho_user, rho_item: how much likelier a neighbour is drawn than another row, 1 to inf; needed with a graph.
        swap_unseen: let rows without training examples be swapped in; excluded by default.
        patience: stop after this many sweeps without a better `metric` on validation. None: run all.
        num_threads: rows are shared out among threads; the result does not depend on it.
        seed: of the initial values.
        solver: "cg": `cg_steps` steps of conjugate gradients for each row from its last value (Takacs et al. 2011),
            several times as fast at rank 100; "cholesky": exact.
        cg_steps: see `solver`. Three reach the quality of "cholesky" within the same sweeps.
        metric: what is taken on validation: precision, recall, ndcg, hr, map or mrr, "@", k.
        init_std: standard deviation of the initial factors.
        max_entries: of the filled-in examples, up to which they are kept in memory, 12 bytes each and twice; beyond,
            their rows are computed anew in every sweep, in blocks: the same result, twice as slow. At 29,858 users x
            40,981 items, 810,000 pairs and a graph of the 10 nearest items, 11.7 million entries take 0.26 GiB and a
            fit peaks at 1.0 GiB, libraries and data included, either way.
        checkpoint: a directory where the run is kept after every sweep. `fit` with the same settings and data goes on
            from there; the result equals that of an uninterrupted run to the bit, whatever `num_threads` and
            `max_entries`. Also with more `epochs`: a run that has ended goes on.
        checkpoint_seconds: write at most this often. 0: every sweep.

    Attributes, once fitted:
        history_: one dict per sweep: ``epoch`` (from 1), ``objective`` (the minimised sum),
            ``validation_<metric>`` if there is validation, ``seconds``.
        best_epoch_: sweeps that the parameters have seen: the one with the best validation metric, or the last.
        stopped_: "patience", "callback", or None if all sweeps ran.
        fill_in_: entries of the propagated examples over the examples; 1 without a graph.
        dropped_edges_: edges that named unknown ids, {"user": n, "item": n}.
        user_ids, item_ids: `torchsse.data.IdMap`.

    Prediction: scores to rank by, near 0 to 1, not clipped. An unknown or untrained row scores 0.

    Raises:
        ConfigError: settings out of range or contradicting each other, when constructed, set, or fitted.

    >>> train = Ratings.from_arrays(["ann", "ann", "bob", "bob", "cy"], [1, 2, 1, 3, 2])
    >>> model = WeightedALS(factors=2, regularization=0.1, p0_item=0.1, seed=1).fit(train)
    >>> items, scores = model.recommend(["cy"], k=1)    # cy has 2, as ann has; so has ann 1
    >>> items.tolist()
    [[1]]
    """

    def __init__(
        self,
        factors: int = 100,
        epochs: int = 15,
        alpha: float = 10.0,
        regularization: float = 100.0,
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
        metric: str = "precision@10",
        init_std: float = 0.01,
        max_entries: int = MAX_ENTRIES,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 0.0,
    ) -> None:
        self.factors, self.epochs = factors, epochs
        self.alpha, self.regularization = alpha, regularization
        self.p0_user, self.p0_item = p0_user, p0_item
        self.user_graph, self.item_graph = user_graph, item_graph
        self.rho_user, self.rho_item, self.swap_unseen = rho_user, rho_item, swap_unseen
        self.patience, self.metric = patience, metric
        self.num_threads, self.seed = num_threads, seed
        self.solver, self.cg_steps, self.init_std, self.max_entries = solver, cg_steps, init_std, max_entries
        self.checkpoint, self.checkpoint_seconds = checkpoint, checkpoint_seconds
        self._check_params()

    def _check_params(self) -> None:
        self._check_words()
        check_number("alpha", self.alpha, 0.0, open_low=True)
        check_number("regularization", self.regularization, 0.0, open_low=True)
        check_metric(self.metric)

    # fitting ----------------------------------------------------------------------------------------------------

    def fit(self, train: Any, validation: Any = None, callback: Callback | None = None) -> WeightedALS:
        """Train from scratch.

        Args:
            train: `Ratings`, a scipy sparse matrix (users x items), or a table of raw ids: see
                `torchsse.data.as_ratings`. Ratings are the r of the confidences, and above 0.
            validation: of the same kinds; `metric` is taken on it and the best sweep's parameters are kept. Ids are
                matched by raw id.
            callback: called as ``callback(epoch, info)`` after each sweep, epoch counted from 1 and info the entry of
                `history_`; ends the run by returning True. Inside it the model predicts with that sweep's parameters.

        Returns:
            self.

        Raises:
            DataError: no pairs, a rating that is not above 0. ConfigError: settings or graphs that do not fit.
        """
        self._check_params()
        held_out = None if validation is None else pairs_in(validation, "validation")
        sweeper, examples = self._prepare(pairs_in(train, "train"))
        measure, checked = None, []
        if held_out is not None:
            checked = list(self._codes_of(held_out))
            measure = measure_of(self, held_out, self.metric)
        self.history_: list[dict[str, Any]] = []
        self.best_epoch_, self.stopped_ = 0, None
        checkpoint = checkpoint_for(self, examples, checked, (), FREE_WORDS)
        run_sweeps(self, sweeper, measure, f"validation_{self.metric}", callback, checkpoint, higher=True)
        return self

    def _prepare(self, ratings: Ratings) -> tuple[WeightedSweeper, list[npt.NDArray[Any]]]:
        """What sweeps over these pairs from the initial factors, and arrays that say which pairs and laws."""
        seen = ratings.to_csr().astype(np.float64)
        seen.sum_duplicates()
        if seen.data.min() <= 0:
            raise DataError(f"train: WeightedALS needs ratings above 0, got {seen.data.min():g}")
        users, items = np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr)), seen.indices.astype(np.int64)
        self._factors = Factors.initial(*seen.shape, self.factors, self.init_std, self.seed)
        counts = tuple(np.bincount(codes, minlength=size) for codes, size in zip((users, items), seen.shape))
        laws = self._laws((ratings.user_ids, ratings.item_ids), (counts[0], counts[1]))
        for table, count in zip((self._factors.P, self._factors.Q), counts):
            table[count == 0] = 0.0  # no data, no reason to differ from 0
        extra, weighted = seen.copy(), seen.copy()
        extra.data = self.alpha * seen.data
        weighted.data = 1.0 + extra.data
        data = propagate(laws[0], extra, weighted, laws[1], "float32", self.max_entries)
        self._remember(ratings, users, items, seen.data)
        self.fill_in_ = data[0].entries / seen.nnz
        solver = Solver(self.solver, self.cg_steps, "float32", self.num_threads)
        sweeper = WeightedSweeper(
            data, self._factors.P, self._factors.Q, self.factors, solver, self.regularization, weighted.data.sum()
        )
        return sweeper, [seen.indptr, seen.indices, seen.data, *laws[0].arrays(), *laws[1].arrays()]

    # prediction -------------------------------------------------------------------------------------------------

    def _score_pairs(self, users: Codes, items: Codes) -> Floats:
        tables = self._factors
        everyone, everything = np.ones(len(tables.P), dtype=bool), np.ones(len(tables.Q), dtype=bool)
        return tables.score(users, items, everyone, everything, 0.0, False) * ((users >= 0) & (items >= 0))

    def _score_users(self, users: Codes) -> Floats:
        return self._factors.products(users)

    def evaluate(self, test: Any, ks: Sequence[int] = (1, 5, 10), exclude_seen: bool = True) -> dict[str, Any]:
        """Ranking metrics on held-out pairs, over all items: see `torchsse.recsys.ranking.evaluate_ranking`."""
        self._check_fitted()
        return evaluate_ranking(self, pairs_in(test, "test"), ks=ks, exclude_seen=exclude_seen)

    # files ------------------------------------------------------------------------------------------------------

    def _state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        facts = {
            "best_epoch": self.best_epoch_, "stopped": self.stopped_, "history": self.history_,
            "dropped_edges": self.dropped_edges_, "fill_in": self.fill_in_,
        }  # fmt: skip
        arrays = self._factors.arrays(factors=self.factors)
        return facts, {name: arrays[name] for name in ("P", "Q")}

    def _restore(self, facts: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        self.best_epoch_, self.stopped_ = facts["best_epoch"], facts["stopped"]
        self.history_, self.dropped_edges_ = facts["history"], facts["dropped_edges"]
        self.fill_in_ = facts["fill_in"]
        biases = {"bu": np.zeros(len(arrays["P"])), "bi": np.zeros(len(arrays["Q"]))}
        self._factors = Factors.from_arrays({**arrays, **biases})


class WeightedSweeper:
    """Sweeps over two padded tables of any float type, in place.

    Args:
        data: the propagated examples by user and by item.
        P, Q: (rows, width) tables, padded with zeros from column `factors` on.
        penalty: L2 on each row.
        constant: sum of confidence * target^2 over all pairs.
    """

    def __init__(
        self,
        data: tuple[Propagated, Propagated],
        P: npt.NDArray[Any],
        Q: npt.NDArray[Any],
        factors: int,
        solver: Solver,
        penalty: float,
        constant: float,
    ) -> None:
        self._data, self._tables, self._factors, self._solver = data, (P, Q), factors, solver
        self._penalty, self._constant = penalty, constant

    @property
    def nbytes(self) -> int:
        """Memory of the propagated examples, both orientations."""
        return self._data[0].nbytes + self._data[1].nbytes

    def sweep(self) -> dict[str, float]:
        """Solve for the users, then for the items; the objective afterwards."""
        total = 0.0
        for side in (0, 1):
            X, Z = self._tables[side], self._tables[1 - side]
            penalty = Penalty(Z.T @ Z, np.full(len(X), self._penalty), np.ones(self._factors))
            total = self._solver.solve(self._data[side], Z, None, penalty, X)
        rows = self._penalty * float(np.square(self._tables[0], dtype=np.float64).sum())
        return {"objective": self._constant + total + rows}

    def state(self) -> Arrays:
        return {"users": self._tables[0], "items": self._tables[1]}

    def restore(self, state: Arrays) -> None:
        for table, name in zip(self._tables, ("users", "items")):
            np.copyto(table, state[name])
