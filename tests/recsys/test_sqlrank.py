"""SQLRank: both forms, queues, SSE end to end, early stopping, checkpoints, threads, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from recsys_data import planted
from test_bpr import groups, halves

from torchsse.data import Ratings
from torchsse.errors import ConfigError, DataError
from torchsse.graph import Graph
from torchsse.recsys import DivergedError, SQLRank


def quick(**words) -> SQLRank:
    return SQLRank(**{"factors": 8, "epochs": 12, "num_negatives": 4, "weight_decay": 0.02, **words})


def ordering(**words) -> SQLRank:
    return SQLRank(**{"factors": 4, "epochs": 150, "learning_rate": 0.1, "weight_decay": 0.01, **words})


def everything(model: SQLRank) -> np.ndarray:
    return np.concatenate([x.ravel() for x in model._factors.arrays().values()])


# what it learns -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [{}, {"list_length": 1}, {"list_length": 5}, {"dropout": 0.2}, {"p0_user": 0.1}])
def test_it_ranks_held_out_items_first(words) -> None:
    train, test = halves(groups())
    found = quick(epochs=60, **words).fit(train).evaluate(test, ks=(5,))
    untrained = quick(epochs=1, learning_rate=1e-9).fit(train).evaluate(test, ks=(5,))
    assert found["means"]["precision@5"] > 1.5 * untrained["means"]["precision@5"]
    assert found["n_users"] == len(found["per_user"]["ndcg@5"])


@pytest.mark.parametrize("words", [{}, {"list_length": 4}, {"num_negatives": 2}, {"p0_item": 0.05}, {"dropout": 0.1}])
def test_it_orders_held_out_ratings(words) -> None:
    train, test = halves(planted(60, 30, 1500, seed=3))
    found = ordering(**words).fit(train).evaluate_rated(test, ks=(5,))
    shuffled = Ratings.from_arrays(
        train.raw_users, train.raw_items, np.random.default_rng(0).permutation(train.values), feedback="explicit"
    )
    control = ordering(**words).fit(shuffled).evaluate_rated(test, ks=(5,))
    # unobserved items say nothing here, who rates what is drawn at random: they cost part of the gain
    margin = 0.05 if words.get("num_negatives") else 0.1
    assert found["means"]["rated_ndcg@5"] > control["means"]["rated_ndcg@5"] + margin
    assert found["n_users"] <= len(found["users"]) == len(found["per_user"]["rated_ndcg@5"])


def test_ties_have_no_order() -> None:
    """Four items tie for every user: queued in the order of the codes, they would be ranked in it."""
    items = np.tile(np.arange(6), 40)
    users = np.repeat(np.arange(40), 6)
    ratings = np.tile([5, 3, 3, 3, 3, 1], 40)
    model = ordering(epochs=60, learning_rate=0.02).fit(Ratings.from_arrays(users, items, ratings))
    scores = model._score_users(np.arange(40)).mean(0)
    assert scores[0] > scores[1:5].max()
    assert scores[5] < scores[1:5].min()
    assert np.ptp(scores[1:5]) < 0.1 * (scores[0] - scores[5])


@pytest.mark.parametrize("side", ["user", "item"])
def test_swaps_follow_the_graph(side) -> None:
    """Rows 0 and 1 are each other's only neighbour: at p0 = 1, rho = inf each learns the positives of the other."""
    pair = Graph.from_edges([0], [1], num_nodes=2)
    many = np.arange(20)
    if side == "user":  # user 0 has the first half of the items, user 1 the second
        users, items = np.repeat([0, 1], 20), np.arange(40)
    else:  # item 0 belongs to the first half of the users, item 1 to the second
        users, items = np.concatenate([many, many + 20]), np.repeat([0, 1], 20)
    words = {f"p0_{side}": 1.0, f"{side}_graph": pair, f"rho_{side}": math.inf, "swap_negatives": side == "item"}
    common = {"learning_rate": 0.1, "epochs": 60, "weight_decay": 0.002, "num_negatives": 1}
    for more, own in (({}, True), (words, False)):  # the control: without SSE each learns its own
        model = quick(**common, **more).fit((users, items))
        scores = model._score_users(np.arange(model._factors.P.shape[0]))
        seen = np.zeros(scores.shape, bool)
        seen[users, items] = True
        assert (scores[seen].mean() > scores[~seen].mean()) == own


def test_p0_changes_the_result(ratings) -> None:
    words = {"feedback": "implicit"}
    none, little, more = (everything(quick(p0_item=p, **words).fit(ratings)) for p in (0.0, 0.01, 0.3))
    assert not np.array_equal(none, little)
    assert np.abs(none - little).mean() < np.abs(none - more).mean()


