"""Graphs from scipy, networkx, PyG and edge files, against the dictionary of edges."""

from __future__ import annotations

import gzip
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from graph_oracle import as_dict, oracle, transposed
from hypothesis import given, settings
from hypothesis import strategies as st

from torchsse.errors import DataError, GraphError, IdTypeError
from torchsse.graph import Graph

FORMATS = ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"]


@st.composite
def adjacency(draw: st.DrawFn) -> Any:
    size = draw(st.integers(0, 8))
    row = st.lists(st.sampled_from([0, 0, 0, 0.25, 0.5, 1]), min_size=size, max_size=size)
    return np.array(draw(st.lists(row, min_size=size, max_size=size)), dtype=np.float64).reshape(size, size)


class TestScipy:
    @settings(max_examples=150, deadline=None)
    @given(adjacency(), st.sampled_from(FORMATS), st.booleans(), st.booleans())
    def test_against_oracle(self, dense: Any, form: str, weighted: bool, directed: bool) -> None:
        src, dst = np.nonzero(dense)
        values = dense[src, dst] if weighted else None
        expected = oracle(src, dst, values, directed=directed)
        matrix = sp.csr_array(dense).asformat(form) if len(dense) else sp.coo_array(dense)
        for given_matrix in (matrix, dense, torch.from_numpy(dense)):
            graph = Graph.from_scipy(given_matrix, weighted=weighted, directed=directed)
            assert as_dict(graph) == expected
            assert graph.num_nodes == len(dense)

    def test_stored_zeros_and_duplicates(self) -> None:
        matrix = sp.coo_matrix(([0.0, 0.25, 0.75], ([0, 1, 1], [1, 2, 2])), shape=(3, 3))
        assert as_dict(Graph.from_scipy(matrix, directed=True)) == {(1, 2): 1}
        assert as_dict(Graph.from_scipy(matrix, directed=True, weighted=True)) == {(1, 2): 0.75}

    def test_entries_are_no_weights_unless_asked(self) -> None:
        matrix = sp.csr_array(np.array([[0, 7], [-3, 0]]))
        assert as_dict(Graph.from_scipy(matrix, directed=True)) == {(0, 1): 1, (1, 0): 1}
        with pytest.raises(GraphError, match=r"edge 0 \(0 -> 1\): weight must be in \[0, 1\].*got 7"):
            Graph.from_scipy(matrix, weighted=True)

    def test_control_transposed(self) -> None:
        matrix = sp.csr_array(np.array([[0, 1], [0, 0]]))
        graph = Graph.from_scipy(matrix, directed=True)
        assert as_dict(graph) == {(0, 1): 1} != transposed(as_dict(graph))

    @pytest.mark.parametrize("bad", [sp.csr_array((2, 3)), np.zeros(4), [[0, 1]], "matrix"])
    def test_not_square(self, bad: Any) -> None:
        with pytest.raises(GraphError, match="must be square, got"):
            Graph.from_scipy(bad)

    def test_nan(self) -> None:
        with pytest.raises(GraphError, match=r"entry \(0, 1\) of the adjacency matrix is NaN"):
            Graph.from_scipy(np.array([[0, np.nan], [0, 0]]))


