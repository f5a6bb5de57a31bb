"""Examples propagated along the transition matrices: the data that SSE, in expectation, learns from.

With examples' confidences C and confidence times target CR, the expected objective weighs the pair (k1, k2) by
Ct = P_u' C P_i and (CR)t = P_u' (CR) P_i. With P = S + d 1' this is a sparse matrix plus rank two:

    Ct = T + v 1_i' + 1_u w',   T = S_u' C S_i,   v = S_u' C d_i + (d_u' C d_i) 1_u,   w = S_i' C' d_u.

T fills in where graphs link rows. It is kept if it has at most `max_entries` entries; else its rows are computed again,
block by block, each time they are needed: the same numbers, in the memory of one block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.recsys.als.spread import Doubles, Spread

__all__ = ["MAX_ENTRIES", "Block", "Propagated", "RankTwo", "propagate"]

#: 12 bytes an entry in float32, in each of the two orientations: 1.5 GiB.
MAX_ENTRIES = 1 << 26

#: Products of a block: bounds the temporary memory to about 0.25 GiB.
_BLOCK_PRODUCTS = 1 << 23


@dataclass(frozen=True)
class Block:
    """Rows first .. first + n - 1 of T (`t`) and of the same for CR (`s`), as CSR; indptr begins at 0."""

    first: int
    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]
    t: npt.NDArray[Any]
    s: npt.NDArray[Any]


@dataclass(frozen=True)
class RankTwo:
    """The dense part v 1_columns' + 1_rows w'."""

    v: Doubles
    w: Doubles


class Propagated:
    """Ct and (CR)t by rows.

    Attributes:
        rows, columns: the laws of the two tables.
        dense_c, dense_cr: their rank-two parts.
        entries: of T; None while they have not been counted.
        kept: whether T is held in memory.
    """

    def __init__(
        self, rows: Spread, C: Any, CR: Any, columns: Spread, dtype: str, max_entries: int = MAX_ENTRIES
    ) -> None:
        self.rows, self.columns = rows, columns
        # as one complex matrix: both parts in one product, and entries in the same places whatever cancels
        self._examples = C + 1j * CR
        self._dtype = dtype
        self.dense_c, self.dense_cr = _rank_two(rows, C, columns), _rank_two(rows, CR, columns)
        self._transposed = rows.sparse.T.tocsr()
        self._cuts = self._cut()
        self.entries = 0
        kept: list[Block] | None = []
        for block in self._blocks():
            self.entries += len(block.indices)
            if kept is not None:
                kept.append(block)
                if self.entries > max_entries:
                    kept = None
        self._kept = kept
        if kept is not None:
            del self._examples, self._transposed  # needed only to compute them again

    @property
    def kept(self) -> bool:
        return self._kept is not None

    @property
    def nbytes(self) -> int:
        """Memory that T takes, or what it is computed from."""
        if self._kept is None:
            made_of = self._examples, self._transposed, self.columns.sparse
            return sum(m.data.nbytes + m.indices.nbytes + m.indptr.nbytes for m in made_of)
        return sum(array.nbytes for b in self._kept for array in (b.indptr, b.indices, b.t, b.s))

    def blocks(self) -> Iterator[Block]:
        """T block by block, from row 0 on."""
        yield from self._blocks() if self._kept is None else self._kept

    def _cut(self) -> list[int]:
        """Where blocks of rows begin and end, so that each takes a bounded number of products."""
        fan_out = np.diff(self.columns.sparse.indptr)
        by_example = np.add.reduceat(np.r_[fan_out[self._examples.indices], 0], self._examples.indptr[:-1])
        by_example[np.diff(self._examples.indptr) == 0] = 0
        pattern = self._transposed.copy()
        pattern.data = np.ones(len(pattern.data))
        products = np.cumsum(pattern @ by_example.astype(np.float64))
        targets = np.arange(_BLOCK_PRODUCTS, products[-1], _BLOCK_PRODUCTS)
        inner = np.searchsorted(products, targets, side="right")
        return np.unique(np.r_[0, inner, len(products)]).tolist()  # type: ignore[no-any-return]

    def _blocks(self) -> Iterator[Block]:
        for first, end in zip(self._cuts, self._cuts[1:]):
            mixed = ((self._transposed[first:end] @ self._examples) @ self.columns.sparse).tocsr()
            mixed.sort_indices()
            yield Block(
                first, mixed.indptr.astype(np.int64), mixed.indices.astype(np.int32),
                mixed.data.real.astype(self._dtype), mixed.data.imag.astype(self._dtype),
            )  # fmt: skip


def _rank_two(rows: Spread, C: Any, columns: Spread) -> RankTwo:
    across = C @ columns.uniform
    v = rows.sparse.T @ across + (rows.uniform @ across) * rows.active
    return RankTwo(v, columns.sparse.T @ (C.T @ rows.uniform))


def propagate(
    users: Spread, C: Any, CR: Any, items: Spread, dtype: str, max_entries: int = MAX_ENTRIES
) -> tuple[Propagated, Propagated]:
    """Both orientations: by user, and by item.

    Args:
        users: the law of the user table.
        C: scipy CSR (users, items), float64, positive confidences of the examples.
        CR: the same entries times their targets.
        items: the law of the item table.
        dtype: of the propagated numbers, "float32" or "float64".
        max_entries: of T in each orientation, up to which it is kept in memory.
    """
    by_user = Propagated(users, C, CR, items, dtype, max_entries)
    return by_user, Propagated(items, C.T.tocsr(), CR.T.tocsr(), users, dtype, max_entries)
