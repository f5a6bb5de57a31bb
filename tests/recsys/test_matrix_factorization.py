"""MatrixFactorization: SSE end to end, cold rows, early stopping, checkpoints, graphs, threads."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from recsys_data import planted

from torchsse.data import IdMap, Ratings
from torchsse.data.edges import EdgeTable
from torchsse.errors import ConfigError, CorruptFileError, TorchsseWarning
from torchsse.graph import Graph
from torchsse.recsys import DivergedError, MatrixFactorization
from torchsse.recsys.schedules import p0_by_frequency

BACKENDS = ["kernel", "torch"]


def quick(**words) -> MatrixFactorization:
    return MatrixFactorization(**{"factors": 8, "epochs": 10, **words})


def everything(model: MatrixFactorization) -> np.ndarray:
    return np.concatenate([x.ravel() for x in model._factors.arrays().values()])


# SSE end to end -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("side", ["user", "item"])
def test_swaps_follow_the_graph(backend, side) -> None:
    """Ids 0 and 1 are each other's only neighbour: at p0 = 1, rho = inf each learns the ratings of the other."""
    pair = Graph.from_edges([0], [1], num_nodes=2)
    many = np.arange(40)
    near, far = np.repeat([0, 1], 40), np.concatenate([many, many])
    ratings = np.repeat([5.0, 1.0], 40)
    users, items = (near, far) if side == "user" else (far, near)
    words = {f"p0_{side}": 1.0, f"{side}_graph": pair, f"rho_{side}": math.inf}
    common = {"weight_decay": 0.01, "backend": backend, "batch_size": 8, "learning_rate": 0.1}
    swapped = quick(**common, **words).fit((users, items, ratings))
    plain = quick(**common).fit((users, items, ratings))  # the control: without SSE each learns its own
    for model, first, second in ((plain, 5, 1), (swapped, 1, 5)):
        predicted = model.predict(users, items)
        assert abs(predicted[:40].mean() - first) < 0.5
        assert abs(predicted[40:].mean() - second) < 0.5


def test_p0_changes_the_result(ratings) -> None:
    none, little, more = (everything(quick(p0_item=p).fit(ratings)) for p in (0.0, 0.01, 0.3))
    assert not np.array_equal(none, little)
    assert np.abs(none - little).mean() < np.abs(none - more).mean()


@pytest.mark.parametrize("backend", BACKENDS)
def test_untrained_rows_stay_out_unless_asked(backend, ratings) -> None:
    wide = ratings.with_ids(ratings.user_ids, ratings.item_ids.extended(np.arange(900, 930)))
    words = {"p0_item": 0.9, "epochs": 3, "backend": backend}
    out, drawn = (quick(**words, swap_unseen=flag).fit(wide) for flag in (False, True))
    assert not out._factors.bi[-30:].any()
    assert drawn._factors.bi[-30:].all()


# cold rows ----------------------------------------------------------------------------------------------------------


def test_cold_pairs_by_the_stated_rule(ratings) -> None:
    model = quick().fit(ratings)
    mean, tables = model.mean_, model._factors
    u, i = ratings.user_ids.encode(["u03"])[0], ratings.item_ids.encode([105])[0]
    clip = lambda x: float(np.clip(x, *ratings.rating_range))  # noqa: E731
    assert model.predict("u03", -1)[0] == pytest.approx(clip(mean + tables.bu[u]), abs=1e-5)
    assert model.predict("new", 105)[0] == pytest.approx(clip(mean + tables.bi[i]), abs=1e-5)
    assert model.predict("new", -1)[0] == pytest.approx(mean, abs=1e-5)
    plain = quick(biases=False).fit(ratings)
    assert plain.predict(["u03", "new", "new"], [-1, 105, -1]).tolist() == pytest.approx([mean] * 3, abs=1e-5)


