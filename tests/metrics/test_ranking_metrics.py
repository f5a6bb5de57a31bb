"""Ranking metrics against plain loops, hand-worked examples and torchmetrics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix, csr_matrix

from torchsse.errors import ConfigError, DataError
from torchsse.metrics import RANKING_METRICS, ranking_metrics

ITEMS = 7


def oracle(ranked: list[int], positives: set[int], k: int) -> dict[str, float]:
    """The definitions, word for word, one user at a time."""
    if not positives:
        return dict.fromkeys(RANKING_METRICS, math.nan)
    hit_ranks = [rank for rank, item in enumerate(ranked[:k], 1) if item in positives]
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(positives)) + 1))
    precisions = [sum(1 for other in hit_ranks if other <= rank) / rank for rank in hit_ranks]
    return {
        "precision": len(hit_ranks) / k,
        "recall": len(hit_ranks) / len(positives),
        "ndcg": sum(1 / math.log2(rank + 1) for rank in hit_ranks) / ideal,
        "hr": float(bool(hit_ranks)),
        "map": sum(precisions) / min(k, len(positives)),
        "mrr": 1 / hit_ranks[0] if hit_ranks else 0.0,
    }


def matrix(positives: list[set[int]], items: int = ITEMS) -> csr_matrix:
    dense = np.zeros((len(positives), items))
    for row, chosen in enumerate(positives):
        dense[row, sorted(chosen)] = 1
    return csr_matrix(dense)


def padded(lists: list[list[int]], width: int) -> np.ndarray[Any, Any]:
    return np.array([ranked + [-1] * (width - len(ranked)) for ranked in lists], dtype=np.int64).reshape(-1, width)


USER = st.tuples(st.lists(st.integers(0, ITEMS - 1), unique=True), st.sets(st.integers(0, ITEMS - 1)))


@settings(deadline=None)
@given(st.lists(USER, min_size=1, max_size=6), st.sets(st.integers(1, ITEMS), min_size=1))
def test_against_loops(users: list[tuple[list[int], set[int]]], cuts: set[int]) -> None:
    found = ranking_metrics(padded([u[0] for u in users], ITEMS), matrix([u[1] for u in users]), sorted(cuts))
    assert set(found) == {f"{name}@{k}" for name in RANKING_METRICS for k in cuts}
    for k in cuts:
        for q, (ranked, positives) in enumerate(users):
            for name, value in oracle(ranked, positives, k).items():
                assert found[f"{name}@{k}"][q] == pytest.approx(value, abs=1e-12, nan_ok=True), (name, k)


def test_by_hand() -> None:
    """Ranks 1 and 3 of five are positive, four positives in all."""
    found = {
        k: v[0] for k, v in ranking_metrics([[4, 0, 2, 1, 3]], csr_matrix([[0, 0, 1, 0, 1, 1, 1]]), (2, 5)).items()
    }
    assert found["precision@2"] == 0.5
    assert found["precision@5"] == 0.4
    assert found["recall@2"] == 0.25
    assert found["recall@5"] == 0.5
    assert found["hr@2"] == found["mrr@2"] == 1
    assert found["map@2"] == 0.5
    assert found["map@5"] == pytest.approx((1 + 2 / 3) / 4)
    assert found["ndcg@5"] == pytest.approx((1 + 1 / 2) / (1 + 1 / math.log2(3) + 1 / 2 + 1 / math.log2(5)))


def test_perfect_and_worthless_rankings() -> None:
    positives = matrix([{0, 1, 2}, {0, 1, 2}])
    found = ranking_metrics([[2, 0, 1], [4, 5, 6]], positives, (3,))
    for name, values in found.items():
        assert values.tolist() == [1.0, 0.0], name


def test_one_positive_cannot_fill_precision() -> None:
    """precision@k divides by k whatever the user has; ndcg, map and recall reach 1."""
    found = ranking_metrics([[3, 0, -1, -1]], matrix([{3}]), (4,))
    assert found["precision@4"][0] == 0.25
    assert found["ndcg@4"][0] == found["map@4"][0] == found["recall@4"][0] == 1.0


def test_users_without_positives_are_nan_and_the_rest_unmoved() -> None:
    top = [[0, 1], [0, 1]]
    found = ranking_metrics(top, matrix([{0}, set()]), (1, 2))
    alone = ranking_metrics(top[:1], matrix([{0}]), (1, 2))
    for name, values in found.items():
        assert values[0] == alone[name][0]
        assert math.isnan(values[1])


def test_no_users_and_no_positives() -> None:
    assert ranking_metrics(np.zeros((0, 3), np.int64), csr_matrix((0, 5)), (3,))["ndcg@3"].shape == (0,)
    assert np.isnan(ranking_metrics([[0, 1, 2]], csr_matrix((1, 5)), (3,))["recall@3"]).all()


def test_order_matters_only_where_it_should() -> None:
    """A control: a metric that ignored ranks, or that counted them where it must not, would fail."""
    positives = matrix([{0}, {0}])
    found = ranking_metrics([[0, 1, 2], [2, 1, 0]], positives, (3,))
    for name in ("precision", "recall", "hr"):
        assert found[f"{name}@3"][0] == found[f"{name}@3"][1]
    for name in ("ndcg", "map", "mrr"):
        assert found[f"{name}@3"][0] > found[f"{name}@3"][1]


def test_what_counts_as_a_positive() -> None:
    """Stored zeros do not, duplicates count once even where they cancel, unsorted indices are fine."""
    relevant = csr_matrix(coo_matrix(([1.0, -1.0, 0.0, 5.0], ([0, 0, 0, 0], [4, 4, 2, 1])), shape=(1, ITEMS)))
    messy = csr_matrix(([1.0, 0.0, 5.0, -1.0], [4, 2, 1, 4], [0, 4]), shape=(1, ITEMS))
    before = messy.data.copy()
    found = ranking_metrics([[4, 2, 1]], messy, (3,))
    assert found["recall@3"][0] == 1.0
    assert found["precision@3"][0] == pytest.approx(2 / 3)
    assert np.array_equal(messy.data, before), "the argument was changed"
    assert ranking_metrics([[4, 2, 1]], relevant.tocoo(), (1,))["hr@1"][0] == 0.0  # 1 and -1 were added up by scipy


def test_ks_in_any_order_and_integer_types() -> None:
    top = np.array([[0, 1, 2]], dtype=np.uint16)
    found = ranking_metrics(top, matrix([{1}]), (np.int32(3), 1))
    assert list(found)[:2] == ["precision@3", "precision@1"]
    assert found["mrr@3"].dtype == np.float64


def test_large_codes_do_not_overflow() -> None:
    items = 2**31 - 2
    relevant = csr_matrix((np.ones(3), ([0, 1, 2], [items - 1, 5, items - 1])), shape=(3, items))
    found = ranking_metrics(np.array([[items - 1], [items - 1], [items - 1]]), relevant, (1,))
    assert found["hr@1"].tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("top", "message"),
    [
        ([[0.0, 1.0]], "integer codes"),
        ([0, 1], "shape"),
        ([[]], "shape"),
        ([[0, -2]], "-2"),
        ([[-1, 0]], "padding"),
        ([[3, 3]], "once"),
        ([[0, ITEMS]], f"below {ITEMS}"),
        ([[0, 1], [0, 1]], "as many rows"),
    ],
)
def test_bad_top(top: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ranking_metrics(top, matrix([{0}]), (1,))


@pytest.mark.parametrize("ks", [(), (0,), (1, 1), (1.5,), (True,), (3,), "1", None])
def test_bad_ks(ks: Any) -> None:
    with pytest.raises(ConfigError, match="ks"):
        ranking_metrics([[0, 1]], matrix([{0}]), ks)


def test_dense_positives_are_refused() -> None:
    with pytest.raises(DataError, match="scipy sparse"):
        ranking_metrics([[0, 1]], np.eye(2), (1,))


def test_against_torchmetrics() -> None:
    """Where the definitions agree: precision, recall, NDCG, hit rate, and reciprocal rank of the whole list."""
    functional = pytest.importorskip("torchmetrics.functional.retrieval")
    import torch

    g = np.random.default_rng(0)
    users, items, k = 40, 30, 7
    scores = g.permuted(np.tile(np.arange(items, dtype=np.float32), (users, 1)), axis=1)
    truth = g.random((users, items)) < g.uniform(0.02, 0.6, (users, 1))
    truth[np.arange(users), g.integers(items, size=users)] = True
    top = np.argsort(-scores, axis=1)
    found = ranking_metrics(top, csr_matrix(truth), (k, items))
    for q in range(users):
        pair = torch.from_numpy(scores[q]), torch.from_numpy(truth[q])
        for name, ours in (("precision", "precision"), ("recall", "recall"), ("hit_rate", "hr")):
            theirs = getattr(functional, f"retrieval_{name}")(*pair, top_k=k)
            assert found[f"{ours}@{k}"][q] == pytest.approx(theirs.item(), abs=1e-6), name
        theirs = functional.retrieval_normalized_dcg(*pair, top_k=k)
        assert found[f"ndcg@{k}"][q] == pytest.approx(theirs.item(), abs=1e-6)
        assert found[f"mrr@{items}"][q] == pytest.approx(functional.retrieval_reciprocal_rank(*pair).item(), abs=1e-6)
        average = functional.retrieval_average_precision(*pair).item()
        assert found[f"map@{items}"][q] == pytest.approx(average, abs=1e-6)
