"""What is searched: the models' table, and how --search, --fix and --factors change it."""

from __future__ import annotations

from typing import Any

import pytest

from torchsse.errors import ConfigError
from torchsse.experiments.space import Range
from torchsse.experiments.swap_ranges import RANKING_SWAPS, RATING_COOCCURRENCE, SEQUENCE_COOCCURRENCE
from torchsse.experiments.tuning.dimensions import Choice, at, inside, parse_dimension
from torchsse.experiments.tuning.models import MODELS, ModelName
from torchsse.experiments.tuning.space import tune_space


@pytest.mark.parametrize("name", ModelName)
@pytest.mark.parametrize(("user_graph", "item_graph"), [(False, False), (True, False), (False, True), (True, True)])
def test_every_model_has_a_space_that_its_estimator_takes(name: ModelName, user_graph: bool, item_graph: bool) -> None:
    if user_graph and MODELS[name].feedback == "sequences":
        with pytest.raises(ConfigError, match="--user-graph"):
            tune_space(MODELS[name], user_graph=user_graph, item_graph=item_graph)
        return
    space = tune_space(MODELS[name], user_graph=user_graph, item_graph=item_graph)
    for side, there in (("user", user_graph), ("item", item_graph)):
        assert (f"rho_{side}" in space.searched) == (there and bool(MODELS[name].swapped))
    assert set(space.defaults) == set(space.searched)
    assert all(inside(space.searched[word], value) == value for word, value in space.defaults.items())
    if user_graph or item_graph:
        assert set(MODELS[name].response) & set(space.searched)


@pytest.mark.parametrize("name", ModelName)
def test_along_cooccurrence_rho_is_infinite_and_p0_has_its_own_range(name: ModelName) -> None:
    model = MODELS[name]
    space = tune_space(model, nearest=("item",))
    given = tune_space(model, item_graph=True)
    assert "rho_item" not in space.searched
    assert space.fixed.get("rho_item") == (float("inf") if model.swapped else None)
    assert set(given.searched) - set(space.searched) == ({"rho_item"} if model.swapped else set())
    for p0 in ("p0_item", "p0_input", "p0_output"):
        wanted = {**RATING_COOCCURRENCE, **SEQUENCE_COOCCURRENCE, "p0_item": None}
        if name in ("mf", "marginalized"):
            wanted["p0_item"] = RATING_COOCCURRENCE["p0_item"]
        if p0 in space.searched:
            range_, start = wanted[p0] or RANKING_SWAPS.near
            assert (space.searched[p0], space.defaults[p0]) == (range_, start)
    if "p0_user" in space.searched:
        assert space.searched["p0_user"] == given.searched["p0_user"], "a table without neighbours swaps over all rows"


def test_rho_along_cooccurrence_can_be_searched_or_fixed() -> None:
    mf = MODELS[ModelName.mf]
    assert tune_space(mf, nearest=("item",), search=["rho_item=1:50"]).searched["rho_item"] == Range(1, 50)
    assert tune_space(mf, nearest=("item",), fix=["rho_item=50"]).fixed["rho_item"] == 50
    both = tune_space(mf, nearest=("user", "item"))
    assert both.fixed == {"factors": 100, "rho_user": float("inf"), "rho_item": float("inf")}
    assert both.searched["p0_user"] == RATING_COOCCURRENCE["p0_user"][0]
    with pytest.raises(ConfigError, match="--user-nearest: models of histories take --item-nearest only"):
        tune_space(MODELS[ModelName.sasrec], nearest=("user",))


def test_factors() -> None:
    mf = MODELS[ModelName.mf]
    assert tune_space(mf).fixed == {"factors": 100}
    assert tune_space(mf, factors="10,50,100").searched["factors"] == Choice((10, 50, 100))
    assert tune_space(mf, factors="10,50,100").defaults["factors"] == 100
    assert tune_space(mf, factors="10:200:log").searched["factors"] == Range(10, 200, log=True, integer=True)
    assert tune_space(mf, fix=["factors=7"]).fixed == {"factors": 7}


@pytest.mark.parametrize(("name", "rank"), [(ModelName.mf, "factors"), (ModelName.sasrec, "hidden")])
def test_factors_beside_the_setting_that_it_is_are_refused(name: ModelName, rank: str) -> None:
    for more, option in (({"fix": [f"{rank}=8"]}, "--fix"), ({"search": [f"{rank}=8,16"]}, "--search")):
        with pytest.raises(ConfigError, match=f"^--factors 32: it is {rank}, which {option} names too"):
            tune_space(MODELS[name], factors="32", **more)  # type: ignore[arg-type]
        assert tune_space(MODELS[name], **more)  # type: ignore[arg-type]


