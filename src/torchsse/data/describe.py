"""What a set of ratings looks like, in numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.data.coverage import graph_coverage, spread
from torchsse.data.edges import EdgeTable
from torchsse.data.ratings import Ratings

__all__ = ["describe"]

# dense where the curve is steep
_CURVE = np.linspace(0, 1, 51) ** 2
_EPOCH, _FUTURE = 1e8, 4.2e9  # 1973 and 2103 in seconds since 1970


def describe(
    ratings: Ratings, *, item_graph: EdgeTable | None = None, user_graph: EdgeTable | None = None
) -> dict[str, Any]:
    """Counts, density, rating distribution and long tail as a dict of plain values (ready for JSON).

    Keys: ``ratings, users, items`` (table sizes), ``active_users, active_items`` (with at least one rating),
    ``density`` (ratings over active users x active items), ``feedback``, ``rating`` (None if implicit: mean, std (ddof
    0), min, max, and ``counts`` by value, or by ten equal bins if there are more than 20 values), ``per_user`` and
    ``per_item`` (min, median, mean, max, quantiles over the active ones), ``long_tail``: ``gini`` of the ratings over
    active items (0: all equal), ``share_of_top_1_percent``, ``_10_`` and ``_20_`` of active items in the ratings,
    ``items_for_half`` of them, and ``curve``: 51 pairs (share of items, the most popular first; share of ratings);
    ``timestamps``: None, or min, max, the number of missing ones, and ``first`` and ``last`` as dates if they look like
    seconds since 1970; ``graphs``: `graph_coverage` of each graph given.

    >>> d = describe(Ratings.from_arrays([1, 1, 2], [5, 6, 5], [4, 2, 5]))
    >>> d["density"], d["rating"]["counts"], d["per_item"]["max"]
    (0.75, {'2': 1, '4': 1, '5': 1}, 2)
    """
    per_user, per_item = ratings.user_counts(), ratings.item_counts()
    per_user, per_item = per_user[per_user > 0], per_item[per_item > 0]
    cells = len(per_user) * len(per_item)
    return {
        "ratings": len(ratings),
        "users": ratings.num_users,
        "items": ratings.num_items,
        "active_users": len(per_user),
        "active_items": len(per_item),
        "density": len(ratings) / cells if cells else 0.0,
        "feedback": ratings.feedback,
        "rating": None if ratings.ratings is None or not len(ratings) else _distribution(ratings.ratings),
        "per_user": spread(per_user),
        "per_item": spread(per_item),
        "long_tail": _long_tail(per_item),
        "timestamps": None if ratings.timestamps is None or not len(ratings) else _times(ratings.timestamps),
        "graphs": [
            *([] if item_graph is None else [graph_coverage(ratings, item_graph, "item")]),
            *([] if user_graph is None else [graph_coverage(ratings, user_graph, "user")]),
        ],
    }


def _distribution(values: npt.NDArray[np.float32]) -> dict[str, Any]:
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= 20:
        table = {f"{v:g}": int(c) for v, c in zip(distinct.tolist(), counts.tolist())}
    else:
        counts, edges = np.histogram(values, bins=10)
        table = {f"{a:g} to {b:g}": int(c) for a, b, c in zip(edges[:-1], edges[1:], counts)}
    wide = values.astype(np.float64)
    return {
        "mean": float(wide.mean()),
        "std": float(wide.std()),
        "min": float(wide.min()),
        "max": float(wide.max()),
        "counts": table,
    }


def _long_tail(counts: npt.NDArray[np.int64]) -> dict[str, Any] | None:
    if not counts.size:
        return None
    rising = np.sort(counts).astype(np.float64)
    n, total = len(rising), float(rising.sum())
    gini = float((2 * np.arange(1, n + 1) - n - 1) @ rising / (n * total))
    falling = np.cumsum(rising[::-1]) / total
    places, shares = np.arange(n + 1), np.concatenate([[0.0], falling])
    return {
        "gini": gini,
        **{f"share_of_top_{p}_percent": float(falling[max(1, round(p / 100 * n)) - 1]) for p in (1, 10, 20)},
        "items_for_half": int(np.searchsorted(falling, 0.5 - 1e-12) + 1),
        "curve": [[round(float(x), 4), round(float(np.interp(x * n, places, shares)), 6)] for x in _CURVE],
    }


def _times(stamps: npt.NDArray[np.int64] | npt.NDArray[np.float64]) -> dict[str, Any]:
    known = stamps[~np.isnan(stamps)] if stamps.dtype.kind == "f" else stamps
    if not known.size:
        return {"min": None, "max": None, "missing": len(stamps), "first": None, "last": None}
    low, high = known.min().item(), known.max().item()
    dates = low >= _EPOCH and high <= _FUTURE
    return {
        "min": low,
        "max": high,
        "missing": len(stamps) - len(known),
        "first": _date(low) if dates else None,
        "last": _date(high) if dates else None,
    }


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
