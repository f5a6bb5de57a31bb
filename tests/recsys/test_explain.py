"""Explanations against the definitions, written as loops over dense matrices."""

from __future__ import annotations

import numpy as np
import pytest

from torchsse.data import Ratings
from torchsse.errors import ConfigError, DataError, NotFittedError
from torchsse.graph import Graph
from torchsse.recsys import BPR, GraphALS, ItemKNN, MatrixFactorization, Popularity, WeightedALS
from torchsse.recsys.explain import MEANING, Explainer
from torchsse.transition import build_law


def graph(n: int = 24) -> Graph:
    g = np.random.default_rng(2)
    src, dst = g.integers(0, n, 40), g.integers(0, n, 40)
    keep = src != dst
    return Graph.from_edges(src[keep], dst[keep], num_nodes=n, weight=g.uniform(0.2, 1, 40)[keep], directed=True)


def history(ratings: Ratings, user: str) -> list[int]:
    return np.unique(ratings.raw_items[ratings.raw_users == user]).tolist()


@pytest.mark.parametrize("rho", [7.0, float("inf")])
@pytest.mark.parametrize("kind", [BPR, WeightedALS, MatrixFactorization])
def test_a_graph_ties_by_the_probability_of_a_swap(ratings: Ratings, kind, rho, tmp_path) -> None:
    model = kind(factors=4, epochs=2, p0_item=0.1, item_graph=graph(), rho_item=rho).fit(ratings)
    model.save(tmp_path)
    law = build_law(24, graph=graph(), rho=rho)
    weights = graph().to_scipy().toarray()
    owned = history(ratings, "u03")
    seen_graph = False
    for why in type(model).load(tmp_path).explain("u03", k=24, ties=24):
        assert why.score == pytest.approx(dict(zip(*(x[0] for x in model.recommend("u03", 24))))[why.item])
        i = why.item - 100
        chance = {j: float(law.probability(j - 100, i)) for j in owned}
        linked = {j: p for j, p in chance.items() if weights[j - 100, i] > 0}
        if not linked:
            assert why.kind == "factors"
            continue
        seen_graph = True
        assert why.kind == "graph"
        assert {tie.item: tie.strength for tie in why.ties} == pytest.approx(linked)
        assert [tie.strength for tie in why.ties] == sorted(linked.values(), reverse=True)
        assert {t.item: t.weight for t in why.ties} == pytest.approx({j: weights[j - 100, i] for j in linked})
        assert {t.item: t.share for t in why.ties} == pytest.approx(
            {j: p / sum(chance.values()) for j, p in linked.items()}
        )
        if rho == float("inf"):
            assert sum(t.share for t in why.ties) == pytest.approx(1)
    assert seen_graph


def test_a_graph_that_did_not_act_explains_nothing(ratings: Ratings) -> None:
    for words in ({"p0_item": 0.0, "rho_item": 5}, {"p0_item": 0.1, "rho_item": 1}):
        model = BPR(factors=4, epochs=1, item_graph=graph(), **words).fit(ratings)
        assert {why.kind for why in model.explain("u03")} == {"factors"}
    model = GraphALS(factors=2, epochs=1, item_graph=graph(), graph_weight=0.0).fit(ratings)
    assert {why.kind for why in model.explain("u03")} == {"factors"}


def test_the_laplacian_ties_by_edges(ratings: Ratings) -> None:
    two_sided = Graph.from_edges([0, 1, 2], [5, 5, 9], num_nodes=24, weight=[1.0, 0.5, 0.25])
    train = Ratings.from_arrays(["a", "a", "b", "b"], [0, 1, 5, 2], [1.0, 2, 3, 4])
    ids = np.arange(24)
    everyone = Ratings.from_arrays(
        [*train.raw_users, *["c"] * 24], [*train.raw_items, *ids], [*train.values, *(ids % 5 + 1.0)]
    )
    model = GraphALS(factors=2, epochs=1, item_graph=two_sided).fit(everyone)
    (why,) = model.explain("a", [5])
    assert why.kind == "edges"
    assert [(t.item, t.strength, t.weight) for t in why.ties] == [(0, 1.0, 1.0), (1, 0.5, 0.5)]
    assert [t.share for t in why.ties] == pytest.approx([2 / 3, 1 / 3])