def test_search_and_fix() -> None:
    space = tune_space(
        MODELS[ModelName.bpr],
        item_graph=True,
        search=["p0-item=0.1:0.9", "dropout=0:0.5", "num_negatives=1:8", "hard_negatives=false,true"],
        fix=["biases=true", "rho_item=inf", "p0_user=0", "init_std=0.02"],
    )
    assert space.searched["p0_item"] == Range(0.1, 0.9)
    assert space.searched["num_negatives"] == Range(1, 8, integer=True)
    assert space.searched["hard_negatives"] == Choice((False, True))
    assert space.defaults["dropout"] == 0.0
    assert space.fixed == {"factors": 100, "biases": True, "rho_item": float("inf"), "p0_user": 0, "init_std": 0.02}


def test_whole_numbers_are_known_from_the_estimator() -> None:
    space = tune_space(MODELS[ModelName.sqlrank], search=["num_negatives=1:20", "init_std=0.01:0.1"])
    assert space.searched["num_negatives"] == Range(1, 20, integer=True)
    assert space.defaults["num_negatives"] == 1
    assert space.searched["init_std"] == Range(0.01, 0.1)


def test_a_table_that_never_swaps_has_no_rho_to_search() -> None:
    space = tune_space(MODELS[ModelName.mf], item_graph=True, fix=["p0_item=0"])
    assert "rho_item" not in space.searched
    histories = MODELS[ModelName.sasrec]
    assert "rho_item" in tune_space(histories, item_graph=True, fix=["p0_input=0"]).searched
    assert "rho_item" not in tune_space(histories, item_graph=True, fix=["p0_input=0", "p0_output=0"]).searched
    assert tune_space(histories, factors="8,16").searched["hidden"] == Choice((8, 16))
    assert space.fixed["rho_item"] == 200.0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"search": ["p0_item=0.1:2"]}, "p0_item"),
        ({"search": ["p0_item=0.1"]}, "low:high"),
        ({"search": ["p0_item=a:b"]}, "low:high"),
        ({"search": ["p0_item=0.1:0.2:sqrt"]}, "low:high"),
        ({"search": ["p0_item=0:0.2:log"]}, "start above 0"),
        ({"search": ["p0_item=0.2:0.1"]}, "low < high"),
        ({"search": ["p0_item"]}, "name=value"),
        ({"search": ["flavour=1:2"]}, "no setting 'flavour'"),
        ({"search": ["epochs=1:2"]}, "--epochs"),
        ({"search": ["p0_item=0.1:0.2", "p0-item=0.1:0.3"]}, "twice"),
        ({"search": ["p0_item=0.1:0.2"], "fix": ["p0_item=0.1"]}, "either"),
        ({"fix": ["weight_decay=-1"]}, "weight_decay"),
        ({"fix": ["rho_item=10"]}, "item_graph"),
        ({"fix": ["seed=1"]}, "--seed"),
        ({"fix": ["num_threads=2"]}, "--jobs"),
        ({"factors": "ten"}, "factors"),
        ({"factors": "10:20.5"}, "whole numbers"),
        ({"factors": "10,10"}, "different"),
        ({"factors": "0:10"}, "factors"),
    ],
    ids=str,
)
def test_what_an_estimator_would_refuse_shows_before_anything_is_read(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tune_space(MODELS[ModelName.mf], **given)


def test_fits_that_would_share_random_numbers_run_one_at_a_time() -> None:
    """PyTorch's default generators are of the whole process."""
    sasrec = MODELS[ModelName.sasrec]
    for more in ({"fix": ["device=cuda"]}, {"search": ["device=cpu,cuda"]}):
        assert tune_space(sasrec, **more).jobs(4) == 1, more  # type: ignore[arg-type]
    for more in ({}, {"fix": ["attention_dropout=0.1"]}, {"fix": ["device=cpu"]}, {"search": ["dropout=0:0.5"]}):
        assert tune_space(sasrec, **more).jobs(4) == 4, more  # type: ignore[arg-type]
    assert tune_space(MODELS[ModelName.mf]).jobs(4) == 4


def test_nothing_left_to_search() -> None:
    words = ["regularization=0.1", "p0_user=0", "p0_item=0"]
    with pytest.raises(ConfigError, match="nothing is left"):
        tune_space(MODELS[ModelName.marginalized], fix=words)


def test_every_point_of_the_unit_interval_is_inside() -> None:
    for dimension in (
        Range(1, 9, integer=True),
        Range(0.1, 0.7, log=True),
        parse_dimension("a,b,c", integer=False, name="x"),
    ):
        for u in (0.0, 0.3, 0.999999, 1.0):
            value = at(dimension, u)
            assert inside(dimension, value) == value
