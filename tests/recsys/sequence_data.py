"""Generated histories whose best possible hit rate is known."""

from __future__ import annotations

import numpy as np

from torchsse.data import Sequences


def markov(
    num_users: int = 600, groups: int = 6, k: int = 10, length: int = 30, share: float = 0.85, seed: int = 0
) -> tuple[Sequences, float, float]:
    """Order-2 Markov histories in groups of k items; the hit rates at k of who knows the chain, and of order 1.

    With chance `share` the next item is uniform over the group that a table names for the groups of the latest two
    items; else uniform over all items. So the list of that group hits with share + (1 - share) / groups. Who sees the
    latest item alone takes the likeliest group after it.
    """
    g = np.random.default_rng(seed)
    table = g.integers(0, groups, (groups, groups))
    found = np.empty((num_users, length), dtype=np.int64)
    found[:, :2] = g.integers(0, groups, (num_users, 2))
    for t in range(2, length):
        named = table[found[:, t - 1], found[:, t - 2]]
        found[:, t] = np.where(g.random(num_users) < share, named, g.integers(0, groups, num_users))
    after = np.zeros((groups, groups))
    np.add.at(after, (found[:, 1:-1].reshape(-1), found[:, 2:].reshape(-1)), 1.0)
    items = g.permutation(groups * k)[found * k + g.integers(0, k, found.shape)]
    users = np.repeat(np.arange(num_users), length)
    whole = Sequences.from_arrays(users, items.reshape(-1))
    return whole, share + (1 - share) / groups, float(after.max(1).sum() / after.sum())
