"""The fused BPR kernel against a plain float64 loop; its negatives, coins and order against their laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given as given_values
from hypothesis import settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.stats import binom, chi2

from torchsse.recsys.bpr_sgd import pairs_of
from torchsse.recsys.factors import Factors
from torchsse.recsys.kernels import bpr
from torchsse.recsys.kernels.draw import swaps
from torchsse.recsys.kernels.negatives import Seen, draw_negatives, seen_pairs
from torchsse.recsys.kernels.rng import GOLDEN, _mix, stream
from torchsse.transition import build_law

ALPHA = 1e-6  # per comparison; the seeds are fixed, so a run either always passes or never
WIDTH, RANK, USERS, ITEMS = 16, 12, 9, 7


def tables(seed: int, std: float = 0.3) -> Factors:
    out = Factors.initial(USERS, ITEMS, RANK, std, seed)
    out.bi[:] = np.random.default_rng(seed).normal(size=ITEMS)
    return out


def constants(rate=0.05, decay=0.1, bias_decay=0.03, biases=True, dropout=0.0):
    f = np.float32
    drop = np.uint64(round(dropout * 2**bpr.DROP_BITS))
    return f(rate), f(rate * decay), f(rate * bias_decay), biases, drop, f(1 / (1 - dropout))


def masks_of(state: int, threshold: int, dropout: float) -> tuple[int, list[np.ndarray]]:
    """The masks of a triplet's user, positive and negative, and the new state."""
    if not dropout:
        return state, [np.ones(WIDTH)] * 3
    state = (state + int(GOLDEN)) % 2**64
    words = [_mix((_mix(state) + f * int(GOLDEN)) % 2**64) for f in range(WIDTH)]
    part = (1 << bpr.DROP_BITS) - 1
    kept = [np.array([(w >> shift & part) >= threshold for w in words]) for shift in (0, 21, 42)]
    return state, [k / (1 - dropout) for k in kept]


def reference(users, items, negatives, count, hard, t: Factors, rate, decay, bias_decay, biases, dropout, mask):
    """SGD on -log sigmoid(s(u, i) - s(u, j)) in float64, as the class docstring of BPR states it."""
    P, Q, bi = (x.astype(np.float64) for x in (t.P, t.Q, t.bi))
    total, state, threshold = 0.0, int(mask), round(dropout * 2**bpr.DROP_BITS)
    for q, (u, i) in enumerate(zip(users, items, strict=True)):
        j = negatives[q]
        if hard:
            some = negatives[q * count : (q + 1) * count]
            j = some[np.argmax(Q[some] @ P[u] + biases * bi[some])]
        state, (ma, mb, mc) = masks_of(state, threshold, dropout)
        a, b, c = P[u].copy(), Q[i].copy(), Q[j].copy()
        difference = np.clip((a * ma) @ (b * mb - c * mc) + biases * (bi[i] - bi[j]), -80, 80)  # as the kernel does
        total += np.log1p(np.exp(-difference))
        if i == j:
            continue
        g = 1 / (1 + np.exp(difference))
        P[u] += rate * (g * ma * (mb * b - mc * c) - decay * a)
        Q[i] += rate * (g * ma * mb * a - decay * b)
        Q[j] += rate * (-g * ma * mc * a - decay * c)
        if biases:
            bi[i] += rate * (g - bias_decay * bi[i])
            bi[j] += rate * (-g - bias_decay * bi[j])
    return P, Q, bi, total


# derandomised: two candidates within a rounding error of each other may rank otherwise in float32
@settings(max_examples=100, deadline=None, derandomize=True)
@given_values(
    seed=st.integers(0, 10**6),
    n=st.integers(0, 60),
    count=st.integers(1, 5),
    hard=st.booleans(),
    rate=st.floats(0.001, 0.1),
    decay=st.floats(0, 0.5),
    bias_decay=st.floats(0, 0.5),
    biases=st.booleans(),
    dropout=st.sampled_from([0.0, 0.1, 0.5, 0.8]),
)
def test_update_equals_the_float64_loop(seed, n, count, hard, rate, decay, bias_decay, biases, dropout) -> None:
    g = np.random.default_rng(seed)
    samples = n if hard else n * count
    users, items = (g.integers(0, m, samples).astype(np.uint64) for m in (USERS, ITEMS))
    negatives = g.integers(0, ITEMS, n * count).astype(np.uint64)  # a positive may come up: passed over
    t = tables(seed)
    words = {"rate": rate, "decay": decay, "bias_decay": bias_decay, "biases": biases, "dropout": dropout}
    columns = (x.astype(int) for x in (users, items, negatives))
    expected = reference(*columns, count, hard, t, **words, mask=seed)
    total = bpr.given(WIDTH)(users, items, negatives, count, hard, t.P, t.Q, t.bi, *constants(**words), np.uint64(seed))
    for found, wanted in zip((t.P, t.Q, t.bi), expected, strict=False):
        np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(total, expected[-1], rtol=1e-3, atol=1e-3)
    assert not t.P[:, RANK:].any()
    assert not t.Q[:, RANK:].any()


