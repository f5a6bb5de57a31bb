"""What the tests of commands share: calling one, and files to call it on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from typer.testing import CliRunner, Result

from torchsse.cli import app
from torchsse.data.synthetic import planted_clusters

FAST = ["--factors", "8", "--epochs", "6", "--trials", "2", "--seeds", "2", "--learning-rate", "0.05"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_files(folder: Path) -> Path:
    """Ratings, a train and a test part, positives, a graph of the items, and files with something wrong."""
    ratings, edges = planted_clusters(60, 40, 900, num_clusters=4)
    order = np.random.default_rng(0).permutation(len(ratings))
    rows = [f"{u},{i},{r:g}" for u, i, r in zip(ratings.raw_users, ratings.raw_items, ratings.values)]
    header = "user,item,rating\n"
    (folder / "ratings.csv").write_text(header + "\n".join(rows) + "\n")
    (folder / "train.csv").write_text(header + "\n".join(rows[n] for n in order[:700]) + "\n")
    (folder / "test.csv").write_text(header + "\n".join(rows[n] for n in order[700:]) + "\n999,1,3\n1,888,3\n")
    (folder / "everything.csv").write_text((folder / "test.csv").read_text() + "\n".join(rows[n] for n in order[:700]))
    (folder / "likes.csv").write_text("user,item\n" + "\n".join(row.rpartition(",")[0] for row in rows) + "\n")
    (folder / "words.csv").write_text(header + "1,1,good\n1,2,4\n")
    pairs = zip(edges.src_raw.tolist(), edges.dst_raw.tolist())
    (folder / "edges.csv").write_text("a,b,weight\n" + "".join(f"{a},{b},{1 + a % 3}\n" for a, b in pairs))
    (folder / "foreign.csv").write_text("a,b\nx,y\n")
    return folder
