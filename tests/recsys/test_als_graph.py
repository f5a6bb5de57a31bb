"""GraphALS: the coupled system against dense algebra, the gradient where it ends, what the graph does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from recsys_data import planted

from torchsse.data import Ratings
from torchsse.errors import ConfigError
from torchsse.graph import Graph
from torchsse.recsys.als.laplacian import GraphALS, laplacian
from torchsse.recsys.als.marginalized import MarginalizedMF

RING = Graph.from_edges(np.arange(24), (np.arange(24) + 1) % 24, num_nodes=24)
FRIENDS = Graph.from_edges([0, 1, 2, 5, 6], [4, 4, 5, 6, 7], num_nodes=30, weight=[1, 0.5, 1, 0.25, 1.0])
GRAPHS: dict[str, Any] = {"user_graph": FRIENDS, "item_graph": RING}


def test_laplacian_is_the_sum_over_edges() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3))
    src, dst, weight = np.array([0, 1, 2, 5, 6]), np.array([4, 4, 5, 6, 7]), np.array([1, 0.5, 1, 0.25, 1.0])
    wanted = (weight * ((X[src] - X[dst]) ** 2).sum(1)).sum()
    everyone = np.ones(30, dtype=bool)
    assert (X * (laplacian(FRIENDS, everyone) @ X)).sum() == pytest.approx(wanted)
    directed = Graph.from_edges(src, dst, num_nodes=30, weight=weight, directed=True)
    assert (X * (laplacian(directed, everyone) @ X)).sum() == pytest.approx(wanted / 2)
    active = everyone.copy()
    active[4] = False
    kept = (src != 4) & (dst != 4)
    left = (weight * ((X[src] - X[dst]) ** 2).sum(1))[kept].sum()
    assert (X * (laplacian(FRIENDS, active) @ X)).sum() == pytest.approx(left)


def objective(model: GraphALS, train: Ratings, tables: tuple[Any, ...]) -> Any:
    """The sum of the class's docstring, by autograd."""
    P, Q, bu, bi = tables
    users, items = (torch.from_numpy(codes.astype(np.int64)) for codes in (train.users, train.items))
    truth = torch.from_numpy(train.values.astype(np.float64))
    scores = (P[users] * Q[items]).sum(1) + bu[users] + bi[items] + (model.mean_ if model.biases else 0.0)
    total = ((truth - scores) ** 2).sum()
    for X, b, counts, graph in (
        (P, bu, train.user_counts(), model.user_graph),
        (Q, bi, train.item_counts(), model.item_graph),
    ):
        n = torch.from_numpy(np.maximum(counts, 1) if model.per_example else np.ones(len(counts)))
        total = total + model.regularization * ((n * (X**2).sum(1)).sum() + (n * b**2).sum() / 4)
        src, dst, weight = graph.edges()
        keep = (counts[src] > 0) & (counts[dst] > 0)
        row = torch.cat([X, b[:, None]], 1)
        w = torch.from_numpy((np.ones(len(src)) if weight is None else weight)[keep].astype(np.float64))
        apart = ((row[src[keep].astype(np.int64)] - row[dst[keep].astype(np.int64)]) ** 2).sum(1)
        total = total + model.graph_weight / 2 * (w * apart).sum()  # each edge is stored twice
    return total


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("per_example", [True, False])
def test_the_gradient_is_zero_at_the_end(ratings, biases: bool, per_example: bool) -> None:
    train = ratings.select(np.flatnonzero((ratings.users > 1) & (ratings.items > 1)))  # cold rows stay in the tables
    words = {"factors": 2, "epochs": 400, "regularization": 0.3, "graph_weight": 2.0, "per_example": per_example}
    model = GraphALS(**words, biases=biases, cg_steps=8, **GRAPHS).fit(train)
    found = model._factors
    tables = [torch.from_numpy(t.astype(np.float64)) for t in (found.P[:, :2], found.Q[:, :2], found.bu, found.bi)]
    free = tables if biases else tables[:2]
    for table in free:
        table.requires_grad_()
    value = objective(model, train, tuple(tables))
    assert model.history_[-1]["objective"] == pytest.approx(float(value.detach()), rel=1e-6)
    gradient = torch.cat([g.ravel() for g in torch.autograd.grad(value, free)]).norm()
    moved = [(t.detach() * 1.05).requires_grad_() if t.requires_grad else t for t in tables]
    away = torch.autograd.grad(objective(model, train, tuple(moved)), [t for t in moved if t.requires_grad])
    # float32 tables hold about 1e-7; the control is the gradient five per cent off
    assert gradient < 1e-4 * torch.cat([g.ravel() for g in away]).norm()
    error = train.values - model._factors.score(
        train.users.astype(np.int64), train.items.astype(np.int64), *model._warm, model.mean_ * biases, biases
    )
    assert model.history_[-1]["train_rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-5)


@pytest.mark.parametrize("biases", [True, False])
def test_a_half_sweep_solves_the_coupled_system(ratings, biases: bool) -> None:
    """One sweep with enough steps against dense solves over all rows at once."""
    model = GraphALS(factors=3, epochs=1, graph_weight=3.0, biases=biases, seed=2, cg_steps=400, **GRAPHS).fit(ratings)
    start = [
        np.random.default_rng([2, which]).normal(0, 0.1, (rows, 3)).astype(np.float32).astype(np.float64)
        for which, rows in enumerate((30, 24))
    ]
    width = 3 + biases
    tables = [np.hstack([t, np.zeros((len(t), 1))])[:, :width] for t in start]
    R = ratings.to_csr().toarray().astype(np.float64)
    seen = R > 0
    for side, graph in ((0, FRIENDS), (1, RING)):
        mask, values = (seen, R) if side == 0 else (seen.T, R.T)
        Z = tables[1 - side].copy()
        goal = values - (model.mean_ if biases else 0.0)
        if biases:
            goal = goal - Z[:, 3]
            Z[:, 3] = 1.0
        size = len(mask)
        H = np.kron(3.0 * laplacian(graph, np.ones(size, bool)).toarray(), np.eye(width))
        l2 = np.diag([0.08] * 3 + [0.02] * biases)
        for row in range(size):
            at = slice(row * width, (row + 1) * width)
            H[at, at] += (Z.T * mask[row]) @ Z + max(1, mask[row].sum()) * l2
        right = ((goal * mask) @ Z).ravel()
        tables[side] = np.linalg.solve(H, right).reshape(size, width)
    assert np.allclose(model._factors.P[:, :3], tables[0][:, :3], atol=1e-4)
    assert np.allclose(model._factors.Q[:, :3], tables[1][:, :3], atol=1e-4)
    if biases:
        assert np.allclose(model._factors.bi, tables[1][:, 3], atol=1e-4)


def test_without_a_graph_it_is_plain_als(ratings) -> None:
    words = {"factors": 3, "epochs": 4, "regularization": 0.2, "seed": 5}
    pairs = ratings.raw_users, ratings.raw_items
    plain = MarginalizedMF(**words, solver="cholesky").fit(ratings).predict(*pairs)
    assert GraphALS(**words, cg_steps=300).fit(ratings).predict(*pairs) == pytest.approx(plain, abs=1e-3)
    weightless = GraphALS(**words, cg_steps=300, graph_weight=0.0, **GRAPHS).fit(ratings).predict(*pairs)
    assert weightless == pytest.approx(plain, abs=1e-3)
    # the control: the graph does something
    assert np.abs(GraphALS(**words, graph_weight=5.0, **GRAPHS).fit(ratings).predict(*pairs) - plain).max() > 0.05


def test_linked_rows_come_together(ratings) -> None:
    def apart(weight: float) -> float:
        model = GraphALS(factors=3, epochs=10, graph_weight=weight, cg_steps=50, item_graph=RING).fit(ratings)
        Q = model._factors.Q
        return float(np.linalg.norm(Q - np.roll(Q, 1, axis=0)) / np.linalg.norm(Q))

    far, near, joined = apart(0.01), apart(3.0), apart(1e5)
    assert joined < 0.02 < 0.95 * near < 0.9 * far


def test_threads_change_nothing(ratings) -> None:
    pairs = ratings.raw_users, ratings.raw_items
    one, three = (GraphALS(factors=4, epochs=4, num_threads=n, **GRAPHS).fit(ratings).predict(*pairs) for n in (1, 3))
    assert np.array_equal(one, three)


def test_the_objective_falls_and_validation_stops() -> None:
    whole = planted(num_users=40, num_items=30, n=700)
    kept = np.random.default_rng(0).random(len(whole)) < 0.8
    train, held_out = whole.select(kept), whole.select(~kept)
    words = {"factors": 6, "epochs": 60, "regularization": 0.02, "patience": 4}
    model = GraphALS(**words, item_graph=(np.arange(100, 129), np.arange(101, 130))).fit(train, held_out)
    objectives = np.array([h["objective"] for h in model.history_])
    assert (np.diff(objectives) < 1e-9 * objectives[0]).all()
    values = [h["validation_rmse"] for h in model.history_]
    assert model.stopped_ == "patience"
    assert model.best_epoch_ == int(np.argmin(values)) + 1
    assert model.evaluate(held_out)["rmse"] == pytest.approx(min(values))


def test_bad_words(ratings) -> None:
    for words in ({"regularization": 0.0}, {"graph_weight": -1.0}, {"cg_steps": 0}, {"bias_regularization": -0.1}):
        with pytest.raises(ConfigError, match=next(iter(words))):
            GraphALS(**words)
    with pytest.raises(ConfigError, match="item_graph: expected a graph over the 24 items"):
        GraphALS(item_graph=FRIENDS).fit(ratings)
    dropped = GraphALS(factors=2, epochs=1, item_graph=([100, 101], [101, 999])).fit(ratings).dropped_edges_
    assert dropped == {"user": 0, "item": 1}