def test_known_ids_without_examples_are_cold_too(ratings) -> None:
    wide = ratings.with_ids(ratings.user_ids.extended(["idle"]), ratings.item_ids.extended([999]))
    for biases in (True, False):
        for unseen in (True, False):
            model = quick(biases=biases, p0_user=0.3, p0_item=0.3, swap_unseen=unseen).fit(wide)
            assert model.predict("idle", 999)[0] == pytest.approx(model.mean_, abs=1e-5)
            assert model.predict("idle", 105).tolist() == model.predict("unknown", 105).tolist()
            scores = model.recommend(["idle"], k=wide.num_items)[1]
            assert np.isfinite(scores).all()


def test_evaluate_counts_cold_pairs(ratings) -> None:
    model = quick().fit(ratings)
    test = Ratings.from_arrays(["u00", "u01", "new"], [100, 999, 101], [4, 2, 1])
    found = model.evaluate(test)
    error = model.predict(test.raw_users, test.raw_items) - test.ratings
    assert (found["n"], found["n_cold"]) == (3, 2)
    assert found["rmse"] == pytest.approx(float(np.sqrt((error**2).mean())), rel=1e-5)
    assert found["mae"] == pytest.approx(float(np.abs(error).mean()), rel=1e-5)
    warm = test.raw_users.tolist().index("u00")
    assert found["rmse_warm"] == pytest.approx(abs(float(error[warm])), rel=1e-5)
    assert math.isnan(model.evaluate(Ratings.from_arrays(["x", "x"], [1, 2], [3, 4]))["rmse_warm"])


# validation, early stopping, callbacks ------------------------------------------------------------------------------


def halves(ratings: Ratings) -> tuple[Ratings, Ratings]:
    order = np.random.default_rng(1).permutation(len(ratings))
    return ratings.select(order[:300]), ratings.select(order[300:])


def test_best_epoch_is_kept(ratings) -> None:
    train, validation = halves(ratings)
    words = {"weight_decay": 0.0, "learning_rate": 0.1, "learning_rate_decay": 1.0}
    model = quick(epochs=60, patience=5, **words).fit(train, validation)
    curve = [row["validation_rmse"] for row in model.history_]
    assert model.stopped_ == "patience"
    assert len(curve) == model.best_epoch_ + 5 < 60
    assert model.best_epoch_ == int(np.argmin(curve)) + 1
    assert model.evaluate(validation)["rmse"] == pytest.approx(min(curve), rel=1e-6)
    alone = quick(epochs=model.best_epoch_, **words).fit(train)
    assert np.array_equal(everything(alone), everything(model))
    assert alone.best_epoch_ == model.best_epoch_
    assert "validation_rmse" not in alone.history_[0]


def test_validation_is_matched_by_raw_id(ratings) -> None:
    train, validation = halves(ratings)
    renamed = Ratings.from_arrays(validation.raw_users[::-1], validation.raw_items[::-1], validation.ratings[::-1])
    one, two = (quick().fit(train, v).history_[-1]["validation_rmse"] for v in (validation, renamed))
    assert one == pytest.approx(two, rel=1e-9)


def test_history(ratings) -> None:
    history = quick(learning_rate=0.05, learning_rate_decay=0.5, epochs=3).fit(ratings).history_
    assert [row["learning_rate"] for row in history] == pytest.approx([0.05, 0.025, 0.0125])
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert history[2]["train_rmse"] < history[0]["train_rmse"]
    assert all(row["seconds"] >= 0 for row in history)


def test_divergence_is_an_error(ratings) -> None:
    for backend in BACKENDS:
        with pytest.raises(DivergedError, match="lower learning_rate"):
            quick(learning_rate=80.0, backend=backend).fit(ratings)


# graphs and p0 ------------------------------------------------------------------------------------------------------


def test_edges_of_raw_ids_equal_the_graph_over_codes(ratings) -> None:
    src, dst = np.array([100, 101, 7777]), np.array([105, 102, 100])
    table = EdgeTable(src, dst, None)
    ids = ratings.item_ids
    graph = Graph.from_edges(ids.encode(src[:2]), ids.encode(dst[:2]), num_nodes=len(ids))
    one, two, three = (
        quick(p0_item=0.3, item_graph=g, rho_item=100.0).fit(ratings) for g in (table, graph, (src, dst))
    )
    assert np.array_equal(everything(one), everything(two))
    assert np.array_equal(everything(one), everything(three))
    assert one.dropped_edges_ == {"user": 0, "item": 1}
    with pytest.warns(TorchsseWarning, match="none of its 1 edges"):
        quick(item_graph=EdgeTable(src[2:], src[2:] + 1, None), rho_item=10.0).fit(ratings)


