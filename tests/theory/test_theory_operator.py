"""Products with P against the dense transition matrix, for every kind of law."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchsse import SSE, Graph, Walk
from torchsse.errors import ConfigError
from torchsse.theory import transition_operator

SIZE = 9


def graph(seed: int, directed: bool = False, weight: str = "various") -> Graph:
    rng = np.random.default_rng(seed)
    edges = rng.integers(SIZE, size=(2, 14))
    weights = {"various": rng.uniform(0.1, 1.0, 14), "equal": np.full(14, 0.5), "none": None}[weight]
    return Graph.from_edges(edges[0], edges[1], num_nodes=SIZE, weight=weights, directed=directed)


def matrix(seed: int) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    P = rng.random((SIZE, SIZE)) * (rng.random((SIZE, SIZE)) < 0.5) + np.eye(SIZE) * 0.1
    return np.asarray(P / P.sum(axis=1, keepdims=True))


RULES: dict[str, dict[str, Any]] = {
    "complete": {},
    "complete, excluded": {"exclude": [0, 4]},
    "one active id": {"exclude": list(range(1, SIZE))},
    "graph": {"graph": graph(1, weight="none"), "rho": 30.0},
    "graph, equal weights": {"graph": graph(2, weight="equal"), "rho": 7.0, "exclude": [3]},
    "graph, weights, directed": {"graph": graph(3, directed=True), "rho": 50.0, "exclude": [1, 8]},
    "graph, rho inf": {"graph": graph(4), "rho": math.inf, "exclude": [2]},
    "graph, one active id": {"graph": graph(4), "rho": 3.0, "exclude": list(range(1, SIZE))},
    "no edges, rho inf": {"graph": Graph.from_edges([], [], num_nodes=SIZE), "rho": math.inf},
    "walk": {"graph": graph(5), "walk": Walk(1)},
    "walk, restart, loops": {"graph": graph(6, directed=True), "walk": Walk(4, restart=0.2, self_loop=0.3)},
    "walk, excluded": {"graph": graph(7, weight="equal"), "walk": Walk(3, restart=0.1), "exclude": [0, 5]},
    "matrix": {"transition": matrix(8)},
}


@pytest.mark.parametrize("p0", [0.0, 0.37, 1.0])
@pytest.mark.parametrize("rule", RULES)
def test_products_are_those_of_the_matrix(rule: str, p0: float) -> None:
    sse = SSE(SIZE, p0, **RULES[rule])
    P, operator = sse.transition_matrix().numpy(), transition_operator(sse)
    x = np.random.default_rng(0).normal(size=(SIZE, 3))
    np.testing.assert_allclose(operator.matvec(x), P @ x, atol=1e-12)
    np.testing.assert_allclose(operator.rmatvec(x), P.T @ x, atol=1e-12)
    np.testing.assert_allclose(operator.matvec(np.eye(SIZE)), P, atol=1e-12)
    np.testing.assert_allclose(operator.rmatvec(x[:, 0]), P.T @ x[:, 0], atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), rho=st.floats(1.0, 1e6), p0=st.floats(0.0, 1.0), data=st.data())
def test_rows_sum_to_one_and_the_transpose_is_the_transpose(seed: int, rho: float, p0: float, data: Any) -> None:
    exclude = data.draw(st.lists(st.integers(0, SIZE - 1), unique=True))
    operator = transition_operator(SSE(SIZE, p0, graph=graph(seed, directed=True), rho=rho, exclude=exclude))
    x, y = np.random.default_rng(seed).normal(size=(2, SIZE))
    np.testing.assert_allclose(operator.matvec(np.ones(SIZE)), 1.0, rtol=1e-12)
    np.testing.assert_allclose(y @ operator.matvec(x), x @ operator.rmatvec(y), atol=1e-12)


def test_control_a_directed_graph_tells_p_from_its_transpose() -> None:
    operator = transition_operator(SSE(SIZE, 0.5, **RULES["graph, weights, directed"]))
    x = np.arange(float(SIZE))
    assert not np.allclose(operator.matvec(x), operator.rmatvec(x))


def test_a_law_is_taken_at_p0_one_and_p0_is_read_once() -> None:
    sse = SSE(SIZE, 0.25)
    x = np.arange(float(SIZE))
    before = transition_operator(sse)
    expected = before.matvec(x)
    np.testing.assert_allclose(0.25 * transition_operator(sse.law).matvec(x) + 0.75 * x, expected)
    sse.p0 = 0.5
    np.testing.assert_array_equal(before.matvec(x), expected)
    assert not np.allclose(transition_operator(sse).matvec(x), expected)


def test_any_trailing_axes_tensors_and_views() -> None:
    operator = transition_operator(SSE(SIZE, 0.3, **RULES["walk, restart, loops"]))
    x = torch.arange(SIZE * 6, dtype=torch.float32).reshape(3, 2, SIZE).movedim(2, 0)
    np.testing.assert_allclose(operator.matvec(x), operator.matvec(x.reshape(SIZE, 6)).reshape(SIZE, 3, 2), atol=1e-12)


def test_input_stays_as_it_was() -> None:
    x = np.arange(float(SIZE))
    for rule in RULES.values():
        operator = transition_operator(SSE(SIZE, 0.5, **rule))
        operator.matvec(x)
        operator.rmatvec(x)
    np.testing.assert_array_equal(x, np.arange(float(SIZE)))


def test_memory_grows_with_edges_not_with_the_square() -> None:
    size, rng = 200_000, np.random.default_rng(0)
    links = Graph.from_edges(*rng.integers(size, size=(2, 400_000)), num_nodes=size)
    sse = SSE(size, 0.1, graph=links, rho=100.0)
    tracemalloc.start()
    operator = transition_operator(sse)
    operator.matvec(operator.rmatvec(np.ones(size)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * (size + links.num_edges)


@pytest.mark.parametrize("wrong", [3, "sse", None, [SSE(3, 0.1)]])
def test_what_is_no_sse_is_named(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=type(wrong).__name__):
        transition_operator(wrong)


def test_another_number_of_rows_is_named() -> None:
    with pytest.raises(ConfigError, match=r"9 rows.*\(8, 2\)"):
        transition_operator(SSE(SIZE, 0.1)).matvec(np.ones((8, 2)))
