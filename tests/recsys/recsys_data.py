"""Small ratings with structure."""

from __future__ import annotations

import numpy as np

from torchsse.data import Ratings


def planted(num_users: int = 30, num_items: int = 24, n: int = 400, seed: int = 0) -> Ratings:
    """Ratings 1..5 of rank two plus noise; user ids are text, item ids integers from 100."""
    g = np.random.default_rng(seed)
    pairs = g.choice(num_users * num_items, n, replace=False)
    u, i = pairs // num_items, pairs % num_items
    a, b = g.normal(size=(num_users, 2)), g.normal(size=(num_items, 2))
    r = np.clip(np.rint(3 + (a[u] * b[i]).sum(1) + 0.3 * g.normal(size=n)), 1, 5)
    return Ratings.from_arrays([f"u{x:02d}" for x in u.tolist()], i + 100, r)