def test_rho_one_is_sse_se(ratings) -> None:
    graph = Graph.from_edges([0, 1], [2, 3], num_nodes=ratings.num_users)
    one = quick(p0_user=0.2).fit(ratings)
    two = quick(p0_user=0.2, user_graph=graph, rho_user=1.0).fit(ratings)
    assert np.array_equal(everything(one), everything(two))


def test_graph_of_another_size(ratings) -> None:
    with pytest.raises(ConfigError, match=r"item_graph: expected a graph over the 24 items.*got 5 nodes"):
        quick(item_graph=Graph.from_edges([0], [1], num_nodes=5), rho_item=2.0).fit(ratings)


@pytest.mark.parametrize("backend", BACKENDS)
def test_p0_by_frequency_and_schedules_run(backend, ratings) -> None:
    results = [
        everything(quick(p0_item=0.2, p0_user=0.1, backend=backend, **words).fit(ratings))
        for words in ({}, {"p0_power": 1.0}, {"p0_schedule": "anneal"}, {"p0_schedule": "warmup"})
    ]
    for a in range(4):
        for b in range(a):
            assert not np.array_equal(results[a], results[b])


def test_p0_by_frequency_has_the_mean_asked_for() -> None:
    counts = np.random.default_rng(0).integers(0, 500, 300)
    for p0 in (0.01, 0.3, 0.9):
        for power in (-0.5, 0.0, 0.5, 1.0, 3.0):
            rows = p0_by_frequency(p0, power, counts)
            assert 0 <= rows.min() <= rows.max() <= 1
            assert (rows @ counts) / counts.sum() == pytest.approx(p0, rel=1e-6)
    assert p0_by_frequency(0.2, 0.0, counts).tolist() == pytest.approx([0.2] * 300)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"p0_user": 1.5}, "p0_user: expected a number of at least 0 and at most 1, got 1.5"),
        ({"p0_item": float("nan")}, "p0_item"),
        ({"factors": 0}, "factors: expected an integer of at least 1, got 0"),
        ({"factors": 2.5}, "factors"),
        ({"epochs": True}, "epochs"),
        ({"learning_rate": 0}, "learning_rate: expected a number above 0"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"dropout": 1.0}, "dropout: expected a number of at least 0 and below 1"),
        ({"rho_user": 5.0}, "needs user_graph"),
        ({"item_graph": Graph.from_edges([0], [1], num_nodes=2)}, "item_graph needs rho_item"),
        ({"patience": 0}, "patience"),
        ({"seed": -1}, "seed"),
        ({"p0_schedule": "cosine"}, "p0_schedule: expected one of constant, anneal, warmup"),
        ({"backend": "kernel", "device": "cuda"}, "backend='kernel'"),
        ({"weight_decay": None}, "weight_decay: expected a number"),
        ({"checkpoint_seconds": None}, "checkpoint_seconds: expected a number"),
    ],
)
def test_bad_settings(words, message) -> None:
    with pytest.raises(ConfigError, match=message):
        MatrixFactorization(**words)


def test_unusable_device(ratings) -> None:
    with pytest.raises(ConfigError, match="device: torch cannot use 'nonsense'"):
        quick(device="nonsense").fit(ratings)


def test_loaded_model_fits_again_along_its_graph(ratings, tmp_path) -> None:
    graph = Graph.from_edges([0, 1], [2, 3], num_nodes=ratings.num_items)
    model = quick(p0_item=0.1, item_graph=graph, rho_item=math.inf).fit(ratings)
    model.save(tmp_path)
    again = MatrixFactorization.load(tmp_path)
    assert again.rho_item == math.inf
    assert np.array_equal(everything(again.fit(ratings)), everything(model))
    again.set_params(item_graph=None, rho_item=None)
    assert not np.array_equal(everything(again.fit(ratings)), everything(model))


