"""BPR: SSE end to end, negatives, hard negatives, early stopping, checkpoints, threads."""

from __future__ import annotations

import math

import numpy as np
import pytest
from recsys_data import planted

from torchsse.data import Ratings
from torchsse.errors import ConfigError, DataError
from torchsse.graph import Graph
from torchsse.recsys import BPR, DivergedError


def quick(**words) -> BPR:
    return BPR(**{"factors": 8, "epochs": 12, **words})


def everything(model: BPR) -> np.ndarray:
    return np.concatenate([x.ravel() for x in model._factors.arrays().values()])


def groups(num_users: int = 60, num_items: int = 40, n: int = 900, seed: int = 0) -> Ratings:
    """Two groups of users, each with its own half of the items, nine times in ten."""
    g = np.random.default_rng(seed)
    users = g.integers(0, num_users, n)
    other = g.random(n) < 0.1
    items = g.integers(0, num_items // 2, n) + (num_items // 2) * ((users % 2) ^ other)
    pairs = np.unique(users * num_items + items)
    return Ratings.from_arrays(pairs // num_items, pairs % num_items)


def halves(ratings: Ratings) -> tuple[Ratings, Ratings]:
    order = np.random.default_rng(1).permutation(len(ratings))
    cut = 3 * len(ratings) // 4
    return ratings.select(order[:cut]), ratings.select(order[cut:])


# what it learns -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [{}, {"biases": True}, {"hard_negatives": True}, {"dropout": 0.2}, {"p0_user": 0.1}])
def test_it_ranks_held_out_items_first(words) -> None:
    train, test = halves(groups())
    found = quick(epochs=60, **words).fit(train).evaluate(test, ks=(5,))
    untrained = quick(epochs=1, learning_rate=1e-9).fit(train).evaluate(test, ks=(5,))
    assert found["means"]["precision@5"] > 1.5 * untrained["means"]["precision@5"]
    assert found["n_users"] == len(found["per_user"]["ndcg@5"])


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
    common = {"learning_rate": 0.2, "epochs": 40, "weight_decay": 0.01}
    for more, own in (({}, True), (words, False)):  # the control: without SSE each learns its own
        model = quick(**common, **more).fit((users, items))
        scores = model._score_users(np.arange(model._factors.P.shape[0]))
        seen = np.zeros(scores.shape, bool)
        seen[users, items] = True
        assert (scores[seen].mean() > scores[~seen].mean()) == own


def test_p0_changes_the_result(ratings) -> None:
    none, little, more = (everything(quick(p0_item=p).fit(ratings)) for p in (0.0, 0.01, 0.3))
    assert not np.array_equal(none, little)
    assert np.abs(none - little).mean() < np.abs(none - more).mean()


def test_options_change_the_result(ratings) -> None:
    graph = Graph.from_edges([0, 1], [2, 3], num_nodes=ratings.num_items)
    swapping = {"p0_item": 0.3}
    runs = [
        {},
        {"biases": True},
        {"hard_negatives": True},
        {"num_negatives": 2},
        {"dropout": 0.1},
        {"weight_decay": 0.1},
        {"learning_rate_decay": 0.9},
        {"init_std": 0.1},
        swapping,
        {**swapping, "swap_negatives": True},
        {**swapping, "hard_negatives": True},
        {**swapping, "hard_negatives": True, "swap_negatives": True},
        {**swapping, "item_graph": graph, "rho_item": 50.0},
        {"biases": True, "bias_weight_decay": 0.5},
    ]
    found = {everything(quick(epochs=2, **words).fit(ratings)).tobytes() for words in runs}
    assert len(found) == len(runs)
    same = quick(epochs=2, **swapping, item_graph=graph, rho_item=1.0).fit(ratings)
    assert everything(same).tobytes() in found  # rho = 1 is SSE-SE


def test_values_of_ratings_do_not_matter(ratings) -> None:
    bare = Ratings.from_arrays(ratings.raw_users, ratings.raw_items)
    assert np.array_equal(everything(quick().fit(ratings)), everything(quick().fit(bare)))


def test_untrained_rows_stay_out_of_swaps_unless_asked(ratings) -> None:
    """Swapped in as positives only: as negatives they move in either case, so users are looked at."""
    wide = ratings.with_ids(ratings.user_ids.extended(["idle"]), ratings.item_ids)
    start = quick(epochs=1, learning_rate=1e-12).fit(wide)._factors.P[-1].copy()
    out, drawn = (quick(p0_user=0.9, swap_unseen=flag, epochs=3).fit(wide)._factors.P[-1] for flag in (False, True))
    assert np.array_equal(out, start)
    assert not np.allclose(drawn, start, atol=1e-4)


def test_items_without_positives_are_negatives(ratings) -> None:
    wide = ratings.with_ids(ratings.user_ids, ratings.item_ids.extended([900, 901]))
    model = quick(epochs=60).fit(wide)
    scores = model._score_users(np.arange(wide.num_users))
    seen = wide.to_csr().toarray() != 0
    assert scores[:, -2:].mean() < scores[seen].mean()
    assert model._factors.Q[-1].any()


# edges of the data ----------------------------------------------------------------------------------------------------


def test_users_who_have_everything_are_passed_over() -> None:
    users, items = np.concatenate([np.zeros(5, int), [1, 1, 2]]), np.concatenate([np.arange(5), [0, 3, 4]])
    start = quick(epochs=1, learning_rate=1e-12).fit((users, items))._factors.P[0].copy()
    for threads in (1, 3):
        model = quick(num_threads=threads).fit((users, items))
        assert np.array_equal(model._factors.P[0], start)
        assert np.isfinite(everything(model)).all()
    nobody = quick().fit(([1, 1], [1, 2]))
    assert nobody.history_[-1]["train_loss"] == 0


def test_cold_pairs_by_the_stated_rule(ratings) -> None:
    wide = ratings.with_ids(ratings.user_ids.extended(["idle"]), ratings.item_ids)
    for biases in (False, True):
        model = quick(biases=biases).fit(wide)
        bias = model._factors.bi[wide.item_ids.encode([105])[0]]
        assert model.predict(["idle", "unknown"], [105, 105]).tolist() == pytest.approx([bias, bias])
        assert model.predict(["u03"], [-1]).tolist() == [0]
        assert np.isfinite(model.recommend(["idle"], k=wide.num_items)[1]).all()
    assert bias != 0


def test_no_pairs() -> None:
    with pytest.raises(DataError, match="train: expected at least one"):
        quick().fit(Ratings.from_arrays([1], [1]).select(np.array([], dtype=int)))


# validation -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["precision@10", "ndcg@5"])
def test_best_epoch_is_kept(metric) -> None:
    train, validation = halves(groups())
    words = {"weight_decay": 0.0, "learning_rate": 0.2, "learning_rate_decay": 1.0, "metric": metric}
    model = quick(epochs=80, patience=6, **words).fit(train, validation)
    curve = [row[f"validation_{metric}"] for row in model.history_]
    assert model.stopped_ == "patience"
    assert len(curve) == model.best_epoch_ + 6 < 80
    assert model.best_epoch_ == int(np.argmax(curve)) + 1
    k = int(metric.split("@")[1])
    assert model.evaluate(validation, ks=(k,))["means"][metric] == pytest.approx(max(curve))
    alone = quick(epochs=model.best_epoch_, **words).fit(train)
    assert np.array_equal(everything(alone), everything(model))
    assert f"validation_{metric}" not in alone.history_[0]


def test_validate_every() -> None:
    train, validation = halves(groups())
    seldom = quick(epochs=11, validate_every=4).fit(train, validation)
    often = quick(epochs=11).fit(train, validation)
    name = "validation_precision@10"
    assert [row["epoch"] for row in seldom.history_ if name in row] == [4, 8, 11]
    assert {row["epoch"]: row[name] for row in seldom.history_ if name in row}.items() <= {
        row["epoch"]: row[name] for row in often.history_
    }.items()
    assert seldom.best_epoch_ in (4, 8, 11)


def test_history(ratings) -> None:
    history = quick(learning_rate=0.1, learning_rate_decay=0.5, epochs=3).fit(ratings).history_
    assert [row["learning_rate"] for row in history] == pytest.approx([0.1, 0.05, 0.025])
    assert history[0]["train_loss"] == pytest.approx(math.log(2), abs=0.02)
    assert history[2]["train_loss"] < history[0]["train_loss"]


def test_divergence_is_an_error(ratings) -> None:
    with pytest.raises(DivergedError, match="lower learning_rate"):
        quick(learning_rate=500.0, weight_decay=1.0).fit(ratings)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"p0_user": 1.5}, "p0_user: expected a number of at least 0 and at most 1, got 1.5"),
        ({"num_negatives": 0}, "num_negatives: expected an integer of at least 1, got 0"),
        ({"hard_negatives": True, "num_negatives": 1}, "hard_negatives: expected num_negatives of at least 2"),
        ({"metric": "precision"}, "metric: expected precision, recall"),
        ({"metric": "rmse@10"}, "metric"),
        ({"metric": "ndcg@0"}, "metric"),
        ({"validate_every": 0}, "validate_every"),
        ({"dropout": 1.0}, "dropout"),
        ({"rho_user": 5.0}, "needs user_graph"),
        ({"bias_weight_decay": -1}, "bias_weight_decay"),
    ],
)
def test_bad_settings(words, message) -> None:
    with pytest.raises(ConfigError, match=message):
        BPR(**words)


