"""The contract of every estimator, held by the sequential ones: the tests of `test_recsys_contract` on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from test_recsys_contract import (  # noqa: F401
    test_before_fit,
    test_callback_sees_and_stops,
    test_copies,
    test_damaged_files_are_refused,
    test_foreign_directories_are_refused,
    test_lengths_must_agree,
    test_predictions_stay_in_range,
    test_recommend_agrees_with_predict,
    test_recommend_is_the_best_of_all,
    test_recommend_names_unknown_users,
    test_save_and_load,
    test_seen_items_on_request,
    test_the_seed_decides,
    test_unknown_ids_are_predicted_not_refused,
)

from torchsse.data import Ratings
from torchsse.errors import ConfigError, DataError
from torchsse.recsys import SSEPT, SASRec
from torchsse.recsys.base import Recommender

ESTIMATORS: dict[str, Any] = {
    "sasrec": lambda **words: SASRec(
        **{"hidden": 8, "epochs": 4, "max_length": 10, "p0_input": 0.05, "p0_output": 0.05, "batch_size": 8, **words}
    ),
    "sasrec-softmax": lambda **words: SASRec(
        **{"hidden": 8, "epochs": 4, "heads": 2, "inner": 20, "loss": "softmax", "batch_size": 8, **words}
    ),
    "sasrec-cosine": lambda **words: SASRec(
        **{
            "hidden": 8,
            "epochs": 4,
            "positions": "rotary",
            "temperature": 0.1,
            "ema_decay": 0.9,
            "loss": "sampled-softmax",
            "num_negatives": 16,
            "batch_size": 8,
            **words,
        }
    ),
    "ssept": lambda **words: SSEPT(**{"hidden": 8, "user_hidden": 4, "epochs": 4, "batch_size": 8, **words}),
}


@pytest.fixture(scope="module", params=ESTIMATORS)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def make(name) -> Any:
    return ESTIMATORS[name]


@pytest.fixture(scope="module")
def explicit() -> bool:
    return False


@pytest.fixture(scope="module")
def iterates() -> bool:
    return True


@pytest.fixture(scope="module")
def model(make, ratings) -> Recommender:
    return make(seed=1).fit(ratings)


def test_predict_is_elementwise_on_raw_ids(model, ratings) -> None:
    users, items = ratings.raw_users[:20], ratings.raw_items[:20]
    together = model.predict(users, items)
    assert together.dtype == np.float32
    # matrix products round by their shapes
    np.testing.assert_allclose(together, [model.predict([u], [i])[0] for u, i in zip(users, items)], atol=1e-5)
    assert model.predict(users[0], items[:5]).shape == (5,)
    assert model.predict([], []).shape == (0,)


def test_inputs_of_every_kind_with_an_order(make, ratings) -> None:
    pairs = ratings.raw_users, ratings.raw_items
    table = {"user": pairs[0].tolist(), "item": pairs[1].tolist()}
    one, two, three = (make(epochs=2).fit(x).predict(*pairs) for x in (ratings, pairs, table))
    assert one.tolist() == two.tolist() == three.tolist()
    with pytest.raises(DataError, match="no order"):
        make().fit(csr_matrix(np.eye(3)))
    with pytest.raises(DataError, match="no order"):
        make().fit(None)


def test_times_decide_the_order(make, ratings) -> None:
    timed = Ratings(ratings.users, ratings.items, None, np.arange(len(ratings)), ratings.user_ids, ratings.item_ids)
    shuffled = timed.select(np.random.default_rng(0).permutation(len(ratings)))
    pairs = ratings.raw_users, ratings.raw_items
    one, two = (make(epochs=2).fit(r).predict(*pairs) for r in (timed, shuffled))
    assert np.array_equal(one, two)


def test_params(make) -> None:
    words = make().get_params()
    assert type(make())(**words).get_params() == words
    for wrong in (
        {"p0_input": 2}, {"loss": "hinge"}, {"heads": 5}, {"metric": "sampled_map@10"}, {"dropout": 1.0},
        {"rho_item": 3.0}, {"coupled": True, "p0_output": 0.1}, {"epochs": 0}, {"inner": 0}, {"inner": 2.5},
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            make(**wrong)


def test_inner_is_the_width_within_the_feed_forward_parts(make, ratings) -> None:
    width = make().hidden + getattr(make(), "user_hidden", 0)
    for inner, wanted in ((20, 20), (None, width)):
        model = make(inner=inner, epochs=1).fit(ratings)
        assert all(block.inner.weight.shape == (wanted, width) for block in model.network.blocks)


def test_the_smallest_data_are_two_actions_of_a_user(make) -> None:
    with pytest.raises(DataError, match="at least two actions"):
        make(epochs=2).fit(Ratings.from_arrays([1], [1], [3], feedback="explicit"))
    tiny = make(epochs=2).fit(Ratings.from_arrays([1, 1], [1, 2], [3, 3], feedback="explicit"))
    assert np.isfinite(tiny.predict([1], [1])).all()
    assert tiny.recommend([1], k=2)[0].tolist() == [[None, None]]
