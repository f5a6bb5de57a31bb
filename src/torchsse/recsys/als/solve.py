"""One half of a sweep: every row of a table solved against the other table, which stays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.recsys.als.propagate import Block, Propagated
from torchsse.recsys.als.spread import Doubles
from torchsse.recsys.kernels import als
from torchsse.recsys.training import DivergedError

__all__ = ["SOLVERS", "Penalty", "Solver", "balanced"]

SOLVERS = ("cg", "cholesky")

Table = npt.NDArray[Any]


@dataclass(frozen=True)
class Penalty:
    """What is added to a row's matrix: base + rows[u] * diag(columns).

    Attributes:
        base: (width, width) symmetric, padded with zeros, or None.
        rows: (n,).
        columns: (f,), f the numbers solved for.
    """

    base: Table | None
    rows: Doubles
    columns: Doubles


@dataclass(frozen=True)
class Solver:
    """How rows are solved.

    Attributes:
        name: "cholesky" (exactly) or "cg" (`steps` steps of conjugate gradients from the current values).
        steps: of "cg".
        dtype: of tables and systems, "float32" or "float64".
        num_threads: rows are shared out; the result does not depend on it.
    """

    name: str
    steps: int
    dtype: str
    num_threads: int

    def solve(self, data: Propagated, Z: Table, offset: Doubles | None, penalty: Penalty, X: Table) -> float:
        """Minimise over the rows of X: sum Ct (x.z + o)^2 - 2 (CR)t (x.z + o) + x' base x + penalties, o the offset.

        Args:
            data: the examples, by the rows of X.
            Z: (columns, width) features of the other table, padded with zeros.
            offset: (columns,) added to each prediction, not solved for; or None.
            penalty: see `Penalty`.
            X: (rows, width), written; with "cg" the starting point.

        Returns:
            The minimum's part that depends on X: sum over the rows of x' A x - 2 x' g.

        Raises:
            DivergedError: a row's matrix is not positive definite: the penalty is too small.
        """
        kind = np.dtype(self.dtype)
        width = Z.shape[1]
        present = data.columns.active.astype(kind)
        nothing = np.zeros((width, width), kind)
        base = nothing if penalty.base is None else np.ascontiguousarray(penalty.base, kind)
        shared = not data.dense_c.v.any()
        G1 = nothing if shared else np.ascontiguousarray((Z.T * present) @ Z)
        active = base
        if data.dense_c.w.any():
            active = np.ascontiguousarray(base + (Z.T * data.dense_c.w.astype(kind)) @ Z)
        arguments = (
            Z, base, active, G1, data.rows.active.astype(kind), data.dense_c.v.astype(kind), penalty.rows.astype(kind),
            penalty.columns.astype(kind), self._dense_targets(data, Z, offset), data.dense_cr.v.astype(kind), shared,
        )  # fmt: skip
        values = np.zeros(len(X))
        kernel = (als.cholesky if self.name == "cholesky" else als.conjugate_gradients)(self.dtype)
        moved = None if offset is None else offset.astype(kind)
        with ThreadPoolExecutor(self.num_threads) as pool:
            for block in data.blocks():
                s = block.s if moved is None else block.s - block.t * moved[block.indices]
                entries = block.indptr, block.indices, block.t, s

                def run(part: tuple[int, int], block: Block = block, entries: Any = entries) -> int:
                    return int(kernel(*entries, *arguments, X, values, block.first, *part, self.steps))

                # more parts than threads: one that is held up leaves the rest to the others
                cuts = balanced(block.indptr, 1 if self.num_threads == 1 else 8 * self.num_threads)
                parts = list(pairwise(cuts))
                failed = max(pool.map(run, parts) if len(parts) > 1 else map(run, parts))
                if failed >= 0:
                    raise DivergedError(
                        f"row {failed}: its system is singular in {self.dtype}; expected a positive definite one: "
                        "raise regularization"
                    )
        total = float(values.sum())
        if not np.isfinite(total):
            raise DivergedError("alternating least squares left the finite numbers: raise regularization")
        return total

    def _dense_targets(self, data: Propagated, Z: Table, offset: Doubles | None) -> Table:
        """(3, width): added to right-hand sides, times (CR)t's v, Ct's v, and 1 for active rows."""
        c, cr, active = data.dense_c, data.dense_cr, data.columns.active
        shifted = np.zeros_like(active) if offset is None else offset
        weights = np.stack([active, -active * shifted, cr.w - c.w * shifted])
        return (weights @ Z).astype(self.dtype) if weights.any() else np.zeros((3, Z.shape[1]), self.dtype)


def balanced(indptr: npt.NDArray[np.int64], parts: int) -> list[int]:
    """Cuts of the rows into up to `parts` runs with about as many entries each.

    >>> balanced(np.array([0, 80, 90, 100, 160]), 2)
    [0, 2, 4]
    """
    rows = len(indptr) - 1
    # a row costs something even without entries
    work = indptr + 16 * np.arange(rows + 1)
    inner = np.searchsorted(work, [work[-1] * part // parts for part in range(1, parts)])
    return np.unique(np.r_[0, inner, rows]).tolist()  # type: ignore[no-any-return]
