"""Graph.from_edges against a dictionary of edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from graph_oracle import as_dict, oracle, transposed
from hypothesis import given, settings
from hypothesis import strategies as st

from torchsse.graph import Graph, arrays, build

ID_DTYPES = [np.int8, np.uint8, np.int32, np.int64, np.uint64]


@st.composite
def edge_lists(draw: st.DrawFn) -> tuple[int, Any, Any, Any, bool]:
    """(num_nodes, src, dst, weight or None, directed); few nodes, so that duplicates and self-loops are common."""
    num_nodes = draw(st.integers(0, 12))
    count = draw(st.integers(0, 60)) if num_nodes else 0
    node = st.integers(0, max(num_nodes - 1, 0))
    ends = [np.array(draw(st.lists(node, min_size=count, max_size=count)), dtype=np.int64) for _ in range(2)]
    src, dst = (end.astype(draw(st.sampled_from(ID_DTYPES))) for end in ends)
    values = st.one_of(st.sampled_from([0.0, 0.25, 1.0]), st.floats(0, 1, width=32))
    weight = draw(st.one_of(st.none(), st.lists(values, min_size=count, max_size=count)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return num_nodes, src, dst, None if weight is None else np.array(weight, dtype=dtype), draw(st.booleans())


@pytest.fixture(params=["one block", "many blocks"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sizes that only large graphs reach, made small: several chunks, several blocks, coarse buckets."""
    if request.param == "many blocks":
        monkeypatch.setattr(build, "CHUNK", 7)
        monkeypatch.setattr(build, "MIN_BLOCK", 5)
        monkeypatch.setattr(build, "MAX_BUCKETS", 4)
        survey = build._survey(np.arange(40) % 12, np.arange(40) % 7, 12, None, directed=True)
        assert len(list(build._blocks(survey, 12, 40, 4))) > 2


@pytest.mark.usefixtures("blocks")
class TestAgainstOracle:
    @settings(max_examples=200, deadline=None)
    @given(edge_lists())
    def test_every_edge(self, case: tuple[int, Any, Any, Any, bool]) -> None:
        num_nodes, src, dst, weight, directed = case
        graph = Graph.from_edges(src, dst, num_nodes, weight, directed=directed)
        expected = oracle(src, dst, weight, directed=directed)
        assert as_dict(graph) == expected
        assert graph.directed is directed
        assert graph.num_nodes == num_nodes
        assert graph.indptr.dtype == graph.indices.dtype == np.int32
        assert graph.is_weighted == any(value != 1 for value in expected.values())
        if graph.weights is not None:
            assert graph.weights.dtype == weight.dtype
        graph.verify()

    @settings(max_examples=100, deadline=None)
    @given(edge_lists())
    def test_order_and_duplicates_do_not_matter(self, case: tuple[int, Any, Any, Any, bool]) -> None:
        num_nodes, src, dst, weight, directed = case
        order = np.random.default_rng(0).permutation(np.tile(np.arange(len(src)), 2))
        once = Graph.from_edges(src, dst, num_nodes, weight, directed=directed)
        twice = Graph.from_edges(
            src[order], dst[order], num_nodes, None if weight is None else weight[order], directed=directed
        )
        assert as_dict(once) == as_dict(twice)

    @settings(max_examples=100, deadline=None)
    @given(edge_lists(), st.data())
    def test_subgraph_of_active(self, case: tuple[int, Any, Any, Any, bool], data: st.DataObject) -> None:
        num_nodes, src, dst, weight, directed = case
        graph = Graph.from_edges(src, dst, num_nodes, weight, directed=directed)
        active = np.array(data.draw(st.lists(st.booleans(), min_size=num_nodes, max_size=num_nodes)), dtype=bool)
        part = graph.subgraph_of_active(active)
        expected = {edge: w for edge, w in as_dict(graph).items() if active[edge[0]] and active[edge[1]]}
        assert as_dict(part) == expected
        assert (part is graph) == (len(expected) == graph.num_edges)
        part.verify()


def test_larger_graph_over_several_real_chunks() -> None:
    rng = np.random.default_rng(1)
    src, dst = rng.integers(0, 3000, 600_000), rng.integers(0, 3000, 600_000)
    weight = rng.random(600_000)
    assert len(src) > 2 * build.CHUNK
    graph = Graph.from_edges(src, dst, 3000, weight)
    dense = np.zeros((3000, 3000))
    np.maximum.at(dense, (src, dst), weight)
    dense = np.maximum(dense, dense.T)
    np.fill_diagonal(dense, 0)
    assert np.array_equal(graph.to_scipy().toarray(), dense)


# Controls: the oracle must tell apart what the tests are there to tell apart.


def test_control_transposed_graph_differs() -> None:
    graph = Graph.from_edges([0, 1, 1], [1, 2, 3], 4, directed=True)
    expected = oracle([0, 1, 1], [1, 2, 3], directed=True)
    assert as_dict(graph) == expected
    assert as_dict(graph) != transposed(expected)
    assert as_dict(graph) != oracle([0, 1, 1], [1, 2, 3], directed=False)


