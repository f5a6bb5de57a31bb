"""SSE-Graph: a neighbour in proportion to its weight, or any other active id (Eq. 3 of the paper)."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchsse.graph import Graph
from torchsse.transition.active import ActiveSet
from torchsse.transition.base import Array, Law
from torchsse.transition.complete import other_active
from torchsse.transition.picks import ints_like, pick_equal, pick_weighted, row_span, uniforms_like
from torchsse.transition.rows import find, row_cumulative, row_ends
from torchsse.transition.tables import DeviceTables

__all__ = ["GraphLaw"]


class GraphLaw(Law):
    """q(j, k) in proportion to 1 + (rho - 1) w_jk over the other active ids k, w_jk = 0 where there is no edge (Eq. 3).

    Drawn as a mixture. With W_j the sum of the weights of j's active neighbours and n the number of active ids: a
    neighbour in proportion to w with probability `link[j]` = (rho - 1) W_j / ((rho - 1) W_j + n - 1), else any other
    active id. rho = inf: neighbours only; an id without an active neighbour stays.

    A draw is O(1) where all weights are equal, else O(log degree); the tables are the graph's own plus, with weights,
    one float64 an edge.

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
        # For the draw, since traced code must touch neither numpy arrays nor floats (which a dynamic graph makes
        # symbols of): plain bools, and (rho - 1) times the common weight as a tensor.
        self._weighted = self.cumulative is not None
        self._neighbours_only = math.isinf(rho)
        odds = (rho - 1.0) * (1.0 if self._weighted else self.equal_weight)
        self._tables = DeviceTables(
            active=active.ids,
            position=active.position,
            indptr=self.graph.indptr,
            indices=self.graph.indices,
            cumulative=self.cumulative,
            odds=np.array([odds]),
        )

    @cached_property
    def weight_sum(self) -> Array:
        """(N,) float64: W_j, the sum of the weights of j's active neighbours."""
        if self.cumulative is None:
            return np.asarray(self.graph.degree() * self.equal_weight, np.float64)
        return row_ends(self.graph.indptr, self.cumulative)

    @cached_property
    def link(self) -> Array:
        """(N,) float64: probability that a replaced id goes to a neighbour; 0 for an id that stays."""
        if math.isinf(self.rho):
            return np.asarray(self.weight_sum > 0, np.float64)
        link: Array = np.zeros(self.num_embeddings)
        linked = self.weight_sum > 0
        with np.errstate(over="ignore"):
            link[linked] = 1.0 / (1.0 + (self.num_active - 1) / ((self.rho - 1.0) * self.weight_sum[linked]))
        return link

    @property
    def stays(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        if math.isinf(self.rho):
            return np.asarray(self.weight_sum <= 0)
        return ~self._active.mask() if self.num_active >= 2 else np.ones(self.num_embeddings, np.bool_)

    def jump(self, ids: Tensor, generator: torch.Generator | None = None) -> Tensor:
        if self.num_active < 2:
            return ids
        tables = self._tables.on(ids.device)
        start, count = row_span(tables["indptr"], ids)
        has_edges = count > 0
        ints = ints_like(ids, generator)
        if not self._weighted:
            edges = tables["indices"].shape[0]
            edge = pick_equal(start, count, ints, edges)
            weight = count.to(torch.float64)
        else:
            edge = pick_weighted(tables["cumulative"], start, count, uniforms_like(ids, generator), self._steps)
            last = (start + count - 1).clamp(min=0)
            weight = tables["cumulative"].index_select(0, last)
        neighbour = tables["indices"].index_select(0, edge).to(torch.int64)
        if self._neighbours_only:
            return torch.where(has_edges, neighbour, ids)
        # (rho - 1) W may overflow to inf: the quotient is then 0 and every draw goes to a neighbour, as it should
        link = 1.0 / (1.0 + (self.num_active - 1) / (tables["odds"] * weight))
        to_neighbour = has_edges & (uniforms_like(ids, generator) < link)
        # `ints` serves both alternatives: only one of them is used, chosen independently of it
        return torch.where(to_neighbour, neighbour, other_active(ids, ints, self.num_active, tables))

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
