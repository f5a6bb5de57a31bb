"""Exact probabilities against the dense oracle, to 1e-12."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from law_oracle import Setting, cases, dense_law, dense_weights, given_the_coin, random_edges

from torchsse.errors import ConfigError, IdRangeError, IdTypeError
from torchsse.graph import Graph
from torchsse.modules.sse import SSE
from torchsse.transition import CompleteLaw, GraphLaw, Walk, base, build_law
from torchsse.transition.rows import find, row_cumulative

EXACT = 1e-12


def assert_rows(setting: Setting) -> None:
    sse, want = setting.sse(), dense_law(setting)
    matrix = sse.transition_matrix().numpy()
    everyone = np.arange(setting.size)
    np.testing.assert_allclose(matrix, want, rtol=0, atol=EXACT)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=0, atol=EXACT)
    np.testing.assert_allclose(sse.probability(everyone[:, None], everyone), want, rtol=0, atol=EXACT)
    np.testing.assert_allclose(sse.row(setting.size - 1), want[-1], rtol=0, atol=EXACT)
    surely_stays = np.abs(given_the_coin(setting).diagonal() - 1) < EXACT
    if setting.walk is None:
        np.testing.assert_array_equal(sse.law.stays, surely_stays)
    else:  # two steps along a lone edge surely lead back, yet the id can move
        assert surely_stays[sse.law.stays].all()


@st.composite
def any_setting(draw: st.DrawFn) -> Setting:
    size = draw(st.integers(1, 7))
    node = st.integers(0, size - 1)
    exclude = tuple(draw(st.sets(node)))
    p0 = draw(st.sampled_from([0.0, 1e-9, 0.01, 0.5, 1.0]))
    kind = draw(st.sampled_from(["complete", "graph", "walk", "matrix"]))
    if kind == "complete":
        return Setting(size, p0, exclude=exclude)
    if kind == "matrix":
        raw = draw(st.lists(st.lists(st.integers(0, 4), min_size=size, max_size=size), min_size=size, max_size=size))
        matrix = np.array(raw, float)
        matrix[:, list(exclude)] = 0
        matrix[list(exclude)] = 0
        empty = matrix.sum(axis=1) == 0
        matrix[empty, empty] = 1
        return Setting(size, p0, matrix=matrix / matrix.sum(axis=1, keepdims=True), exclude=exclude)
    weight = st.one_of(st.just(1.0), st.floats(1e-3, 1.0), st.just(0.5))
    edges = draw(st.lists(st.tuples(node, node, weight), max_size=12))
    setting = Setting(size, p0, edges=edges, directed=draw(st.booleans()), exclude=exclude)
    if kind == "graph":
        return setting.but(rho=draw(st.sampled_from([1.0, 1.5, 200.0, 1e6, 1e308, math.inf])))
    restart = draw(st.sampled_from([0.0, 0.15, 1.0]))
    loop = draw(st.sampled_from([0.0, 0.3, 1.0]))
    return setting.but(walk=Walk(draw(st.integers(1, 4)), restart, min(loop, 1 - restart)))


@settings(max_examples=300, deadline=None)
@given(any_setting())
def test_any_small_setting(setting: Setting) -> None:
    if setting.rho == 1e308:  # the oracle's arithmetic overflows where the law's must not; the limit is rho = inf
        for j in range(setting.size):
            row = setting.sse().row(j)
            assert float(row.sum()) == pytest.approx(1.0, abs=EXACT)
            if dense_weights(setting)[j].any():
                want = dense_law(setting.but(rho=math.inf), [j])[0]
                np.testing.assert_allclose(row, want, rtol=0, atol=EXACT)
        return
    assert_rows(setting)


@pytest.mark.parametrize("name", cases())
def test_named_cases(name: str) -> None:
    assert_rows(cases()[name])


LARGE = 2000


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [
        Setting(LARGE, 0.01, exclude=range(0, 100, 3)),
        Setting(LARGE, 0.01, edges=random_edges(LARGE, 20000, 1), directed=True, rho=200.0, exclude=(5, 6)),
        Setting(LARGE, 0.01, edges=random_edges(LARGE, 20000, 2, weighted=False), rho=math.inf),
    ],
    ids=["complete", "graph", "inf"],
)
def test_two_thousand_ids(setting: Setting) -> None:
    assert_rows(setting)


@pytest.mark.slow
def test_two_thousand_ids_walk() -> None:
    setting = Setting(LARGE, 0.1, edges=random_edges(LARGE, 20000, 3), walk=Walk(3, 0.15, 0.1), exclude=(5, 6))
    rows = [0, 1, 5, 77, 1000, 1998, 1999]
    sse = setting.sse()
    want = dense_law(setting, rows)
    np.testing.assert_allclose(np.stack([sse.row(j) for j in rows]), want, rtol=0, atol=EXACT)
    np.testing.assert_allclose(sse.probability(np.array(rows)[:, None], np.arange(LARGE)), want, rtol=0, atol=EXACT)


def test_rho_one_is_sse_se() -> None:
    setting = Setting(20, edges=random_edges(20, 60, 0), rho=1.0, exclude=(3,))
    assert isinstance(setting.sse().law, CompleteLaw)
    assert_rows(setting)


def test_rho_near_one_is_continuous() -> None:
    setting = Setting(20, edges=random_edges(20, 60, 0), rho=1 + 1e-9)
    assert isinstance(setting.sse().law, GraphLaw)
    assert_rows(setting)
    near, at = setting.sse().transition_matrix(), setting.but(rho=1.0).sse().transition_matrix()
    np.testing.assert_allclose(near, at, atol=1e-9)


def test_link_is_the_neighbours_share() -> None:
    setting = Setting(30, edges=random_edges(30, 60, 5), directed=True, rho=7.0, exclude=(1,))
    law = setting.sse().law
    assert isinstance(law, GraphLaw)
    sums = dense_weights(setting).sum(axis=1)
    np.testing.assert_allclose(law.link, 6 * sums / (6 * sums + 28), atol=EXACT)


@pytest.mark.parametrize(
    "name", [name for name, setting in cases().items() if "graph" in name and setting.rho != math.inf]
)
def test_threshold_of_the_draw_is_link(name: str) -> None:
    law = cases()[name].sse().law
    assert isinstance(law, GraphLaw)
    assert not {"link", "weight_sum"} & set(vars(law))  # made for the table, not kept
    threshold = law._tables.like(np.arange(40))["threshold"]
    assert threshold.dtype == np.int64
    np.testing.assert_allclose(threshold / 2**62, law.link, rtol=1e-15, atol=0)
    assert not threshold[law.graph.degree() == 0].any()


def test_draws_read_plain_arrays_of_a_mapped_graph(tmp_path: Path) -> None:
    setting = cases()["graph, weights"]
    graph = setting.graph()
    assert graph is not None
    graph.save(tmp_path / "graph")
    law = build_law(40, Graph.load(tmp_path / "graph", mmap=True), 30.0)
    ids = np.arange(40).repeat(50)
    tables = law._tables.like(ids)  # type: ignore[attr-defined]
    assert all(type(table) is np.ndarray for table in tables.values())
    assert not tables["indices"].flags.writeable
    want = setting.sse().law.jump(ids, torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(law.jump(ids, torch.Generator().manual_seed(0)), want)


def test_directed_row_is_the_edges_out() -> None:
    sse = Setting(3, 1.0, edges=[(0, 1, 1.0)], directed=True, rho=math.inf).sse()
    assert sse.row(0).tolist() == [0, 1, 0]
    assert sse.row(1).tolist() == [0, 1, 0]  # no edge out of 1: it stays


def test_matrix_kinds_agree() -> None:
    dense = cases()["matrix"].matrix
    want = SSE(len(dense), transition=dense).transition_matrix()
    coo = scipy.sparse.coo_array(dense)
    twice = scipy.sparse.coo_array(
        (np.r_[coo.data, coo.data] / 2, (np.r_[coo.row, coo.row], np.r_[coo.col, coo.col])), shape=dense.shape
    )
    kinds = (scipy.sparse.csr_matrix(dense), coo, twice, torch.from_numpy(dense), torch.from_numpy(dense).to_sparse())
    for kind in (*kinds, dense.tolist()):
        np.testing.assert_allclose(SSE(len(dense), transition=kind).transition_matrix(), want, atol=EXACT)
    single = SSE(len(dense), transition=dense.astype(np.float32))
    np.testing.assert_allclose(single.transition_matrix(), want, atol=1e-6)
    np.testing.assert_allclose(single.transition_matrix().sum(dim=1), 1.0, atol=EXACT)


def test_callers_matrix_is_not_touched_and_not_kept() -> None:
    matrix = scipy.sparse.csr_array(cases()["matrix"].matrix)
    before = matrix.copy()
    sse = SSE(matrix.shape[0], transition=matrix)
    assert (matrix != before).nnz == 0
    want = sse.transition_matrix()
    matrix.data[:] = 0
    assert torch.equal(sse.transition_matrix(), want)
    np.testing.assert_allclose(sse.excluding([]).transition_matrix(), want, rtol=0, atol=EXACT)


def test_probability_of_many_pairs_of_a_walk() -> None:
    setting = cases()["walk, weights, excluded"]
    rng = np.random.default_rng(0)
    j, k = rng.integers(0, setting.size, (2, 30, 20))
    np.testing.assert_allclose(setting.sse().probability(j, k), dense_law(setting)[j, k], rtol=0, atol=EXACT)
    assert setting.sse().probability([], []).shape == (0,)


def test_probability_broadcasts() -> None:
    sse = SSE(5, 0.2, exclude=[4])
    assert sse.probability(0, 0).shape == ()
    assert float(sse.probability(0, 1)) == pytest.approx(0.2 / 3)
    assert float(sse.probability(4, 4)) == 1.0
    assert sse.probability(torch.arange(5)[:, None], np.arange(5)).shape == (5, 5)
    assert sse.probability([], 1).shape == (0,)
    assert sse.probability(np.int32(0), [[0, 1], [2, 3]]).dtype == torch.float64


@pytest.mark.parametrize(
    ("j", "k", "error"),
    [
        (5, 0, IdRangeError),
        (-1, 0, IdRangeError),
        (0, [0, 5], IdRangeError),
        (0.5, 0, IdTypeError),
        (True, 0, IdTypeError),
        ("a", 0, IdTypeError),
        (None, 0, IdTypeError),
        ([0, 1], [0, 1, 2], ConfigError),
    ],
)
def test_probability_refuses(j: Any, k: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        SSE(5, 0.2).probability(j, k)


@pytest.mark.parametrize("j", [5, -1, 1.0, "x", [0, 1], [0], None])
def test_row_refuses(j: Any) -> None:
    with pytest.raises((IdRangeError, IdTypeError)):
        SSE(5, 0.2).row(j)


def test_matrix_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"1000000 x 1000000 .* GiB"):
        SSE(10**6, 0.1).transition_matrix()
    monkeypatch.setattr(base, "MAX_DENSE_BYTES", 8 * 25)
    assert SSE(5, 0.1).transition_matrix().shape == (5, 5)
    with pytest.raises(ConfigError):
        SSE(6, 0.1).transition_matrix()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.floats(1e-6, 1.0), max_size=6), min_size=1, max_size=12))
def test_row_cumulative_restarts_at_each_row(rows: list[list[float]]) -> None:
    indptr = np.r_[0, np.cumsum([len(row) for row in rows])]
    got = row_cumulative(indptr, np.array([w for row in rows for w in row]))
    want = np.concatenate([np.cumsum(row) for row in rows]) if got.size else np.empty(0)
    np.testing.assert_array_equal(got, want)


def test_row_cumulative_does_not_lose_digits_to_other_rows() -> None:
    weights = np.r_[np.ones(1000), 1e-14, 1e-14]
    assert row_cumulative(np.array([0, 1000, 1002]), weights)[-1] == 2e-14


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sets(st.integers(0, 9)), min_size=10, max_size=10))
def test_find_finds_what_is_there_and_nothing_else(rows: list[set[int]]) -> None:
    indptr = np.r_[0, np.cumsum([len(row) for row in rows])]
    indices = np.array([k for row in rows for k in sorted(row)], int)
    j, k = (grid.ravel() for grid in np.meshgrid(np.arange(10), np.arange(10), indexing="ij"))
    position, found = find(indptr, indices, j, k)
    np.testing.assert_array_equal(found, [int(b) in rows[int(a)] for a, b in zip(j, k, strict=True)])
    assert (indices[position[found]] == k[found]).all()


def test_laws_say_what_they_are() -> None:
    edges = [(0, 1, 1.0), (1, 2, 0.5)]
    graph = Setting(4, edges=edges, rho=30, exclude=[0])
    assert repr(graph.sse().law) == "GraphLaw(num_embeddings=4, num_active=3, num_edges=2, rho=30)"
    assert repr(graph.sse()) == "SSE(4, p0=0.3, edges=4, rho=30, excluded=1)"
    assert repr(graph.but(rho=math.inf).sse()) == "SSE(4, p0=0.3, edges=4, rho=inf, excluded=1)"
    walk = Setting(4, edges=edges, walk=Walk(2))
    assert repr(walk.sse().law).endswith("walk=Walk(hops=2, restart=0.0, self_loop=0.0))")
    assert repr(build_law(4)) == "CompleteLaw(num_embeddings=4, num_active=4)"
    assert repr(build_law(2, transition=np.eye(2))).startswith("MatrixLaw(")
    law = build_law(4, exclude=[1])
    assert law.num_active == 3
    assert law.active is not None
    assert law.position is not None
    assert law.active.tolist() == [0, 2, 3]
    assert law.position.tolist() == [0, -1, 1, 2]
    assert build_law(4).active is None
