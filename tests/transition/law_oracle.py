"""What the laws must be, written a second time: dense loops over the definitions, no CSR, no mixture, no sums kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import stats

from torchsse.graph import Graph
from torchsse.modules.sse import SSE
from torchsse.transition import Walk

ALPHA = 1e-6  # chance that a right sampler fails one chi-square test
POOLED_BELOW = (
    5.0  # cells of a row with a smaller expectation count together; if still smaller, with the row's least cell
)

Edges = Sequence[tuple[int, int, float]]


@dataclass(frozen=True)
class Setting:
    """Everything SSE takes, with the graph as plain edges."""

    size: int
    p0: float = 0.3
    edges: Edges | None = None
    directed: bool = False
    rho: float | None = None
    walk: Walk | None = None
    matrix: Any = None
    exclude: Sequence[int] = field(default_factory=tuple)

    def graph(self) -> Graph | None:
        if self.edges is None:
            return None
        source, target, weight = ([edge[i] for edge in self.edges] for i in range(3))
        return Graph.from_edges(
            np.array(source, int),
            np.array(target, int),
            num_nodes=self.size,
            weight=np.array(weight, float),
            directed=self.directed,
        )

    def sse(self) -> SSE:
        return SSE(
            self.size,
            self.p0,
            graph=self.graph(),
            rho=self.rho,
            walk=self.walk,
            transition=self.matrix,
            exclude=self.exclude or None,
        )

    def but(self, **changes: Any) -> Setting:
        return replace(self, **changes)


def dense_weights(setting: Setting) -> np.ndarray:
    """w_jk over the active ids: the largest of duplicates, no loops, both ways if undirected."""
    weight = np.zeros((setting.size, setting.size))
    out = set(setting.exclude)
    for j, k, w in setting.edges or ():
        if j == k or j in out or k in out:
            continue
        weight[j, k] = max(weight[j, k], w)
        if not setting.directed:
            weight[k, j] = max(weight[k, j], w)
    return weight


def given_the_coin(setting: Setting, rows: Sequence[int] | None = None) -> np.ndarray:
    """q(j, .) for each of `rows` (default all), from the definitions in words."""
    n, rows = setting.size, range(setting.size) if rows is None else rows
    active = np.ones(n, bool)
    active[list(setting.exclude)] = False
    weight = dense_weights(setting)
    step = np.zeros((n, n))
    if setting.walk is not None:
        for j in range(n):
            total = weight[j].sum()
            if total > 0:
                step[j] = weight[j] / total
            else:
                step[j, j] = 1.0
    law = np.zeros((len(rows), n))
    for i, j in enumerate(rows):
        stay = np.eye(1, n, j)[0]
        if not active[j]:
            law[i] = stay
        elif setting.matrix is not None:
            dense = setting.matrix.toarray() if hasattr(setting.matrix, "toarray") else np.asarray(setting.matrix)
            law[i] = dense[j]
        elif setting.walk is not None:
            walk, v = setting.walk, stay.copy()
            for _ in range(walk.hops):
                v = walk.restart * stay + walk.self_loop * v + (1 - walk.restart - walk.self_loop) * (v @ step)
            law[i] = v
        else:
            if setting.rho is None:
                score = active.astype(float)
            elif math.isinf(setting.rho):
                score = weight[j].copy()
            else:
                score = np.where(active, 1 + (setting.rho - 1) * weight[j], 0.0)
            score[j] = 0.0
            law[i] = score / score.sum() if score.sum() > 0 else stay
    return law


def dense_law(setting: Setting, rows: Sequence[int] | None = None) -> np.ndarray:
    """p(j, .) for each of `rows` (default all)."""
    rows = range(setting.size) if rows is None else rows
    return setting.p0 * given_the_coin(setting, rows) + (1 - setting.p0) * np.eye(setting.size)[list(rows)]


def chi_square_p(counts: np.ndarray, law: np.ndarray) -> float:
    """p-value of `counts` (rows, n) against `law` over the full support; 0 where a cell of probability 0 was drawn.

    Cells are pooled by expectation, never by what was observed.
    """
    if (counts[law == 0] > 0).any():
        return 0.0
    statistic, freedom = 0.0, 0
    for count, p in zip(counts, law, strict=True):
        expected = count.sum() * p[p > 0]
        seen = count[p > 0].astype(float)
        small = expected < POOLED_BELOW
        bins, hits = expected[~small], seen[~small]
        if small.any():
            pool, pool_hits = expected[small].sum(), seen[small].sum()
            if pool >= POOLED_BELOW or not len(bins):
                bins, hits = np.append(bins, pool), np.append(hits, pool_hits)
            else:
                least = bins.argmin()
                bins[least] += pool
                hits[least] += pool_hits
        statistic += float(((hits - bins) ** 2 / bins).sum())
        freedom += len(bins) - 1
    return 1.0 if freedom == 0 else float(stats.chi2.sf(statistic, freedom))


def draw_counts(swap_ids: Callable[[Any], Any], size: int, draws: int, block: int = 1 << 20) -> np.ndarray:
    """How often each j became each k: (size, size), about `draws` in all, every j alike."""
    import torch

    counts = np.zeros(size * size, np.int64)
    done = 0
    while done < draws:
        ids = torch.arange(size).repeat(max(1, min(block, draws - done) // size))
        new = swap_ids(ids)
        assert new.shape == ids.shape
        counts += torch.bincount(ids * size + new, minlength=size * size).numpy()
        done += len(ids)
    return counts.reshape(size, size)


def random_edges(size: int, count: int, seed: int, weighted: bool = True) -> list[tuple[int, int, float]]:
    """Edges from a few hubs and at random; some nodes keep none."""
    rng = np.random.default_rng(seed)
    source = rng.integers(0, max(1, size - 3), count)
    target = np.where(rng.random(count) < 0.2, rng.integers(0, 3, count), rng.integers(0, max(1, size - 3), count))
    weight = np.where(rng.random(count) < 0.3, 1.0, rng.random(count) * 0.95 + 0.05) if weighted else np.ones(count)
    return [(int(j), int(k), float(w)) for j, k, w in zip(source, target % size, weight, strict=True)]


def random_matrix(size: int, seed: int, stay: float = 0.5, exclude: Sequence[int] = ()) -> np.ndarray:
    """A sparse row-stochastic matrix; excluded ids keep to themselves."""
    rng = np.random.default_rng(seed)
    matrix = rng.random((size, size)) * (rng.random((size, size)) < 0.4)
    matrix[:, list(exclude)] = 0.0
    matrix[np.arange(size), (np.arange(size) + 1) % size] += 0.1 * ~np.isin((np.arange(size) + 1) % size, exclude)
    np.fill_diagonal(matrix, 0.0)
    sums = matrix.sum(axis=1, keepdims=True)
    matrix = (1 - stay) * np.divide(matrix, sums, out=np.zeros_like(matrix), where=sums > 0)
    matrix[list(exclude)] = 0.0
    matrix[np.arange(size), np.arange(size)] = 1.0 - matrix.sum(axis=1)
    return matrix


def cases(size: int = 40) -> dict[str, Setting]:
    """One setting for each kind of law, with and without what complicates it."""
    weighted, equal = random_edges(size, 3 * size, 1), random_edges(size, 3 * size, 2, weighted=False)
    halves = [(j, k, 0.5) for j, k, _ in equal]
    return {
        "complete": Setting(size),
        "complete, excluded": Setting(size, exclude=(0, 7, size - 1)),
        "graph": Setting(size, edges=equal, rho=30.0),
        "graph, directed, excluded": Setting(size, edges=equal, directed=True, rho=80.0, exclude=(1, 5)),
        "graph, equal weights of 0.5": Setting(size, edges=halves, rho=30.0),
        "graph, weights": Setting(size, edges=weighted, rho=30.0, directed=True),
        "graph, weights, excluded": Setting(size, edges=weighted, rho=30.0, exclude=(0, 2)),
        "graph, rho inf": Setting(size, edges=equal, rho=math.inf, directed=True),
        "graph, rho inf, weights, excluded": Setting(size, edges=weighted, rho=math.inf, exclude=(2,)),
        "walk": Setting(size, edges=equal, directed=True, walk=Walk(2, restart=0.25, self_loop=0.15)),
        "walk, weights, excluded": Setting(size, edges=weighted, walk=Walk(3, restart=0.2), exclude=(0, 9)),
        "matrix": Setting(size, p0=1.0, matrix=random_matrix(size, 3)),
        "matrix, p0 below 1, excluded": Setting(size, matrix=random_matrix(size, 4, 0.9, (3, 4)), exclude=(3, 4)),
    }
