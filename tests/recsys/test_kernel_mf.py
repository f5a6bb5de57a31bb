"""The fused kernel against a plain float64 loop, and its shuffle and coins against their laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given as given_values
from hypothesis import settings
from hypothesis import strategies as st
from scipy.stats import binom, chi2

from torchsse.recsys.factors import Factors
from torchsse.recsys.kernels import mf
from torchsse.recsys.kernels.draw import COIN_BITS, swaps
from torchsse.recsys.kernels.rng import GOLDEN, _mix, stream
from torchsse.recsys.sgd import examples_of
from torchsse.transition import build_law

ALPHA = 1e-6
WIDTH, USERS, ITEMS = 16, 9, 7


def tables(seed: int, factors: int = 12, std: float = 0.5) -> Factors:
    out = Factors.initial(USERS, ITEMS, factors, std, seed)
    g = np.random.default_rng(seed)
    out.bu[:], out.bi[:] = g.normal(size=USERS), g.normal(size=ITEMS)
    return out


def constants(mean=3.0, rate=0.05, decay=0.1, bias_decay=0.03, biases=True, dropout=0.0):
    f = np.float32
    drop, scale = np.uint64(round(dropout * 2**COIN_BITS)), f(1 / (1 - dropout))
    return f(mean), f(rate), f(rate * decay), f(rate * bias_decay), biases, drop, scale


def reference(users, items, ratings, t: Factors, factors: int, mean, rate, decay, bias_decay, biases, dropout, mask):
    """Per-example SGD in float64, as the class docstring of MatrixFactorization states it."""
    P, Q, bu, bi = (x.astype(np.float64) for x in (t.P, t.Q, t.bu, t.bi))
    total, state, threshold = 0.0, int(mask), round(dropout * 2**COIN_BITS)
    for u, i, r in zip(users, items, ratings):
        ma = mb = np.ones(WIDTH)
        if dropout:
            state = (state + int(GOLDEN)) % 2**64
            words = [_mix((_mix(state) + f * int(GOLDEN)) % 2**64) for f in range(WIDTH)]
            ma = np.array([(w & 0xFFFFFFFF) >= threshold for w in words]) / (1 - dropout)
            mb = np.array([(w >> 32) >= threshold for w in words]) / (1 - dropout)
        a, b = P[u].copy(), Q[i].copy()
        e = r - mean - (a * ma) @ (b * mb)
        if biases:
            e -= bu[u] + bi[i]
            bu[u] += rate * (e - bias_decay * bu[u])
            bi[i] += rate * (e - bias_decay * bi[i])
        P[u] += rate * (e * ma * mb * b - decay * a)
        Q[i] += rate * (e * ma * mb * a - decay * b)
        total += e * e
    return P, Q, bu, bi, total


@settings(max_examples=40, deadline=None)
@given_values(
    seed=st.integers(0, 10**6),
    n=st.integers(0, 150),
    rate=st.floats(0.001, 0.1),
    decay=st.floats(0, 0.5),
    bias_decay=st.floats(0, 0.5),
    biases=st.booleans(),
    dropout=st.sampled_from([0.0, 0.1, 0.5, 0.9]),
)
def test_update_equals_the_float64_loop(seed, n, rate, decay, bias_decay, biases, dropout) -> None:
    g = np.random.default_rng(seed)
    users, items = g.integers(0, USERS, n).astype(np.uint64), g.integers(0, ITEMS, n).astype(np.uint64)
    ratings = g.integers(1, 6, n).astype(np.float32)
    t = tables(seed, std=0.2)
    words = {"rate": rate, "decay": decay, "bias_decay": bias_decay, "biases": biases, "dropout": dropout, "mean": 3.0}
    expected = reference(users.astype(int), items.astype(int), ratings, t, 12, **words, mask=seed)
    total = mf.given(WIDTH)(users, items, ratings, t.P, t.Q, t.bu, t.bi, *constants(**words), np.uint64(seed))
    for found, wanted in zip((t.P, t.Q, t.bu, t.bi), expected):
        np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(total, expected[-1], rtol=1e-3, atol=1e-3)
    assert not t.P[:, 12:].any()
    assert not t.Q[:, 12:].any()


def plan_of(p0_user, p0_item, n=500, seed=3, order=11, coin=13):
    g = np.random.default_rng(seed)
    examples = examples_of(g.integers(0, USERS, n), g.integers(0, ITEMS, n), g.integers(1, 6, n))
    laws = swaps(build_law(USERS), p0_user), swaps(build_law(ITEMS), p0_item)
    users, items, ratings = np.empty(n, np.uint64), np.empty(n, np.uint64), np.empty(n, np.float32)
    shuffled = examples.copy()
    mf.plan()(shuffled, *laws, np.uint64(order), np.uint64(coin), users, items, ratings)
    return examples, shuffled, laws, users.astype(np.int64), items.astype(np.int64), ratings


@pytest.mark.parametrize("n", [1, 63, 64, 65, 500])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_epoch_is_its_plan_and_then_the_updates(n: int, dropout: float) -> None:
    examples, shuffled, laws, users, items, ratings = plan_of(0.3, 0.2, n)
    words, mask = constants(dropout=dropout), np.uint64(5)
    one, two = tables(1), tables(1)
    total = mf.epoch(WIDTH)(examples, *laws, one.P, one.Q, one.bu, one.bi, *words, np.uint64(11), np.uint64(13), mask)
    again = mf.given(WIDTH)(
        users.astype(np.uint64), items.astype(np.uint64), ratings, two.P, two.Q, two.bu, two.bi, *words, mask
    )
    assert np.array_equal(examples, shuffled)
    for a, b in zip((one.P, one.Q, one.bu, one.bi), (two.P, two.Q, two.bu, two.bi)):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    assert total == pytest.approx(again, rel=1e-4)
    if n == 500:  # a kernel without SSE would not pass
        _, _, _, unswapped, _, _ = plan_of(0.0, 0.0, n)
        assert not np.array_equal(unswapped, users)


def test_plan_keeps_every_example() -> None:
    before, after, _, users, items, ratings = plan_of(0.0, 0.0)
    assert sorted(before.tolist()) == sorted(after.tolist())
    assert not np.array_equal(before, after)
    assert np.array_equal(after["user"], users)
    assert np.array_equal(after["item"], items)
    assert np.array_equal(after["rating"], ratings)


def test_every_order_is_equally_likely() -> None:
    orders: dict[tuple[float, ...], int] = {}
    runs = 12_000
    laws = swaps(build_law(USERS), 0.0), swaps(build_law(ITEMS), 0.0)
    ids, ratings = np.empty((2, 4), np.uint64), np.empty(4, np.float32)
    for run in range(runs):
        examples = examples_of(np.zeros(4), np.zeros(4), np.arange(4))
        mf.plan()(examples, *laws, stream(run), np.uint64(0), ids[0], ids[1], ratings)
        key = tuple(ratings.tolist())
        orders[key] = orders.get(key, 0) + 1
    assert len(orders) == 24
    statistic = sum((count - runs / 24) ** 2 / (runs / 24) for count in orders.values())
    assert chi2.sf(statistic, 23) > ALPHA


def rates_fit(swapped: int, n: int, p0: float) -> bool:
    return 2 * min(binom.cdf(swapped, n, p0), binom.sf(swapped - 1, n, p0)) > ALPHA


def test_coins_fall_as_often_as_asked_and_apart() -> None:
    n, p0 = 200_000, (0.02, 0.3)
    _, after, _, users, items, _ = plan_of(*p0, n=n)
    moved_user, moved_item = users != after["user"], items != after["item"]
    assert rates_fit(moved_user.sum(), n, p0[0])
    assert rates_fit(moved_item.sum(), n, p0[1])
    assert rates_fit((moved_user & moved_item).sum(), n, p0[0] * p0[1])
    assert not rates_fit(0, n, p0[0])  # the control: a kernel that ignores SSE
    _, after, _, users, items, _ = plan_of(1.0, 1.0, n=n)
    assert (users != after["user"]).all()
    assert (items != after["item"]).all()


def test_a_coin_for_every_row() -> None:
    p0 = np.linspace(0, 1, USERS)
    _, after, _, users, _, _ = plan_of(p0, 0.0, n=200_000)
    for user in range(USERS):
        rows = after["user"] == user
        assert rates_fit((users != after["user"])[rows].sum(), int(rows.sum()), p0[user])


def test_coins_do_not_touch_the_order() -> None:
    assert np.array_equal(plan_of(0.0, 0.0)[1], plan_of(0.5, 0.9)[1])


def test_divergence_is_seen() -> None:
    examples, _, laws, *_ = plan_of(0.0, 0.0)
    t = tables(0)
    words = constants(rate=50.0)
    with np.errstate(all="ignore"):
        totals = [
            mf.epoch(WIDTH)(examples, *laws, t.P, t.Q, t.bu, t.bi, *words, np.uint64(e), np.uint64(e), np.uint64(e))
            for e in range(3)
        ]
    assert not np.isfinite(totals[-1])
