"""Ranking all items in blocks, and evaluation, against sorted lists."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse import csr_matrix

from torchsse.data import Ratings
from torchsse.errors import ConfigError, DataError, NotFittedError
from torchsse.metrics import ranking_metrics
from torchsse.recsys import MatrixFactorization
from torchsse.recsys.ranking import RankingTest, evaluate_ranking, factor_scores, one_thread, rank_all, stored_pairs
from torchsse.recsys.topk import mask_seen, top_k

# few different values, so that most rows have ties at the edge
VALUES = st.sampled_from([-np.inf, -1.0, 0.0, -0.0, 0.5, 2.0, np.inf])


def by_sorting(scores: Any, seen: Any, k: int) -> list[list[int]]:
    """Larger score first, then smaller code; seen items and -inf left out; -1 to the end."""
    rows = []
    for q, row in enumerate(np.asarray(scores).tolist()):
        allowed = [i for i, s in enumerate(row) if not (seen is not None and seen[q][i]) and s > -math.inf]
        rows.append((sorted(allowed, key=lambda i: (-row[i], i)) + [-1] * k)[:k])
    return rows


@st.composite
def cases(draw: Any) -> tuple[Any, Any, int, int]:
    n, items = draw(st.integers(1, 5)), draw(st.sampled_from([1, 3, 20, 64, 65, 150]))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    scores = draw(hnp.arrays(dtype, (n, items), elements=VALUES))
    seen = draw(hnp.arrays(bool, (n, items)))
    return scores, seen, draw(st.integers(1, 12)), draw(st.integers(1, 6))


@settings(deadline=None)  # the first example loads the kernel
@given(cases())
def test_rank_all_against_sorting(case: Any) -> None:
    scores, seen, k, block = case
    users = np.arange(len(scores))
    top = rank_all(lambda u: scores[u], csr_matrix(seen), users, k, block=block)
    assert top.tolist() == by_sorting(scores, seen, k)
    assert rank_all(lambda u: scores[u], None, users, k, block=block).tolist() == by_sorting(scores, None, k)


@settings(deadline=None)  # the first example loads the kernel
@given(cases())
def test_top_k_against_sorting(case: Any) -> None:
    scores, seen, k, _ = case
    masked = scores.copy()
    held = csr_matrix(seen)
    mask_seen(masked, np.arange(len(scores)), held.indptr, held.indices)
    columns, values = top_k(masked.copy(), k)
    assert columns.tolist() == by_sorting(scores, seen, k)
    assert values.dtype == scores.dtype
    kept = columns >= 0
    rows = np.broadcast_to(np.arange(len(scores))[:, None], columns.shape)
    assert np.array_equal(values[kept], scores[rows[kept], columns[kept]])
    assert np.isneginf(values[~kept]).all()


def test_users_in_any_order_and_repeated() -> None:
    g = np.random.default_rng(0)
    scores = g.normal(size=(30, 90)).astype(np.float32)
    seen = g.random((30, 90)) < 0.3
    users = g.integers(30, size=50)
    top = rank_all(lambda u: scores[u], csr_matrix(seen), users, 5, block=7)
    assert top.tolist() == by_sorting(scores[users], seen[users], 5)
    shifted = rank_all(lambda u: scores[u], csr_matrix(seen), (users + 1) % 30, 5, block=7)
    assert not np.array_equal(top, shifted), "a control: another user's row must not do"


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_give_the_same(threads: int) -> None:
    g = np.random.default_rng(1)
    P, Q = g.normal(size=(200, 16)).astype(np.float32), g.normal(size=(300, 16)).astype(np.float32)
    seen = csr_matrix(g.random((200, 300)) < 0.1)
    score = factor_scores(P, Q)
    before = torch.get_num_threads()
    one = rank_all(score, seen, np.arange(200), 10, block=16)
    assert np.array_equal(one, rank_all(score, seen, np.arange(200), 10, block=16, num_threads=threads))
    assert torch.get_num_threads() == before


def test_factor_scores_are_the_model() -> None:
    g = np.random.default_rng(2)
    P, Q, b = g.normal(size=(9, 4)), g.normal(size=(6, 4)), g.normal(size=6)
    users = np.array([3, 0, 3])
    assert np.allclose(factor_scores(P, Q, b)(users), P[users] @ Q.T + b, atol=1e-5)
    assert np.allclose(factor_scores(P, Q)(users), P[users] @ Q.T, atol=1e-5)


def test_integer_scores_and_read_only_scores() -> None:
    counts = np.array([[3, 9, 9], [1, 2, 3]])
    assert rank_all(lambda u: counts[u], None, [0, 1], 2).tolist() == [[1, 2], [2, 1]]
    same = np.broadcast_to(np.array([1.0, 3.0, 2.0], np.float32), (2, 3))
    seen = csr_matrix([[0, 1, 0], [0, 0, 1]])
    assert rank_all(lambda u: same[u], seen, [0, 1], 2, block=1).tolist() == [[2, 0], [1, 0]]
    assert rank_all(lambda u: np.broadcast_to(same[:1], (len(u), 3)), seen, [0, 1], 2).tolist() == [[2, 0], [1, 0]]


def test_one_thread_is_undone_when_the_last_one_leaves() -> None:
    def fail() -> None:
        with one_thread(), one_thread():
            assert torch.get_num_threads() == 1
            raise KeyError

    before = torch.get_num_threads()
    with pytest.raises(KeyError):
        fail()
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("where", [0, 40, 69])
def test_nan_is_refused_wherever_it_is(where: int) -> None:
    scores = np.ones((3, 70), dtype=np.float32)
    scores[1, where] = np.nan
    with pytest.raises(DataError, match="NaN in row 1"):
        rank_all(lambda u: scores[u], None, np.arange(3), 2)


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ({"k": 0}, ConfigError, "k"),
        ({"k": True}, ConfigError, "k"),
        ({"block": 0}, ConfigError, "block"),
        ({"num_threads": 0}, ConfigError, "num_threads"),
        ({"users": [[0]]}, DataError, "one dimension"),
        ({"users": [0.5]}, DataError, "integer"),
        ({"users": [-1]}, DataError, "from 0"),
        ({"users": [4]}, DataError, "got 4"),
        ({"seen": np.eye(4)}, DataError, "scipy sparse"),
        ({"seen": csr_matrix((4, 9))}, DataError, "shape"),
        ({"seen": (np.array([0, 1, 1, 1, 1]), np.array([5]))}, DataError, "below 5"),
    ],
)
def test_bad_arguments(words: dict[str, Any], error: type[Exception], message: str) -> None:
    given = {"seen": csr_matrix((4, 5)), "users": [0, 1], "k": 2, **words}
    with pytest.raises(error, match=message):
        rank_all(lambda u: np.zeros((len(u), 5), np.float32), **given)


def test_scores_of_a_wrong_shape() -> None:
    with pytest.raises(DataError, match="score_block"):
        rank_all(lambda u: np.zeros((len(u) + 1, 5), np.float32), csr_matrix((4, 5)), [0, 1], 2)
    with pytest.raises(DataError, match="score_block"):
        rank_all(lambda u: np.zeros(5, np.float32), None, [0], 2)


def test_memory_does_not_grow_with_users_times_items() -> None:
    """Blocks of 2 MiB, or 128 users; a control: one block of all users is seen at once."""
    asked: list[int] = []

    def scores(users: Any) -> Any:
        asked.append(len(users))
        return np.zeros((len(users), 3000), np.float32)

    rank_all(scores, None, np.arange(2000), 2)
    assert max(asked) * 3000 <= 1 << 19
    rank_all(lambda u: scores(u)[:, :1], None, np.arange(2000), 2, block=2000)
    assert max(asked) == 2000
    asked.clear()
    rank_all(lambda u: asked.append(len(u)) or np.zeros((len(u), 50_000), np.float32), None, np.arange(300), 2)
    assert max(asked) == 128


def test_no_users() -> None:
    assert rank_all(lambda u: np.zeros((len(u), 5)), csr_matrix((4, 5)), [], 2).shape == (0, 2)


# evaluation -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(ratings: Ratings) -> MatrixFactorization:
    return MatrixFactorization(factors=4, epochs=3, seed=1).fit(ratings.select(np.arange(len(ratings)) % 3 != 0))


def loops(model: MatrixFactorization, train: Ratings, test: Ratings, k: int, exclude_seen: bool) -> dict[str, Any]:
    """Per raw user: the list that `recommend` gives and the positives, by sets of raw ids."""
    seen = set(zip(train.raw_users.tolist(), train.raw_items.tolist()))
    result = {}
    for user in sorted(set(test.raw_users.tolist())):
        mine = {i for u, i in zip(test.raw_users.tolist(), test.raw_items.tolist()) if u == user}
        if exclude_seen:
            mine = {i for i in mine if (user, i) not in seen}
        if not mine:
            continue
        listed = []
        if user in set(train.raw_users.tolist()):
            listed = [i for i in model.recommend([user], k, exclude_seen=exclude_seen)[0][0] if i is not None]
        hits = [i in mine for i in listed]
        result[user] = (sum(hits) / k, sum(hits) / len(mine), next((1 / (r + 1) for r, h in enumerate(hits) if h), 0))
    return result


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_evaluation_against_recommend(model: MatrixFactorization, ratings: Ratings, exclude_seen: bool) -> None:
    train = ratings.select(np.arange(len(ratings)) % 3 != 0)
    found = evaluate_ranking(model, ratings, (4,), exclude_seen)
    expected = loops(model, train, ratings, 4, exclude_seen)
    assert found["users"].tolist() == list(expected)
    got = np.stack([found["per_user"][f"{name}@4"] for name in ("precision", "recall", "mrr")], axis=1)
    assert np.allclose(got, list(expected.values()))
    assert found["means"]["recall@4"] == pytest.approx(np.mean([v[1] for v in expected.values()]))
    assert found["n_seen"] == (len(train) if exclude_seen else 0)
    assert found["n_pairs"] == len(ratings) - found["n_seen"]
    assert found["n_cold"] == found["n_cold_users"] == 0
    assert found["means_warm"] == found["means"]


def test_cold_users_and_items_are_counted_and_left_out_of_the_warm_means(
    model: MatrixFactorization, ratings: Ratings
) -> None:
    train = ratings.select(np.arange(len(ratings)) % 3 != 0)
    test = ratings.select(np.arange(len(ratings)) % 3 == 0)
    warm = evaluate_ranking(model, test, (5,))
    strangers = 6
    users = [*test.raw_users.tolist(), *["stranger"] * strangers, test.raw_users.tolist()[0]]
    items = [*test.raw_items.tolist(), *test.raw_items.tolist()[:strangers], 9999]
    mixed = Ratings.from_arrays(users, items)
    found = evaluate_ranking(model, mixed, (5,))
    assert found["n_cold"] == len(set(items[-strangers - 1 : -1])) + 1
    assert found["n_cold_users"] == 1
    assert found["n_users"] == warm["n_users"] + 1
    assert found["means_warm"] == pytest.approx(warm["means"])
    stranger = found["users"].tolist().index("stranger")
    assert all(values[stranger] == 0 for values in found["per_user"].values())
    assert found["means"]["precision@5"] < found["means_warm"]["precision@5"]
    expected = loops(model, train, mixed, 5, True)
    assert np.allclose(found["per_user"]["recall@5"], [expected[u][1] for u in found["users"].tolist()])


def test_all_cold(model: MatrixFactorization) -> None:
    found = evaluate_ranking(model, Ratings.from_arrays(["x"], [9999]), (1,))
    assert found["means"]["hr@1"] == 0.0
    assert math.isnan(found["means_warm"]["hr@1"])


def test_pairs_given_twice_count_once(model: MatrixFactorization, ratings: Ratings) -> None:
    test = ratings.select(np.arange(len(ratings)) % 3 == 0)
    twice = test.select(np.repeat(np.arange(len(test)), 2))
    once, again = evaluate_ranking(model, test), evaluate_ranking(model, twice)
    assert once["means"] == again["means"]
    assert once["n_pairs"] == again["n_pairs"]


def test_a_test_is_made_once_and_run_often(model: MatrixFactorization, ratings: Ratings) -> None:
    test = RankingTest(model, ratings.select(np.arange(len(ratings)) % 3 == 0), (2, 3))
    first, second = test.run(model._score_users), test.run(model._score_users)
    assert first["means"] == second["means"]
    opposite = test.run(lambda users: -model._score_users(users))
    assert opposite["means"]["ndcg@3"] != first["means"]["ndcg@3"], "a control: the scores must matter"


def test_a_model_that_knows_the_answers_is_perfect(model: MatrixFactorization, ratings: Ratings) -> None:
    test = ratings.select(np.arange(len(ratings)) % 3 == 0)
    users, items = model._codes_of(test)
    truth = np.zeros((len(model.user_ids), len(model.item_ids)), dtype=np.float32)
    truth[users, items] = 1
    found = RankingTest(model, test, (1, 4)).run(lambda u: truth[u].copy())
    for name in ("hr@1", "ndcg@4", "map@4", "mrr@4"):
        assert found["means"][name] == 1.0


@given(
    st.sets(st.tuples(st.integers(0, 4), st.integers(0, 6))),
    st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 6))),
)
def test_stored_pairs(pairs: set[tuple[int, int]], asked: list[tuple[int, int]]) -> None:
    """Membership in a CSR whose rows are in no order, and -1 in none."""
    ordered = sorted(pairs, key=lambda p: (p[0], -p[1]))
    indptr = np.cumsum([0, *(sum(u == row for u, _ in ordered) for row in range(5))])
    held = indptr.astype(np.int64), np.array([i for _, i in ordered], dtype=np.int32)
    users, items = (np.array([pair[side] for pair in asked], dtype=np.int64) for side in (0, 1))
    assert stored_pairs(held, users, items, 7).tolist() == [pair in pairs for pair in asked]


def test_evaluation_refuses(model: MatrixFactorization, ratings: Ratings) -> None:
    with pytest.raises(NotFittedError):
        evaluate_ranking(MatrixFactorization(), ratings)
    with pytest.raises(DataError, match="not in train"):
        evaluate_ranking(model, ratings.select(np.arange(len(ratings)) % 3 != 0))
    with pytest.raises(ConfigError, match="ks"):
        evaluate_ranking(model, ratings, ks=(0,))


def test_real_split_sizes(real_data: Any) -> None:
    """A ranking by popularity in train reaches the known precision on the authors' own split."""
    from torchsse.data import read_ratings

    train = read_ratings(real_data / "sse_bpr" / "train.txt.gz")
    test = read_ratings(real_data / "sse_bpr" / "test.txt.gz", like=train)
    counts = np.zeros(test.num_items)
    counts[: train.num_items] = train.item_counts()
    seen = train.with_ids(test.user_ids, test.item_ids).to_csr()
    users = np.arange(test.num_users)
    top = rank_all(lambda u: np.broadcast_to(counts, (len(u), len(counts))), seen, users, 10)
    means = {k: float(np.nanmean(v)) for k, v in ranking_metrics(top, test.to_csr(), (1, 5, 10)).items()}
    assert means["precision@1"] == pytest.approx(0.539, abs=0.002)
    assert means["precision@5"] == pytest.approx(0.496, abs=0.002)
    assert means["precision@10"] == pytest.approx(0.482, abs=0.002)
