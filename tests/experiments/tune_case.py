"""A study small enough for tests, and a program that runs it (started as a process of its own to be killed)."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from compare_case import Quiet

from torchsse.data.synthetic import planted_clusters
from torchsse.experiments.settings import DataFile
from torchsse.experiments.tuning.data import TuneData
from torchsse.experiments.tuning.models import MODELS, ModelName
from torchsse.experiments.tuning.settings import TuneSettings
from torchsse.experiments.tuning.space import TuneSpace, tune_space
from torchsse.experiments.tuning.tune import tune
from torchsse.graph import Graph

SETTINGS = TuneSettings.of(MODELS[ModelName.mf], epochs=8, trials=16, profile=2, validation_splits=1)


class Slow(Quiet):
    """Dawdles in every epoch, so that a kill finds a trial under way."""

    def progress(self, label: str, fraction: float) -> None:
        time.sleep(self.pause)

    def finished(self, label: str, record: dict[str, Any]) -> None:
        pass


def data(seed: int = 0) -> TuneData:
    """Explicit ratings with an item graph."""
    ratings, edges = planted_clusters(60, 40, 900, num_clusters=4, seed=seed)
    src, dst, _, _ = edges.resolve(ratings.item_ids)
    graph = Graph.from_edges(src, dst, num_nodes=ratings.num_items)
    return TuneData(ratings, item_graph=graph, files=(DataFile("train", "generated", f"seed {seed}"),))


def space(*search: str) -> TuneSpace:
    return tune_space(MODELS[ModelName.mf], item_graph=True, factors="4,8", search=search)


def run(out: Path, settings: TuneSettings = SETTINGS, jobs: int = 1, **more: Any) -> dict[str, Any]:
    given = {"data": data(), "space": space(), "observer": Quiet(), **more}
    return tune(ModelName.mf, given.pop("data"), given.pop("space"), settings, out, jobs=jobs, **given)


def timeless(document: dict[str, Any]) -> dict[str, Any]:
    """What must not depend on when and how often a study was started."""
    apart = ("provenance", "saved", "trials")
    trials = [{key: value for key, value in trial.items() if key != "seconds"} for trial in document["trials"]]
    return {"trials": trials, **{key: value for key, value in document.items() if key not in apart}}


if __name__ == "__main__":
    run(Path(sys.argv[1]), observer=Slow(float(sys.argv[2])))
