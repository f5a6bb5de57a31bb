"""Propagated examples and the solvers against dense algebra."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from torchsse.errors import ConfigError
from torchsse.graph import Graph
from torchsse.recsys.als import propagate as propagation
from torchsse.recsys.als.propagate import Propagated, propagate
from torchsse.recsys.als.solve import Penalty, Solver
from torchsse.recsys.als.spread import spread
from torchsse.recsys.training import DivergedError
from torchsse.transition import Law, build_law

USERS, ITEMS, FACTORS = 13, 17, 5
GRAPH = Graph.from_edges([0, 1, 2, 3, 4, 9], [1, 2, 3, 4, 5, 2], num_nodes=ITEMS, weight=[0.3, 1, 0.5, 1, 0.2, 1.0])
FRIENDS = Graph.from_edges([0, 1, 2, 5, 6], [4, 4, 5, 6, 7], num_nodes=USERS)

LAWS: dict[str, tuple[Law, float, Law, float]] = {
    "plain": (build_law(USERS), 0.0, build_law(ITEMS), 0.0),
    "se": (build_law(USERS), 0.3, build_law(ITEMS, exclude=[7, 8]), 0.4),
    "items-only": (build_law(USERS), 0.0, build_law(ITEMS, exclude=[7]), 0.4),
    "always": (build_law(USERS), 1.0, build_law(ITEMS), 1.0),
    "weighted-graph": (build_law(USERS, exclude=[0]), 0.3, build_law(ITEMS, GRAPH, 20.0, exclude=[7]), 0.4),
    "two-graphs": (build_law(USERS, FRIENDS, 50.0), 0.2, build_law(ITEMS, GRAPH, 9.0), 0.1),
    "neighbours-only": (build_law(USERS, FRIENDS, math.inf), 1.0, build_law(ITEMS, GRAPH, math.inf), 0.5),
    "one-active": (build_law(USERS, exclude=range(1, USERS)), 0.5, build_law(ITEMS), 0.2),
}


def matrix(law: Law, p0: float) -> np.ndarray[Any, Any]:
    return p0 * law.transition_matrix() + (1 - p0) * np.eye(law.num_embeddings)


def examples(seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    C = sp.random(USERS, ITEMS, 0.3, format="csr", random_state=seed)
    C.data += 0.5
    CR = C.copy()
    CR.data = C.data * rng.normal(size=C.nnz)  # of both signs: sums may cancel
    return C, CR


def assembled(data: Propagated, which: str) -> np.ndarray[Any, Any]:
    dense = data.dense_c if which == "t" else data.dense_cr
    out = np.outer(dense.v, data.columns.active) + np.outer(data.rows.active, dense.w)
    rows = 0
    for block in data.blocks():
        n = len(block.indptr) - 1
        assert block.first == rows
        part = sp.csr_matrix((getattr(block, which), block.indices, block.indptr), shape=(n, out.shape[1]))
        out[rows : rows + n] += part.toarray()
        rows += n
    assert rows == len(out)
    return out


@pytest.mark.parametrize("name", LAWS)
def test_spread_is_the_transition_matrix(name: str) -> None:
    for law, p0 in (LAWS[name][:2], LAWS[name][2:]):
        found = spread(law, p0)
        dense = found.sparse.toarray() + np.outer(found.uniform, found.active)
        assert np.allclose(dense, matrix(law, p0), atol=1e-15)
        x = np.random.default_rng(0).normal(size=(law.num_embeddings, 3))
        assert np.allclose(found.mean(x), dense @ x)
        assert np.allclose(found.mean(x[:, 0]), dense @ x[:, 0])


def test_other_laws_are_refused() -> None:
    with pytest.raises(ConfigError, match="MatrixLaw"):
        spread(build_law(3, transition=np.eye(3)), 0.5)


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("how", ["kept", "recomputed", "many-blocks"])
def test_propagated_examples(name: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "many-blocks":
        monkeypatch.setattr(propagation, "_BLOCK_PRODUCTS", 20)
    users, p0_user, items, p0_item = LAWS[name]
    C, CR = examples()
    left, right = matrix(users, p0_user), matrix(items, p0_item)
    most = 0 if how == "recomputed" else 1 << 20
    both = propagate(spread(users, p0_user), C, CR, spread(items, p0_item), "float64", most)
    for data, turned in zip(both, (False, True)):
        assert data.kept == (how != "recomputed")
        for which, X in (("t", C), ("s", CR)):
            wanted = left.T @ X.toarray() @ right
            assert np.allclose(assembled(data, which), wanted.T if turned else wanted, atol=1e-14)
    if how == "many-blocks":
        assert len(list(both[0].blocks())) > 3
    # the control: the transposed law is another one, and would be seen
    if name == "two-graphs":
        assert not np.allclose(assembled(both[0], "t"), left @ C.toarray() @ right, atol=1e-6)


def test_entries_stay_where_no_graph_links_them() -> None:
    C, CR = examples()
    users, p0_user, items, p0_item = LAWS["se"]
    assert propagate(spread(users, p0_user), C, CR, spread(items, p0_item), "float32")[0].entries == C.nnz
    users, p0_user, items, p0_item = LAWS["two-graphs"]
    assert propagate(spread(users, p0_user), C, CR, spread(items, p0_item), "float32")[0].entries > 1.5 * C.nnz


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
@pytest.mark.parametrize("name", ["plain", "se", "two-graphs"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("offset", [False, True])
def test_rows_solve_their_systems(solver: str, name: str, dtype: str, offset: bool) -> None:
    rng = np.random.default_rng(1)
    users, p0_user, items, p0_item = LAWS[name]
    C, CR = examples()
    data = propagate(spread(users, p0_user), C, CR, spread(items, p0_item), dtype)[0]
    left, right = matrix(users, p0_user), matrix(items, p0_item)
    Ct, Rt = left.T @ C.toarray() @ right, left.T @ CR.toarray() @ right
    Z = np.zeros((ITEMS, 16), dtype)
    Z[:, :FACTORS] = rng.normal(size=(ITEMS, FACTORS))
    shift = rng.normal(size=ITEMS) if offset else None
    z = Z[:, :FACTORS].astype(np.float64)
    rows, columns = rng.uniform(0.5, 2, USERS), rng.uniform(0.5, 2, FACTORS)
    wanted, total = np.empty((USERS, FACTORS)), 0.0
    for u in range(USERS):
        A = z.T @ z + (z.T * Ct[u]) @ z + rows[u] * np.diag(columns)
        g = z.T @ (Rt[u] - (Ct[u] * shift if shift is not None else 0.0))
        wanted[u] = np.linalg.solve(A, g)
        total += wanted[u] @ A @ wanted[u] - 2 * wanted[u] @ g
    found = []
    for threads in (1, 3):
        X = np.zeros((USERS, 16), dtype)
        value = Solver(solver, 4 * FACTORS, dtype, threads).solve(data, Z, shift, Penalty(Z.T @ Z, rows, columns), X)
        tolerance = 1e-9 if dtype == "float64" else 1e-3
        assert np.allclose(X[:, :FACTORS], wanted, atol=tolerance)
        assert not X[:, FACTORS:].any()
        assert value == pytest.approx(total, rel=1e-9 if dtype == "float64" else 1e-3)
        found.append(X)
    assert np.array_equal(*found)


def test_a_singular_system_is_an_error() -> None:
    C, CR = examples()
    users, p0_user, items, p0_item = LAWS["plain"]
    data = propagate(spread(users, p0_user), C, CR, spread(items, p0_item), "float64")[0]
    Z = np.zeros((ITEMS, 16))
    with pytest.raises(DivergedError, match="regularization"):
        Solver("cholesky", 1, "float64", 1).solve(
            data, Z, None, Penalty(None, np.zeros(USERS), np.ones(FACTORS)), np.zeros((USERS, 16))
        )