def test_control_the_smallest_or_the_last_duplicate_differs() -> None:
    expected = oracle([0, 0, 0], [1, 1, 1], [0.5, 0.75, 0.25], directed=True)
    graph = Graph.from_edges([0, 0, 0], [1, 1, 1], 2, [0.5, 0.75, 0.25], directed=True)
    assert as_dict(graph) == expected == {(0, 1): 0.75}


# Small and odd


@pytest.mark.parametrize("num_nodes", [0, 1, 5])
@pytest.mark.parametrize("directed", [True, False])
def test_no_edges(num_nodes: int, directed: bool) -> None:
    graph = Graph.from_edges([], [], num_nodes, directed=directed)
    assert (graph.num_nodes, graph.num_edges) == (num_nodes, 0)
    assert graph.degree().tolist() == [0] * num_nodes
    assert graph.to_scipy().shape == (num_nodes, num_nodes)
    graph.verify()


def test_one_node_with_self_loops_only() -> None:
    graph = Graph.from_edges([0, 0], [0, 0], 1, [0.5, 1.0])
    assert (graph.num_edges, graph.weights) == (0, None)


def test_a_smaller_weight_in_the_other_direction_of_an_undirected_edge() -> None:
    graph = Graph.from_edges([0, 1], [1, 0], 2, [0.25, 0.5])
    assert as_dict(graph) == {(0, 1): 0.5, (1, 0): 0.5}


def test_weights_that_are_all_one_are_none() -> None:
    assert Graph.from_edges([0, 1], [1, 2], 3, [1, 1]).weights is None
    assert Graph.from_edges([0, 0], [1, 1], 2, [0.5, 1]).weights is None


@pytest.mark.parametrize(
    ("given_dtype", "kept"),
    [
        (np.float16, np.float32),
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.bool_, np.float32),
        (np.uint8, np.float32),
        (np.int64, np.float64),
    ],
)
def test_weight_dtypes(given_dtype: Any, kept: Any) -> None:
    # a weight that is not 1 must remain for the dtype to show: integers have only 0 and 1, so test the conversion there
    assert arrays.as_weights(np.array([1, 0], dtype=given_dtype), 2).dtype == kept


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.uint8])
def test_torch_tensors(dtype: torch.dtype) -> None:
    src, dst = torch.tensor([0, 1], dtype=dtype), torch.tensor([1, 2], dtype=dtype)
    weight = torch.tensor([0.5, 0.25], dtype=torch.bfloat16, requires_grad=True)
    graph = Graph.from_edges(src, dst, 3, weight, directed=True)
    assert as_dict(graph) == {(0, 1): 0.5, (1, 2): 0.25}


def test_input_is_not_changed_and_not_shared() -> None:
    src, dst, weight = np.array([2, 0]), np.array([0, 1]), np.array([0.5, 0.25])
    copies = src.copy(), dst.copy(), weight.copy()
    graph = Graph.from_edges(src, dst, 3, weight, directed=True)
    assert all(np.array_equal(a, b) for a, b in zip((src, dst, weight), copies))
    src[:], dst[:], weight[:] = 0, 0, 0
    assert as_dict(graph) == {(2, 0): 0.5, (0, 1): 0.25}


def test_non_contiguous_and_read_only_input() -> None:
    table = np.array([[0, 1], [1, 2], [2, 3]])
    table.flags.writeable = False
    assert as_dict(Graph.from_edges(table[:, 0], table[::-1, 1], 4, directed=True)) == {
        (0, 3): 1,
        (1, 2): 1,
        (2, 1): 1,
    }


def test_indices_become_int64_where_int32_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert arrays.index_dtype(2**31) is np.int32
    assert arrays.index_dtype(2**31 + 1) is np.int64
    monkeypatch.setattr(arrays, "INT32_LIMIT", 4)
    graph = Graph.from_edges([0, 1, 4], [1, 2, 0], 5, directed=True)
    assert graph.indices.dtype == np.int64
    assert graph.indptr.dtype == np.int32  # 3 edges fit
    assert Graph.from_edges([0, 1, 2], [1, 2, 0], 3).indptr.dtype == np.int64  # 6 do not
    assert as_dict(graph) == {(0, 1): 1, (1, 2): 1, (4, 0): 1}


def test_ids_of_more_than_31_bits_are_packed_into_keys() -> None:
    # A table of 2^33 rows does not fit a test; the packing does: rows near the top of a block, columns near the top.
    top = 2**33
    src, dst = np.array([top - 1, top - 2, top - 1]), np.array([0, top - 1, 0])
    spans = [(0, top - 1)]
    keys, _ = build._gather(src, dst, None, spans, top - 4, top, 3, 33, directed=True)
    keys, _ = build._sort_unique(keys, None)
    assert [(int(key) >> 33) + top - 4 for key in keys] == [top - 2, top - 1]
    assert [int(key) & (top - 1) for key in keys] == [top - 1, 0]


def test_one_node_with_most_edges() -> None:
    count = 3000
    graph = Graph.from_edges(np.zeros(count, dtype=np.int32), np.arange(count), count)
    assert graph.degree().tolist() == [count - 1] + [1] * (count - 1)
    graph.verify()
