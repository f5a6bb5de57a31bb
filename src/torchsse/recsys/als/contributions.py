"""What each item of a user's history adds to the scores of WeightedALS (Hu, Koren and Volinsky 2008, section 5)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from torchsse.recsys.als.weighted import WeightedALS
from torchsse.recsys.base import Codes

__all__ = ["Contributions"]

Doubles = npt.NDArray[np.float64]


class Contributions:
    """Splits scores of a fitted `WeightedALS` without graphs over the user's own examples.

    With Y the item factors, user u's best factors solve A_u x = sum_j b_uj, A_u = Y'(1 + Ct_u) Y + regularization,
    b_uj = P_u(u, u) (1 + alpha r_uj) sum_k P_i(j, k) y_k for the items j of their own history (see `WeightedALS`; with
    p0 = 0 simply c_uj y_j). The score of item i is linear in them: j adds y_i' inv(A_u) b_uj. With SSE on users the
    examples of all others add something too, which is not split here.
    """

    def __init__(self, model: WeightedALS) -> None:
        self._model = model
        self._Y: Doubles = model._factors.Q[:, : model.factors].astype(np.float64)
        self._base = self._Y.T @ self._Y + model.regularization * np.eye(model.factors)
        values = np.ones(len(model._indices)) if model._values is None else model._values.astype(np.float64)
        self._extra = model.alpha * values
        items = len(model.item_ids)
        self._totals = np.bincount(model._indices, weights=self._extra, minlength=items)
        active = np.bincount(model._indices, minlength=items) > 0, np.diff(model._indptr) > 0
        if model.swap_unseen:
            active = np.ones_like(active[0]), np.ones_like(active[1])
        self._items = active[0].astype(np.float64)
        self._stay_item, self._go_item = _complete(float(model.p0_item), int(active[0].sum()))
        self._stay_user, self._go_user = _complete(float(model.p0_user), int(active[1].sum()))
        # rows j of P_i Y = stay y_j + go sum of the active rows
        self._spread = self._stay_item * self._Y + self._go_item * (self._items @ self._Y)

    def of(self, user: int, history: Codes, items: Codes) -> Doubles:
        """What each item of the history adds to the score of each of `items`: (len(items), len(history))."""
        span = slice(self._model._indptr[user], self._model._indptr[user + 1])
        # a pair that is there twice counts twice
        own = np.bincount(self._model._indices[span], weights=self._extra[span], minlength=len(self._Y))
        mixed = self._stay_user * own + self._go_user * self._totals
        weights = self._stay_item * mixed + self._go_item * mixed.sum() * self._items
        A = self._base + (self._Y.T * weights) @ self._Y
        kept = self._stay_user + self._go_user
        examples = kept * (1.0 + own[history])[:, None] * self._spread[history]
        found: Doubles = np.linalg.solve(A, self._Y[items].T).T @ examples.T
        return found


def _complete(p0: float, active: int) -> tuple[float, float]:
    """SSE-SE over `active` rows as a mixture: p(j, .) = stay * (j itself) + go * (every active row once)."""
    if active < 2 or p0 == 0.0:
        return 1.0, 0.0
    go = p0 / (active - 1)
    return 1.0 - p0 - go, go
