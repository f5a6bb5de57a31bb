"""Any row-stochastic matrix (Eq. 2 of the paper)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchsse.errors import ConfigError
from torchsse.transition.active import ActiveSet
from torchsse.transition.base import Array, Law
from torchsse.transition.picks import Flat, pick_weighted, row_span, take, uniforms_like
from torchsse.transition.rows import find, row_cumulative, row_ends
from torchsse.transition.tables import DeviceTables

__all__ = ["MatrixLaw"]

_TOLERANCE = {8: 1e-6, 4: 1e-4}  # how far a row sum may be from 1, by bytes of the given dtype


class MatrixLaw(Law):
    """q(j, k) = P[j, k] for a given matrix P with rows that sum to 1 (Eq. 2).

    Rows are divided by their sum, so that sums short of 1 by rounding do no harm. Draws are uniformised: with
    m = max_j (1 - P[j, j]), P = (1 - m) I + m Q, and Q = (P - (1 - m) I) / m is a law too; a coin of p0 * m followed
    by a draw from Q is the same as a coin of p0 followed by a draw from P. `rate` is m, `jump` draws from Q.

    A draw is O(log entries of the row).

    Raises:
        ConfigError: not N x N, not numbers, NaN, infinite or negative entries, a row that does not sum to 1 (to 1e-6;
        1e-4 for float32), mass on an excluded id, an excluded id with another row than the identity's.
    """

    def __init__(self, active: ActiveSet, matrix: object) -> None:
        super().__init__(active)
        self.indptr, self.indices, self.values = _checked_csr(matrix, active)
        rows = np.repeat(np.arange(self.num_embeddings), np.diff(self.indptr))
        own = self.indices == rows
        leave = np.bincount(rows[~own], self.values[~own], minlength=self.num_embeddings)
        self._leave = leave
        most = min(1.0, float(leave.max(initial=0.0)))
        self._moves = most > 0.0  # plain numbers: traced code must not touch numpy arrays
        self.rate = most or 1.0  # the identity matrix: every id stays, whatever the coin
        jump_values = self.values.copy()
        # the diagonal of P - (1 - m) I, as a difference of what leaves the row: no cancellation near 1
        jump_values[own] = np.maximum(most - leave[rows[own]], 0.0)
        # A row that does not store P[j, j] leaves with 1 = m, so it needs no entry for staying.
        self._cumulative = row_cumulative(self.indptr, jump_values)
        self._steps = (max(1, int(np.diff(self.indptr).max(initial=0))) - 1).bit_length()
        self._tables = DeviceTables(
            indptr=self.indptr, indices=self.indices, cumulative=self._cumulative, rate=np.array([self.rate])
        )

    @property
    def stays(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.asarray(self._leave == 0.0)

    def jump(self, ids: Flat, generator: torch.Generator | None = None) -> Flat:
        if not self._moves:
            return ids
        tables = self._tables.like(ids)
        start, count = row_span(tables["indptr"], ids)
        entry = pick_weighted(tables["cumulative"], start, count, uniforms_like(ids, generator), self._steps)
        return take(tables["indices"], entry)

    def _given_the_coin(self, flat: Tensor, generator: torch.Generator | None) -> Tensor:
        fallen = uniforms_like(flat, generator) < self._tables.on(flat.device)["rate"]
        return torch.where(fallen, self.jump(flat, generator), flat)

    def _row(self, j: int) -> Array:
        row = np.zeros(self.num_embeddings)
        span = slice(int(self.indptr[j]), int(self.indptr[j + 1]))
        row[self.indices[span]] = self.values[span]
        return row

    def _probability(self, j: Array, k: Array) -> Array:
        entry, found = find(self.indptr, self.indices, j, k)
        return np.where(found, self.values[entry], 0.0)

    def __repr__(self) -> str:
        return (
            f"MatrixLaw(num_embeddings={self.num_embeddings}, num_active={self.num_active}, "
            f"entries={len(self.values)}, rate={self.rate:g})"
        )


def _checked_csr(matrix: object, active: ActiveSet) -> tuple[Array, Array, Array]:
    """`matrix` as sorted CSR arrays without zeros, rows summing to exactly 1; see `MatrixLaw` for what it refuses."""
    indptr, indices, values = _as_csr(matrix, active.size)
    tolerance = _TOLERANCE.get(values.dtype.itemsize, 1e-6) if values.dtype.kind == "f" else 1e-6
    values = values.astype(np.float64)
    rows = np.repeat(np.arange(active.size), np.diff(indptr))
    bad = ~np.isfinite(values) | (values < 0)
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise ConfigError(
            f"transition: probabilities must be finite and not negative, got {values[at]} at "
            f"[{rows[at]}, {indices[at]}]"
        )
    kept = values > 0
    indices, values, rows = indices[kept], values[kept], rows[kept]
    indptr = np.zeros(active.size + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=active.size), out=indptr[1:])
    sums = row_ends(indptr, row_cumulative(indptr, values))
    wrong = np.abs(sums - 1.0) > tolerance
    if wrong.any():
        j = int(np.flatnonzero(wrong)[0])
        raise ConfigError(f"transition: every row must sum to 1 (within {tolerance:g}), row {j} sums to {sums[j]:.12g}")
    moving = rows != indices
    touches = moving & ~(active.contains(rows) & active.contains(indices))
    if touches.any():
        at = int(np.flatnonzero(touches)[0])
        raise ConfigError(
            f"transition: excluded ids must keep to themselves, but [{rows[at]}, {indices[at]}] = {values[at]:g} and "
            f"id {indices[at] if active.contains(rows[at]) else rows[at]} is excluded"
        )
    return indptr, indices.astype(np.int32 if active.size < 2**31 else np.int64), values / sums[rows]


def _as_csr(matrix: object, size: int) -> tuple[Array, Array, Array]:
    if isinstance(matrix, MatrixLaw):
        shape, values, indptr, indices = (matrix.num_embeddings,) * 2, matrix.values, matrix.indptr, matrix.indices
    elif hasattr(matrix, "tocsr"):  # any scipy.sparse matrix, without importing scipy
        csr = matrix.tocsr(copy=True)
        csr.sum_duplicates()
        csr.sort_indices()
        shape, values = tuple(csr.shape), csr.data
        indptr, indices = csr.indptr, csr.indices
    else:
        if isinstance(matrix, Tensor):
            matrix = (matrix.to_dense() if matrix.layout != torch.strided else matrix).detach().cpu()
            matrix = matrix.float().numpy() if matrix.dtype in (torch.bfloat16, torch.half) else matrix.numpy()
        try:
            dense = np.asarray(matrix)
        except ValueError as error:
            raise ConfigError("transition must be a matrix of probabilities, got rows of different lengths") from error
        shape = dense.shape
        rows, indices = np.nonzero(dense) if dense.ndim == 2 else (np.empty(0, int), np.empty(0, int))
        values = dense[rows, indices] if dense.ndim == 2 else dense.reshape(-1)
        indptr = np.r_[0, np.cumsum(np.bincount(rows, minlength=shape[0]))] if dense.ndim == 2 else np.zeros(1, int)
    if values.dtype.kind not in "fiu":
        raise ConfigError(f"transition must hold real numbers, got dtype {values.dtype}")
    if shape != (size, size):
        raise ConfigError(f"transition must be a {size} x {size} matrix (num_embeddings = {size}), got shape {shape}")
    return np.asarray(indptr), np.asarray(indices), np.asarray(values)
