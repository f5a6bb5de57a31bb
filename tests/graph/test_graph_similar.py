"""from_attributes, from_cooccurrence and from_knn against loops over all pairs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from graph_oracle import as_dict, nearest, oracle, shared_counts
from hypothesis import given, settings
from hypothesis import strategies as st

from torchsse.errors import ConfigError, GraphError, IdTypeError, TorchsseWarning
from torchsse.graph import Graph, cooccurrence, knn


@pytest.fixture(params=["one block", "many blocks"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "many blocks":
        monkeypatch.setattr(cooccurrence, "BLOCK_ENTRIES", 5)
        monkeypatch.setattr(knn, "BLOCK_ENTRIES", 5)


class TestAttributes:
    @settings(max_examples=200, deadline=None)
    @given(
        st.integers(1, 10).flatmap(
            lambda n: st.tuples(st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, 6)), max_size=40))
        ),
        st.booleans(),
        st.sampled_from([int, str, lambda code: (code, "pair"), float]),
    )
    def test_against_oracle(self, case: tuple[int, list[tuple[int, int]]], weighted: bool, make: Any) -> None:
        num_nodes, rows = case
        ids = [node for node, _ in rows]
        attributes = np.empty(len(rows), dtype=object)
        attributes[:] = [make(code) for _, code in rows]
        if make in (int, str):
            attributes = np.array(attributes.tolist())
        counts = shared_counts(ids, attributes.tolist())
        top = max(counts.values(), default=1)
        expected = {pair: count / top if weighted else 1.0 for pair, count in counts.items()}
        graph = Graph.from_attributes(ids, attributes, num_nodes, weighted=weighted)
        assert as_dict(graph) == pytest.approx(expected, rel=1e-15)
        assert not graph.directed

    def test_missing_values_link_nothing(self) -> None:
        attributes = np.array([None, None, float("nan"), float("nan"), "", "", "x", "x"], dtype=object)
        graph = Graph.from_attributes(range(8), attributes, 8)
        assert as_dict(graph) == {(6, 7): 1, (7, 6): 1}
        assert Graph.from_attributes([0, 1], [math.nan, math.nan], 2).num_edges == 0

    def test_large_groups_are_dropped_and_named(self) -> None:
        ids = [*range(5), 0, 1, 1, 2]
        attributes = ["drama"] * 5 + ["heist"] * 2 + ["noir"] * 2
        with pytest.warns(TorchsseWarning, match=r"1 of 3 attributes .* max_group = 4 .* 'drama' with 5"):
            graph = Graph.from_attributes(ids, attributes, 5, max_group=4)
        assert as_dict(graph) == oracle([0, 1], [1, 2], directed=False)
        # controls: at the cap nothing is dropped, and the cap matters
        assert Graph.from_attributes(ids, attributes, 5, max_group=5).num_edges == 20
        assert Graph.from_attributes(ids, attributes, 5, max_group=None).num_edges == 20

    def test_a_node_repeated_within_an_attribute_counts_once(self) -> None:
        graph = Graph.from_attributes([0, 0, 0, 1], [7, 7, 7, 7], 2, max_group=2, weighted=True)
        assert as_dict(graph) == {(0, 1): 1, (1, 0): 1}

    def test_the_default_cap(self) -> None:
        with pytest.warns(TorchsseWarning, match="max_group = 1000"):
            assert Graph.from_attributes(np.arange(1001), np.zeros(1001, dtype=int), 1001).num_edges == 0
        assert Graph.from_attributes(np.arange(1000), np.zeros(1000, dtype=int), 1000).num_edges == 999_000

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            (([0, 1], ["x"], 2), GraphError, r"one entry per id, shape \(2,\), got shape \(1,\)"),
            (([0, 2], ["x", "y"], 2), GraphError, r"ids\[1\] must be in 0 \.\. 1 \(num_nodes = 2\), got 2"),
            (([-1], ["x"], 2), GraphError, r"ids\[0\] .*got -1"),
            (([0.0], ["x"], 2), IdTypeError, "ids must hold integer"),
            (([0], ["x"], -2), GraphError, "num_nodes"),
        ],
    )
    def test_errors(self, arguments: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            Graph.from_attributes(*arguments)
        with pytest.raises(GraphError, match="max_group must be an integer of at least 2, got 1"):
            Graph.from_attributes([0], ["x"], 1, max_group=1)


@st.composite
def ratings(draw: st.DrawFn) -> Any:
    shape = draw(st.tuples(st.integers(0, 6), st.integers(1, 7)))
    cell = st.sampled_from([0, 0, 1, 2, 5])
    return np.array(
        draw(st.lists(st.lists(cell, min_size=shape[1], max_size=shape[1]), min_size=shape[0], max_size=shape[0])),
        dtype=np.float32,
    ).reshape(shape)


def pairwise(matrix: Any, similarity: str, min_common: int) -> list[list[float]]:
    """Similarity of every two columns; nan where they are not to be linked."""
    users = [set(np.flatnonzero(column).tolist()) for column in matrix.T]
    table = []
    for a in users:
        row = []
        for b in users:
            both = len(a & b)
            if both < max(1, min_common):
                row.append(math.nan)
            elif similarity == "count":
                row.append(float(both))
            elif similarity == "jaccard":
                row.append(both / len(a | b))
            else:
                row.append(both / math.sqrt(len(a) * len(b)))
        table.append(row)
    return table


@pytest.mark.usefixtures("blocks")
class TestCooccurrence:
    @settings(max_examples=150, deadline=None)
    @given(
        ratings(),
        st.integers(1, 9),
        st.sampled_from(["cosine", "jaccard", "count"]),
        st.integers(1, 3),
        st.booleans(),
        st.booleans(),
    )
    def test_against_oracle(
        self, matrix: Any, k: int, similarity: str, min_common: int, weighted: bool, directed: bool
    ) -> None:
        found = nearest(pairwise(matrix, similarity, min_common), k)
        src, dst, values = zip(*found) if found else ((), (), ())
        if similarity == "count" and values:
            values = tuple(value / max(values) for value in values)
        expected = oracle(src, dst, values if weighted else None, directed=directed)
        graph = Graph.from_cooccurrence(
            sp.csr_matrix(matrix),
            k,
            similarity=similarity,
            min_common=min_common,
            weighted=weighted,
            directed=directed,
        )
        assert as_dict(graph) == pytest.approx(expected, rel=1e-12)
        assert graph.num_nodes == matrix.shape[1]

    @pytest.mark.parametrize("min_common", [1, 2])
    def test_values(self, min_common: int) -> None:
        rng = np.random.default_rng(3)
        matrix = rng.normal(size=(12, 9)) * (rng.random((12, 9)) < 0.5)
        length = np.linalg.norm(matrix, axis=0)
        cosine = (matrix.T @ matrix) / np.outer(length, length)
        common = (matrix != 0).T.astype(int) @ (matrix != 0)
        cosine[(common < min_common) | (cosine <= 0)] = np.nan
        found = nearest(cosine.tolist(), 3)
        expected = {(a, b): value for a, b, value in found}
        graph = Graph.from_cooccurrence(matrix, 3, binary=False, min_common=min_common, weighted=True, directed=True)
        assert as_dict(graph) == pytest.approx(expected, rel=1e-12)
        # control: the values matter
        other = Graph.from_cooccurrence(matrix, 3, min_common=min_common, weighted=True, directed=True)
        assert as_dict(other) != pytest.approx(expected, rel=1e-12)

    def test_input_formats_agree_and_are_not_changed(self) -> None:
        matrix = (np.random.default_rng(0).random((20, 10)) < 0.3).astype(np.float32)
        expected = as_dict(Graph.from_cooccurrence(matrix, 2))
        sparse = sp.coo_array(matrix)
        before = sparse.data.copy()
        for form in (sparse, sparse.tocsr(), sparse.tocsc(), sp.lil_matrix(matrix), torch.from_numpy(matrix)):
            assert as_dict(Graph.from_cooccurrence(form, 2)) == expected
        assert np.array_equal(sparse.data, before)

    def test_weights_do_not_exceed_one(self) -> None:
        matrix = np.tile(np.array([[0.1], [0.2], [0.7]]), (1, 3))
        graph = Graph.from_cooccurrence(matrix, binary=False, weighted=True)
        assert graph.num_edges == 6  # rounding above 1 would have raised

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"k": 0}, GraphError, "k must be an integer of at least 1, got 0"),
            ({"k": 2.5}, GraphError, r"got 2\.5"),
            ({"min_common": 0}, GraphError, "min_common must be"),
            ({"similarity": "pearson"}, ConfigError, "one of cosine, jaccard, count, got 'pearson'"),
            ({"similarity": "count", "binary": False}, ConfigError, "binary=False compares values"),
        ],
    )
    def test_bad_options(self, options: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            Graph.from_cooccurrence(np.ones((2, 2)), **options)

    def test_bad_matrices(self) -> None:
        with pytest.raises(GraphError, match=r"entry \(1, 0\) of the matrix must be finite, got nan"):
            Graph.from_cooccurrence(np.array([[1, 1], [np.nan, 1]]))
        with pytest.raises(GraphError, match=r"shape \(3,\)"):
            Graph.from_cooccurrence(np.ones(3))
        with pytest.raises(GraphError, match=r"numeric"):
            Graph.from_cooccurrence(np.array([["a"]]))


@st.composite
def integer_points(draw: st.DrawFn) -> Any:
    """Points on a small grid: many ties and duplicates, and exact in floating point."""
    count, width = draw(st.integers(0, 9)), draw(st.integers(1, 3))
    row = st.lists(st.integers(-2, 2), min_size=width, max_size=width)
    return np.array(draw(st.lists(row, min_size=count, max_size=count)), dtype=np.int64).reshape(count, width)


def ranked(points: Any, metric: str) -> list[list[float]]:
    """Nearness of all pairs, rounded so that what is equal on paper is equal here."""
    points = points.astype(np.float64)
    if metric == "euclidean":
        return (-((points[:, None] - points[None]) ** 2).sum(axis=2)).tolist()  # type: ignore[no-any-return]
    length = np.linalg.norm(points, axis=1)
    with np.errstate(invalid="ignore"):
        return np.round(points @ points.T / np.outer(length, length), 9).tolist()  # type: ignore[no-any-return]


@pytest.mark.usefixtures("blocks")
class TestKnn:
    @pytest.mark.parametrize("metric", ["cosine", "euclidean"])
    def test_random_points(self, metric: str) -> None:
        points = np.random.default_rng(0).normal(size=(60, 5))
        found = nearest(ranked(points, metric), 4)
        expected = oracle(*list(zip(*found))[:2], directed=True)
        assert as_dict(Graph.from_knn(points, 4, metric=metric, directed=True)) == expected
        assert as_dict(Graph.from_knn(points, 4, metric=metric)) == oracle(*list(zip(*found))[:2], directed=False)
        # control: the other metric finds others
        other = {"cosine": "euclidean", "euclidean": "cosine"}[metric]
        assert as_dict(Graph.from_knn(points, 4, metric=other, directed=True)) != expected

    @settings(max_examples=150, deadline=None)
    @given(integer_points(), st.integers(1, 10), st.sampled_from(["cosine", "euclidean"]))
    def test_ties_give_equally_near_neighbours(self, points: Any, k: int, metric: str) -> None:
        """Which of equals is taken may hang on rounding; how near they are, and how many, may not."""
        table = ranked(points, metric)
        graph = Graph.from_knn(points, k, metric=metric, directed=True)
        for node in range(len(points)):
            want = sorted(value for a, _, value in nearest(table, k) if a == node)
            have = sorted(table[node][other] for other in graph.neighbors(node)[0].tolist())
            assert have == pytest.approx(want, abs=1e-6)

    def test_exact_ties_go_to_the_smaller_id(self) -> None:
        points = np.eye(6)[[0, 1, 0, 1, 0, 0]]
        graph = Graph.from_knn(points, 2, directed=True)
        assert [graph.neighbors(node)[0].tolist() for node in range(6)] == [
            [2, 4],
            [0, 3],
            [0, 4],
            [0, 1],
            [0, 2],
            [0, 2],
        ]

    def test_zero_vectors_have_no_direction(self) -> None:
        points = np.array([[1.0, 0], [0, 0], [1, 1], [0, 0]])
        assert as_dict(Graph.from_knn(points, 3)) == {(0, 2): 1, (2, 0): 1}
        assert Graph.from_knn(points, 3, metric="euclidean").num_edges == 12

    def test_weights(self) -> None:
        points = np.array([[0.0, 1], [1, 1], [-3, -4]])
        cosine = Graph.from_knn(points, 2, weighted=True, directed=True)
        assert as_dict(cosine) == pytest.approx({(0, 1): 0.5**0.5, (1, 0): 0.5**0.5})  # the third points away: 0
        near = Graph.from_knn(points, 1, metric="euclidean", weighted=True, directed=True)
        distance = np.array([1, 1, math.hypot(3, 5)])
        assert near.weights == pytest.approx(1 / (1 + distance / distance.mean()))
        same = Graph.from_knn(np.ones((3, 2)), 1, metric="euclidean", weighted=True)
        assert same.weights is None

    @pytest.mark.parametrize("scale", [1e-30, 1e30])
    @pytest.mark.parametrize("metric", ["cosine", "euclidean"])
    def test_scale_does_not_matter(self, scale: float, metric: str) -> None:
        points = np.random.default_rng(1).normal(size=(30, 4)).astype(np.float32)
        expected = as_dict(Graph.from_knn(points, 3, metric=metric))
        assert as_dict(Graph.from_knn(points * np.float32(scale), 3, metric=metric)) == expected

    def test_close_points_far_from_the_origin(self) -> None:
        points = (1e6 + np.arange(20)).astype(np.float32)[:, None]
        graph = Graph.from_knn(points, 1, metric="euclidean", directed=True)
        assert graph.neighbors(0)[0].tolist() == [1]
        assert all(abs(int(graph.neighbors(node)[0][0]) - node) == 1 for node in range(20))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
    def test_tensors(self, dtype: torch.dtype) -> None:
        points = torch.arange(12).reshape(6, 2).flip(1).to(dtype)
        expected = as_dict(Graph.from_knn(points.double().numpy(), 2, metric="euclidean"))
        if dtype.is_floating_point:
            points.requires_grad_()
        assert as_dict(Graph.from_knn(points, 2, metric="euclidean")) == expected

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    @pytest.mark.parametrize("metric", ["cosine", "euclidean"])
    def test_cuda_tensors(self, metric: str) -> None:
        points = torch.randn(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        expected = as_dict(Graph.from_knn(points, 3, metric=metric))
        assert as_dict(Graph.from_knn(points.cuda(), 3, metric=metric)) == expected

    def test_few_points(self) -> None:
        for metric in ("cosine", "euclidean"):
            assert Graph.from_knn(np.zeros((0, 3)), metric=metric).num_nodes == 0
            assert Graph.from_knn(np.ones((1, 3)), metric=metric).num_edges == 0
            assert Graph.from_knn(np.ones((2, 3)), k=10, metric=metric).num_edges == 2

    @pytest.mark.parametrize(
        ("vectors", "options", "error", "message"),
        [
            (np.ones(3), {}, GraphError, r"shape \(N, d\), got .* of shape \(3,\)"),
            (np.ones((3, 0)), {}, GraphError, r"of shape \(3, 0\)"),
            (np.array([["a"]]), {}, GraphError, "real numbers, got dtype <U1"),
            (np.array([[1j]]), {}, GraphError, "real numbers, got dtype complex128"),
            (np.array([[1.0], [np.nan], [np.inf]]), {}, GraphError, "row 1 is not"),
            (np.ones((3, 2)), {"k": 0}, GraphError, "k must be"),
            (np.ones((3, 2)), {"metric": "manhattan"}, ConfigError, "one of cosine, euclidean, got 'manhattan'"),
        ],
    )
    def test_errors(self, vectors: Any, options: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            Graph.from_knn(vectors, **options)
