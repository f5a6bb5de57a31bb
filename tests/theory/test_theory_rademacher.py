"""Rademacher complexities against brute force over all sign vectors, closed forms and inequalities."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchsse import SSE, Graph
from torchsse.errors import ConfigError, IdRangeError, IdTypeError
from torchsse.theory import expectation as expectation_module
from torchsse.theory import rademacher_complexity, rademacher_lower_bound

Array = np.ndarray[Any, Any]


def brute_force(tables: Array, matrices: list[Array], ids: Array, loss_of: Any) -> float:
    """Eq. 9 and 10 by loops: every sigma, every hypothesis, every replacement."""
    smoothed = []
    for table in tables:
        row = []
        for i, own in enumerate(ids):
            total = 0.0
            for replacement in itertools.product(*(range(len(P)) for P in matrices)):
                chance = math.prod(P[j, k] for P, j, k in zip(matrices, own, replacement))
                total += chance * loss_of(table, replacement, i)
            row.append(total)
        smoothed.append(row)
    suprema = [
        max(abs(sum(s * value for s, value in zip(sigma, row))) for row in smoothed)
        for sigma in itertools.product([-1, 1], repeat=len(ids))
    ]
    return float(np.mean(suprema))


def take(table: Array, k: tuple[int, ...], _: int) -> float:
    return float(table[k])


def test_one_table_is_brute_force_over_all_signs() -> None:
    rng = np.random.default_rng(0)
    links = Graph.from_edges([0, 1, 4], [1, 2, 3], num_nodes=6)
    sse, ids, losses = SSE(6, 0.4, graph=links, rho=20.0, exclude=[5]), np.array([0, 1, 1, 4, 5]), rng.random((3, 6))
    exact = rademacher_complexity(lambda h: losses[h], sse, ids, range(3), draws=None)
    expected = brute_force(losses, [sse.transition_matrix().numpy()], ids[:, None], take)
    assert exact.value == pytest.approx(expected, rel=1e-12)
    assert exact.exact
    assert exact.interval == (exact.value, exact.value)
    assert len(exact.suprema) == 2**4
    # control: another law is another number
    assert rademacher_complexity(lambda h: losses[h], SSE(6, 0.4), ids, range(3), draws=None).value != pytest.approx(
        expected, rel=1e-3
    )


def test_two_tables_swap_independently() -> None:
    rng = np.random.default_rng(1)
    users, items = SSE(3, 0.5), SSE(4, 0.3, graph=Graph.from_edges([0, 1], [2, 3], num_nodes=4), rho=math.inf)
    ids, losses = np.array([[0, 3], [1, 1], [2, 0], [0, 2]]), rng.normal(size=(2, 3, 4))
    exact = rademacher_complexity(lambda h: losses[h], [users, items], ids, range(2), draws=None)
    matrices = [users.transition_matrix().numpy(), items.transition_matrix().numpy()]
    assert exact.value == pytest.approx(brute_force(losses, matrices, ids, take), rel=1e-12)


def test_labels_as_codes_and_as_weights() -> None:
    rng = np.random.default_rng(2)
    sse, ids, y = SSE(4, 0.6), np.array([0, 1, 3, 3]), np.array([1, 0, 2, 1])
    losses = rng.random((3, 4, 3))
    codes = rademacher_complexity(lambda h: losses[h], sse, ids, range(3), labels=y, draws=None)
    P = sse.transition_matrix().numpy()
    expected = brute_force(losses, [P], ids[:, None], lambda table, k, i: float(table[k[0], y[i]]))
    assert codes.value == pytest.approx(expected, rel=1e-12)
    one_hot = rademacher_complexity(lambda h: losses[h], sse, ids, range(3), labels=np.eye(3)[y], draws=None)
    assert one_hot.value == pytest.approx(expected, rel=1e-12)
    pi = rng.dirichlet(np.ones(3), size=4)
    residual = rademacher_complexity(lambda h: losses[h], sse, ids, range(3), labels=np.eye(3)[y] - pi, draws=None)
    expected = brute_force(
        losses, [P], ids[:, None], lambda table, k, i: float(table[k[0], y[i]] - pi[i] @ table[k[0]])
    )
    assert residual.value == pytest.approx(expected, rel=1e-12)


def test_without_label_noise_the_residual_complexity_is_zero() -> None:
    losses, y = np.random.default_rng(3).random((5, 2)), np.array([0, 1, 1])
    estimate = rademacher_complexity(lambda _: losses, SSE(5, 0.5), [0, 1, 2], [0], labels=np.eye(2)[y] - np.eye(2)[y])
    assert estimate.value == 0.0


def test_p0_zero_is_the_ordinary_empirical_complexity() -> None:
    rng = np.random.default_rng(4)
    losses, ids = rng.random((5, 7)), np.array([6, 0, 3, 3, 2, 1])
    exact = rademacher_complexity(lambda h: losses[h], SSE(7, 0.0), ids, range(5), draws=None)
    signs = np.array(list(itertools.product([-1, 1], repeat=6)))
    assert exact.value == pytest.approx(np.abs(signs @ losses[:, ids].T).max(axis=1).mean(), rel=1e-12)
    swapped = rademacher_complexity(lambda h: losses[h], SSE(7, 0.5), ids, range(5), draws=None)
    assert swapped.value != pytest.approx(exact.value, rel=1e-3)


@pytest.mark.parametrize("examples", [3, 8])
def test_equal_rows_leave_a_random_walk(examples: int) -> None:
    """SSE-SE at p0 = (N - 1) / N: all rows are 1 / N, and Rad = max |mean loss| E|sum of signs|."""
    losses = np.random.default_rng(5).normal(size=(4, examples))
    sse = SSE(examples, (examples - 1) / examples)
    exact = rademacher_complexity(lambda h: losses[h], sse, np.arange(examples), range(4), draws=None)
    walk = examples * math.comb(examples - 1, examples // 2) / 2 ** (examples - 1)
    assert exact.value == pytest.approx(np.abs(losses.mean(axis=1)).max() * walk, rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(2, 8), hypotheses=st.integers(1, 6), p0=st.floats(0.0, 1.0))
def test_a_doubly_stochastic_law_contracts(seed: int, size: int, hypotheses: int, p0: float) -> None:
    rng = np.random.default_rng(seed)
    shuffles = [np.eye(size)[rng.permutation(size)] for _ in range(3)]
    P = np.tensordot(rng.dirichlet(np.ones(3)), shuffles, axes=1)
    losses, ids = rng.normal(size=(hypotheses, size)), np.arange(size)
    plain, symmetric, mixed = (
        rademacher_complexity(lambda h: losses[h], sse, ids, range(hypotheses), draws=None).value
        for sse in (SSE(size, 0.0), SSE(size, p0), SSE(size, p0, transition=P))
    )
    assert symmetric <= plain * (1 + 1e-9)
    assert mixed <= plain * (1 + 1e-9)


def test_control_a_law_that_gathers_on_one_row_does_not_contract() -> None:
    P = np.zeros((6, 6))
    P[:, 0] = 1.0
    losses = np.array([[10.0, 1, 1, 1, 1, 1]])
    plain, gathered = (
        rademacher_complexity(lambda h: losses[h], sse, np.arange(6), [0], draws=None).value
        for sse in (SSE(6, 0.0), SSE(6, transition=P))
    )
    assert gathered > 1.5 * plain


def test_intervals_hold_the_exact_value() -> None:
    losses, ids = np.random.default_rng(6).random((6, 10)), np.arange(10)
    sse = SSE(10, 0.3)
    exact = rademacher_complexity(lambda h: losses[h], sse, ids, range(6), draws=None).value
    inside = 0
    for seed in range(200):
        drawn = rademacher_complexity(lambda h: losses[h], sse, ids, range(6), draws=200, confidence=0.9, seed=seed)
        inside += drawn.interval[0] <= exact <= drawn.interval[1]
    assert 160 <= inside <= 197  # 180 expected, sd 4.2


def test_seeds_repeat_and_differ() -> None:
    losses = torch.rand(10, generator=torch.Generator().manual_seed(0), requires_grad=True)
    one, same, other = (
        rademacher_complexity(lambda _: losses, SSE(10, 0.1), np.arange(10), [0], draws=50, seed=seed)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.suprema, same.suprema)
    assert one.value != other.value
    assert float(one) == one.value


def test_an_exact_maximiser_gives_the_complexity_and_a_lazy_one_less() -> None:
    rng = np.random.default_rng(7)
    losses, ids, y = rng.normal(size=(5, 6, 3)), np.array([0, 2, 2, 5]), np.array([0, 1, 0, 1])
    sse = SSE(6, 0.4)
    exact = rademacher_complexity(lambda h: losses[h], sse, ids, range(5), labels=y, draws=None)

    def best(c: Array) -> float:
        return float(np.abs((losses * c).sum(axis=(1, 2))).max())

    found = rademacher_lower_bound(best, sse, ids, labels=y, num_labels=3, draws=None)
    np.testing.assert_allclose(found.suprema, exact.suprema, rtol=1e-10)
    assert found.lower_bound
    assert not exact.lower_bound
    lazy = rademacher_lower_bound(lambda c: float((losses[0] * c).sum()), sse, ids, labels=y, num_labels=3, draws=None)
    assert lazy.value < exact.value
    # the same signs for the same seed, so that the two compare
    drawn = rademacher_lower_bound(best, sse, ids, labels=y, num_labels=3, draws=20, seed=3)
    assert drawn.exact is False
    assert drawn.interval[0] < drawn.value < drawn.interval[1]


def test_the_maximiser_sees_the_product_law() -> None:
    users, items, ids = SSE(3, 0.5), SSE(4, 0.2), np.array([[0, 1], [2, 3], [2, 3]])
    losses = np.random.default_rng(8).normal(size=(3, 4))
    exact = rademacher_complexity(lambda _: losses, [users, items], ids, [0], draws=None)
    found = rademacher_lower_bound(lambda c: float((losses * c).sum()), [users, items], ids, draws=None)
    np.testing.assert_allclose(found.suprema, exact.suprema, rtol=1e-10)


def test_a_million_rows_need_no_matrix() -> None:
    size = 1_000_000
    losses = np.linspace(0, 1, size)
    estimate = rademacher_complexity(lambda h: losses**h, SSE(size, 0.5), np.arange(0, size, 10_000), [1, 2], draws=10)
    assert 0 < estimate.value < 100


GOOD: dict[str, Any] = {"sse": SSE(4, 0.1), "ids": [0, 1], "hypotheses": [0]}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"hypotheses": []}, ConfigError, "at least one hypothesis"),
        ({"ids": [0.0, 1.0]}, IdTypeError, "float64"),
        ({"ids": [0, 4]}, IdRangeError, r"table 0 must be in 0 \.\. 3, got 4"),
        ({"ids": [[0, 1]]}, ConfigError, r"shape \(n,\)"),
        ({"ids": np.zeros(0, int)}, ConfigError, "n >= 1"),
        ({"sse": []}, ConfigError, "empty"),
        ({"sse": [SSE(4, 0.1), SSE(4, 0.1)]}, ConfigError, r"\(n, 2\)"),
        ({"labels": [0]}, ConfigError, r"\(2,\) integers"),
        ({"labels": [0, -1]}, IdRangeError, "-1"),
        ({"labels": [0, 1]}, ConfigError, r"\(4, 2 or more\), got \(4,\)"),
        ({"draws": 1}, ConfigError, "at least 2"),
        ({"draws": None, "ids": [0] * 21}, ConfigError, "n <= 20"),
        ({"confidence": 1.0}, ConfigError, "confidence"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        rademacher_complexity(lambda _: np.arange(4.0), **{**GOOD, **change})


@pytest.mark.parametrize("table", [np.arange(5.0), np.zeros((4, 2)), np.array([0, 1, np.nan, 2]), 3.0])
def test_a_loss_table_that_does_not_fit_is_named(table: Any) -> None:
    with pytest.raises(ConfigError, match="loss table"):
        rademacher_complexity(lambda _: table, **GOOD)


def test_a_maximiser_must_return_a_number() -> None:
    with pytest.raises(ConfigError, match="maximiser"):
        rademacher_lower_bound(lambda _: math.inf, SSE(4, 0.1), [0], draws=2)


def test_the_product_of_large_tables_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    large = [SSE(100_000, 0.1), SSE(100_000, 0.1)]
    with pytest.raises(ConfigError, match=r"74\.5 GiB"):
        rademacher_lower_bound(lambda c: float(c.sum()), large, [[0, 0]])
    monkeypatch.setattr(expectation_module, "MAX_TABLE_BYTES", 100)
    with pytest.raises(ConfigError, match="limit"):
        rademacher_complexity(lambda _: np.zeros((4, 4)), [SSE(4, 0.1), SSE(4, 0.1)], [[0, 0]], [0])
