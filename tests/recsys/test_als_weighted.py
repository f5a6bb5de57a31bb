"""WeightedALS: a dense oracle, the objective, and the contract of every estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from recsys_data import planted
from test_recsys_contract import (  # noqa: F401 - collected here with the fixtures below
    test_before_fit,
    test_callback_sees_and_stops,
    test_copies,
    test_damaged_files_are_refused,
    test_foreign_directories_are_refused,
    test_lengths_must_agree,
    test_params,
    test_predict_is_elementwise_on_raw_ids,
    test_recommend_is_the_best_of_all,
    test_recommend_names_unknown_users,
    test_save_and_load,
    test_seen_items_on_request,
    test_the_order_of_the_file_does_not_matter,
    test_the_same_from_every_kind_of_input,
    test_the_seed_decides,
    test_unknown_ids_are_predicted_not_refused,
)

from torchsse.data import Ratings
from torchsse.errors import ConfigError, DataError
from torchsse.graph import Graph
from torchsse.recsys.als.weighted import WeightedALS
from torchsse.transition import build_law

WORDS: dict[str, Any] = {"factors": 4, "epochs": 5, "alpha": 3.0, "regularization": 2.0}
RING = Graph.from_edges(np.arange(24), (np.arange(24) + 1) % 24, num_nodes=24)
ARMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "se": {"p0_user": 0.2, "p0_item": 0.3},
    "graph": {"p0_user": 0.1, "p0_item": 0.3, "item_graph": RING, "rho_item": 30.0},
}


@pytest.fixture(scope="module", params=["cg", "cholesky"])
def make(request) -> Any:
    return lambda **words: WeightedALS(**{**WORDS, "p0_item": 0.1, "solver": request.param, **words})


@pytest.fixture(scope="module")
def iterates() -> bool:
    return True


@pytest.fixture(scope="module")
def model(make, ratings) -> WeightedALS:
    return make(seed=1).fit(ratings)


def transition(p0: float, size: int, graph: Graph | None = None, rho: float | None = None) -> Any:
    return p0 * build_law(size, graph, rho).transition_matrix() + (1 - p0) * np.eye(size)


def dense_als(R: Any, P: Any, Q: Any, left: Any, right: Any, sweeps: int, alpha: float, penalty: float) -> Any:
    """The definition, one row at a time, on dense matrices."""
    P, Q = P.copy(), Q.copy()
    extra = left.T @ (alpha * R) @ right
    targets = left.T @ ((1 + alpha * R) * (R > 0)) @ right
    identity = np.eye(P.shape[1])
    for _ in range(sweeps):
        for u in range(len(P)):
            A = (Q.T * (1 + extra[u])) @ Q + penalty * identity
            P[u] = np.linalg.solve(A, Q.T @ targets[u])
        for i in range(len(Q)):
            A = (P.T * (1 + extra[:, i])) @ P + penalty * identity
            Q[i] = np.linalg.solve(A, P.T @ targets[:, i])
    scores = P @ Q.T
    objective = ((1 + alpha * R) * (R > 0)).sum() + ((1 + extra) * scores**2 - 2 * targets * scores).sum()
    return scores, objective + penalty * ((P**2).sum() + (Q**2).sum())


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("implicit", [False, True])
def test_dense_oracle(ratings: Ratings, arm: str, implicit: bool) -> None:
    train = Ratings.from_arrays(ratings.raw_users, ratings.raw_items) if implicit else ratings
    words = ARMS[arm]
    model = WeightedALS(**WORDS, solver="cholesky", seed=3, init_std=0.1, **words).fit(train)
    start = [
        np.random.default_rng([3, which]).normal(0, 0.1, (rows, 4)).astype(np.float32).astype(np.float64)
        for which, rows in enumerate((train.num_users, train.num_items))
    ]
    left = transition(words.get("p0_user", 0.0), train.num_users)
    right = transition(words.get("p0_item", 0.0), train.num_items, words.get("item_graph"), words.get("rho_item"))
    R = train.to_csr().toarray().astype(np.float64)
    scores, objective = dense_als(R, *start, left, right, 5, 3.0, 2.0)
    found = model._score_users(np.arange(train.num_users))
    assert np.allclose(found, scores, atol=2e-4)
    assert model.history_[-1]["objective"] == pytest.approx(objective, rel=1e-4)
    # the control: SSE changes the scores by far more than that
    plain, _ = dense_als(R, *start, np.eye(len(left)), np.eye(len(right)), 5, 3.0, 2.0)
    assert (np.abs(plain - scores).max() > 0.02) == (arm != "plain")


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("solver", ["cg", "cholesky"])
def test_the_objective_falls(ratings: Ratings, arm: str, solver: str) -> None:
    history = WeightedALS(**{**WORDS, "epochs": 12}, solver=solver, **ARMS[arm]).fit(ratings).history_
    values = np.array([h["objective"] for h in history])
    assert (np.diff(values) < 1e-4 * values[0]).all()
    assert values[-1] < 0.95 * values[0]


@pytest.mark.parametrize("arm", ARMS)
def test_conjugate_gradients_arrive_where_cholesky_does(ratings: Ratings, arm: str) -> None:
    ends = [
        WeightedALS(**{**WORDS, "epochs": 100}, solver=solver, **ARMS[arm]).fit(ratings).history_[-1]["objective"]
        for solver in ("cg", "cholesky")
    ]
    assert ends[0] == pytest.approx(ends[1], rel=1e-3)


def test_memory_bound_changes_nothing(ratings: Ratings) -> None:
    pairs = ratings.raw_users, ratings.raw_items
    kept, recomputed = (
        WeightedALS(**WORDS, **ARMS["graph"], max_entries=most).fit(ratings).predict(*pairs) for most in (1 << 20, 1)
    )
    assert np.array_equal(kept, recomputed)


def test_threads_change_nothing(ratings: Ratings) -> None:
    pairs = ratings.raw_users, ratings.raw_items
    one, three = (WeightedALS(**WORDS, **ARMS["graph"], num_threads=n).fit(ratings).predict(*pairs) for n in (1, 3))
    assert np.array_equal(one, three)


def test_it_ranks_the_seen_pairs_high(ratings: Ratings) -> None:
    model = WeightedALS(**{**WORDS, "factors": 8, "epochs": 10}, p0_item=0.05).fit(ratings)
    scores = model._score_users(np.arange(ratings.num_users))
    seen = ratings.to_csr().toarray() > 0
    assert scores[seen].mean() > scores[~seen].mean() + 0.3


def test_fill_in_and_history(ratings: Ratings) -> None:
    model = WeightedALS(**WORDS, **ARMS["graph"]).fit(ratings)
    assert model.fill_in_ > 1.2
    assert WeightedALS(**WORDS, **ARMS["se"]).fit(ratings).fill_in_ == 1
    assert [h["epoch"] for h in model.history_] == [1, 2, 3, 4, 5]
    assert set(model.history_[0]) == {"epoch", "objective", "seconds"}


def test_validation_and_patience() -> None:
    whole = planted(num_users=40, num_items=30, n=700)
    kept = np.random.default_rng(0).random(len(whole)) < 0.8
    train, held_out = whole.select(kept), whole.select(~kept)
    model = WeightedALS(**{**WORDS, "epochs": 30, "patience": 3, "metric": "ndcg@5"}).fit(train, held_out)
    values = [h["validation_ndcg@5"] for h in model.history_]
    assert model.best_epoch_ == int(np.argmax(values)) + 1
    assert model.evaluate(held_out, ks=(5,))["means"]["ndcg@5"] == pytest.approx(max(values))
    assert model.stopped_ in ("patience", None)


def test_cold_rows() -> None:
    train = Ratings.from_arrays([0, 0, 1, 1, 2], [0, 1, 0, 1, 2]).select(np.arange(4))  # user 2 and item 2 untrained
    words = {"factors": 2, "regularization": 0.1, "p0_user": 0.2, "p0_item": 0.2}
    model = WeightedALS(**words).fit(train)
    assert model.predict([2, 0, 9], [0, 2, 0]).tolist() == [0, 0, 0]
    assert model.predict(0, 1)[0] > 0.5
    swapped = WeightedALS(**words, swap_unseen=True).fit(train)
    assert abs(swapped.predict([2], [0])[0]) > 1e-3


def test_bad_input(make) -> None:
    with pytest.raises(DataError, match="above 0, got -1"):
        make().fit(([1, 2], [1, 2], [3.0, -1.0]))
    with pytest.raises(DataError, match="at least one"):
        make().fit(planted().select(np.arange(0)))
    for words in ({"alpha": 0.0}, {"regularization": 0.0}, {"solver": "lu"}, {"cg_steps": 0}, {"metric": "rmse"}):
        with pytest.raises(ConfigError, match=next(iter(words))):
            WeightedALS(**words)
    with pytest.raises(ConfigError, match="rho_item"):
        WeightedALS(item_graph=RING)
