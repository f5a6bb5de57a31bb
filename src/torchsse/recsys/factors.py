"""Factor tables: the parameters of a dot-product model with optional biases, laid out for the kernels."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from torchsse.recsys.kernels.mf import padded, score

__all__ = ["Factors", "aligned_rows"]

Floats = npt.NDArray[np.float32]


def aligned_rows(rows: int, width: int) -> Floats:
    """float32 zeros (rows, width) from a multiple of 64 bytes on: padded rows begin with a cache line."""
    raw = np.zeros(rows * width + 16, dtype=np.float32)
    start = (-raw.ctypes.data % 64) // 4
    return raw[start : start + rows * width].reshape(rows, width)


@dataclass
class Factors:
    """r(u, i) = mean + bu[u] + bi[i] + P[u] . Q[i], or P[u] . Q[i] without biases.

    Rows of P and Q are padded with zeros to a multiple of 16 numbers.
    """

    P: Floats  # (num_users, width)
    Q: Floats  # (num_items, width)
    bu: Floats  # (num_users,)
    bi: Floats  # (num_items,)

    @classmethod
    def initial(cls, num_users: int, num_items: int, factors: int, std: float, seed: int) -> Factors:
        """Normal factors, biases 0. Users and items have generators of their own."""
        width = padded(factors)
        tables = []
        for which, rows in enumerate((num_users, num_items)):
            table = aligned_rows(rows, width)
            table[:, :factors] = np.random.default_rng([seed, which]).normal(0.0, std, (rows, factors))
            tables.append(table)
        return cls(tables[0], tables[1], np.zeros(num_users, np.float32), np.zeros(num_items, np.float32))

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]], prefix: str = "") -> Factors:
        """The tables in `arrays` under P, Q, bu, bi, copied to aligned memory."""
        tables = []
        for name in ("P", "Q"):
            stored = arrays[prefix + name]
            table = aligned_rows(len(stored), padded(stored.shape[1]))
            table[:, : stored.shape[1]] = stored
            tables.append(table)
        bu, bi = (np.array(arrays[prefix + name], dtype=np.float32) for name in ("bu", "bi"))
        return cls(tables[0], tables[1], bu, bi)

    def arrays(self, prefix: str = "", factors: int | None = None) -> dict[str, npt.NDArray[Any]]:
        """The tables by name, without padding if `factors` is given."""
        found = {prefix + f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("P", "Q"):
            found[prefix + name] = found[prefix + name][:, :factors]
        return found

    def copy_from(self, other: Factors) -> None:
        for f in fields(self):
            np.copyto(getattr(self, f.name), getattr(other, f.name))

    def copy(self) -> Factors:
        fresh = Factors(aligned_rows(*self.P.shape), aligned_rows(*self.Q.shape), self.bu.copy(), self.bi.copy())
        fresh.copy_from(self)
        return fresh

    def finite(self) -> bool:
        return all(bool(np.isfinite(getattr(self, f.name)).all()) for f in fields(self))

    def score(
        self,
        users: npt.NDArray[np.int64],
        items: npt.NDArray[np.int64],
        warm_users: npt.NDArray[np.bool_],
        warm_items: npt.NDArray[np.bool_],
        mean: float,
        biases: bool,
    ) -> Floats:
        """Predictions for codes, -1 = unknown, not clipped. A cold side contributes nothing but the mean."""
        out = np.empty(len(users), dtype=np.float32)
        score()(
            np.ascontiguousarray(users, dtype=np.int64),
            np.ascontiguousarray(items, dtype=np.int64),
            self.P, self.Q, self.bu, self.bi, warm_users, warm_items, np.float32(mean), biases, out,
        )  # fmt: skip
        return out

    def products(self, users: npt.NDArray[np.int64]) -> Floats:
        """P[users] Q', shape (len(users), num_items), in memory of its own.

        By torch, whose threads `torchsse.recsys.blocks.one_thread` can hold back; numpy's fight over small blocks.
        """
        found: Floats = (torch.from_numpy(self.P[users]) @ torch.from_numpy(self.Q).T).numpy()
        return found