@pytest.mark.parametrize(("p0_user", "p0_item"), [(0.0, 0.0), (0.0, 0.2), (0.3, 0.2)])
@pytest.mark.parametrize("swap_unseen", [False, True])
def test_contributions_of_weighted_als(ratings: Ratings, p0_user, p0_item, swap_unseen) -> None:
    """Against the normal equations on dense transition matrices; item 123 and user u29 are known but not in train."""
    rows = ratings.select((ratings.raw_items != 123) & (ratings.raw_users != "u29"))
    model = WeightedALS(
        factors=5, epochs=40, alpha=3.0, regularization=2.0, p0_user=p0_user, p0_item=p0_item,
        solver="cholesky", swap_unseen=swap_unseen,
    ).fit(rows)  # fmt: skip
    R = rows.to_csr().toarray().astype(np.float64)
    held = R > 0
    P = []
    for p0, size, active in ((p0_user, 30, held.any(1)), (p0_item, 24, held.any(0))):
        law = build_law(size, exclude=None if swap_unseen else np.flatnonzero(~active))
        P.append((1 - p0) * np.eye(size) + p0 * law.transition_matrix())
    Y = model._factors.Q[:, :5].astype(np.float64)
    u = int(rows.user_ids.encode(["u07"])[0])
    C = 3.0 * R
    A = Y.T @ ((1 + (P[0].T @ C @ P[1])[u])[:, None] * Y) + 2.0 * np.eye(5)
    target = (1 + C) * held
    everything = np.linalg.solve(A, Y.T @ (P[0].T @ target @ P[1])[u])
    for why in model.explain("u07", k=5, ties=24):
        y = Y[rows.item_ids.encode([why.item])[0]]
        own = {
            int(rows.item_ids.ids[j]): y @ np.linalg.solve(A, Y.T @ (P[0][u, u] * target[u, j] * P[1][j]))
            for j in np.flatnonzero(held[u])
        }
        assert why.kind == "contributions"
        assert {t.item: t.strength for t in why.ties} == pytest.approx({j: c for j, c in own.items() if c > 0})
        assert why.rest == pytest.approx(why.score - sum(own.values()), abs=1e-6)
        assert y @ everything == pytest.approx(why.score, abs=5e-3)  # the sweeps have converged
        if p0_user == 0:
            assert abs(why.rest) < 5e-3


def test_contributions_of_neighbours_are_the_score(ratings: Ratings) -> None:
    for binary in (True, False):
        model = ItemKNN(5, binary=binary).fit(ratings)
        for why in model.explain("u03", ties=24):
            assert why.rest == pytest.approx(0, abs=1e-4)
            assert sum(t.strength for t in why.ties) == pytest.approx(why.score, rel=1e-5)
            assert sum(t.share for t in why.ties) == pytest.approx(1, rel=1e-5)
            assert set(history(ratings, "u03")) >= {t.item for t in why.ties}


def test_likeness(ratings: Ratings) -> None:
    model = MatrixFactorization(factors=4, epochs=3).fit(ratings)
    (why,) = model.explain("u03", [105], ties=3)
    Q = dict(zip(ratings.item_ids.ids.tolist(), model._factors.Q[:, :4].astype(np.float64)))
    cosine = {
        j: Q[j] @ Q[105] / np.linalg.norm(Q[j]) / np.linalg.norm(Q[105]) for j in history(ratings, "u03") if j != 105
    }
    best = sorted((c for c in cosine.values() if c > 0), reverse=True)[:3]
    assert [t.strength for t in why.ties] == pytest.approx(best)
    assert {t.share for t in why.ties} == {None}
    assert "no graph" in " ".join(MEANING["factors"].split())


def test_popularity_has_no_reason(ratings: Ratings) -> None:
    why = Popularity().fit(ratings).explain("u03", k=2)
    assert [(w.kind, w.ties) for w in why] == [("none", ())] * 2


def test_errors(ratings: Ratings) -> None:
    model = ItemKNN().fit(ratings)
    with pytest.raises(NotFittedError):
        ItemKNN().explain("u00")
    for user, items in (("nobody", None), ("nobody", [100]), ("u00", [100, 5])):
        with pytest.raises(DataError, match="not in the train set"):
            model.explain(user, items)
    with pytest.raises(ConfigError, match="ties"):
        model.explain("u00", ties=0)
    assert Explainer(model).explain("u00", []) == []