def test_options_change_the_result(ratings) -> None:
    graph = Graph.from_edges([0, 1], [2, 3], num_nodes=ratings.num_items)
    swapping = {"p0_item": 0.3}
    runs = [
        {},
        {"feedback": "implicit"},
        {"num_negatives": None},
        {"num_negatives": 0},
        {"feedback": "implicit", "num_negatives": None},
        {"list_length": 3},
        {"list_length": None, "num_negatives": 2},
        {"dropout": 0.1},
        {"weight_decay": 0.1},
        {"learning_rate_decay": 0.9},
        {"init_std": 0.1},
        {"p0_user": 0.3},
        swapping,
        {**swapping, "swap_negatives": True},
        {**swapping, "item_graph": graph, "rho_item": 50.0},
    ]
    found = {everything(quick(epochs=2, **words).fit(ratings)).tobytes() for words in runs}
    assert len(found) == len(runs) - 1  # explicit ratings: None is 0
    same = quick(epochs=2, **swapping, item_graph=graph, rho_item=1.0).fit(ratings)
    assert everything(same).tobytes() in found  # rho = 1 is SSE-SE
    assert everything(quick(epochs=2, list_length=None).fit(ratings)).tobytes() in found  # nobody has 50


def test_values_of_ratings_matter_to_the_explicit_form_only(ratings) -> None:
    bare = Ratings.from_arrays(ratings.raw_users, ratings.raw_items)
    one, two = (everything(quick(feedback="implicit").fit(r)) for r in (ratings, bare))
    assert np.array_equal(one, two)
    turned = Ratings.from_arrays(ratings.raw_users, ratings.raw_items, 6 - ratings.values)
    stretched = Ratings.from_arrays(ratings.raw_users, ratings.raw_items, 10 * ratings.values)
    plain, other, same = (everything(quick().fit(r)) for r in (ratings, turned, stretched))
    assert not np.array_equal(plain, other)
    assert np.array_equal(plain, same)  # only their order counts


def test_untrained_rows_stay_out_of_swaps_unless_asked(ratings) -> None:
    wide = ratings.with_ids(ratings.user_ids.extended(["idle"]), ratings.item_ids)
    start = quick(epochs=1, learning_rate=1e-12).fit(wide)._factors.P[-1].copy()
    out, drawn = (quick(p0_user=0.9, swap_unseen=flag, epochs=3).fit(wide)._factors.P[-1] for flag in (False, True))
    assert np.array_equal(out, start)
    assert not np.allclose(drawn, start, atol=1e-4)


# edges of the data ----------------------------------------------------------------------------------------------------


def test_users_who_have_everything() -> None:
    users, items = np.concatenate([np.zeros(5, int), [1, 1, 2]]), np.concatenate([np.arange(5), [0, 3, 4]])
    start = quick(epochs=1, learning_rate=1e-12).fit((users, items))._factors.P[0].copy()
    for threads in (1, 3):
        model = quick(num_threads=threads).fit((users, items))
        assert np.array_equal(model._factors.P[0], start)  # prefers none, and is passed over
        assert np.isfinite(everything(model)).all()
    assert quick().fit(([1, 1], [1, 2])).history_[-1]["train_loss"] == 0
    rated = quick().fit((users, items, [1, 2, 3, 4, 5, 2, 3, 4]))
    assert not np.allclose(rated._factors.P[0], start, atol=1e-5)  # but has an order


def test_cold_pairs_by_the_stated_rule(ratings) -> None:
    wide = ratings.with_ids(ratings.user_ids.extended(["idle"]), ratings.item_ids)
    model = quick().fit(wide)
    assert model.predict(["idle", "unknown", "u03"], [105, 105, -1]).tolist() == [0, 0, 0]
    assert np.isfinite(model.recommend(["idle"], k=wide.num_items)[1]).all()


@pytest.mark.parametrize(
    ("words", "data", "message"),
    [
        ({}, Ratings.from_arrays([1], [1]).select(np.array([], dtype=int)), "train: expected at least one"),
        ({"feedback": "explicit"}, ([1, 2], [1, 2]), "train: .* needs ratings that differ"),
    ],
)
def test_bad_data(words, data, message) -> None:
    with pytest.raises(DataError, match=message):
        quick(**words).fit(data)


def test_bad_validation(ratings) -> None:
    pairs = Ratings.from_arrays(ratings.raw_users, ratings.raw_items)
    with pytest.raises(DataError, match=r"validation: .* needs ratings that differ"):
        quick().fit(ratings, pairs)
    with pytest.raises(DataError, match="validation: rated_ndcg@10 needs a user with two ratings that differ"):
        quick().fit(ratings, ratings.select(np.unique(ratings.users, return_index=True)[1]))
    quick(metric="precision@10").fit(ratings.select(np.arange(300)), pairs)
    with pytest.raises(DataError, match="test: expected a user with two ratings"):
        quick(epochs=1).fit(ratings).evaluate_rated(pairs)
    with pytest.raises(ConfigError, match="implicit feedback needs at least 1"):
        quick(num_negatives=0).fit(pairs)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"p0_user": 1.5}, "p0_user: expected a number of at least 0 and at most 1, got 1.5"),
        ({"num_negatives": -1}, "num_negatives: expected an integer of at least 0, got -1"),
        ({"num_negatives": 0, "feedback": "implicit"}, "num_negatives: expected an integer of at least 1, got 0"),
        ({"num_negatives": 2.5}, "num_negatives"),
        ({"list_length": 0}, "list_length: expected an integer of at least 1, got 0"),
        ({"feedback": "both"}, "feedback: expected one of auto, explicit, implicit, got 'both'"),
        ({"metric": "precision"}, "metric: expected precision, recall"),
        ({"metric": "rated_ndcg@0"}, "metric"),
        ({"metric": "rmse@10"}, "metric"),
        ({"validate_every": 0}, "validate_every"),
        ({"dropout": 1.0}, "dropout"),
        ({"rho_user": 5.0}, "needs user_graph"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"init_std": -1.0}, "init_std"),
    ],
)
def test_bad_settings(words, message) -> None:
    with pytest.raises(ConfigError, match=message):
        SQLRank(**words)


