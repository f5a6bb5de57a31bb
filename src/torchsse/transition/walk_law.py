"""Random walks (section 3.1 of the paper)."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch

from torchsse.graph import Graph
from torchsse.transition.active import ActiveSet
from torchsse.transition.base import Array, Law
from torchsse.transition.picks import (
    Flat,
    choose,
    ints_like,
    pick_equal,
    pick_weighted,
    row_span,
    take,
    uniforms_like,
)
from torchsse.transition.rows import expand, row_cumulative, row_ends
from torchsse.transition.tables import DeviceTables
from torchsse.transition.walk import Walk

__all__ = ["WalkLaw"]


class WalkLaw(Law):
    """q(j, .) = the law of where a `Walk` from j over the graph of the active ids ends; it may end at j.

    A draw is O(hops), times O(log degree) with weights. `row` costs the size of the neighbourhood within `hops` steps.

    Attributes:
        graph: the graph over the active ids; edges that touch an excluded id are gone.
        walk: the settings.
        cumulative: (E,) float64, cumulative weights of each row; None where all weights are equal.
    """

    def __init__(self, active: ActiveSet, graph: Graph, walk: Walk) -> None:
        super().__init__(active)
        self.walk = walk
        self.graph = graph if active.position is None else graph.subgraph_of_active(active.mask())
        weights = self.graph.weights
        equal = weights is None or bool(np.all(weights == weights[:1]))
        self.cumulative = None if equal or weights is None else row_cumulative(self.graph.indptr, weights)
        self._steps = (max(1, int(self.graph.degree().max(initial=0))) - 1).bit_length()
        # For the draw, since traced code must touch neither numpy arrays nor floats (which a dynamic graph makes
        # symbols of): plain bools, and the chances as tensors.
        self._weighted = self.cumulative is not None
        self._always_moves = walk.restart == 0.0 and walk.self_loop == 0.0
        self._moves = walk.move > 0.0 and self.graph.num_edges > 0
        self._tables = DeviceTables(
            indptr=self.graph.indptr,
            indices=self.graph.indices,
            cumulative=self.cumulative,
            restart=np.array([walk.restart]),
            stay=np.array([walk.restart + walk.self_loop]),
        )

    @cached_property
    def weight_sum(self) -> Array:
        """(N,) float64: sum of the weights of j's active neighbours, or their number where all weights are equal."""
        if self.cumulative is None:
            return np.asarray(self.graph.degree(), np.float64)
        return row_ends(self.graph.indptr, self.cumulative)

    @property
    def stays(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        if self.walk.move == 0.0:
            return np.ones(self.num_embeddings, np.bool_)
        return np.asarray(self.graph.degree() == 0)

    def jump(self, ids: Flat, generator: torch.Generator | None = None) -> Flat:
        if not self._moves:
            return ids
        tables = self._tables.like(ids)
        here = ids
        for _ in range(self.walk.hops):
            step = self._step(here, tables, generator)
            if not self._always_moves:
                chance = uniforms_like(ids, generator)
                step = choose(chance < tables["stay"], here, step)
                step = choose(chance < tables["restart"], ids, step)
            here = step
        return here

    def _step(self, here: Flat, tables: dict[str, Flat], generator: torch.Generator | None) -> Flat:
        start, count = row_span(tables["indptr"], here)
        if not self._weighted:
            edge = pick_equal(start, count, ints_like(here, generator), tables["indices"].shape[0])
        else:
            edge = pick_weighted(tables["cumulative"], start, count, uniforms_like(here, generator), self._steps)
        return choose(count > 0, take(tables["indices"], edge), here)

    def ends(self, j: int) -> tuple[Array, Array]:
        """Where a walk from j may end, sorted int64 ids, and with what probability, float64."""
        ids: Array = np.array([j], np.int64)
        mass: Array = np.ones(1)
        for _ in range(self.walk.hops):
            owner, edge = expand(self.graph.indptr, ids)
            moved = self.walk.move * mass[owner] * self._weights_of(edge) / self.weight_sum[ids[owner]]
            stuck = self.graph.indptr[ids + 1] == self.graph.indptr[ids]
            kept = mass * (self.walk.self_loop + self.walk.move * stuck)
            to = np.concatenate([self.graph.indices[edge].astype(np.int64), ids, [j]])
            mass_to = np.concatenate([moved, kept, [self.walk.restart]])
            ids, where = np.unique(to, return_inverse=True)
            mass = np.bincount(where, mass_to, minlength=len(ids))
        return ids, mass

    def _weights_of(self, edge: Array) -> Array:
        weights = self.graph.weights
        return np.ones(len(edge)) if weights is None or self.cumulative is None else weights[edge].astype(np.float64)

    def _row(self, j: int) -> Array:
        row = np.zeros(self.num_embeddings)
        ids, mass = self.ends(j)
        row[ids] = mass
        return row

    def _probability(self, j: Array, k: Array) -> Array:
        out = np.zeros(j.shape)
        order = np.argsort(j, kind="stable")
        starts = np.flatnonzero(np.diff(j[order], prepend=-1))
        for at in np.split(order, starts[1:]) if len(order) else ():
            ids, mass = self.ends(int(j[at[0]]))
            position = np.minimum(np.searchsorted(ids, k[at]), len(ids) - 1)
            out[at] = np.where(ids[position] == k[at], mass[position], 0.0)
        return out

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "weight_sum"}

    def __repr__(self) -> str:
        return (
            f"WalkLaw(num_embeddings={self.num_embeddings}, num_active={self.num_active}, "
            f"num_edges={self.graph.num_edges}, walk={self.walk})"
        )
