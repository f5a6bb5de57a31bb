"""A comparison small enough for tests, and a program that runs it (started as a process of its own to be killed)."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from torchsse.data import split
from torchsse.data.synthetic import planted_clusters
from torchsse.experiments.arms import Arm, standard_arms
from torchsse.experiments.compare import compare
from torchsse.experiments.settings import CompareData, CompareSettings, DataFile
from torchsse.graph import Graph

SETTINGS = CompareSettings(factors=8, epochs=12, patience=6, learning_rate=0.05, trials=10, seeds=2)


class Quiet:
    """An observer that only counts, and may dawdle so that a kill finds work under way."""

    def __init__(self, pause: float = 0.0) -> None:
        self.pause, self.total, self.before, self.labels = pause, 0, 0, []

    def start(self, total: int, done: int, jobs: int) -> None:
        self.total, self.before = total, done

    def progress(self, label: str, fraction: float) -> None:
        assert 0 < fraction <= 1

    def finished(self, label: str, record: dict[str, Any]) -> None:
        self.labels.append(label)
        time.sleep(self.pause)


def case(seed: int = 0) -> tuple[CompareData, tuple[Arm, ...]]:
    """Data with an item graph, and the arms none, sse-se and sse-graph."""
    ratings, edges = planted_clusters(60, 40, 900, num_clusters=4, seed=seed)
    train, test = split.per_user(ratings, 0.2, seed=seed)
    src, dst, _, _ = edges.resolve(train.item_ids)
    graph = Graph.from_edges(src, dst, num_nodes=train.num_items)
    files = (DataFile("ratings", "generated", f"seed {seed}"),)
    arms = tuple(a for a in standard_arms(biases=True, item_graph=True) if a.name in ("none", "sse-se", "sse-graph"))
    return CompareData(train, test, None, graph, files), arms


def timeless(document: dict[str, Any]) -> dict[str, Any]:
    """What must not depend on when, how often and on how many cores a run was started."""
    results = [{k: v for k, v in record.items() if k != "seconds"} for record in document["results"]]
    config = {k: v for k, v in document["provenance"]["config"].items() if k != "jobs"}
    return {"schema": document["schema"], "results": results, "config": config, "data": document["provenance"]["data"]}


if __name__ == "__main__":
    data, arms = case()
    compare(data, arms, SETTINGS, Path(sys.argv[1]), jobs=int(sys.argv[2]), observer=Quiet(float(sys.argv[3])))