def test_steep_differences_stay_finite() -> None:
    t = tables(0, std=40.0)
    users = np.arange(USERS, dtype=np.uint64)
    items, negatives = np.zeros(USERS, np.uint64), np.ones(USERS, np.uint64)
    total = bpr.given(WIDTH)(users, items, negatives, 1, False, t.P, t.Q, t.bi, *constants(rate=1e-6), np.uint64(0))
    assert 0 < total < 81 * USERS
    t.P[0, 0] = np.nan  # and what is not a number is not hidden
    total = bpr.given(WIDTH)(users, items, negatives, 1, False, t.P, t.Q, t.bi, *constants(), np.uint64(0))
    assert np.isnan(total)


# negatives ----------------------------------------------------------------------------------------------------------


def some_pairs(num_items: int = 70) -> csr_matrix:
    """Users with no item, one, a few, the ends, just half, more than half, all but two, and all but one."""
    rows: list[list[int]] = [[], [3], [1, 5, 40, 64, 69], [0, num_items - 1], list(range(num_items // 2))]
    rows += [list(range(10, num_items)), [i for i in range(num_items) if i not in (0, 33)], list(range(num_items - 1))]
    data = [(u, i) for u, row in enumerate(rows) for i in row]
    users, items = np.array(data).T
    return csr_matrix((np.ones(len(users)), (users, items)), shape=(len(rows), num_items))


def view(matrix: csr_matrix, bitset: bool) -> Seen:
    seen = seen_pairs(matrix.indptr, matrix.indices, matrix.shape[1], limit=1 << 20 if bitset else 0)
    assert bool(seen.words) == bitset
    return seen


def negative_counts(seen: Seen, user: int, num_items: int, draws: int = 200_000) -> np.ndarray:
    out = np.empty(draws, np.uint64)
    draw_negatives()(np.full(draws, user, np.uint64), seen, stream(1, user), out)
    return np.bincount(out.astype(np.int64), minlength=num_items)


def p_value(found: np.ndarray, expected: np.ndarray) -> float:
    """Chi-square over the full support; an impossible outcome has p = 0."""
    total, possible = found.sum(), expected > 0
    if len(found) > len(expected) or found[~possible].any():
        return 0.0
    if possible.sum() == 1:
        return 1.0
    statistic = (((found - total * expected) ** 2)[possible] / (total * expected[possible])).sum()
    return float(chi2.sf(statistic, possible.sum() - 1))


@pytest.mark.parametrize("bitset", [True, False])
@pytest.mark.parametrize("num_items", [64, 70])
def test_negatives_are_uniform_over_the_unseen(bitset, num_items) -> None:
    matrix = some_pairs(70)[:, :num_items].tocsr()
    matrix.sort_indices()
    seen = view(matrix, bitset)
    for user in range(matrix.shape[0]):
        unseen = matrix[user].toarray()[0] == 0
        if unseen.any():
            found = negative_counts(seen, user, num_items)
            assert p_value(found, unseen / unseen.sum()) > ALPHA, user


@pytest.mark.parametrize("bitset", [True, False])
def test_wrong_negatives_are_caught(bitset) -> None:
    matrix = some_pairs()
    user = 2
    unseen = matrix[user].toarray()[0] == 0
    law = unseen / unseen.sum()
    everything = csr_matrix(matrix.shape)
    assert p_value(negative_counts(view(everything, bitset), user, 70), law) < ALPHA  # positives drawn
    fewer = matrix.tolil()
    fewer[user, 69] = 0
    fewer = fewer.tocsr()
    fewer.eliminate_zeros()
    assert p_value(negative_counts(view(fewer, bitset), user, 70), law) < ALPHA  # one of them drawn
    more = matrix.tolil()
    more[user, 68] = 1
    assert p_value(negative_counts(view(more.tocsr(), bitset), user, 70), law) < ALPHA  # one item never drawn


# the plan of an epoch -----------------------------------------------------------------------------------------------


def plan_of(p0_user, p0_item, *, n=500, count=3, hard=False, swap_negatives=False, streams=(11, 13, 17), items=60):
    g = np.random.default_rng(3)
    both = np.sort(g.choice(40 * items, n, replace=False))
    users, positives = both // items, both % items
    matrix = csr_matrix((np.ones(n), (users, positives)), shape=(40, items))
    laws = swaps(build_law(40), p0_user), swaps(build_law(items), p0_item)
    pairs = pairs_of(users, positives)
    samples = n if hard else n * count
    out = [np.empty(m, np.uint64) for m in (samples, samples, n * count)]
    arguments = (count, hard, view(matrix, True), *laws, swap_negatives)
    bpr.plan()(pairs, *arguments, *(np.uint64(s) for s in streams), *out)
    return matrix, pairs, arguments, [x.astype(np.int64) for x in out]


@pytest.mark.parametrize("n", [1, 127, 128, 129, 500])
@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_epoch_is_its_plan_and_then_the_updates(n, hard, dropout) -> None:
    words = {"n": n, "hard": hard, "swap_negatives": True}
    matrix, shuffled, arguments, (users, items, negatives) = plan_of(0.3, 0.2, **words)
    start = Factors.initial(40, 60, RANK, 0.3, 1)
    one, two, rates = start.copy(), start.copy(), constants(dropout=dropout)
    pairs = pairs_of(*matrix.nonzero())
    streams = [np.uint64(s) for s in (11, 13, 17, 19)]
    total = bpr.epoch(WIDTH)(pairs, *arguments, one.P, one.Q, one.bi, *rates, *streams)
    ids = (x.astype(np.uint64) for x in (users, items, negatives))
    again = bpr.given(WIDTH)(*ids, 3, hard, two.P, two.Q, two.bi, *rates, streams[3])
    assert np.array_equal(pairs, shuffled)
    for a, b in zip((one.P, one.Q, one.bi), (two.P, two.Q, two.bi), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    assert total == pytest.approx(again, rel=1e-4)
    assert not np.allclose(one.Q, start.Q, atol=1e-4)
    if n == 500:  # a kernel without SSE would not pass
        assert all(not np.array_equal(x, y) for x, y in zip(plan_of(0.0, 0.0, **words)[3], (users, items, negatives)))
    alone = pairs_of(*matrix.nonzero())
    bpr.shuffle()(alone, streams[0])
    assert np.array_equal(alone, shuffled)


@pytest.mark.parametrize("hard", [False, True])
def test_plan_has_every_pair_with_unseen_negatives(hard) -> None:
    matrix, pairs, _, (users, items, negatives) = plan_of(0.0, 0.0, hard=hard)
    assert sorted(pairs.tolist()) == sorted(zip(*(x.tolist() for x in matrix.nonzero())))
    assert pairs.tolist() != sorted(pairs.tolist())
    each = 1 if hard else 3
    assert np.array_equal(np.repeat(pairs["user"], each), users)
    assert np.array_equal(np.repeat(pairs["item"], each), items)
    assert not matrix[np.repeat(pairs["user"], 3), negatives].any()


def rates_fit(swapped: int, n: int, p0: float) -> bool:
    return 2 * min(binom.cdf(swapped, n, p0), binom.sf(swapped - 1, n, p0)) > ALPHA


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("swap_negatives", [False, True])
def test_a_triplet_is_swapped_once_per_table(hard, swap_negatives) -> None:
    p0, n = (0.02, 0.3), 60_000
    words = {"n": n, "hard": hard, "items": 4000, "swap_negatives": swap_negatives}
    _, pairs, _, (users, items, negatives) = plan_of(*p0, **words)
    _, _, _, (_, _, drawn) = plan_of(0.0, 0.0, **words)
    each = 1 if hard else 3
    moved_user = users != np.repeat(pairs["user"], each)
    moved_item = items != np.repeat(pairs["item"], each)
    moved_negative = negatives != drawn
    for moved, chance in ((moved_user, p0[0]), (moved_item, p0[1]), (moved_user & moved_item, p0[0] * p0[1])):
        assert rates_fit(moved.sum(), n * each, chance)
        assert not rates_fit(0, n * each, chance)  # the control: a kernel that ignores SSE
    if swap_negatives:
        assert rates_fit(moved_negative.sum(), 3 * n, p0[1])
    else:
        assert not moved_negative.any()
    if not hard:  # coins of one pair's triplets are tossed apart
        assert rates_fit((moved_item[::3] & moved_item[1::3]).sum(), n, p0[1] ** 2)
    _, pairs, _, (users, items, _) = plan_of(1.0, 1.0, **words)
    assert (users != np.repeat(pairs["user"], each)).all()
    assert (items != np.repeat(pairs["item"], each)).all()


def test_streams_do_not_touch_each_other() -> None:
    plain, swapped = plan_of(0.0, 0.0), plan_of(0.5, 0.9)
    assert np.array_equal(plain[1], swapped[1])
    assert np.array_equal(plain[3][2], swapped[3][2])
    others = plan_of(0.0, 0.0, streams=(11, 13, 18))
    assert np.array_equal(plain[1], others[1])
    assert not np.array_equal(plain[3][2], others[3][2])
