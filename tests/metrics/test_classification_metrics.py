"""Scores of classifiers against counts by hand and against the definition of the AUC."""

from __future__ import annotations

import numpy as np
import pytest

from torchsse.errors import DataError
from torchsse.metrics.classification import auc, classification_scores, f1_scores


def test_scores_of_two_classes_by_hand() -> None:
    truth = np.array([1, 1, 1, 0, 0, 0, 0, 1])
    told = np.array([1, 0, 1, 0, 1, 0, 0, 1])
    p = np.where(told[:, None] == np.arange(2), 0.7, 0.3)
    scores = classification_scores(truth, p)
    assert scores.accuracy == 6 / 8
    assert scores.f1 == pytest.approx(2 * 3 / (2 * 3 + 1 + 1))
    assert scores.f1_macro == pytest.approx((scores.f1 + 6 / 8) / 2)
    assert scores.balanced_accuracy == pytest.approx((3 / 4 + 3 / 4) / 2)
    assert scores.auc == pytest.approx(scores.balanced_accuracy)  # two levels of scores: hard predictions
    assert scores.correct.tolist() == [True, False, True, True, False, True, True, True]


def test_auc_is_the_chance_of_a_right_order() -> None:
    rng = np.random.default_rng(0)
    positive, scores = rng.random(60) < 0.4, rng.integers(0, 12, 60).astype(float)  # many ties
    above, below = scores[positive][:, None], scores[~positive][None, :]
    expected = float(((above > below) + 0.5 * (above == below)).mean())
    assert auc(positive, scores) == pytest.approx(expected)
    assert auc(positive, -scores) == pytest.approx(1 - expected)
    assert auc(np.ones(3, bool), np.arange(3.0)) is None


def test_three_classes() -> None:
    truth = np.array([0, 1, 2, 2])
    p = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.5, 0.1, 0.4], [0.1, 0.2, 0.7]])
    scores = classification_scores(truth, p)
    assert (scores.accuracy, scores.f1) == (0.75, None)
    assert scores.f1_macro == pytest.approx(np.mean([2 / 3, 1, 2 / 3]))
    assert scores.auc == pytest.approx(1.0)
    assert f1_scores(truth, np.zeros(4, int), 3).tolist() == pytest.approx([2 / 5, 0, 0])


@pytest.mark.parametrize(
    ("truth", "p"),
    [([0, 1], [[1.0], [1.0]]), ([0, 2], [[1, 0], [0, 1]]), ([0], [[np.nan, 1]]), ([0.5], [[0, 1]]), ([], [])],
)
def test_bad_input(truth: list[float], p: list[list[float]]) -> None:
    with pytest.raises(DataError, match="expected"):
        classification_scores(np.array(truth), p)