# threads --------------------------------------------------------------------------------------------------------------


def test_threads_learn_as_well() -> None:
    data = planted(60, 50, 2500, seed=2)
    one, four = (quick(num_threads=n, epochs=30, p0_user=0.01).fit(data).history_[-1]["train_rmse"] for n in (1, 4))
    assert four == pytest.approx(one, rel=0.05)


def test_more_threads_than_users() -> None:
    model = quick(num_threads=8, epochs=2).fit(([1, 1, 2], [1, 2, 1], [5, 4, 1]))
    assert len(model.history_) == 2
    assert np.isfinite(model.predict([1, 2], [2, 1])).all()


# checkpoints ----------------------------------------------------------------------------------------------------------


class KilledError(Exception):
    pass


def interrupt(at: int):
    def callback(epoch: int, _info: dict) -> None:
        if epoch == at:
            raise KilledError

    return callback


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("validated", [False, True])
def test_resumed_run_equals_uninterrupted_one(backend, validated, ratings, tmp_path) -> None:
    train, validation = halves(ratings)
    words = {"p0_user": 0.1, "p0_item": 0.1, "dropout": 0.1, "backend": backend, "learning_rate": 0.1, "patience": 4}
    held_out = validation if validated else None
    whole = quick(**words).fit(train, held_out)
    for at in (2, 6):
        with pytest.raises(KilledError):
            quick(**words, checkpoint=tmp_path).fit(train, held_out, interrupt(at))
    epochs = []
    resumed = quick(**words, checkpoint=tmp_path).fit(train, held_out, lambda epoch, info: epochs.append(epoch))
    assert epochs[0] == 6
    assert np.array_equal(everything(resumed), everything(whole))
    assert [r["train_rmse"] for r in resumed.history_] == [r["train_rmse"] for r in whole.history_]
    assert (resumed.best_epoch_, resumed.stopped_) == (whole.best_epoch_, whole.stopped_)
    done = quick(**words, checkpoint=tmp_path).fit(train, held_out, interrupt(1))  # nothing left to do
    assert np.array_equal(everything(done), everything(whole))


def test_checkpoints_of_other_runs_are_refused(ratings, tmp_path) -> None:
    quick(checkpoint=tmp_path, epochs=2).fit(ratings)
    for other in ({"seed": 9}, {"factors": 3}):
        with pytest.raises(ConfigError, match="other settings or data"):
            quick(**{"epochs": 2, **other}, checkpoint=tmp_path).fit(ratings)
    with pytest.raises(ConfigError, match="other settings or data"):
        quick(epochs=2, checkpoint=tmp_path).fit(planted(seed=7))
    with pytest.raises(CorruptFileError, match="expected a saved MatrixFactorization"):
        MatrixFactorization.load(tmp_path)


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from recsys_data import planted
from torchsse.recsys import MatrixFactorization
MatrixFactorization(factors=8, epochs=10, p0_user=.1, checkpoint={path!r}).fit(
    planted(), callback=lambda epoch, info: epoch == 5 and os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.mark.slow
def test_killed_run_goes_on(ratings, tmp_path) -> None:
    code = KILLED.format(tests=str(Path(__file__).parent), path=str(tmp_path))
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == -signal.SIGKILL
    assert os.listdir(tmp_path)
    seen: list[int] = []
    resumed = quick(p0_user=0.1, checkpoint=tmp_path).fit(ratings, callback=lambda epoch, _: seen.append(epoch))
    assert seen == [5, 6, 7, 8, 9, 10]  # epoch 5 had not been written yet
    assert np.array_equal(everything(resumed), everything(quick(p0_user=0.1).fit(ratings)))


def test_id_maps_are_those_of_train(ratings) -> None:
    model = quick(epochs=1).fit(ratings)
    assert isinstance(model.user_ids, IdMap)
    assert model.user_ids == ratings.user_ids
