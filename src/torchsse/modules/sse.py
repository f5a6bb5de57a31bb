"""The SSE module: a shell round `swap`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torchsse.errors import ConfigError
from torchsse.graph import Graph
from torchsse.swap import Coin, swap
from torchsse.swap.check import checked_ids
from torchsse.transition import Law, MatrixLaw, Walk, build_law
from torchsse.transition.active import Exclude

__all__ = ["SSE"]


class SSE(nn.Module):
    """Stochastic Shared Embeddings: replaces ids at random before an embedding look-up, in training only.

    With probability `p0` an id j is replaced; where it goes is the transition law. p(j, j) = 1 - p0 (walks and matrices
    excepted: they may end at j), and for k != j:

    ====================  ========================================================================================
    SSE-SE, Eq. 5         p(j, k) = p0 / (N - 1). The default.
    SSE-Graph, Eq. 3      `graph` and `rho`: p(j, k) in proportion to 1 + (rho - 1) w_jk, w = 0 without an edge; sums to
                          p0. rho = 1 is SSE-SE, rho = inf neighbours only.
    walk, section 3.1     `graph` and `walk`: p(j, k) = p0 v_k, v the law of where a random walk from j ends.
    any matrix, Eq. 2     `transition`: p = p0 P + (1 - p0) I.
    ====================  ========================================================================================

    Excluded ids are never replaced and never drawn; N and degrees count the rest, walks run on the rest. An id stays
    where it cannot move: with fewer than two active ids, without an active neighbour at rho = inf, without a way out
    in a walk.

    Args:
        num_embeddings: rows of the table, N >= 1.
        p0: chance in [0, 1] that an id is replaced. Required, since good values run from 0.005 (matrix factorisation)
            to 0.1 and more (ranking); with `transition` the default is 1: the law is then exactly P.
        graph: a `Graph` over the N ids. Row j of a directed graph = edges out of j.
        rho: how much likelier a neighbour (w = 1) is drawn than another id, >= 1 or math.inf. Needs `graph`.
        walk: a `Walk`. Needs `graph`; not with `rho`.
        transition: N x N matrix of probabilities, rows summing to 1: scipy.sparse, array or tensor. Not with the above.
        exclude: ids that take no part: padding, special tokens, rows without training examples. Default: none.

    Shape:
        ids of any shape, int32 or int64, on any device; the output has the same shape, dtype and device.

    The module has no parameters, no buffers and an empty state dict: tables live in integers or float64 beside it, one
    copy per device, untouched by `.to(bfloat16)`. The draw uses the device's default generator.

    Raises:
        ConfigError: p0 outside [0, 1], rho below 1, rho or walk without graph, graph without rho or walk, rho with
            walk, a graph or matrix of another size, rows that do not sum to 1, excluded ids outside the table.

    Example:
        >>> import torch
        >>> sse = SSE(num_embeddings=1000, p0=0.01, exclude=[0])
        >>> table = torch.nn.Embedding(1000, 16, padding_idx=0)
        >>> ids = torch.randint(1000, (8, 20))
        >>> table(sse(ids)).shape
        torch.Size([8, 20, 16])
        >>> sse.eval()(ids) is ids
        True
    """

    def __init__(
        self,
        num_embeddings: int,
        p0: float | None = None,
        *,
        graph: Graph | None = None,
        rho: float | None = None,
        walk: Walk | None = None,
        transition: object = None,
        exclude: Exclude = None,
    ) -> None:
        super().__init__()
        if p0 is None:
            if transition is None:
                raise ConfigError(
                    "SSE needs p0, the chance in [0, 1] that an id is replaced (only transition has a default, 1)"
                )
            p0 = 1.0
        self._law = build_law(num_embeddings, graph, rho, walk, transition, exclude)
        if isinstance(self._law, MatrixLaw):
            transition = self._law  # not the caller's matrix, which may be dense or change
        # What `excluding` builds a new law from.
        self._settings: dict[str, Any] = {"graph": graph, "rho": rho, "walk": walk, "transition": transition}
        self._coin = Coin(p0, self._law.rate)

    @property
    def num_embeddings(self) -> int:
        """Rows of the table, N."""
        return self._law.num_embeddings

    @property
    def law(self) -> Law:
        """The transition law, given that the coin fell."""
        return self._law

    @property
    def exclude(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Ids that take no part, sorted int64."""
        return self._law.excluded

    @property
    def p0(self) -> float:
        """Chance that an id is replaced. May be set at any step; compiled graphs see the new value without recompiling.

        Raises:
            ConfigError: when set to something outside [0, 1].
        """
        return self._coin.p0

    @p0.setter
    def p0(self, value: float) -> None:
        self._coin.p0 = value

    def coin(self, device: torch.device) -> Tensor:
        """The coin's threshold on `device`: 0-dim int64, p0 * law.rate * 2^62, filled in place when p0 changes."""
        return self._coin.threshold(device)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids with each replaced with probability p0; the very same tensor in eval() and at p0 = 0. See `swap`."""
        # Compiled code must not look at p0: it would be guarded on. There a threshold of 0 does the same.
        if not self.training or (not torch.compiler.is_compiling() and self._coin.p0 == 0.0):
            return checked_ids(ids)
        return swap(ids, self)

    def probability(self, j: object, k: object) -> Tensor:
        """p(j, k), exact.

        Args:
            j: ids before the swap: an integer, array or tensor.
            k: ids after it. `j` and `k` broadcast.

        Returns:
            float64 CPU tensor of the broadcast shape (0-dim for two integers).

        Raises:
            IdTypeError, IdRangeError: not integers, or outside 0 .. N-1. ConfigError: shapes that do not broadcast.

        Example:
            >>> SSE(num_embeddings=5, p0=0.2).probability([0, 1], 1)
            tensor([0.0500, 0.8000], dtype=torch.float64)
        """
        moved = torch.from_numpy(np.asarray(self._law.probability(j, k)))
        same = torch.from_numpy(np.asarray(_array(j) == _array(k), np.float64))
        return self.p0 * moved + (1.0 - self.p0) * same

    def row(self, j: int) -> Tensor:
        """p(j, .): (N,) float64 CPU tensor, exact, summing to 1.

        Raises:
            IdTypeError, IdRangeError: j is not an integer, or outside 0 .. N-1.

        Example:
            >>> SSE(num_embeddings=4, p0=0.3, exclude=[3]).row(0)
            tensor([0.7000, 0.1500, 0.1500, 0.0000], dtype=torch.float64)
        """
        row = torch.from_numpy(self._law.row(j)) * self.p0
        row[int(j)] += 1.0 - self.p0
        return row

    def transition_matrix(self) -> Tensor:
        """All rows: (N, N) float64 CPU tensor.

        Raises:
            ConfigError: the matrix would take more than 1 GiB (N above 11,585); use `row` or `probability` there.
        """
        matrix = torch.from_numpy(self._law.transition_matrix()).mul_(self.p0)
        matrix.diagonal().add_(1.0 - self.p0)
        return matrix

    def excluding(self, ids: Exclude) -> SSE:
        """A new SSE with `ids` excluded as well. It shares the coin: setting p0 on either sets both.

        `attach` leaves out the `padding_idx` of an embedding this way.

        Raises:
            ConfigError: as for `exclude`; also where `transition` moves one of the ids.
        """
        new = SSE(
            self.num_embeddings,
            self.p0,
            **self._settings,
            exclude=np.concatenate([self.exclude, build_law(self.num_embeddings, exclude=ids).excluded]),
        )
        new._coin = self._coin
        return new.train(self.training)

    def extra_repr(self) -> str:
        parts = [f"{self.num_embeddings}", f"p0={self.p0:g}"]
        graph, rho, walk = (self._settings[name] for name in ("graph", "rho", "walk"))
        if graph is not None:
            parts.append(f"edges={graph.num_edges}")
        if rho is not None:
            parts.append(f"rho={'inf' if math.isinf(rho) else format(rho, 'g')}")
        if walk is not None:
            parts.append(f"walk={walk}")
        if self._settings["transition"] is not None:
            parts.append("transition")
        if len(self.exclude):
            parts.append(f"excluded={len(self.exclude)}")
        return ", ".join(parts)


def _array(value: object) -> np.ndarray[Any, Any]:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
