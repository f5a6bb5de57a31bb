"""Transition matrices as operators: products with P and its transpose in O(N + edges), without the N x N matrix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch

from torchsse.errors import ConfigError
from torchsse.swap import Swappable
from torchsse.transition import CompleteLaw, GraphLaw, Law, MatrixLaw, WalkLaw

__all__ = ["TransitionOperator", "transition_operator"]

Array = np.ndarray[Any, Any]

_BLOCK = 1 << 22  # products held at once: bounds the temporary memory


class TransitionOperator(ABC):
    """The matrix of p(j, k) over the N ids of a table, known by its products. Made by `transition_operator`.

    Attributes:
        num_embeddings: rows of the table, N.
    """

    def __init__(self, num_embeddings: int) -> None:
        self.num_embeddings = num_embeddings

    @property
    def shape(self) -> tuple[int, int]:
        """(N, N)."""
        return self.num_embeddings, self.num_embeddings

    def matvec(self, x: object) -> Array:
        """P x: the mean of x over where each id goes, sum_k p(j, k) x[k].

        Args:
            x: numbers of shape (N,) or (N, ...); trailing axes are columns.

        Returns:
            float64 array of the shape of x.

        Raises:
            ConfigError: x has another number of rows.
        """
        return self._on(x, transpose=False)

    def rmatvec(self, x: object) -> Array:
        """P' x: what each id receives, sum_j p(j, k) x[j]. Arguments and errors as for `matvec`."""
        return self._on(x, transpose=True)

    def _on(self, x: object, transpose: bool) -> Array:
        array = np.asarray(x.detach().cpu() if isinstance(x, torch.Tensor) else x, np.float64)
        if array.ndim == 0 or array.shape[0] != self.num_embeddings:
            raise ConfigError(f"expected {self.num_embeddings} rows (num_embeddings), got shape {array.shape}")
        return self._product(array.reshape(self.num_embeddings, -1), transpose).reshape(array.shape)

    @abstractmethod
    def _product(self, x: Array, transpose: bool) -> Array:
        """P x or P' x for x of shape (N, columns), always a new array."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_embeddings={self.num_embeddings})"


def transition_operator(sse: Swappable | Law) -> TransitionOperator:
    """The transition matrix of an SSE as an operator: a sparse part, plus a rank-one part for the uniform draws.

    P = diag(own) + S + r 1', S with one entry an edge and 1 the indicator of the active ids; for a walk the sum of
    powers of its step. A product costs O(N + edges), for walks O(hops (N + edges)), and the operator takes as much
    memory. p0 is read once: an operator does not follow later changes of `sse.p0`.

    Args:
        sse: an `SSE`, or a law of `torchsse.transition`; a law is taken at p0 = 1.

    Raises:
        ConfigError: `sse` is neither.

    Example:
        >>> import numpy as np
        >>> from torchsse import SSE
        >>> sse = SSE(num_embeddings=1_000_000, p0=0.1)
        >>> x = np.zeros(1_000_000)
        >>> x[7] = 1.0
        >>> transition_operator(sse).matvec(x)[[7, 8]].round(9).tolist()
        [0.9, 1e-07]
    """
    law, p0 = (sse, 1.0) if isinstance(sse, Law) else (getattr(sse, "law", None), getattr(sse, "p0", None))
    if isinstance(law, WalkLaw) and p0 is not None:
        return _WalkOperator(law, p0)
    if isinstance(law, CompleteLaw | GraphLaw | MatrixLaw) and p0 is not None:
        return _StepOperator(law, p0)
    raise ConfigError(f"expected an SSE or a transition law, got {type(sse).__name__}")


class _Entries:
    """A sparse matrix by its entries."""

    def __init__(self, indptr: Array, columns: Array, values: Array) -> None:
        count = np.diff(indptr)
        self.rows = torch.from_numpy(np.repeat(np.arange(len(count), dtype=columns.dtype), count))
        self.columns = torch.from_numpy(np.array(columns))  # a copy: a memory-mapped graph is read-only
        self.values = torch.from_numpy(values)

    def add_product(self, out: Array, x: Array, transpose: bool) -> None:
        """out += S x, or S' x."""
        target, source = (self.columns, self.rows) if transpose else (self.rows, self.columns)
        total, given = torch.from_numpy(out), torch.from_numpy(x)
        step = max(1, _BLOCK // max(1, x.shape[1]))
        for start in range(0, len(self.values), step):
            block = slice(start, start + step)
            products = given.index_select(0, source[block]).mul_(self.values[block, None])
            total.index_add_(0, target[block], products)


class _StepOperator(TransitionOperator):
    """SSE-SE, SSE-Graph and matrices."""

    def __init__(self, law: CompleteLaw | GraphLaw | MatrixLaw, p0: float) -> None:
        super().__init__(law.num_embeddings)
        size = law.num_embeddings
        self.uniform: Array | None = None  # r of the rank-one part
        self.active: Array | None = None  # its 1
        self.entries: _Entries | None = None
        if isinstance(law, MatrixLaw):
            self.own: Array = np.full(size, 1.0 - p0)
            self.entries = _Entries(law.indptr, law.indices, p0 * law.values)
            return
        moves = ~law.stays
        self.own = 1.0 - p0 * moves
        link: Array = np.zeros(size)
        if isinstance(law, GraphLaw):
            link = law.link
            graph = law.graph
            share = np.divide(p0 * link, law.weight_sum, out=np.zeros(size), where=law.weight_sum > 0)
            weights = law.equal_weight if graph.weights is None else graph.weights.astype(np.float64)
            self.entries = _Entries(graph.indptr, graph.indices, np.repeat(share, np.diff(graph.indptr)) * weights)
        if law.num_active >= 2:
            self.uniform = p0 * moves * (1.0 - link) / (law.num_active - 1)
            self.own -= self.uniform  # the rank-one part also sends an id to itself
            self.active = np.ones(size)
            self.active[law.excluded] = 0.0

    def _product(self, x: Array, transpose: bool) -> Array:
        out: Array = self.own[:, None] * x
        if self.entries is not None:
            self.entries.add_product(out, x, transpose)
        if self.uniform is not None and self.active is not None:
            to, given = (self.active, self.uniform) if transpose else (self.uniform, self.active)
            out += to[:, None] * (given @ x)
        return out


class _WalkOperator(TransitionOperator):
    """Random walks. With T one step without restart, V = restart (I + T + ... + T^(hops-1)) + T^hops."""

    def __init__(self, law: WalkLaw, p0: float) -> None:
        super().__init__(law.num_embeddings)
        self.p0, self.walk = p0, law.walk
        graph, move = law.graph, law.walk.move
        degree = graph.degree()
        self.kept = law.walk.self_loop + move * (degree == 0)
        sums = law.weight_sum
        share = np.divide(move, sums, out=np.zeros(law.num_embeddings), where=sums > 0)
        # equal weights: the law counts neighbours instead
        equal = graph.weights is None or law.cumulative is None
        weights = 1.0 if equal or graph.weights is None else graph.weights.astype(np.float64)
        self.entries = _Entries(graph.indptr, graph.indices, np.repeat(share, degree) * weights)

    def _product(self, x: Array, transpose: bool) -> Array:
        out: Array = (1.0 - self.p0) * x
        power = x
        for _ in range(self.walk.hops):
            out += self.p0 * self.walk.restart * power
            step: Array = self.kept[:, None] * power
            self.entries.add_product(step, np.ascontiguousarray(power), transpose)
            power = step
        out += self.p0 * power
        return out
