"""The generated data of `torchsse demo`, as files that every other command can read, and its settings."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from torchsse.errors import ConfigError
from torchsse.experiments.arms import Arm, standard_arms
from torchsse.experiments.files import claim_directory, write_text
from torchsse.experiments.settings import CompareSettings

__all__ = ["DEMO_SETTINGS", "DemoFiles", "demo_arms", "write_demo_data"]

DEMO_SETTINGS = CompareSettings(
    factors=16, epochs=80, patience=15, learning_rate=0.05, learning_rate_decay=0.98, trials=24
)
"""Small enough for a minute on two cores."""


class DemoFiles(NamedTuple):
    """Where the generated data lies."""

    train: Path
    test: Path
    edges: Path


def demo_arms() -> tuple[Arm, ...]:
    """All arms: the demo has an item graph."""
    return standard_arms(biases=DEMO_SETTINGS.biases, item_graph=True)


def write_demo_data(out: Path, marker: str) -> DemoFiles:
    """Write train.csv, test.csv and edges.csv into `out`/data.

    Args:
        out: the directory of the demo.
        marker: the file that tells a directory of an earlier demo from a foreign one.

    Raises:
        ConfigError: if `out` holds something else, or a data file there has another content.
    """
    from torchsse.data import split
    from torchsse.data.synthetic import planted_clusters

    claim_directory(out, marker, allowed=("data",))
    folder = out / "data"
    folder.mkdir(exist_ok=True)
    ratings, edges = planted_clusters(seed=DEMO_SETTINGS.seed)
    train, test = split.per_user(ratings, DEMO_SETTINGS.test_fraction, seed=DEMO_SETTINGS.seed)
    files = DemoFiles(folder / "train.csv", folder / "test.csv", folder / "edges.csv")
    for path, part in ((files.train, train), (files.test, test)):
        rows = zip(part.raw_users.tolist(), part.raw_items.tolist(), part.values.tolist())
        _write_once(path, "user,item,rating\n" + "".join(f"{u},{i},{r:g}\n" for u, i, r in rows))
    pairs = zip(edges.src_raw.tolist(), edges.dst_raw.tolist())
    _write_once(files.edges, "item_a,item_b\n" + "".join(f"{a},{b}\n" for a, b in pairs))
    return files


def _write_once(path: Path, text: str) -> None:
    if not path.exists():
        write_text(path, text)
    elif path.read_text() != text:
        raise ConfigError(f"{path} is there already with another content; choose another --out")
