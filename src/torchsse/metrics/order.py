"""How well scores order the items that a user has rated: graded NDCG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.errors import DataError
from torchsse.metrics.ranking import checked_ks

__all__ = ["ORDER_METRICS", "order_metrics"]

#: The name that `order_metrics` puts before ``@k``.
ORDER_METRICS = ("rated_ndcg",)


def order_metrics(
    users: Any, scores: Any, ratings: Any, ks: Sequence[int] = (1, 5, 10)
) -> dict[str, npt.NDArray[np.float64]]:
    """Measure the order that scores give to each user's rated items. Unrated items play no part.

    With r_i the rating of the item at rank i (from 1) by score, and r*_i at rank i by rating,

        rated_ndcg@k = sum_{i<=k} (2^r_i - 1) / log2(i + 1), divided by sum_{i<=k} (2^r*_i - 1) / log2(i + 1)

    with ratings less the smallest of all, so that the scale may begin anywhere. Items of equal score are put in the
    worst order, the lowest rating first: a constant score earns nothing.

    Args:
        users: codes from 0, shape (n,), in any order.
        scores: shape (n,).
        ratings: shape (n,), finite.
        ks: cut-offs.

    Returns:
        float64 arrays of shape (max(users) + 1,); NaN for users whose ratings are all equal, and without any.

    Raises:
        DataError: lengths differ, or a score or rating is not finite. ConfigError: a cut-off is no positive integer.

    >>> order_metrics([0, 0, 0, 1, 1], [.9, .1, .5, 2, 1], [1, 2, 3, 4, 4], ks=(3,))["rated_ndcg@3"].round(4).tolist()
    [0.659, nan]
    """
    who = np.asarray(users, dtype=np.int64)
    score, rating = np.asarray(scores, dtype=np.float64), np.asarray(ratings, dtype=np.float64)
    cuts = checked_ks(ks)
    if not who.shape == score.shape == rating.shape or who.ndim != 1:
        raise DataError(f"expected three arrays of one length, got shapes {who.shape}, {score.shape}, {rating.shape}")
    if not np.isfinite(rating).all() or np.isnan(score).any():
        raise DataError("expected finite ratings and scores that are numbers")
    count = int(who.max()) + 1 if len(who) else 0
    gain = np.exp2(rating - rating.min()) - 1.0 if len(who) else rating

    def gathered(order: npt.NDArray[np.intp]) -> dict[int, npt.NDArray[np.float64]]:
        ranked = who[order]
        first = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1])[: len(ranked)])
        rank = np.arange(len(ranked)) - np.repeat(first, np.diff(np.append(first, len(ranked))))
        worth = gain[order] / np.log2(rank + 2.0)
        return {k: np.bincount(ranked, worth * (rank < k), minlength=count).astype(np.float64) for k in cuts}

    found, best = gathered(np.lexsort((rating, -score, who))), gathered(np.lexsort((-rating, who)))
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, who, rating)
    np.maximum.at(high, who, rating)
    out = {}
    for k in cuts:
        with np.errstate(invalid="ignore", divide="ignore"):
            out[f"rated_ndcg@{k}"] = np.where(low < high, found[k] / best[k], np.nan)
    return out