class TestNetworkx:
    @settings(max_examples=150, deadline=None)
    @given(adjacency(), st.sampled_from([nx.Graph, nx.DiGraph, nx.MultiGraph, nx.MultiDiGraph]), st.booleans())
    def test_against_oracle(self, dense: Any, kind: Any, weighted: bool) -> None:
        source = kind()
        source.add_nodes_from(range(len(dense)))
        for s, d in zip(*np.nonzero(dense)):
            source.add_edge(int(s), int(d), weight=float(dense[s, d]))
        listed = [(s, d, a["weight"]) for s, d, a in source.edges(data=True)]
        src, dst, values = zip(*listed) if listed else ((), (), ())
        for directed in (None, True, False):
            graph = Graph.from_networkx(source, weighted=weighted, directed=directed)
            real = source.is_directed() if directed is None else directed
            assert as_dict(graph) == oracle(src, dst, values if weighted else None, directed=real)
            assert graph.directed == real
            assert graph.num_nodes == len(dense)

    def test_named_nodes(self) -> None:
        source = nx.DiGraph([("b", "a"), ("c", "b")])
        graph = Graph.from_networkx(source, nodes=["a", "b", "c", "d"])
        assert as_dict(graph) == {(1, 0): 1, (2, 1): 1}
        assert graph.num_nodes == 4
        assert Graph.from_networkx(source, nodes="abc", num_nodes=9).num_nodes == 9

    def test_another_attribute(self) -> None:
        source = nx.Graph()
        source.add_edge(0, 1, strength=0.5)
        graph = Graph.from_networkx(source, weighted=True, weight="strength", num_nodes=5)
        assert as_dict(graph) == {(0, 1): 0.5, (1, 0): 0.5}
        with pytest.raises(GraphError, match=r"edge 0 -> 1 has no attribute 'weight'"):
            Graph.from_networkx(source, weighted=True)

    @pytest.mark.parametrize(
        ("edges", "options", "message"),
        [
            ([("a", "b")], {}, r"node 'a' is no id; .*Pass nodes="),
            ([(-1, 0)], {}, r"node -1 is no id"),
            ([(0.0, 1)], {}, r"node 0\.0 is no id"),
            ([("a", "b")], {"nodes": ["a"]}, r"edge 'a' -> 'b': node 'b' is not in `nodes`"),
            ([("a", "b")], {"nodes": ["a", "b", "a"]}, r"nodes must not repeat; got 3 nodes, 2 of them different"),
            ([("a", "b")], {"nodes": ["a", "b"], "num_nodes": 1}, r"num_nodes must be .* at least 2, got 1"),
            ([(0, 5)], {"num_nodes": 3}, r"dst must be in 0 \.\. 2"),
        ],
    )
    def test_errors(self, edges: Any, options: Any, message: str) -> None:
        with pytest.raises(GraphError, match=message):
            Graph.from_networkx(nx.Graph(edges), **options)


class TestPyg:
    PAIRS = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 2]])

    @pytest.mark.parametrize("directed", [False, True])
    def test_edge_index(self, directed: bool) -> None:
        expected = oracle(*self.PAIRS.tolist(), directed=directed)
        for pairs in (self.PAIRS, self.PAIRS.int(), self.PAIRS.numpy(), self.PAIRS.tolist()):
            assert as_dict(Graph.from_pyg(pairs, 4, directed=directed)) == expected

    def test_weights(self) -> None:
        weight = torch.tensor([0.5, 0.25, 1.0, 1.0])
        expected = oracle(*self.PAIRS.tolist(), weight.tolist(), directed=True)
        assert as_dict(Graph.from_pyg(self.PAIRS, 3, weight=weight, directed=True)) == expected
        for named in (
            {"edge_weight": weight},
            {"edge_attr": weight},
            {"edge_weight": None, "edge_attr": weight[:, None]},
        ):
            data = SimpleNamespace(edge_index=self.PAIRS, num_nodes=3, **named)
            assert as_dict(Graph.from_pyg(data, weighted=True, directed=True)) == expected
            assert Graph.from_pyg(data).weights is None

    @pytest.mark.parametrize(
        ("data", "options", "message"),
        [
            (PAIRS, {}, "a plain edge_index does not say how many nodes"),
            (SimpleNamespace(edge_index=PAIRS), {}, "pass num_nodes"),
            (SimpleNamespace(edge_index=None), {}, "edge_index None"),
            (PAIRS.T, {"num_nodes": 3}, r"must have shape \(2, E\), got \(4, 2\)"),
            (PAIRS[0], {"num_nodes": 3}, r"got \(4,\)"),
            (PAIRS, {"num_nodes": 2}, r"edge 2 \(1 -> 2\)"),
            (SimpleNamespace(edge_index=PAIRS, num_nodes=3), {"weighted": True}, "no edge_weight or edge_attr"),
            (
                SimpleNamespace(edge_index=PAIRS, num_nodes=3, edge_attr=torch.ones(4, 2)),
                {"weighted": True},
                r"one entry per edge, shape \(4,\), got shape \(4, 2\)",
            ),
        ],
    )
    def test_errors(self, data: Any, options: Any, message: str) -> None:
        with pytest.raises(GraphError, match=message):
            Graph.from_pyg(data, **options)

    def test_float_edge_index(self) -> None:
        with pytest.raises(IdTypeError, match="dtype float32"):
            Graph.from_pyg(self.PAIRS.float(), 3)


