"""ItemKNN against loops over the definition, Popularity by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from torchsse.data import Ratings
from torchsse.errors import ConfigError, DataError
from torchsse.recsys import ItemKNN, Popularity, item_knn


def slow_similarity(X: np.ndarray[Any, Any], held: np.ndarray[Any, Any], model: ItemKNN) -> np.ndarray[Any, Any]:
    """The class's definition, pair by pair."""
    users, items = X.shape
    n_items = held.sum(0)
    counted = sum(1 for n in n_items if n)
    weight = np.zeros_like(X)
    for u in range(users):
        idf = math.log(counted / held[u].sum()) if held[u].any() else 0.0
        for i in np.flatnonzero(held[u]):
            v = X[u, i]
            if model.similarity == "tfidf":
                v *= idf
            elif model.similarity == "bm25":
                length = 1 - model.bm25_b + model.bm25_b * n_items[i] / n_items[n_items > 0].mean()
                v = idf * v * (model.bm25_k1 + 1) / (v + model.bm25_k1 * length)
            weight[u, i] = v
    sim = np.zeros((items, items))
    for j in range(items):
        for k in range(items):
            common = int((held[:, j] & held[:, k]).sum())
            if j == k or not common:
                continue
            if model.similarity == "jaccard":
                value = common / (n_items[j] + n_items[k] - common)
            else:
                value = sum(weight[u, j] * weight[u, k] for u in range(users))
                if model.similarity != "bm25":
                    value /= math.sqrt((weight[:, j] ** 2).sum() * (weight[:, k] ** 2).sum())
            sim[j, k] = value * common / (common + model.shrinkage)
    for j in range(items):
        for k in sorted(range(items), key=lambda k: (-round(sim[j, k], 12), k))[model.neighbors :]:
            sim[j, k] = 0
    return sim


def dense(ratings: Ratings) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    X = np.zeros((ratings.num_users, ratings.num_items))
    held = np.zeros(X.shape, dtype=bool)
    X[ratings.users, ratings.items] = ratings.values
    held[ratings.users, ratings.items] = True
    return X, held


@pytest.fixture(scope="module")
def sparse_ratings() -> Ratings:
    g = np.random.default_rng(4)
    pairs = g.choice(25 * 18, 110, replace=False)
    return Ratings.from_arrays(pairs // 18, pairs % 18, 1.0 + g.integers(0, 4, 110))


@pytest.mark.parametrize("similarity", item_knn.SIMILARITIES)
@pytest.mark.parametrize(("neighbors", "shrinkage", "binary"), [(200, 0.0, True), (4, 2.5, True), (3, 0.0, False)])
def test_against_the_definition(sparse_ratings, similarity, neighbors, shrinkage, binary, monkeypatch) -> None:
    monkeypatch.setattr(item_knn, "_BLOCK_ENTRIES", 40)  # several blocks, the last one short
    monkeypatch.setattr(item_knn, "_BLOCK_PAIRS", 16)
    model = ItemKNN(neighbors, similarity, shrinkage, binary=binary).fit(sparse_ratings)
    X, held = dense(sparse_ratings)
    values = held.astype(float) if binary else X
    sim = slow_similarity(values, held, model)
    near = model._near.toarray()
    assert (np.count_nonzero(near, axis=1) <= neighbors).all()
    assert near == pytest.approx(sim, rel=1e-5, abs=1e-7)
    scores = values @ sim.T
    assert model._score_users(np.arange(sparse_ratings.num_users)) == pytest.approx(scores, rel=1e-5, abs=1e-6)
    raw = sparse_ratings.user_ids.ids, sparse_ratings.item_ids.ids
    users, items = np.repeat(raw[0], len(raw[1])), np.tile(raw[1], len(raw[0]))
    assert model.predict(users, items) == pytest.approx(scores.ravel(), rel=1e-5, abs=1e-6)


def test_control_the_similarities_differ(sparse_ratings) -> None:
    """The oracle could not pass by all of them being alike."""
    found = [ItemKNN(4, s, binary=False).fit(sparse_ratings)._near.toarray() for s in item_knn.SIMILARITIES]
    for n, one in enumerate(found):
        for other in found[:n]:
            assert not np.allclose(one, other)


def test_a_few_by_hand() -> None:
    """Three users have a, two of them b; c stands alone."""
    train = (["x", "x", "y", "y", "z", "w"], ["a", "b", "a", "b", "a", "c"])
    model = ItemKNN(1).fit(train)
    assert model.predict("z", ["a", "b", "c"]).tolist() == pytest.approx([0, 2 / math.sqrt(6), 0])
    assert model.predict(["nobody", "z"], ["b", "new"]).tolist() == [0, 0]
    shrunk = ItemKNN(1, "jaccard", 6).fit(train)
    assert shrunk.predict("z", "b")[0] == pytest.approx(2 / 3 * 2 / 8)


def test_values_must_be_above_zero() -> None:
    with pytest.raises(DataError, match="above 0"):
        ItemKNN(binary=False).fit(([1, 2], [1, 2], [0.0, 2.0]))
    assert ItemKNN().fit(([1, 1], [1, 2], [0.0, 2.0])).predict(1, 2)[0] == 1


@pytest.mark.parametrize(
    "words", [{"neighbors": 0}, {"similarity": "pearson"}, {"shrinkage": -1}, {"bm25_b": 2}, {"metric": "rmse"}]
)
def test_settings(words) -> None:
    with pytest.raises(ConfigError, match=next(iter(words))):
        ItemKNN(**words)


def test_popularity_by_hand() -> None:
    train = ([1, 2, 3, 1, 2, 1], ["a", "a", "a", "b", "b", "c"], [1, 5, 1, 5, 5, 5.0])
    model = Popularity("precision@1").fit(train, validation=([2, 3, 3], ["c", "c", "b"]))
    assert model.predict([77, 1, 2], ["a", "b", "new"]).tolist() == [3, 2, 0]
    items, scores = model.recommend([1, 2, 3], k=2)
    assert items.tolist() == [[None, None], ["c", None], ["b", "c"]]
    assert scores[2].tolist() == [2, 1]
    assert model.history_[0]["validation_precision@1"] == 1.0
    assert model.evaluate(([2, 3], ["c", "c"]), ks=(1,))["means"]["precision@1"] == 0.5