def test_divergence_is_an_error(ratings) -> None:
    with pytest.raises(DivergedError, match="lower learning_rate"):
        quick(learning_rate=500.0, weight_decay=1.0).fit(ratings)


# validation -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["precision@10", "ndcg@5", None])
def test_best_epoch_is_kept(metric) -> None:
    train, validation = halves(groups())
    words = {"weight_decay": 0.0, "learning_rate": 0.1, "learning_rate_decay": 1.0, "metric": metric}
    model = quick(epochs=80, patience=6, **words).fit(train, validation)
    name = metric or "precision@10"
    curve = [row[f"validation_{name}"] for row in model.history_]
    assert model.stopped_ == "patience"
    assert len(curve) == model.best_epoch_ + 6 < 80
    assert model.best_epoch_ == int(np.argmax(curve)) + 1
    k = int(name.split("@")[1])
    assert model.evaluate(validation, ks=(k,))["means"][name] == pytest.approx(max(curve))
    alone = quick(epochs=model.best_epoch_, **words).fit(train)
    assert np.array_equal(everything(alone), everything(model))


def test_best_epoch_of_the_explicit_form() -> None:
    train, validation = halves(planted(60, 30, 1500, seed=3))
    model = ordering(weight_decay=0.0, patience=8).fit(train, validation)
    curve = [row["validation_rated_ndcg@10"] for row in model.history_]
    assert model.best_epoch_ == int(np.argmax(curve)) + 1
    assert model.evaluate_rated(validation)["means"]["rated_ndcg@10"] == pytest.approx(max(curve))
    assert curve[0] < max(curve)


def test_history(ratings) -> None:
    history = quick(learning_rate=0.1, learning_rate_decay=0.5, epochs=3, feedback="implicit").fit(ratings).history_
    assert [row["learning_rate"] for row in history] == pytest.approx([0.1, 0.05, 0.025])
    # at the start every order is as likely: n items ahead of 4 n
    counts = ratings.user_counts()
    expected = sum(np.log(5 * n - t) for n in counts.tolist() for t in range(n)) / len(ratings)
    first = quick(epochs=1, learning_rate=1e-9, init_std=1e-6, feedback="implicit").fit(ratings).history_[0]
    assert first["train_loss"] == pytest.approx(expected, rel=1e-4)
    assert history[2]["train_loss"] < expected


# threads, checkpoints -------------------------------------------------------------------------------------------------


def test_threads_learn_as_well() -> None:
    data = planted(60, 50, 1200, seed=2)
    one, four = (
        quick(num_threads=n, epochs=40, p0_user=0.05, feedback="implicit").fit(data).history_[-1]["train_loss"]
        for n in (1, 4)
    )
    assert four == pytest.approx(one, rel=0.1)
    quick(num_threads=8, epochs=2).fit(([1, 1, 2], [1, 2, 3]))


class KilledError(Exception):
    pass


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_resumed_run_equals_uninterrupted_one(explicit, threads, tmp_path) -> None:
    train, validation = halves(planted(60, 30, 1200) if explicit else groups(num_items=30))
    words = {"p0_user": 0.1, "p0_item": 0.1, "dropout": 0.1, "patience": 20, "num_threads": threads, "list_length": 6}

    def interrupt(epoch: int, _info: dict) -> None:
        if epoch == 5:
            raise KilledError

    whole = quick(**words).fit(train, validation)
    with pytest.raises(KilledError):
        quick(**words, checkpoint=tmp_path).fit(train, validation, interrupt)
    epochs: list[int] = []
    resumed = quick(**words, checkpoint=tmp_path).fit(train, validation, lambda epoch, info: epochs.append(epoch))
    assert epochs == list(range(5, 13))  # epoch 5 had not been written yet
    if threads == 1:
        assert np.array_equal(everything(resumed), everything(whole))
        assert [r["train_loss"] for r in resumed.history_] == [r["train_loss"] for r in whole.history_]
        assert resumed.best_epoch_ == whole.best_epoch_
    with pytest.raises(ConfigError, match="other settings or data"):
        quick(**{**words, "list_length": 7}, checkpoint=tmp_path).fit(train, validation)
    if explicit:  # other ratings of the same pairs are other data
        turned = Ratings.from_arrays(train.raw_users, train.raw_items, 6 - train.values)
        with pytest.raises(ConfigError, match="other settings or data"):
            quick(**words, checkpoint=tmp_path).fit(turned, validation)
