"""Bad input by the dozen: the class of the error, and that the message says what and where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from torchsse.errors import GraphError, IdRangeError, IdTypeError
from torchsse.graph import Graph, build

NAN, INF = float("nan"), float("inf")

EDGES: list[tuple[tuple[Any, ...], type[Exception], str]] = [
    (([0, 1], [1, 3], 3), GraphError, r"edge 1 \(1 -> 3\): dst must be in 0 \.\. 2 \(num_nodes = 3\), got 3"),
    (([0, -1], [1, 0], 3), GraphError, r"edge 1 \(-1 -> 0\): src must be in 0 \.\. 2 .*got -1"),
    (([0, 7, -1], [1, 0, 9], 3), GraphError, r"edge 1 \(7 -> 0\): src .*got 7"),
    ((np.array([2**63], dtype=np.uint64), [0], 3), GraphError, r"edge 0 .*got 9223372036854775808"),
    (([0], [0], 0), GraphError, r"the graph has no nodes"),
    (([5], [5], 3), GraphError, r"edge 0 \(5 -> 5\)"),  # a self-loop, but outside
    (([0], [1], 3, [NAN]), GraphError, r"edge 0 \(0 -> 1\): weight must be in \[0, 1\] and not NaN, got nan"),
    (([0, 0], [1, 2], 3, [1, -0.5]), GraphError, r"edge 1 \(0 -> 2\): weight .*got -0\.5"),
    (([0, 0], [1, 2], 3, [1, 1.5]), GraphError, r"got 1\.5; divide by the largest weight"),
    (([0, 0], [1, 2], 3, [1, INF]), GraphError, r"edge 1 .*got inf"),
    (([0, 1], [1, 1], 3, [1, 2]), GraphError, r"edge 1 \(1 -> 1\): weight"),  # a self-loop, but weight 2
    (([0], [1], 3, [0.5, 0.5]), GraphError, r"one entry per edge, shape \(1,\), got shape \(2,\)"),
    (([0], [1], 3, 0.5), GraphError, r"got shape \(\)"),
    (([0], [1], 3, ["heavy"]), GraphError, r"weight must hold real numbers.*got dtype"),
    (([0], [1], 3, [1j]), GraphError, r"got dtype complex128"),
    (([0, 1], [1], 3), GraphError, r"src and dst must have one length, got 2 and 1"),
    (([[0], [1]], [[1], [2]], 3), GraphError, r"src must be one-dimensional, got shape \(2, 1\)"),
    ((0, 1, 3), GraphError, r"src must be one-dimensional, got shape \(\)"),
    (([0.0], [1], 3), IdTypeError, r"src must hold integer node ids .*got dtype float64"),
    (([0], torch.tensor([1.0]), 3), IdTypeError, r"dst must hold integer node ids .*got dtype float32"),
    (([True], [False], 3), IdTypeError, r"got dtype bool"),
    ((["a"], ["b"], 3), IdTypeError, r"got dtype <U1"),
    (([None], [1], 3), IdTypeError, r"got dtype object"),
    (([0], [1], -1), GraphError, r"num_nodes must be an integer of at least 0, got -1"),
    (([0], [1], 3.0), GraphError, r"num_nodes must be an integer of at least 0, got 3\.0"),
    (([0], [1], True), GraphError, r"got True"),
    (([0], [1], None), GraphError, r"got None"),
    ((np.ma.array([0, 1], mask=[False, True]), [1, 0], 3), GraphError, r"masked"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), EDGES)
def test_from_edges(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Graph.from_edges(*arguments)


def test_first_offender_is_named_beyond_the_first_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "CHUNK", 10)
    src, dst = np.zeros(50, dtype=np.int64), np.ones(50, dtype=np.int64)
    dst[[33, 47]] = 2
    with pytest.raises(GraphError, match=r"edge 33 "):
        Graph.from_edges(src, dst, 2)
    weight = np.ones(50)
    weight[[21, 22]] = NAN
    with pytest.raises(GraphError, match=r"edge 21 "):
        Graph.from_edges(src, src, 2, weight)


CSR: list[tuple[tuple[Any, ...], bool, str]] = [
    (([], []), True, r"num_nodes \+ 1 entries, got none"),
    (([1, 2], [0]), True, r"indptr must run from 0 to 1"),
    (([0, 1], []), True, r"indptr must run from 0 to 0"),
    (([0, 2, 1, 2], [1, 2]), True, r"indptr must not fall, but does after node 1"),
    (([0, 1, 1], [2]), True, r"node 0: its edge to 2 is outside 0 \.\. 1"),
    (([0, 1, 1], [-1]), True, r"node 0: its edge to -1 is outside"),
    (([0, 1, 1], [0]), True, r"node 0: its edge to 0 is a self-loop"),
    (([0, 2, 2, 2], [2, 1]), True, r"node 0: its edge to 1 is out of order"),
    (([0, 2, 2], [1, 1]), True, r"node 0: its edge to 1 is out of order or twice"),
    (([0, 1, 1], [1], [0.0]), True, r"is of a weight outside \(0, 1\]"),
    (([0, 1, 1], [1], [NAN]), True, r"is of a weight outside"),
    (([0, 1, 1], [1], [2.0]), True, r"is of a weight outside"),
    (([0, 1, 1], [1]), False, r"both directions"),
    (([0, 1, 2], [1, 0], [0.5, 0.25]), False, r"both directions with one weight"),
    (([0, 1, 2, 3], [1, 2, 0]), False, r"both directions"),
]


@pytest.mark.parametrize(("arguments", "directed", "message"), CSR)
def test_finished_arrays(arguments: tuple[Any, ...], directed: bool, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        Graph(*arguments, directed=directed)


def test_order_is_checked_across_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchsse.graph import checks

    monkeypatch.setattr(checks, "CHUNK", 2)
    Graph([0, 4, 4, 4, 4, 4], [1, 2, 3, 4], directed=True)
    with pytest.raises(GraphError, match=r"node 0: its edge to 2 is out of order"):
        Graph([0, 4, 4, 4, 4, 4], [1, 3, 2, 4], directed=True)


PATH = Graph.from_edges([0, 1], [1, 2], 3)

CALLS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: PATH.neighbors(3), IdRangeError, r"node must be in 0 \.\. 2, got 3"),
    (lambda: PATH.neighbors(-1), IdRangeError, r"got -1"),
    (lambda: PATH.neighbors(1.0), IdTypeError, r"node must be an integer, got 1\.0"),  # type: ignore[arg-type]
    (lambda: PATH.subgraph_of_active([True]), GraphError, r"boolean of shape \(3,\), got bool of shape \(1,\)"),
    (lambda: PATH.subgraph_of_active([0, 1, 1]), GraphError, r"boolean of shape \(3,\), got int64"),
]


@pytest.mark.parametrize(("call", "error", "message"), CALLS)
def test_methods(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
