"""NDCG over rated items, against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from torchsse.errors import ConfigError, DataError
from torchsse.metrics import order_metrics


def by_hand(scores, ratings, k, lowest) -> float:
    def dcg(values) -> float:
        return sum((2.0 ** (r - lowest) - 1) / np.log2(i + 2) for i, r in enumerate(values[:k]))

    ranked = [r for _, r in sorted(zip(scores, ratings), key=lambda pair: (-pair[0], pair[1]))]
    return dcg(ranked) / dcg(sorted(ratings, reverse=True))


@pytest.mark.parametrize("k", [1, 3, 10])
def test_against_a_loop(k) -> None:
    g = np.random.default_rng(k)
    users, ratings = g.integers(0, 30, 300), g.integers(1, 6, 300).astype(float)
    scores = np.round(g.normal(size=300), 1)  # ties among them
    found = order_metrics(users, scores, ratings, ks=(k,))[f"rated_ndcg@{k}"]
    for u in range(30):
        mine = users == u
        assert found[u] == pytest.approx(by_hand(scores[mine], ratings[mine], k, 1.0))
    assert np.nanmax(found) <= 1


def test_perfect_worst_and_no_order() -> None:
    users, ratings = np.zeros(4, int), np.array([1.0, 4, 2, 5])
    names = "rated_ndcg@4"
    perfect, reverse, constant = (
        order_metrics(users, s, ratings, ks=(4,))[names][0] for s in (ratings, -ratings, 0 * ratings)
    )
    assert perfect == 1
    assert reverse == constant < 1  # ties earn nothing
    assert np.isnan(order_metrics([0, 2], [1, 2], [3, 3])["rated_ndcg@1"]).all()


@pytest.mark.parametrize("shift", [-7.0, 0.0, 2.5])
def test_the_scale_may_begin_anywhere(shift) -> None:
    scores, ratings = [0.3, 0.1, 0.2, 0.9], np.array([1.0, 4, 2, 5])
    one, two = (order_metrics([0] * 4, scores, ratings + s, ks=(3,))["rated_ndcg@3"][0] for s in (0.0, shift))
    assert one == pytest.approx(two)


def test_bad_input() -> None:
    with pytest.raises(DataError, match="one length"):
        order_metrics([0, 1], [1.0], [1, 2])
    with pytest.raises(DataError, match="finite"):
        order_metrics([0], [np.nan], [1])
    with pytest.raises(DataError, match="finite"):
        order_metrics([0], [1], [np.inf])
    with pytest.raises(ConfigError):
        order_metrics([0], [1], [1], ks=(0,))
    assert order_metrics([], [], [], ks=(2,))["rated_ndcg@2"].shape == (0,)
