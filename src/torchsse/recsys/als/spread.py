"""Transition matrices as a sparse matrix plus rank one: P = S + d 1', with 1 the indicator of the active ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from torchsse.errors import ConfigError
from torchsse.transition import CompleteLaw, GraphLaw

if TYPE_CHECKING:
    from torchsse.transition import Law

__all__ = ["Spread", "spread"]

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """P = sparse + uniform active', float64.

    Attributes:
        sparse: (N, N) CSR: staying, and moving along the edges.
        uniform: (N,) d, the chance of each single id among the uniform draws.
        active: (N,) 1.0 where the id takes part, else 0.0.
    """

    sparse: Any
    uniform: Doubles
    active: Doubles

    def arrays(self) -> list[npt.NDArray[Any]]:
        """What defines it."""
        return [self.sparse.indptr, self.sparse.indices, self.sparse.data, self.uniform, self.active]

    def mean(self, x: Doubles) -> Doubles:
        """P x for x of shape (N,) or (N, columns): the mean of x over where each id goes."""
        moved: Doubles = self.sparse @ x
        drawn = self.active @ x
        return moved + (np.multiply.outer(self.uniform, drawn) if x.ndim > 1 else self.uniform * drawn)

    def received(self, x: Doubles) -> Doubles:
        """P' x for x of shape (N,): what each id gets when every id sends its number where it goes."""
        moved: Doubles = self.sparse.T @ x
        return moved + self.active * (self.uniform @ x)


def spread(law: Law, p0: float) -> Spread:
    """The transition matrix p0 q + (1 - p0) I of SSE-SE or SSE-Graph.

    Raises:
        ConfigError: another law.
    """
    if not isinstance(law, CompleteLaw | GraphLaw):
        raise ConfigError(f"expected SSE-SE or SSE-Graph, got {type(law).__name__}")
    size = law.num_embeddings
    active = np.ones(size)
    active[law.excluded] = 0.0
    if p0 == 0.0:
        return Spread(sp.identity(size, format="csr"), np.zeros(size), active)
    moves = ~law.stays
    own = 1.0 - p0 * moves
    link: Doubles = np.zeros(size)
    edges: Any = None
    if isinstance(law, GraphLaw):
        link, graph = law.link, law.graph
        share = np.divide(p0 * link, law.weight_sum, out=np.zeros(size), where=law.weight_sum > 0)
        weights = law.equal_weight if graph.weights is None else graph.weights.astype(np.float64)
        values = np.repeat(share, np.diff(graph.indptr)) * weights
        edges = sp.csr_matrix((values, graph.indices, graph.indptr), shape=(size, size))
    uniform = np.zeros(size)
    if law.num_active >= 2:
        uniform = p0 * moves * (1.0 - link) / (law.num_active - 1)
        own = own - uniform  # the rank-one part also sends an id to itself
    sparse: Any = sp.diags(own, format="csr")
    if edges is not None:
        sparse = (sparse + edges).tocsr()
    sparse.eliminate_zeros()
    return Spread(sparse, uniform, active)
