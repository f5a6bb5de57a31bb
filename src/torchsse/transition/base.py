"""What every transition law offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchsse.errors import ConfigError, IdRangeError, IdTypeError
from torchsse.transition.active import ActiveSet
from torchsse.transition.picks import Flat

__all__ = ["MAX_DENSE_BYTES", "Law"]

Array = np.ndarray[Any, Any]

MAX_DENSE_BYTES = 1 << 30
"""Largest dense matrix `transition_matrix` builds: 1 GiB, 11,585 ids."""


class Law(ABC):
    """Where an id goes, given that the coin fell: q(j, k), rows summing to 1. Immutable; the coin (p0) is not in here.

    The whole transition probability is p(j, k) = p0 q(j, k) + (1 - p0) [j = k]. An id that cannot move (excluded,
    alone, stuck) has q(j, j) = 1.

    `rate` is the largest chance, over the ids, that a fallen coin moves its id, where that is known to be below 1:
    `jump` draws given a coin of p0 * rate, so that a matrix close to the identity costs no draw where nothing moves.

    Attributes:
        num_embeddings: rows of the table, N.
        num_active: ids that are not excluded.
        active: (num_active,) int64 numpy, sorted; None if nothing is excluded.
        position: (N,) numpy, rank among the active ids, -1 if excluded; None if nothing is excluded.
        rate: see above; 1 except for matrices.
    """

    rate: float = 1.0

    def __init__(self, active: ActiveSet) -> None:
        self._active = active
        self.num_embeddings = active.size
        self.num_active = active.count

    @property
    def active(self) -> np.ndarray[Any, np.dtype[np.int64]] | None:
        return self._active.ids

    @property
    def position(self) -> Array | None:
        return self._active.position

    @property
    def excluded(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Sorted int64 ids that neither move nor are drawn."""
        return self._active.excluded

    @property
    @abstractmethod
    def stays(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """(N,) bool: ids that cannot move: excluded, alone, without a neighbour where only neighbours are drawn."""

    @abstractmethod
    def jump(self, ids: Flat, generator: torch.Generator | None = None) -> Flat:
        """Draw where each id goes, given a coin of p0 * rate.

        `ids`: flat int64, all within the table; a tensor, or a numpy array, which the eager CPU path passes. Both give
        the same draw for the same state of torch's generator. The result may be `ids` itself, or of int32.
        """

    @abstractmethod
    def _row(self, j: int) -> Array:
        """q(j, .) for an active id."""

    @abstractmethod
    def _probability(self, j: Array, k: Array) -> Array:
        """q(j, k) for flat arrays of active ids."""

    def draw(self, ids: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw k ~ q(j, .) for each id j: where it goes when the coin fell.

        Args:
            ids: int32 or int64, any shape, any device, all within the table.
            generator: of the same device; default: the device's default generator.

        Returns:
            New tensor, shape, dtype and device of `ids`.
        """
        flat = ids.reshape(-1).to(torch.int64)
        new = self._given_the_coin(flat, generator)
        new = new.to(ids.dtype).reshape(ids.shape)
        return new.clone() if new.data_ptr() == ids.data_ptr() else new

    def _given_the_coin(self, flat: Tensor, generator: torch.Generator | None) -> Tensor:
        return self.jump(flat, generator)

    def row(self, j: int) -> Array:
        """q(j, .): (N,) float64, exact.

        Raises:
            IdTypeError: j is not an integer. IdRangeError: j outside 0 .. N-1.
        """
        j = int(self._checked(j, "j", scalar=True))
        if self.position is not None and self.position[j] < 0:
            row = np.zeros(self.num_embeddings)
            row[j] = 1.0
            return row
        return self._row(j)

    def probability(self, j: object, k: object) -> Array:
        """q(j, k), exact, float64; `j` and `k` (integers, arrays or tensors) broadcast.

        Raises:
            IdTypeError: an index is not an integer. IdRangeError: an index outside 0 .. N-1. ConfigError: shapes that
            do not broadcast.
        """
        rows, columns = self._checked(j, "j"), self._checked(k, "k")
        try:
            rows, columns = np.broadcast_arrays(rows, columns)
        except ValueError as error:
            raise ConfigError(
                f"probability: shapes {rows.shape} of j and {columns.shape} of k do not broadcast"
            ) from error
        out = np.zeros(rows.shape)
        takes_part = self._active.contains(rows) & self._active.contains(columns)
        out[takes_part] = self._probability(rows[takes_part], columns[takes_part])
        out[~self._active.contains(rows) & (rows == columns)] = 1.0
        return out

    def transition_matrix(self) -> Array:
        """All rows: (N, N) float64, exact.

        Raises:
            ConfigError: the matrix would take more than `MAX_DENSE_BYTES`.
        """
        size = self.num_embeddings
        if size * size * 8 > MAX_DENSE_BYTES:
            raise ConfigError(
                f"transition_matrix: {size} x {size} float64 takes {size * size * 8 / 2**30:.1f} GiB, the limit is "
                f"{MAX_DENSE_BYTES / 2**30:.1f} GiB; use row(j) or probability(j, k)"
            )
        return np.stack([self.row(j) for j in range(size)])

    def _checked(self, value: object, name: str, scalar: bool = False) -> Array:
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
        if array.dtype.kind not in "iu" and not (array.size == 0 and array.dtype.kind == "f"):
            raise IdTypeError(f"{name} must be integer ids, got dtype {array.dtype}")
        if scalar and array.ndim != 0:
            raise IdTypeError(f"{name} must be one id, got shape {array.shape}")
        outside = (array < 0) | (array >= self.num_embeddings)
        if outside.any():
            raise IdRangeError(f"{name} = {array[outside].flat[0]} is outside 0 .. {self.num_embeddings - 1}")
        return array.astype(np.int64)

    def __deepcopy__(self, memo: dict[int, Any]) -> Law:
        return self  # immutable: copies of a model share the tables
