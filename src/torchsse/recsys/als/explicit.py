"""Explicit ratings for least squares: centred targets, and tables whose rows carry their bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from torchsse.recsys.als.spread import Doubles
from torchsse.recsys.factors import Factors
from torchsse.recsys.kernels.mf import padded
from torchsse.recsys.storage import Arrays

if TYPE_CHECKING:
    from torchsse.data import Ratings
    from torchsse.recsys.explicit import ExplicitRecommender

__all__ = ["BiasedTables", "ratings_matrix"]


def ratings_matrix(model: ExplicitRecommender, ratings: Ratings) -> tuple[Any, Any]:
    """Examples and targets as CSR float64: ones, and ratings without the mean where there are biases.

    Sets what `model` keeps of train: ids, seen pairs, mean, range, which rows are warm. A pair that is there twice
    (only in `Ratings` made by hand) counts twice.
    """
    seen = ratings.to_csr().astype(np.float64)
    model._remember(ratings, np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr)), seen.indices.astype(np.int64))
    model.mean_, model.rating_range_ = float(seen.data.mean()), ratings.rating_range
    model._warm = ratings.user_counts() > 0, ratings.item_counts() > 0
    model.history_, model.best_epoch_, model.stopped_ = [], 0, None
    ones, targets = seen.copy(), seen
    ones.data = np.ones(len(seen.data))
    targets.data = seen.data - (model.mean_ if model.biases else 0.0)
    return ones, targets


@dataclass(frozen=True)
class BiasedTables:
    """Users and items as float64 rows [factors, bias, 0 ...], or [factors, 0 ...] without biases.

    Attributes:
        tables: users (n, width) and items (m, width), padded with zeros.
        rank: number of factors.
        biases: whether column `rank` is a bias.
    """

    tables: tuple[Doubles, Doubles]
    rank: int
    biases: bool

    @classmethod
    def initial(
        cls, counts: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], rank: int, biases: bool, std: float, seed: int
    ) -> BiasedTables:
        """Normal factors, 0 for rows without examples; biases 0."""
        start = Factors.initial(len(counts[0]), len(counts[1]), rank, std, seed)
        tables = []
        for count, found in zip(counts, (start.P, start.Q)):
            table = np.zeros((len(count), padded(rank + biases)))
            table[:, :rank] = found[:, :rank]
            table[count == 0] = 0.0
            tables.append(table)
        return cls((tables[0], tables[1]), rank, biases)

    def features(self, side: int) -> tuple[Doubles, Doubles | None]:
        """What the other table's rows are multiplied by, [factors, 1], and what is added, the bias."""
        table = self.tables[side]
        if not self.biases:
            return table, None
        Z = table.copy()
        Z[:, self.rank] = 1.0
        return Z, table[:, self.rank].copy()

    def copy_to(self, out: Factors) -> None:
        """Round into float32 factors."""
        for table, rows, bias in zip(self.tables, (out.P, out.Q), (out.bu, out.bi)):
            rows[:, : self.rank] = table[:, : self.rank]
            if self.biases:
                bias[:] = table[:, self.rank]

    def state(self) -> Arrays:
        """Both tables by name."""
        return {"users": self.tables[0], "items": self.tables[1]}

    def restore(self, state: Arrays) -> None:
        """Take over what `state` gave."""
        for table, name in zip(self.tables, ("users", "items")):
            np.copyto(table, state[name])

    def factors(self) -> Factors:
        """New float32 factors."""
        out = Factors.initial(len(self.tables[0]), len(self.tables[1]), self.rank, 0.0, 0)
        self.copy_to(out)
        return out
