"""The class itself: frozen, picklable, light to import."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from graph_oracle import as_dict

from torchsse.graph import Graph


@pytest.fixture
def graph() -> Graph:
    return Graph.from_edges([0, 0, 3], [1, 2, 0], 5, [0.5, 1, 0.25], directed=True)


def test_frozen(graph: Graph) -> None:
    for name in ("indptr", "indices", "weights", "directed", "num_nodes", "_indices", "new"):
        with pytest.raises(AttributeError):
            setattr(graph, name, None)
    with pytest.raises(AttributeError, match="frozen"):
        del graph._indices
    for array in (graph.indptr, graph.indices, graph.weights, *graph.neighbors(0)):
        assert array is not None
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_finished_arrays_are_copied() -> None:
    indptr, indices = np.array([0, 1, 1], dtype=np.int32), np.array([1], dtype=np.int32)
    graph = Graph(indptr, indices, directed=True)
    indptr[:], indices[:] = 0, 0
    assert as_dict(graph) == {(0, 1): 1.0}
    assert indptr.flags.writeable
    assert graph.indices.dtype == np.int32


def test_identity(graph: Graph) -> None:
    twin = Graph(graph.indptr, graph.indices, graph.weights, directed=True)
    assert graph == graph
    assert graph != twin
    assert len({graph, twin}) == 2


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(graph: Graph, protocol: int) -> None:
    back = pickle.loads(pickle.dumps(graph, protocol))  # noqa: S301
    assert as_dict(back) == as_dict(graph)
    assert back.directed is graph.directed
    assert back.weights.dtype == graph.weights.dtype
    with pytest.raises(AttributeError):
        back.directed = False


def test_pickle_and_copies_of_a_memory_map(graph: Graph, tmp_path: Path) -> None:
    graph.save(tmp_path / "g")
    mapped = Graph.load(tmp_path / "g", mmap=True)
    data = pickle.dumps(mapped)
    assert copy.deepcopy(mapped) is mapped
    del mapped
    for file in (tmp_path / "g").iterdir():
        file.unlink()
    back = pickle.loads(data)  # noqa: S301
    assert as_dict(back) == as_dict(graph)
    assert "memory-mapped" not in repr(back)


def test_copies_inside_a_module(graph: Graph) -> None:
    module = torch.nn.Linear(1, 1)
    module.graph = graph  # type: ignore[assignment]
    assert copy.deepcopy(module).graph is graph
    assert copy.copy(graph) is graph


def test_repr(graph: Graph, tmp_path: Path) -> None:
    assert repr(graph) == "Graph(num_nodes=5, num_edges=3, directed, float64 weights)"
    graph.save(tmp_path / "g")
    assert f"memory-mapped from {str(tmp_path / 'g')!r}" in repr(Graph.load(tmp_path / "g", mmap=True))


def test_edges_and_to_scipy(graph: Graph) -> None:
    src, dst, weights = graph.edges()
    assert weights is not None
    assert dict(zip(zip(src.tolist(), dst.tolist()), weights.tolist())) == as_dict(graph)
    matrix = graph.to_scipy()
    assert matrix.dtype == np.float64
    dense = matrix.toarray()
    assert {(a, b): dense[a, b] for a, b in np.argwhere(dense).tolist()} == as_dict(graph)
    assert as_dict(Graph.from_scipy(matrix, weighted=True, directed=True)) == as_dict(graph)
    assert not np.array_equal(dense, dense.T)


HEAVY = ("scipy", "networkx", "pyarrow", "numba", "torch_geometric", "pandas")


def test_import_is_light() -> None:
    """With a control: the same check must fail once scipy is imported."""
    code = f"""
import sys, torch, numpy
before = set(sys.modules)
def heavy():
    return sorted(m for m in set(sys.modules) - before if m.split(".")[0] in {HEAVY!r})
import torchsse.graph
assert not heavy(), heavy()
import scipy.sparse
assert heavy()
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
