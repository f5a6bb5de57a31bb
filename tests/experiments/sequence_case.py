"""A comparison of histories small enough for tests, and a program that runs it, to be killed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from compare_case import Quiet

from torchsse.data import Sequences
from torchsse.data.sequence_split import leave_last_out
from torchsse.experiments.arms import Arm
from torchsse.experiments.compare import compare
from torchsse.experiments.sequence_arms import sequence_arms
from torchsse.experiments.sequence_settings import SequenceSettings
from torchsse.experiments.settings import CompareData, DataFile
from torchsse.graph import Graph

SETTINGS = SequenceSettings(
    hidden=8, blocks=1, max_length=12, batch_size=32, learning_rate=0.01, epochs=6, patience=2, validate_every=1,
    trials=2, seeds=2,
)  # fmt: skip
GROUPS, SIZE = 4, 40


def histories(seed: int = 0, num_users: int = 80, length: int = 14) -> Sequences:
    """The next item is of the group that follows the latest one's, four times out of five; no item twice."""
    g = np.random.default_rng(seed)
    rows = []
    for user in range(num_users):
        seen: set[int] = set()
        group = int(g.integers(GROUPS))
        for _ in range(length):
            group = (group + 1) % GROUPS if g.random() < 0.8 else int(g.integers(GROUPS))
            item = next(i for i in group * SIZE + g.permutation(SIZE) if i not in seen)
            seen.add(int(item))
            rows.append((user, int(item)))
    users, items = np.array(rows).T
    return Sequences.from_arrays(users, items)


def case(
    seed: int = 0, names: tuple[str, ...] = ("none", "sse-graph", "sse-pt")
) -> tuple[CompareData, tuple[Arm, ...]]:
    """Data with a graph within the groups, and three arms."""
    parts = leave_last_out(histories(seed))
    ids = parts.train.item_ids.ids
    source, target = np.nonzero(np.triu(ids[:, None] // SIZE == ids // SIZE, 1))
    graph = Graph.from_edges(source, target, num_nodes=len(ids))
    arms = tuple(arm for arm in sequence_arms(item_graph=True) if arm.name in names)
    files = (DataFile("actions", "generated", f"seed {seed}"),)
    return CompareData(parts.train, parts.test, None, graph, files, validation=parts.validation), arms


if __name__ == "__main__":
    data, arms = case()
    compare(data, arms, SETTINGS, Path(sys.argv[1]), jobs=int(sys.argv[2]), observer=Quiet(float(sys.argv[3])))
