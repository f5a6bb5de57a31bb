"""`compare --fix`: which arms a fixed setting changes, and what is refused."""

from __future__ import annotations

import pytest

from torchsse.errors import ConfigError
from torchsse.experiments.arms import standard_arms
from torchsse.experiments.fixed_settings import fixed_values, with_fixed
from torchsse.experiments.kinds import MF, SASREC
from torchsse.experiments.sequence_arms import published_arms, sequence_arms
from torchsse.experiments.sequence_settings import SequenceSettings
from torchsse.experiments.settings import CompareSettings

PAPER = {"dropout": 0.1, "weight_decay": 1e-5, "p0_input": 0.1, "p0_output": 0.1}


def test_only_arms_that_search_a_setting_take_it() -> None:
    before = {arm.name: arm for arm in sequence_arms()}
    after = {arm.name: arm for arm in with_fixed(sequence_arms(), PAPER, SequenceSettings(), SASREC)}
    assert list(after) == list(before)
    assert after["none"].fixed == {"dropout": 0.1, "weight_decay": 1e-5}, "the plain arm must not begin to swap"
    assert after["dropout"].fixed == {"dropout": 0.1, "weight_decay": 0.0}, "what an arm does without it stays without"
    assert after["sse-se"].fixed == PAPER
    assert after["sse-pt"].fixed == PAPER
    assert list(after["sse-pt"].space) == ["p0_user"]
    assert after["sse-pt"].defaults == {"p0_user": before["sse-pt"].defaults["p0_user"]}
    assert all(not set(arm.fixed) & set(arm.space) for arm in after.values())
    assert after["sse-se"].trials(8) == 1, "nothing is left to search"
    untouched = with_fixed(sequence_arms(), {}, SequenceSettings(), SASREC)
    assert untouched == sequence_arms()


def test_the_papers_rows_can_be_asked_for_so() -> None:
    """The arms `paper` of Table 4 and the same settings by --fix are the same fits."""
    ours = {arm.name: arm for arm in with_fixed(sequence_arms(), PAPER, SequenceSettings(), SASREC)}
    for arm in published_arms():
        name = arm.name.removeprefix("paper").strip() or "none"
        usual = {"p0_input": 0.0, "p0_output": 0.0, "blocks": 2, "learning_rate": 0.001}
        assert {**usual, **arm.fixed} == {**usual, **ours[name].fixed}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dropout"], "expected name=value, got 'dropout'"),
        (["=1"], "expected name=value"),
        (["dropout=high"], "--fix dropout: expected a number, got 'high'"),
        (["dropout=nan"], "expected a number, got 'nan'"),
        (["dropout=true"], "expected a number, got 'true'"),
        (["dropout=none"], "expected a number, got 'none'"),
        (["p0-input=.1", "p0_input=.2"], "--fix p0_input is given twice"),
        (["hidden=64"], "--fix hidden: no arm here searches it; they search weight_decay, dropout, p0_input"),
        (["dropout=1"], "dropout: expected a number of at least 0 and below 1, got 1"),
        (["dropout=inf"], "dropout"),
        (["p0_output=-0.1"], "p0_output"),
        (["weight_decay=-1"], "weight_decay"),
    ],
)
def test_what_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        with_fixed(sequence_arms(), fixed_values(words), SequenceSettings(), SASREC)


def test_arms_without_an_estimator_of_their_own_are_tried_on_the_usual_one() -> None:
    arms = standard_arms(biases=True)
    fixed = with_fixed(arms, {"weight_decay": 0.05}, CompareSettings(), MF)
    assert all(arm.fixed["weight_decay"] == 0.05 for arm in fixed)
    with pytest.raises(ConfigError, match="weight_decay"):
        with_fixed(arms, {"weight_decay": -0.05}, CompareSettings(), MF)
    assert with_fixed(arms, {"neighbours": 7}, CompareSettings(), MF)[-1].fixed["neighbours"] == 7
    for wrong in (0.0, 2.5, float("nan")):
        with pytest.raises(ConfigError, match="--fix neighbours: expected a whole number"):
            with_fixed(arms, {"neighbours": wrong}, CompareSettings(), MF)
