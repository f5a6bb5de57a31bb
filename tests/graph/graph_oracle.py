"""A graph as the most obvious data structure: a dictionary of edges. What the tests compare against."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np

from torchsse.graph import Graph

Edges = dict[tuple[int, int], float]


def oracle(src: Any, dst: Any, weight: Any = None, *, directed: bool) -> Edges:
    """Largest weight of each edge, no self-loops, no zero weights, both directions unless directed."""
    edges: Edges = {}
    weights = [1.0] * len(src) if weight is None else list(weight)
    for s, d, w in zip(src, dst, weights):
        if s == d or w == 0:
            continue
        for a, b in [(int(s), int(d))] if directed else [(int(s), int(d)), (int(d), int(s))]:
            edges[a, b] = max(edges.get((a, b), 0.0), float(w))
    return edges


def as_dict(graph: Graph) -> Edges:
    """The stored entries of a graph, read through `neighbors`, with every stated property of the rows checked."""
    edges: Edges = {}
    for node in range(graph.num_nodes):
        others, weights = graph.neighbors(node)
        assert (np.diff(others) > 0).all()
        values = np.ones(len(others)) if weights is None else weights
        for other, value in zip(others.tolist(), values.tolist()):
            edges[node, other] = value
    assert len(edges) == graph.num_edges == len(graph.indices)
    assert len(graph.indptr) == graph.num_nodes + 1
    assert graph.is_weighted == (graph.weights is not None)
    assert graph.degree().tolist() == [sum(1 for a, _ in edges if a == node) for node in range(graph.num_nodes)]
    for array in (graph.indptr, graph.indices, graph.weights):
        assert array is None or (not array.flags.writeable and type(array) is np.ndarray)
    return edges


def transposed(edges: Edges) -> Edges:
    """Every edge turned round."""
    return {(b, a): w for (a, b), w in edges.items()}


def nearest(similarity: list[list[float]], k: int) -> list[tuple[int, int, float]]:
    """The k most similar others of each node, ties to the smaller id; similarity nan means: never."""
    found = []
    for node, row in enumerate(similarity):
        others = [(-value, other) for other, value in enumerate(row) if other != node and not math.isnan(value)]
        found += [(node, other, -negative) for negative, other in sorted(others)[:k]]
    return found


def shared_counts(ids: Any, attributes: Any) -> dict[tuple[int, int], int]:
    """How many attributes each pair of nodes has in common."""
    members: dict[Any, set[int]] = defaultdict(set)
    for node, attribute in zip(ids, attributes):
        members[attribute].add(int(node))
    counts: dict[tuple[int, int], int] = defaultdict(int)
    for group in members.values():
        for a in group:
            for b in group:
                if a != b:
                    counts[a, b] += 1
    return counts
