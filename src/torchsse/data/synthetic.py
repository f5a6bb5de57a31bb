"""A generated data set in which items of a cluster are liked by the same people, with the graph that says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.data.edges import EdgeTable
from torchsse.data.idmap import IdMap
from torchsse.data.ratings import Ratings
from torchsse.errors import ConfigError

__all__ = ["planted_clusters"]

Floats = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def planted_clusters(
    num_users: int = 1500,
    num_items: int = 1000,
    num_ratings: int = 60_000,
    *,
    num_clusters: int = 50,
    factors: int = 8,
    signal: float = 0.9,
    deviation: float = 0.5,
    noise: float = 0.7,
    popularity: float = 0.8,
    edge_share: float = 0.5,
    wrong_edges: float = 0.1,
    seed: int = 0,
) -> tuple[Ratings, EdgeTable]:
    """Explicit ratings with planted item clusters, and a knowledge graph that links items of a cluster.

    The score of user u for item i in cluster c is 3.5 + b_u + b_i + signal * <p_u, q_i> + noise * e, with p_u
    uniform on the sphere of radius sqrt(factors), q_i = (q_c + deviation * d_i) / sqrt((1 + deviation^2) factors), q_c
    and d_i standard normal, b_u ~ N(0, 0.3^2), b_i ~ N(0, 0.2^2), e ~ N(0, 1), so that the inner product has unit
    variance; it is rounded and cut to 1 .. 5. Most items have few ratings, so what their neighbours teach helps a
    factorisation; nothing in the ratings themselves names the clusters.

    Args:
        num_users: rows; raw ids are 1 .. num_users.
        num_items: columns; raw ids are 1 .. num_items. Cluster sizes differ by at most one, members are random.
        num_ratings: distinct (user, item) pairs in all, in random order. Users rate very different amounts
            (log-normal with sigma 0.6, at least 2, at most half of the items).
        num_clusters: of items.
        factors: dimension of the tastes.
        signal: standard deviation of the taste part, in rating steps.
        deviation: of an item from its cluster; 0: the items of a cluster are alike but for their bias.
        noise: standard deviation of what cannot be predicted.
        popularity: exponent of the long tail: the item of rank r is drawn with weight r^-popularity.
        edge_share: of the pairs within a cluster that the graph links.
        wrong_edges: random edges between any two items, as a share of the right ones.
        seed: of everything (numpy's PCG64).

    Returns:
        (ratings, edges): the edge table is undirected, each pair once, without self-loops, every weight 1.

    Raises:
        ConfigError: a size or share is out of range.

    >>> ratings, edges = planted_clusters(100, 60, 1500, num_clusters=6)
    >>> len(ratings), ratings.num_users, ratings.num_items, ratings.rating_range
    (1500, 100, 60, (1.0, 5.0))
    """
    _check(num_users, num_items, num_ratings, num_clusters, factors)
    for name, value, top in (
        ("signal", signal, None),
        ("deviation", deviation, None),
        ("noise", noise, None),
        ("popularity", popularity, None),
        ("edge_share", edge_share, 1.0),
        ("wrong_edges", wrong_edges, 1.0),
    ):
        if not value >= 0 or (top is not None and value > top) or value == float("inf"):
            raise ConfigError(f"{name}: expected a number {'in [0, 1]' if top else 'of at least 0'}, got {value!r}")
    rng = np.random.default_rng(seed)
    cluster = rng.permutation(num_items) % num_clusters
    centre = rng.standard_normal((num_clusters, factors))
    items = centre[cluster] + deviation * rng.standard_normal((num_items, factors))
    items /= np.sqrt((1 + deviation**2) * factors)
    tastes = rng.standard_normal((num_users, factors))
    tastes *= np.sqrt(factors) / np.linalg.norm(tastes, axis=1, keepdims=True)
    user, item = _pairs(rng, num_users, num_items, num_ratings, popularity)
    score = 3.5 + 0.3 * rng.standard_normal(num_users)[user] + 0.2 * rng.standard_normal(num_items)[item]
    score += signal * np.einsum("nf,nf->n", tastes[user], items[item]) + noise * rng.standard_normal(num_ratings)
    stars = np.clip(np.rint(score), 1, 5).astype(np.float32)
    ids = IdMap(np.arange(1, num_users + 1)), IdMap(np.arange(1, num_items + 1))
    edges = _edges(rng, cluster, num_clusters, edge_share, wrong_edges) + 1
    return Ratings(user, item, stars, None, *ids), EdgeTable(edges[:, 0], edges[:, 1])


def _check(num_users: int, num_items: int, num_ratings: int, num_clusters: int, factors: int) -> None:
    def check(name: str, value: Any, low: int, high: int) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
            raise ConfigError(f"{name}: expected an integer from {low:,} to {high:,}, got {value!r}")

    check("num_users", num_users, 2, 2**31 - 1)
    check("num_items", num_items, 4, 2**31 - 1)
    check("num_clusters", num_clusters, 1, num_items)
    check("factors", factors, 1, 10_000)
    check("num_ratings", num_ratings, 2 * num_users, num_users * (num_items // 2))


def _pairs(
    rng: np.random.Generator, num_users: int, num_items: int, num_ratings: int, popularity: float
) -> tuple[IntArray, IntArray]:
    """Distinct pairs: popular items more often, users of very different activity; in random order."""
    share = rng.lognormal(0.0, 0.6, num_users)
    most = num_items // 2
    # the scale at which the clipped amounts add up, then one more or less here and there
    low, high = 0.0, num_ratings * 1e3
    for _ in range(200):
        middle = (low + high) / 2
        total = np.clip(np.floor(share * middle), 2, most).sum()
        low, high = (middle, high) if total < num_ratings else (low, middle)
    amount = np.clip(np.floor(share * low), 2, most).astype(np.int64)
    while (missing := num_ratings - int(amount.sum())) != 0:
        room = np.flatnonzero(amount < most if missing > 0 else amount > 2)
        chosen = rng.permutation(room)[: abs(missing)]
        amount[chosen] += 1 if missing > 0 else -1
    weight = -popularity * np.log(rng.permutation(num_items) + 1.0)
    picked: list[IntArray] = []
    block = max(1, (1 << 22) // num_items)
    for start in range(0, num_users, block):
        # the amount[u] largest of weight + Gumbel noise are a draw without replacement in proportion to exp(weight)
        key = weight + rng.gumbel(size=(min(block, num_users - start), num_items))
        best = np.argsort(-key, axis=1)
        picked += [row[:n] for row, n in zip(best, amount[start : start + block].tolist())]
    user, item = np.repeat(np.arange(num_users), amount), np.concatenate(picked)
    order = rng.permutation(num_ratings)
    return user[order], item[order]


def _edges(
    rng: np.random.Generator, cluster: IntArray, num_clusters: int, edge_share: float, wrong_edges: float
) -> IntArray:
    """Undirected pairs, the smaller code first, each once, sorted."""
    right: list[IntArray] = [np.empty((0, 2), dtype=np.int64)]
    for c in range(num_clusters):
        members = np.flatnonzero(cluster == c)
        a, b = np.triu_indices(len(members), 1)
        kept = rng.random(len(a)) < edge_share
        right.append(np.stack([members[a[kept]], members[b[kept]]], axis=1))
    edges = np.concatenate(right)
    wrong = rng.integers(len(cluster), size=(round(wrong_edges * len(edges)), 2))
    wrong = np.sort(wrong[wrong[:, 0] != wrong[:, 1]], axis=1)
    pairs: IntArray = np.unique(np.concatenate([edges, wrong]), axis=0)
    return pairs
