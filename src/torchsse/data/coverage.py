"""How far a graph reaches into a set of ratings."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from torchsse.data.edges import EdgeTable
from torchsse.data.ratings import Ratings

__all__ = ["graph_coverage"]


def graph_coverage(ratings: Ratings, edges: EdgeTable, side: Literal["user", "item"] = "item") -> dict[str, Any]:
    """What part of the users or items of `ratings` a graph links, and what part of the ratings falls on these.

    Only ids with a rating count, and only edges between two of them; self-loops and repetitions do not.

    Returns:
        ``rows`` of the edge table, ``dropped`` (an id without ratings), ``links`` (distinct undirected pairs),
        ``nodes``, ``with_neighbour``, ``share_of_nodes``, ``share_of_ratings``, and ``degree`` of the linked ones
        (min, quantiles, mean, max; None without links).

    >>> ratings = Ratings.from_arrays([1, 1, 2, 2], [5, 6, 6, 7], [4, 3, 5, 1])
    >>> c = graph_coverage(ratings, EdgeTable([5, 6, 7], [6, 5, 99]))
    >>> c["links"], c["with_neighbour"], c["share_of_ratings"], c["dropped"]
    (1, 2, 0.75, 1)
    """
    ids, counts = (
        (ratings.user_ids, ratings.user_counts()) if side == "user" else (ratings.item_ids, ratings.item_counts())
    )
    src, dst, _, dropped = edges.resolve(ids)
    active = (counts[src] > 0) & (counts[dst] > 0)
    dropped += int((~active).sum())
    low, high = np.minimum(src, dst)[active], np.maximum(src, dst)[active]
    pairs = np.unique(low[low != high] * len(ids) + high[low != high])
    ends = np.concatenate([pairs // max(1, len(ids)), pairs % max(1, len(ids))])
    degree = np.bincount(ends, minlength=len(ids))
    linked = degree > 0
    nodes = int((counts > 0).sum())
    return {
        "side": side,
        "rows": len(edges),
        "dropped": dropped,
        "links": len(pairs),
        "nodes": nodes,
        "with_neighbour": int(linked.sum()),
        "share_of_nodes": float(linked.sum() / nodes) if nodes else 0.0,
        "share_of_ratings": float(counts[linked].sum() / len(ratings)) if len(ratings) else 0.0,
        "degree": spread(degree[linked]),
    }


def spread(counts: Any) -> dict[str, Any] | None:
    """Smallest, largest, mean, median and other quantiles of counts; None if there are none.

    >>> spread(np.array([1, 2, 9]))["quantiles"]["90"]
    7.6
    """
    if not counts.size:
        return None
    points = (1, 10, 25, 50, 75, 90, 99)
    quantiles = np.round(np.quantile(counts, [p / 100 for p in points]), 2)
    return {
        "min": int(counts.min()),
        "median": float(np.median(counts)),
        "mean": float(counts.mean()),
        "max": int(counts.max()),
        "quantiles": {str(p): float(q) for p, q in zip(points, quantiles)},
    }
