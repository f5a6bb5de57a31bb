"""What holds for every estimator: ids, shapes, files, seeds, errors. A new one joins by a line of ESTIMATORS."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from recsys_data import planted
from scipy.sparse import csr_matrix

from torchsse.data import Ratings
from torchsse.errors import ConfigError, CorruptFileError, DataError, NotFittedError
from torchsse.recsys import (
    BPR,
    GraphALS,
    ItemKNN,
    MarginalizedMF,
    MatrixFactorization,
    Popularity,
    SQLRank,
    WeightedALS,
)
from torchsse.recsys.base import Recommender


def counts(kind: type, **fixed: Any) -> Any:
    """An estimator that counts has neither seed nor epochs."""
    return lambda **words: kind(**{**fixed, **{k: v for k, v in words.items() if k not in ("seed", "epochs")}})


ESTIMATORS: dict[str, Any] = {
    "mf": lambda **words: MatrixFactorization(
        **{"factors": 8, "epochs": 12, "p0_user": 0.05, "p0_item": 0.05, **words}
    ),
    "mf-no-biases": lambda **words: MatrixFactorization(
        **{"factors": 8, "epochs": 20, "learning_rate": 0.2, "biases": False, **words}
    ),
    "mf-torch": lambda **words: MatrixFactorization(
        **{"factors": 8, "epochs": 6, "backend": "torch", "batch_size": 64, "p0_item": 0.1, **words}
    ),
    "marginalized": lambda **words: MarginalizedMF(**{"factors": 4, "epochs": 8, "p0_item": 0.05, **words}),
    "marginalized-no-biases": lambda **words: MarginalizedMF(
        **{"factors": 4, "epochs": 8, "p0_user": 0.05, "biases": False, "solver": "cholesky", **words}
    ),
    "graph-als": lambda **words: GraphALS(**{"factors": 4, "epochs": 8, "graph_weight": 0.5, **words}),
    "bpr": lambda **words: BPR(**{"factors": 8, "epochs": 30, "p0_user": 0.05, "p0_item": 0.05, **words}),
    "bpr-torch": lambda **words: BPR(
        **{
            "factors": 8,
            "epochs": 15,
            "learning_rate": 0.2,
            "backend": "torch",
            "batch_size": 64,
            "p0_user": 0.05,
            **words,
        }
    ),
    "sqlrank": lambda **words: SQLRank(
        **{"factors": 8, "epochs": 30, "feedback": "implicit", "weight_decay": 0.02, "p0_item": 0.05, **words}
    ),
    "sqlrank-explicit": lambda **words: SQLRank(
        **{"factors": 8, "epochs": 60, "learning_rate": 0.1, "p0_user": 0.05, "list_length": 6, **words}
    ),
    "als": lambda **words: WeightedALS(**{"factors": 4, "epochs": 8, "regularization": 1.0, "p0_item": 0.05, **words}),
    "popularity": counts(Popularity),
    "item-knn": counts(ItemKNN, neighbors=8, shrinkage=1.0),
    "item-knn-values": counts(ItemKNN, similarity="bm25", binary=False),
    "bpr-biases": lambda **words: BPR(**{"factors": 8, "epochs": 30, "biases": True, "hard_negatives": True, **words}),
}
#: These take any pair as a positive, ignore the values of ratings, and predict scores of no scale.
COUNTING = {"popularity", "item-knn", "item-knn-values"}
IMPLICIT = {"bpr", "bpr-torch", "bpr-biases", "sqlrank", "als", *COUNTING}
#: These predict scores of no scale too, but in the order of the ratings.
ORDERING = {"sqlrank-explicit"}


@pytest.fixture(scope="module", params=ESTIMATORS)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def make(name) -> Any:
    return ESTIMATORS[name]


@pytest.fixture(scope="module")
def explicit(name) -> bool:
    return name not in IMPLICIT | ORDERING


@pytest.fixture(scope="module")
def iterates(name) -> bool:
    return name not in COUNTING


@pytest.fixture(scope="module")
def model(make, ratings) -> Recommender:
    return make(seed=1).fit(ratings)


def test_predict_is_elementwise_on_raw_ids(model, ratings) -> None:
    users, items = ratings.raw_users[:50], ratings.raw_items[:50]
    together = model.predict(users, items)
    assert together.dtype == np.float32
    assert together.shape == (50,)
    assert together.tolist() == [model.predict([u], [i])[0] for u, i in zip(users, items)]
    assert model.predict(users[0], items[:5]).tolist() == model.predict([users[0]] * 5, items[:5]).tolist()
    assert model.predict([], []).shape == (0,)


def test_it_learns(model, ratings, explicit, iterates, name) -> None:
    if name in ORDERING:
        scores = model.predict(ratings.raw_users, ratings.raw_items)
        mine = ratings.users[:, None] == ratings.users
        higher = mine & (ratings.values[:, None] > ratings.values)
        assert (scores[:, None] > scores)[higher].mean() > 0.8
        return
    if not explicit:
        everyone = model._score_users(np.arange(ratings.num_users))
        seen = ratings.to_csr().toarray() != 0
        ordered = everyone[seen].mean() - everyone[~seen].mean()
        assert ordered > (0.5 if iterates else 0.2) * everyone.std()
        return
    error = model.predict(ratings.raw_users, ratings.raw_items) - ratings.ratings
    assert np.sqrt((error**2).mean()) < 0.95 * ratings.ratings.std()


def test_predictions_stay_in_range(model, ratings, explicit) -> None:
    low, high = ratings.rating_range if explicit else (-np.inf, np.inf)
    everyone = np.repeat(ratings.user_ids.ids, ratings.num_items)
    scores = model.predict(everyone, np.tile(ratings.item_ids.ids, ratings.num_users))
    assert scores.min() >= low
    assert scores.max() <= high
    assert np.isfinite(scores).all()


def test_lengths_must_agree(model) -> None:
    with pytest.raises(DataError, match="as many users as items, got 2 and 3"):
        model.predict(["u00", "u01"], [100, 101, 102])


def test_unknown_ids_are_predicted_not_refused(model) -> None:
    assert np.isfinite(model.predict(["nobody", "u00", "nobody"], [100, -5, -5])).all()


@pytest.mark.parametrize("k", [1, 5, 24, 40])
def test_recommend_is_the_best_of_all(model, ratings, k) -> None:
    users = ["u03", "u00", "u03"]
    items, scores = model.recommend(users, k=k)
    assert items.shape == scores.shape == (3, k)
    assert items.dtype == object
    assert scores.dtype == np.float32
    assert items[0].tolist() == items[2].tolist()
    for user, row, values in zip(users, items, scores):
        code = ratings.user_ids.encode([user])[0]
        seen = set(ratings.raw_items[ratings.users == code].tolist())
        left = [i for i in ratings.item_ids.ids.tolist() if i not in seen]
        wanted = min(k, len(left))
        assert set(row[:wanted]) <= set(left)
        assert row[wanted:].tolist() == [None] * (k - wanted)
        assert np.isneginf(values[wanted:]).all()
        assert (np.diff(values[:wanted]) <= 0).all()
        full = dict(zip(left, model._score_users(np.array([code]))[0][ratings.item_ids.encode(left)].tolist()))
        assert values[:wanted].tolist() == pytest.approx(sorted(full.values(), reverse=True)[:wanted], abs=1e-5)
        assert [full[i] for i in row[:wanted]] == pytest.approx(values[:wanted].tolist(), abs=1e-5)


def test_recommend_agrees_with_predict(model, ratings, explicit) -> None:
    items, scores = model.recommend(["u04"], k=10)
    low, high = ratings.rating_range if explicit else (-np.inf, np.inf)
    assert np.clip(scores[0], low, high) == pytest.approx(model.predict("u04", items[0]), abs=1e-4)


def test_seen_items_on_request(model, ratings) -> None:
    items, _ = model.recommend(["u00"], k=ratings.num_items, exclude_seen=False)
    assert sorted(items[0]) == sorted(ratings.item_ids.ids.tolist())


def test_recommend_names_unknown_users(model) -> None:
    with pytest.raises(DataError, match="'nobody'"):
        model.recommend(["u00", "nobody"])
    with pytest.raises(ConfigError, match="k of at least 1"):
        model.recommend(["u00"], k=0)
    assert model.recommend([], k=3)[0].shape == (0, 3)
    assert model.recommend("u00", k=3)[0].shape == (1, 3)


def test_before_fit(make) -> None:
    for call in (lambda m: m.predict([1], [1]), lambda m: m.recommend([1]), lambda m: m.save("x")):
        with pytest.raises(NotFittedError, match="call fit"):
            call(make())


def test_save_and_load(make, model, ratings, tmp_path) -> None:
    model.save(tmp_path / "m")
    again = type(model).load(tmp_path / "m")
    pairs = ratings.raw_users, ratings.raw_items
    assert np.array_equal(again.predict(*pairs), model.predict(*pairs))
    one, two = again.recommend(["u07", "u01"], k=6), model.recommend(["u07", "u01"], k=6)
    assert one[0].tolist() == two[0].tolist()
    assert np.array_equal(one[1], two[1])
    assert again.get_params() == model.get_params()
    assert again.history_ == model.history_
    again.save(tmp_path / "m")  # over itself: the same bytes, nothing left behind
    assert len(list((tmp_path / "m").iterdir())) == 3
    again.fit(ratings)
    assert np.array_equal(again.predict(*pairs), model.predict(*pairs))


@pytest.mark.parametrize("victim", ["model.json", "arrays", "ids"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damaged_files_are_refused(model, tmp_path, victim, damage) -> None:
    model.save(tmp_path)
    path = next(p for p in tmp_path.iterdir() if p.name.startswith(victim))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flip" else content[: len(content) // 2])
    with pytest.raises(CorruptFileError, match=tmp_path.name):
        type(model).load(tmp_path)


def test_foreign_directories_are_refused(model, tmp_path) -> None:
    with pytest.raises(CorruptFileError, match=r"no model\.json"):
        type(model).load(tmp_path)
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"precious\.txt"):
        model.save(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]
    (tmp_path / "model.json").write_text('{"format": "something else"}')
    with pytest.raises(CorruptFileError, match="not a torchsse model"):
        type(model).load(tmp_path)


def test_copies(model, ratings) -> None:
    pairs = ratings.raw_users, ratings.raw_items
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301
        assert np.array_equal(copied.predict(*pairs), model.predict(*pairs))


def test_the_seed_decides(make, ratings, iterates) -> None:
    if not iterates:
        pytest.skip("nothing is drawn")
    pairs = ratings.raw_users, ratings.raw_items
    one, two, other = (make(seed=seed, epochs=3).fit(ratings).predict(*pairs) for seed in (5, 5, 6))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_the_order_of_the_file_does_not_matter(make, ratings) -> None:
    shuffled = ratings.select(np.random.default_rng(0).permutation(len(ratings)))
    pairs = ratings.raw_users, ratings.raw_items
    one, two = (make(epochs=2).fit(r).predict(*pairs) for r in (ratings, shuffled))
    assert np.array_equal(one, two)


def test_callback_sees_and_stops(make, ratings, iterates) -> None:
    seen = []
    last = 3 if iterates else 1

    def callback(epoch: int, info: dict[str, Any]) -> bool:
        seen.append((epoch, info["epoch"], float(fresh.predict("u00", 100)[0])))
        return epoch == last

    fresh = make()
    fresh.fit(ratings, callback=callback)
    assert [s[:2] for s in seen] == [(1, 1), (2, 2), (3, 3)][:last]
    assert len({s[2] for s in seen}) == last
    assert fresh.best_epoch_ == len(fresh.history_) == last
    assert fresh.stopped_ == "callback"


def test_the_same_from_every_kind_of_input(make) -> None:
    table = planted(seed=3)
    sparse = csr_matrix((table.ratings, (table.users, table.items)))
    arrays = Ratings.from_arrays(table.users, table.items, table.ratings)
    one, two, three = (
        make(epochs=2).fit(x).predict(table.users[:20], table.items[:20])
        for x in (sparse, arrays, {"user": table.users, "item": table.items, "rating": table.ratings})
    )
    assert one.tolist() == two.tolist() == three.tolist()


def test_bad_ratings(make, explicit) -> None:
    with pytest.raises(DataError, match="ratings: expected a finite number"):
        make().fit(([1, 2], [1, 2], [3.0, float("nan")]))
    if explicit:
        with pytest.raises(DataError, match="implicit"):
            make().fit(([1, 2], [1, 2]))
    else:
        make().fit(([1, 2], [1, 2]))
    with pytest.raises(DataError):
        make().fit(None)


def test_smallest_data(make, explicit) -> None:
    tiny = make(epochs=2).fit(Ratings.from_arrays([1], [1], [3], feedback="explicit"))
    assert np.isfinite(tiny.predict([1], [1])).all()
    if explicit:
        assert tiny.predict([1], [1]).tolist() == [3]
    assert tiny.recommend([1], k=2)[0].tolist() == [[None, None]]


def test_params(make, iterates) -> None:
    words = make().get_params()
    word, value, wrong = ("epochs", 7, {"p0_user": 2}) if iterates else ("metric", "ndcg@5", {"metric": "ndcg"})
    if "p0_user" not in words and iterates:
        wrong = {"factors": 0}
    assert type(make())(**words).get_params() == words
    assert getattr(make().set_params(**{word: value}), word) == value
    kept = make()
    with pytest.raises(ConfigError, match="no parameter 'epoch'"):
        kept.set_params(epoch=7)
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        kept.set_params(**wrong)
    assert kept.get_params() == words
    assert f"{word}={value!r}" in repr(make().set_params(**{word: value}))
