"""An implicit comparison small enough for tests: who liked what, in a world whose items form clusters."""

from __future__ import annotations

import numpy as np

from torchsse.data import EdgeTable, Ratings, split
from torchsse.data.synthetic import planted_clusters
from torchsse.experiments.arms import Arm
from torchsse.experiments.ranking_arms import ranking_arms
from torchsse.experiments.settings import CompareData, DataFile, RankingSettings
from torchsse.graph import Graph

SETTINGS = RankingSettings(factors=8, epochs=8, patience=4, trials=10, seeds=2)


def likes(num_users: int = 60, num_items: int = 40, num_ratings: int = 1000, **more: int) -> tuple[Ratings, EdgeTable]:
    """The pairs rated 4 or 5, without their ratings, and the graph of the clusters."""
    ratings, edges = planted_clusters(num_users, num_items, num_ratings, **more)
    liked = ratings.select(ratings.values >= 4)
    return Ratings(liked.users, liked.items, None, None, ratings.user_ids, ratings.item_ids), edges


def two_tastes(seed: int = 0) -> tuple[Ratings, np.ndarray, np.ndarray]:
    """Every one of 300 users likes seven items of two clusters and three of any; and all pairs within a cluster."""
    rng = np.random.default_rng(seed)
    cluster = rng.permutation(200) % 20
    users: list[int] = []
    items: list[int] = []
    for user in range(300):
        taste = np.flatnonzero(np.isin(cluster, rng.choice(20, 2, replace=False)))
        liked = np.unique(np.r_[rng.choice(taste, 7, replace=False), rng.integers(200, size=3)])
        users += [user] * len(liked)
        items += liked.tolist()
    a, b = np.triu_indices(200, 1)
    alike = cluster[a] == cluster[b]
    return Ratings.from_arrays(users, items), a[alike], b[alike]


def case(seed: int = 0) -> tuple[CompareData, tuple[Arm, ...]]:
    """Data with an item graph, and the arms none, sse-se and sse-graph."""
    ratings, edges = likes(num_clusters=4, seed=seed)
    train, test = split.per_user(ratings, 0.3, seed=seed)
    files = (DataFile("ratings", "generated", f"seed {seed}"),)
    arms = tuple(a for a in ranking_arms(item_graph=True) if a.name in ("none", "sse-se", "sse-graph"))
    src, dst, _, _ = edges.resolve(train.item_ids)
    return CompareData(train, test, None, Graph.from_edges(src, dst, num_nodes=train.num_items), files), arms
