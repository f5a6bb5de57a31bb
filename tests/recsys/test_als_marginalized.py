"""MarginalizedMF: its data term is the average over sampled swaps, and its gradient is zero where it ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from recsys_data import planted

from torchsse import SSE, swap
from torchsse.data import Ratings
from torchsse.errors import ConfigError
from torchsse.graph import Graph
from torchsse.recsys.als.marginalized import MarginalizedMF

RING = Graph.from_edges(np.arange(24), (np.arange(24) + 1) % 24, num_nodes=24)
FRIENDS = Graph.from_edges([0, 1, 2, 5, 6], [4, 4, 5, 6, 7], num_nodes=30, weight=[1, 0.5, 1, 0.25, 1.0])
ARMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "se": {"p0_user": 0.2, "p0_item": 0.3},
    "graph": {
        "p0_user": 0.3, "p0_item": 0.3, "user_graph": FRIENDS, "rho_user": 9.0, "item_graph": RING, "rho_item": 30.0,
    },
}  # fmt: skip
#: Two-sided chance of a false alarm of one comparison with sampled swaps, 1e-6, as a number of standard errors.
STANDARD_ERRORS = 4.89


def cold(ratings: Ratings) -> Ratings:
    """Without the ratings of two users and two items, which stay in the tables."""
    return ratings.select(np.flatnonzero((ratings.users > 1) & (ratings.items > 1)))


def sses(model: MarginalizedMF, train: Ratings) -> tuple[SSE, SSE]:
    made = []
    for table, counts in (("user", train.user_counts()), ("item", train.item_counts())):
        exclude = np.flatnonzero(counts == 0) if not model.swap_unseen else None
        words = {"graph": getattr(model, f"{table}_graph"), "rho": getattr(model, f"rho_{table}")}
        made.append(SSE(len(counts), getattr(model, f"p0_{table}"), exclude=exclude, **words))
    return made[0], made[1]


def squared_errors(model: MarginalizedMF, train: Ratings, users: Any, items: Any) -> Any:
    tables = model._factors
    scores = (tables.P[users].astype(np.float64) * tables.Q[items]).sum(-1)
    scores += (model.mean_ + tables.bu[users] + tables.bi[items].astype(np.float64)) if model.biases else 0.0
    return (train.values - scores) ** 2


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("swap_unseen", [True, False])
@pytest.mark.parametrize("arm", ["se", "graph"])
def test_the_data_term_is_the_average_over_swaps(ratings, arm: str, biases: bool, swap_unseen: bool) -> None:
    train = cold(ratings)
    words = {**ARMS[arm], "biases": biases, "swap_unseen": swap_unseen}
    model = MarginalizedMF(factors=3, epochs=2, **words).fit(train)
    exact = model.history_[-1]["train_rmse"] ** 2
    by_user, by_item = sses(model, train)
    draws = 1500
    torch.manual_seed(0)
    users, items = (
        swap(torch.from_numpy(np.tile(codes.astype(np.int64), (draws, 1))), sse).numpy()
        for codes, sse in ((train.users, by_user), (train.items, by_item))
    )
    sampled = squared_errors(model, train, users, items).mean(1)
    error = sampled.std(ddof=1) / np.sqrt(draws)
    assert abs(sampled.mean() - exact) < STANDARD_ERRORS * error
    # the control: without swaps the data term is another one, and the comparison sees it
    unswapped = squared_errors(model, train, train.users, train.items).mean()
    assert abs(sampled.mean() - unswapped) > 3 * STANDARD_ERRORS * error


def objective(model: MarginalizedMF, train: Ratings, tables: tuple[Any, ...]) -> Any:
    """The sum of the class's docstring, over all pairs, by autograd."""
    P, Q, bu, bi = tables
    by_user, by_item = (torch.as_tensor(sse.transition_matrix(), dtype=torch.float64) for sse in sses(model, train))
    R = train.to_csr().toarray().astype(np.float64) - (model.mean_ if model.biases else 0.0)
    ones = torch.from_numpy((train.to_csr().toarray() > 0).astype(np.float64))
    targets = torch.from_numpy(R) * ones
    scores = P @ Q.T + bu[:, None] + bi[None, :]
    data = (by_user.T @ ones @ by_item * scores**2 - 2 * by_user.T @ targets @ by_item * scores).sum()
    n_u, n_i = (torch.from_numpy(np.maximum(c, 1)) for c in (train.user_counts(), train.item_counts()))
    l2 = (n_u * (P**2).sum(1)).sum() + (n_i * (Q**2).sum(1)).sum()
    bias = model.regularization / 4 * ((n_u * bu**2).sum() + (n_i * bi**2).sum())
    return data + (targets**2).sum() + model.regularization * l2 + bias


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("solver", ["cg", "cholesky"])
@pytest.mark.parametrize("arm", ARMS)
def test_the_gradient_is_zero_at_the_end(ratings, arm: str, solver: str, biases: bool) -> None:
    train = cold(ratings)
    words = {"factors": 2, "epochs": 600, "regularization": 0.3, "biases": biases, "solver": solver, "cg_steps": 5}
    model = MarginalizedMF(**words, **ARMS[arm]).fit(train)
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


@pytest.mark.parametrize("arm", ARMS)
def test_the_objective_falls(ratings, arm: str) -> None:
    history = MarginalizedMF(factors=4, epochs=15, **ARMS[arm]).fit(ratings).history_
    values = np.array([h["objective"] for h in history])
    assert (np.diff(values) < 1e-9 * values[0]).all()
    assert values[-1] < 0.99 * values[0]


def test_threads_and_memory_change_nothing(ratings) -> None:
    pairs = ratings.raw_users, ratings.raw_items
    one, threads, memory = (
        MarginalizedMF(factors=4, epochs=3, **ARMS["graph"], **words).fit(ratings).predict(*pairs)
        for words in ({}, {"num_threads": 3}, {"max_entries": 1})
    )
    assert np.array_equal(one, threads)
    assert np.array_equal(one, memory)


def test_validation_and_patience() -> None:
    whole = planted(num_users=40, num_items=30, n=700)
    kept = np.random.default_rng(0).random(len(whole)) < 0.8
    train, held_out = whole.select(kept), whole.select(~kept)
    model = MarginalizedMF(factors=6, epochs=40, regularization=0.02, patience=4).fit(train, held_out)
    values = [h["validation_rmse"] for h in model.history_]
    assert model.stopped_ == "patience"
    assert model.best_epoch_ == int(np.argmin(values)) + 1 == len(values) - 4
    assert model.evaluate(held_out)["rmse"] == pytest.approx(min(values))


def test_cold_rows_are_predicted_by_what_is_known(ratings) -> None:
    train = cold(ratings)
    model = MarginalizedMF(factors=3, epochs=5, **ARMS["se"]).fit(train)
    code = np.array([0, 5, 5])
    scores = model._score_pairs(code, np.array([0, 0, -1]))
    assert scores[0] == pytest.approx(model.mean_)
    assert scores[1] == scores[2] == pytest.approx(model.mean_ + model._factors.bu[5], abs=1e-5)
    flat = MarginalizedMF(factors=3, epochs=5, biases=False).fit(train)
    assert flat._score_pairs(code, np.array([0, 0, -1])) == pytest.approx(np.full(3, flat.mean_))


def test_bad_words() -> None:
    for words in ({"regularization": 0.0}, {"bias_regularization": -1.0}, {"p0_item": 1.5}, {"epochs": 0}):
        with pytest.raises(ConfigError, match=next(iter(words))):
            MarginalizedMF(**words)
