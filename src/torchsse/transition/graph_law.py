"""SSE-Graph: a neighbour in proportion to its weight, or any other active id (Eq. 3 of the paper)."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
import torch

from torchsse.graph import Graph
from torchsse.transition.active import ActiveSet
from torchsse.transition.base import Array, Law
from torchsse.transition.complete import other_active
from torchsse.transition.picks import (
    INT_RANGE,
    Flat,
    choose,
    ints_like,
    pick_equal,
    pick_weighted,
    row_span,
    take,
    uniforms_like,
)
from torchsse.transition.rows import find, row_cumulative, row_ends
from torchsse.transition.tables import DeviceTables

__all__ = ["GraphLaw"]


class GraphLaw(Law):
    """q(j, k) in proportion to 1 + (rho - 1) w_jk over the other active ids k, w_jk = 0 where there is no edge (Eq. 3).

    Drawn as a mixture. With W_j the sum of the weights of j's active neighbours and n the number of active ids: a
    neighbour in proportion to w with probability `link[j]` = (rho - 1) W_j / ((rho - 1) W_j + n - 1), else any other
    active id. rho = inf: neighbours only; an id without an active neighbour stays.

    A draw is O(1) where all weights are equal, else O(log degree). The tables are the graph's own, plus for finite rho
    one int64 a row (link[j] in units of 2^-62), plus with weights one float64 an edge.

    Attributes:
        graph: the graph over the active ids; edges that touch an excluded id are gone.
        rho: above 1, or inf. (rho = 1 is `CompleteLaw`.)
        cumulative: (E,) float64, cumulative weights of each row; None where all weights are equal.
    """

    def __init__(self, active: ActiveSet, graph: Graph, rho: float) -> None:
        super().__init__(active)
        self.rho = rho
        self.graph = graph if active.position is None else graph.subgraph_of_active(active.mask())
        weights = self.graph.weights
        # Equal weights need no search; w_equal != 1 still counts against the uniform part.
        self.equal_weight = 1.0 if weights is None or not len(weights) else float(weights[0])
        equal = weights is None or bool(np.all(weights == weights.dtype.type(self.equal_weight)))
        self.cumulative = None if equal or weights is None else row_cumulative(self.graph.indptr, weights)
        self._steps = (max(1, int(self.graph.degree().max(initial=0))) - 1).bit_length()
        # For the draw, since traced code must touch neither numpy arrays nor floats: plain bools.
        self._weighted = self.cumulative is not None
        self._neighbours_only = math.isinf(rho)
        # link as an integer threshold, 0 for a row without edges; computed without keeping link and weight_sum
        threshold = np.rint(self._links(self._weight_sums()) * float(INT_RANGE)).astype(np.int64)
        self._tables = DeviceTables(
            active=active.ids,
            position=active.position,
            indptr=self.graph.indptr,
            indices=self.graph.indices,
            cumulative=self.cumulative,
            threshold=None if self._neighbours_only else threshold,
        )

    @cached_property
    def weight_sum(self) -> Array:
        """(N,) float64: W_j, the sum of the weights of j's active neighbours."""
        return self._weight_sums()

    def _weight_sums(self) -> Array:
        if self.cumulative is None:
            return np.asarray(self.graph.degree() * self.equal_weight, np.float64)
        return row_ends(self.graph.indptr, self.cumulative)

    @cached_property
    def link(self) -> Array:
        """(N,) float64: probability that a replaced id goes to a neighbour; 0 for an id that stays."""
        return self._links(self.weight_sum)

    def _links(self, weight_sum: Array) -> Array:
        linked = weight_sum > 0
        if math.isinf(self.rho):
            return np.asarray(linked, np.float64)
        link: Array = np.zeros(self.num_embeddings)
        # (rho - 1) W may overflow to inf: the quotient is then 0 and every draw goes to a neighbour, as it should
        with np.errstate(over="ignore"):
            link[linked] = 1.0 / (1.0 + (self.num_active - 1) / ((self.rho - 1.0) * weight_sum[linked]))
        return link

    @property
    def stays(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        if math.isinf(self.rho):
            return np.asarray(self.weight_sum <= 0)
        return ~self._active.mask() if self.num_active >= 2 else np.ones(self.num_embeddings, np.bool_)

    def jump(self, ids: Flat, generator: torch.Generator | None = None) -> Flat:
        if self.num_active < 2:
            return ids
        tables = self._tables.like(ids)
        start, count = row_span(tables["indptr"], ids)
        ints = ints_like(ids, generator)
        if not self._weighted:
            edge = pick_equal(start, count, ints, tables["indices"].shape[0])
        else:
            edge = pick_weighted(tables["cumulative"], start, count, uniforms_like(ids, generator), self._steps)
        neighbour = take(tables["indices"], edge)
        if self._neighbours_only:
            return choose(count > 0, neighbour, ids)
        # `ints` serves the coin and what it chooses: the 2^62 integers are dealt out to the ids, each of which gets
        # its probability to within 2^-62. Cut by the threshold, and within each part by a modulus.
        to_neighbour = ints < take(tables["threshold"], ids)
        return choose(to_neighbour, neighbour, other_active(ids, ints, self.num_active, tables))

    def _row(self, j: int) -> Array:
        row = np.zeros(self.num_embeddings)
        if self.num_active < 2 or (math.isinf(self.rho) and self.weight_sum[j] <= 0):
            row[j] = 1.0
            return row
        if not math.isinf(self.rho):
            row[slice(None) if self.active is None else self.active] = (1.0 - self.link[j]) / (self.num_active - 1)
            row[j] = 0.0
        neighbours, weights = self.graph.neighbors(j)
        if len(neighbours):
            share = self.equal_weight if weights is None else weights.astype(np.float64)
            row[neighbours] += self.link[j] * share / self.weight_sum[j]
        return row

    def _probability(self, j: Array, k: Array) -> Array:
        if self.num_active < 2:
            return np.asarray(j == k, np.float64)
        stuck = math.isinf(self.rho) & (self.weight_sum[j] <= 0)
        uniform = 0.0 if math.isinf(self.rho) else (1.0 - self.link[j]) / (self.num_active - 1)
        edge, found = find(self.graph.indptr, self.graph.indices, j, k)
        if self.graph.weights is None or not self.graph.num_edges:
            weight: Array = found * self.equal_weight
        else:
            weight = np.where(found, self.graph.weights[edge].astype(np.float64), 0.0)
        share = np.divide(weight, self.weight_sum[j], out=np.zeros(j.shape), where=found)
        return np.where(j == k, np.where(stuck, 1.0, 0.0), self.link[j] * share + np.where(stuck, 0.0, uniform))

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("link", "weight_sum")}

    def __repr__(self) -> str:
        return (
            f"GraphLaw(num_embeddings={self.num_embeddings}, num_active={self.num_active}, "
            f"num_edges={self.graph.num_edges}, rho={self.rho:g})"
        )
