"""The fused SQL-Rank kernel against float64 code, autograd and finite differences; its queues against their law."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise, permutations

import numpy as np
import pytest
import torch
from hypothesis import given as given_values
from hypothesis import settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.stats import binom, chi2

from torchsse.recsys.factors import Factors
from torchsse.recsys.kernels import sqlrank
from torchsse.recsys.kernels.draw import COIN_BITS, swaps
from torchsse.recsys.kernels.negatives import seen_pairs
from torchsse.recsys.kernels.rng import GOLDEN, _mix, stream
from torchsse.recsys.sqlrank_sgd import levels_of, lists_of
from torchsse.transition import build_law

ALPHA = 1e-6  # per comparison; the seeds are fixed, so a run either always passes or never
WIDTH, RANK, USERS, ITEMS = 16, 12, 9, 30


def tables(seed: int, std: float = 0.5, items: int = ITEMS) -> Factors:
    return Factors.initial(USERS, items, RANK, std, seed)


def constants(rate=0.05, decay=0.1, dropout=0.0):
    f = np.float32
    return f(rate), f(rate * decay), np.uint64(round(dropout * 2**COIN_BITS)), f(1 / (1 - dropout))


def run(users, lists, ranked, t: Factors, mask: int = 0, **words) -> float:
    bounds = np.concatenate([[0], np.cumsum([len(x) for x in lists])]).astype(np.int64)
    ids = np.concatenate([*lists, []]).astype(np.uint64)
    columns = np.array(users, np.uint64), bounds, np.array(ranked, np.int64), ids
    return sqlrank.given(WIDTH)(*columns, t.P, t.Q, *constants(**words), np.uint64(mask))


def log_sum_exp(x: np.ndarray) -> float:
    return float(x.max() + np.log(np.exp(x - x.max()).sum()))


def loss_of(scores: np.ndarray, ranked: int) -> float:
    """-log of the chance of the first `ranked` to come in this order: the definition."""
    return sum(log_sum_exp(scores[t:]) - scores[t] for t in range(ranked))


def slopes_of(scores: np.ndarray, ranked: int) -> np.ndarray:
    """Of log P in the scores: the definition, quadratic in the length."""
    out = np.zeros(len(scores))
    for k in range(ranked):
        out[k] += 1.0
        out[k:] -= np.exp(scores[k:] - log_sum_exp(scores[k:]))
    return out


def masks_of(state: int, total: int, dropout: float) -> tuple[int, np.ndarray]:
    """What multiplies a factor of the user times one of each item, and the new state."""
    if not dropout:
        return state, np.ones((total, WIDTH))
    threshold, modulus = round(dropout * 2**COIN_BITS), 2**64

    def kept(key: int) -> np.ndarray:
        words = [_mix((key + f * int(GOLDEN)) % modulus) for f in range(WIDTH)]
        return np.array([(w & 0xFFFFFFFF) >= threshold for w in words])

    state = (state + int(GOLDEN)) % modulus
    own, rows = kept(_mix(state)), []
    for _ in range(total):
        state = (state + int(GOLDEN)) % modulus
        rows.append(own & kept(_mix(state)))
    return state, np.array(rows).reshape(total, WIDTH) / (1 - dropout) ** 2


def reference(users, lists, ranked, t: Factors, rate, decay, dropout, mask):
    """SGD on -log P in float64, as the class docstring of SQLRank states it."""
    P, Q = t.P.astype(np.float64), t.Q.astype(np.float64)
    total, state = 0.0, mask
    for u, ids, n in zip(users, lists, ranked, strict=True):
        state, m = masks_of(state, len(ids), dropout)
        a = P[u].copy()
        scores = (m * Q[ids]) @ a if len(ids) else np.zeros(0)
        total += loss_of(scores, n)
        pull = -n * decay * a
        for place, (i, g) in enumerate(zip(ids, slopes_of(scores, n))):
            b = Q[i].copy()
            pull += g * m[place] * b
            Q[i] += rate * (g * m[place] * a - decay * b)
        P[u] += rate * pull
    return P, Q, total


@settings(max_examples=100, deadline=None, derandomize=True)
@given_values(
    seed=st.integers(0, 10**6),
    shapes=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 12)), max_size=12),
    rate=st.floats(0.001, 0.1),
    decay=st.floats(0, 0.3),
    dropout=st.sampled_from([0.0, 0.3]),
)
def test_update_equals_the_float64_loop(seed, shapes, rate, decay, dropout) -> None:
    g = np.random.default_rng(seed)
    users = g.integers(0, USERS, len(shapes))
    lists = [g.integers(0, ITEMS, n + m) for n, m in shapes]  # an item may come up twice
    ranked = [n for n, _ in shapes]
    t = tables(seed)
    words = {"rate": rate, "decay": decay, "dropout": dropout}
    P, Q, wanted = reference(users, lists, ranked, t, **words, mask=seed)
    total = run(users, lists, ranked, t, seed, **words)
    np.testing.assert_allclose(t.P, P, rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(t.Q, Q, rtol=2e-3, atol=2e-4)
    assert total == pytest.approx(wanted, rel=1e-4, abs=1e-4)
    assert not t.P[:, RANK:].any()
    assert not t.Q[:, RANK:].any()


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 8), (6, 0), (5, 9), (12, 18)])
def test_update_is_autograd(n, m) -> None:
    """One list without repeated items: a gradient step on the definition, by torch."""
    t = tables(n + m)
    ids = np.random.default_rng(m).permutation(ITEMS)[: n + m]
    a, rows = (torch.tensor(x.astype(np.float64), requires_grad=True) for x in (t.P[2], t.Q[ids]))
    scores = rows @ a
    loss = sum((torch.logsumexp(scores[k:], 0) - scores[k] for k in range(n)), torch.zeros(()))
    penalty = 0.5 * 0.1 * (n * a.square().sum() + rows.square().sum())
    (loss + penalty).backward()
    found = run([2], [ids], [n], t, rate=0.05, decay=0.1)
    assert found == pytest.approx(float(loss.detach()), rel=1e-5)
    np.testing.assert_allclose(t.P[2], (a - 0.05 * a.grad).detach(), atol=2e-6)
    np.testing.assert_allclose(t.Q[ids], (rows - 0.05 * rows.grad).detach(), atol=2e-6)


@pytest.mark.parametrize(("n", "m"), [(4, 0), (4, 6), (1, 9)])
def test_step_is_the_finite_difference_of_the_loss(n, m) -> None:
    start = tables(5)
    ids = np.random.default_rng(1).permutation(ITEMS)[: n + m]
    P, Q = start.P.astype(np.float64), start.Q.astype(np.float64)
    moved = start.copy()
    run([3], [ids], [n], moved, rate=1.0, decay=0.0)

    def slope(table: np.ndarray, row: int, f: int, ranked: int) -> float:
        values = []
        for step in (1e-5, -1e-5):
            kept = table[row, f]
            table[row, f] = kept + step
            values.append(loss_of(Q[ids] @ P[3], ranked))
            table[row, f] = kept
        return (values[0] - values[1]) / 2e-5

    for f in range(RANK):
        assert moved.P[3, f] - start.P[3, f] == pytest.approx(-slope(P, 3, f, n), abs=1e-5)
        for i in ids[[0, -1]]:
            assert moved.Q[i, f] - start.Q[i, f] == pytest.approx(-slope(Q, i, f, n), abs=1e-5)
    if m:  # the control: ranking the unobserved items too is another gradient
        other = [-slope(P, 3, f, n + m) for f in range(RANK)]
        assert not np.allclose(moved.P[3, :RANK] - start.P[3, :RANK], other, atol=1e-3)


@pytest.mark.parametrize("rising", [False, True])
def test_far_scores_stay_exact(rising) -> None:
    """Scores thousands apart: exp of them, or of their differences, leaves every float."""
    t = tables(0)
    ids = np.arange(12)
    t.P[0] = 0
    t.P[0, 0] = 100.0
    t.Q[:] = 0
    t.Q[ids, 0] = np.linspace(-40.0, 40.0, 12) * (1 if rising else -1)
    scores = t.Q[ids].astype(np.float64) @ t.P[0]
    assert np.ptp(scores) == pytest.approx(8000, rel=1e-3)
    slopes = slopes_of(scores, 7)
    before = t.Q[ids, 0].astype(np.float64)
    total = run([0], [ids], [7], t, rate=1e-3, decay=0.0)
    assert total == pytest.approx(loss_of(scores, 7), rel=1e-5)
    np.testing.assert_allclose(t.Q[ids, 0], before + 1e-3 * slopes * 100.0, rtol=1e-5, atol=1e-4)
    t.Q[3, 0] = np.nan  # and what is not a number is not hidden
    assert np.isnan(run([0], [ids], [7], t))


# queues ---------------------------------------------------------------------------------------------------------------


def sample(rows: list[list[int]], values: list[list[int]] | None, items: int, longest: int | None):
    """Users with these items and ratings, as the kernel reads them."""
    users = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
    codes = np.concatenate([*rows, []]).astype(np.int64)
    rated = np.ones(len(codes)) if values is None else np.concatenate([*values, []])
    order = np.lexsort((codes, -rated, users))
    matrix = csr_matrix((np.ones(len(codes)), (users, codes)), shape=(len(rows), items))
    matrix.sort_indices()
    seen = seen_pairs(matrix.indptr, matrix.indices, items)
    return codes[order].astype(np.int32), levels_of(users[order], rated[order]), lists_of(users[order], longest), seen


def planned(
    rows, values=None, *, items=40, longest=None, count=0, p0=(0.0, 0.0), swap_negatives=False, streams=(1, 2, 3)
):
    """The lists of an epoch: [(user, observed ids in order, unobserved ids)], in the order of the visits."""
    codes, levels, lists, seen = sample(rows, values, items, longest)
    laws = swaps(build_law(len(rows)), p0[0]), swaps(build_law(items), p0[1])
    m = len(lists)
    users, bounds, ranked = np.empty(m, np.uint64), np.empty(m + 1, np.int64), np.empty(m, np.int64)
    ids = np.empty(len(codes) * (1 + count), np.uint64)
    states = (stream(*np.atleast_1d(s).tolist()) for s in streams)
    sqlrank.plan()(codes, levels, lists, count, seen, *laws, swap_negatives, *states, users, bounds, ranked, ids)
    parts = [ids[a:b].astype(int).tolist() for a, b in pairwise(bounds)]
    return [(int(u), p[:n], p[n:]) for u, p, n in zip(users, parts, ranked.tolist())]


def uniform_p_value(found: Counter, support: list) -> float:
    """Chi-square over the full support; an impossible outcome has p = 0."""
    if set(found) - set(support):
        return 0.0
    expected = sum(found.values()) / len(support)
    statistic = sum((found[x] - expected) ** 2 / expected for x in support)
    return float(chi2.sf(statistic, len(support) - 1))


def test_ties_are_broken_uniformly_and_afresh() -> None:
    lists = planned([[3, 7, 9, 20]] * 6000)
    orders = Counter(tuple(observed) for _, observed, _ in lists)
    support = list(permutations([3, 7, 9, 20]))
    assert uniform_p_value(orders, support) > ALPHA
    assert uniform_p_value(Counter({(3, 7, 9, 20): 6000}), support) < ALPHA  # the control: no queuing
    assert [x[1] for x in lists] != [x[1] for x in planned([[3, 7, 9, 20]] * 6000, streams=(9, 2, 3))]


def test_order_follows_the_ratings_and_only_ties_move() -> None:
    lists = planned([[3, 7, 9, 20, 21]] * 6000, [[2, 5, 2, 4, 2]] * 6000)
    support = [(7, 20, *tail) for tail in permutations([3, 9, 21])]
    assert uniform_p_value(Counter(tuple(x[1]) for x in lists), support) > ALPHA
    assert uniform_p_value(Counter(tuple(x[1]) for x in planned([[3, 7, 9, 20, 21]] * 6000)), support) < ALPHA


def test_long_lists_are_dealt_uniformly_and_keep_their_order() -> None:
    rows, values = [[0, 1, 2, 3, 4]] * 5000, [[9, 8, 8, 2, 1]] * 5000
    lists = planned(rows, values, longest=3)
    assert len(lists) == 10_000
    rank = {0: 0, 1: 1, 2: 1, 3: 2, 4: 3}
    assert all([rank[i] for i in x[1]] == sorted(rank[i] for i in x[1]) for x in lists)
    threes = Counter(tuple(sorted(x[1])) for x in lists if len(x[1]) == 3)
    assert sum(threes.values()) == 5000
    assert uniform_p_value(threes, list(combinations(range(5), 3))) > ALPHA
    both = Counter(tuple(x[1]) for x in lists if {1, 2} <= set(x[1]))
    ones = sum(n for k, n in both.items() if k.index(1) < k.index(2))
    assert fits(ones, sum(both.values()), 0.5)
    assert Counter(len(x[1]) for x in planned(rows, None, longest=2)) == {2: 10_000, 1: 5000}
    pairs = Counter(tuple(x[1]) for x in planned(rows, None, longest=2) if len(x[1]) == 2)
    assert uniform_p_value(pairs, list(permutations(range(5), 2))) > ALPHA


def test_each_epoch_has_every_pair_once_and_unseen_items_behind() -> None:
    g = np.random.default_rng(0)
    rows = [np.sort(g.choice(40, n, replace=False)).tolist() for n in g.integers(1, 30, 200)]
    lists = planned(rows, longest=7, count=3)
    mine: dict[int, list[int]] = {}
    for user, observed, others in lists:
        mine.setdefault(user, []).extend(observed)
        assert len(observed) <= 7
        assert len(others) == 3 * len(observed)
        assert not set(others) & set(rows[user])
    assert {u: sorted(x) for u, x in mine.items()} == dict(enumerate(rows))
    assert [x[0] for x in lists] != sorted(x[0] for x in lists)
    firsts = Counter(planned([[1]] * 6, streams=((s, 4), 2, 3))[0][0] for s in range(3000))
    assert uniform_p_value(firsts, list(range(6))) > ALPHA
    unseen = Counter(i for _, _, others in planned([[0, 5]] * 3000, items=9, count=2) for i in others)
    assert uniform_p_value(unseen, [1, 2, 3, 4, 6, 7, 8]) > ALPHA


def test_who_has_everything_has_nothing_behind() -> None:
    found = {x[0]: x for x in planned([[0, 1, 2], [1]], items=3, count=2)}
    assert found[0][2] == []
    assert len(found[1][2]) == 2


def fits(hits: int, n: int, chance: float) -> bool:
    return 2 * min(binom.cdf(hits, n, chance), binom.sf(hits - 1, n, chance)) > ALPHA


@pytest.mark.parametrize("swap_negatives", [False, True])
def test_a_list_is_swapped_once_for_its_user_and_once_for_each_place(swap_negatives) -> None:
    rows = [[u % 300, 300 + u % 100] for u in range(20_000)]
    words = {"items": 4000, "count": 2}
    p0 = (0.05, 0.2)
    plain, swapped = planned(rows, **words), planned(rows, **words, p0=p0, swap_negatives=swap_negatives)
    users = sum(x[0] != y[0] for x, y in zip(plain, swapped))
    observed = [[a != b for a, b in zip(x[1], y[1])] for x, y in zip(plain, swapped)]
    others = sum(a != b for x, y in zip(plain, swapped) for a, b in zip(x[2], y[2]))
    for hits, n, chance in (
        (users, 20_000, p0[0]),
        (sum(map(sum, observed)), 40_000, p0[1]),
        (sum(map(all, observed)), 20_000, p0[1] ** 2),
        (sum(o[0] and x[0] != y[0] for o, x, y in zip(observed, plain, swapped)), 20_000, p0[0] * p0[1]),
    ):
        assert fits(hits, n, chance)
        assert not fits(0, n, chance)  # the control: a kernel that ignores SSE
    assert fits(others, 80_000, p0[1]) if swap_negatives else others == 0
    everyone = planned(rows, **words, p0=(1.0, 1.0))
    assert all(x[0] != y[0] and x[1][0] != y[1][0] for x, y in zip(plain, everyone))


def test_streams_do_not_touch_each_other() -> None:
    rows = [[1, 2, 3]] * 50
    plain, swapped = planned(rows, count=2), planned(rows, count=2, p0=(0.5, 0.9))
    assert [x[2] for x in plain] == [x[2] for x in swapped]
    others = planned(rows, count=2, streams=(1, 2, 7))
    assert [x[:2] for x in plain] == [x[:2] for x in others]
    assert [x[2] for x in plain] != [x[2] for x in others]


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("longest", [1, 4, None])
def test_epoch_is_its_plan_and_then_the_updates(dropout, longest) -> None:
    g = np.random.default_rng(2)
    rows = [np.sort(g.choice(ITEMS, n, replace=False)).tolist() for n in (1, 5, 9, 14, 3, 2, 8, 20, 6)]
    values = [g.integers(1, 6, len(r)).tolist() for r in rows]
    codes, levels, lists, seen = sample(rows, values, ITEMS, longest)
    laws = swaps(build_law(USERS), 0.3), swaps(build_law(ITEMS), 0.2)
    start = tables(3)
    one, two, rates = start.copy(), start.copy(), constants(dropout=dropout)
    states = [stream(s) for s in (1, 2, 3, 4)]
    total = sqlrank.epoch(WIDTH)(codes, levels, lists, 2, seen, *laws, True, one.P, one.Q, *rates, *states)
    words = {"items": ITEMS, "longest": longest, "count": 2, "p0": (0.3, 0.2), "swap_negatives": True}
    plan = planned(rows, values, **words)
    again = run(
        [x[0] for x in plan], [np.array(x[1] + x[2]) for x in plan], [len(x[1]) for x in plan], two,
        int(states[3]), dropout=dropout,
    )  # fmt: skip
    assert np.array_equal(one.P, two.P)
    assert np.array_equal(one.Q, two.Q)
    assert total == again
    assert not np.allclose(one.Q, start.Q, atol=1e-4)


def test_lists_cover_users_evenly() -> None:
    g = np.random.default_rng(0)
    users = np.sort(g.integers(0, 20, 300))
    for longest in (1, 3, 7, 1000, None):
        lists = lists_of(users, longest)
        assert np.array_equal(np.repeat(lists["user"], lists["size"]), users)
        assert np.array_equal(lists["start"], np.cumsum(lists["size"]) - lists["size"])
        for u in np.unique(users):
            sizes = lists["size"][lists["user"] == u]
            assert len(sizes) == (1 if longest is None else -(-int((users == u).sum()) // longest))
            assert np.ptp(sizes) <= 1
    assert len(lists_of(np.array([], dtype=np.int64), 3)) == 0