# threads, checkpoints -------------------------------------------------------------------------------------------------


def test_threads_learn_as_well() -> None:
    data = planted(60, 50, 1200, seed=2)
    one, four = (quick(num_threads=n, epochs=40, p0_user=0.05).fit(data).history_[-1]["train_loss"] for n in (1, 4))
    assert four == pytest.approx(one, rel=0.1)
    quick(num_threads=8, epochs=2).fit(([1, 1, 2], [1, 2, 3]))


class KilledError(Exception):
    pass


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_resumed_run_equals_uninterrupted_one(validated, threads, tmp_path) -> None:
    train, validation = halves(groups(num_items=30))
    words = {"p0_user": 0.1, "p0_item": 0.1, "dropout": 0.1, "patience": 20, "num_threads": threads}
    held_out = validation if validated else None

    def interrupt(epoch: int, _info: dict) -> None:
        if epoch == 5:
            raise KilledError

    whole = quick(**words).fit(train, held_out)
    with pytest.raises(KilledError):
        quick(**words, checkpoint=tmp_path).fit(train, held_out, interrupt)
    epochs: list[int] = []
    resumed = quick(**words, checkpoint=tmp_path).fit(train, held_out, lambda epoch, info: epochs.append(epoch))
    assert epochs == list(range(5, 13))  # epoch 5 had not been written yet
    if threads == 1:
        assert np.array_equal(everything(resumed), everything(whole))
        assert [r["train_loss"] for r in resumed.history_] == [r["train_loss"] for r in whole.history_]
        assert resumed.best_epoch_ == whole.best_epoch_
    with pytest.raises(ConfigError, match="other settings or data"):
        quick(**{**words, "swap_negatives": True}, checkpoint=tmp_path).fit(train, held_out)