class TestEdgeFile:
    ROWS = ((0, 1, 4), (1, 2, 8), (2, 0, 2))

    def write(self, path: Path, separator: str = ",", header: str = "") -> Path:
        text = header + "".join(separator.join(map(str, row)) + "\n" for row in self.ROWS)
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
        return path

    @pytest.mark.parametrize(
        ("name", "separator", "header"),
        [("e.csv", ",", ""), ("e.tsv", "\t", "a\tb\tc\n"), ("e.csv.gz", ",", "a,b,c\n"), ("e.txt.gz", "\t", "")],
    )
    def test_text(self, name: str, separator: str, header: str, tmp_path: Path) -> None:
        graph = Graph.from_edge_file(self.write(tmp_path / name, separator, header), 4, directed=True)
        assert as_dict(graph) == {(0, 1): 1, (1, 2): 1, (2, 0): 1}

    def test_parquet_and_weights(self, tmp_path: Path) -> None:
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet

        src, dst, times = zip(*self.ROWS)
        pyarrow.parquet.write_table(pa.table({"a": src, "b": dst, "times": times}), tmp_path / "e.parquet")
        expected = {(0, 1): 0.5, (1, 2): 1, (2, 0): 0.25}
        for path in (tmp_path / "e.parquet", self.write(tmp_path / "e.csv", header="a,b,times\n")):
            assert as_dict(Graph.from_edge_file(path, 3, weight="times", directed=True)) == expected

    @pytest.mark.parametrize(
        ("text", "options", "error", "message"),
        [
            ("", {}, DataError, "the file is empty"),
            ("0\n1\n", {}, DataError, r"two columns of ids, got 1 column"),
            ("a,b\nHeat,Ronin\n", {}, DataError, r"column 'a' must hold integer ids, got string; .*read_edges"),
            ("0,1\n0,\n", {}, DataError, r"column 'f1' must hold integer ids, got 1 empty fields"),
            ("0,1\n0.5,2\n", {}, DataError, "must hold integer ids, got double"),
            ("0,1\n0,1,2\n", {}, DataError, "cannot be read as an edge list"),
            ("a,b\n0,9\n", {}, GraphError, r"dst must be in 0 \.\. 2"),
            ("a,b\n0,1\n", {"weight": "w"}, DataError, "no column 'w' for the weights; there are a, b"),
            ("a,b,w\n0,1,x\n", {"weight": "w"}, DataError, "column 'w' must hold numbers, got string"),
            ("a,b,w\n0,1,-1\n1,2,2\n", {"weight": "w"}, GraphError, r"edge 0 \(0 -> 1\): weight .*got -0\.5"),
            ("a,b,w\n0,1,1\n1,2,\n", {"weight": "w"}, GraphError, r"edge 1 \(1 -> 2\): weight .*got nan"),
        ],
    )
    def test_errors(self, text: str, options: Any, error: type[Exception], message: str, tmp_path: Path) -> None:
        (tmp_path / "e.csv").write_text(text)
        with pytest.raises(error, match=message):
            Graph.from_edge_file(tmp_path / "e.csv", 3, **options)

    @pytest.mark.parametrize("name", ["none.csv", "none.parquet", "bad.parquet", "bad.csv.gz"])
    def test_unreadable(self, name: str, tmp_path: Path) -> None:
        (tmp_path / "bad.parquet").write_text("no parquet")
        (tmp_path / "bad.csv.gz").write_text("no gzip")
        with pytest.raises(DataError, match=f"{name}: cannot be read as an edge list"):
            Graph.from_edge_file(tmp_path / name, 3)
