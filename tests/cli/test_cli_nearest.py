"""`fit --item-nearest`: graphs of what is learned, and of nothing else."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from torchsse.cli import app
from torchsse.data import Sequences, read_ratings, read_sequences
from torchsse.data.sequence_split import leave_last_out
from torchsse.data.synthetic import planted_clusters
from torchsse.experiments.models import load_model
from torchsse.experiments.neighbours import cooccurrence_graph
from torchsse.graph import Graph

MF = ("--factors", 4, "--epochs", 2)
SASREC = ("--hidden", 8, "--max-length", 12, "--epochs", 2, "--dropout", 0.1)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def pairs(graph: Graph) -> set[tuple[int, int]]:
    source, target, _ = graph.edges()
    return set(zip(source.tolist(), target.tolist()))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    ratings, edges = planted_clusters(40, 30, 500, num_clusters=4)
    rows = zip(ratings.raw_users, ratings.raw_items, ratings.values)
    (folder / "ratings.csv").write_text("user,item,rating\n" + "".join(f"{u},{i},{r:g}\n" for u, i, r in rows))
    linked = zip(edges.src_raw.tolist(), edges.dst_raw.tolist())
    (folder / "edges.csv").write_text("a,b\n" + "".join(f"{a},{b}\n" for a, b in linked))
    # in the end users of two groups, who had nothing in common, meet at the same items
    g = np.random.default_rng(0)
    lines = []
    for user in range(40):
        first = g.permutation(10)[:6] + 20 * (user % 2)
        lines += [f"{user} {item}\n" for item in (*first.tolist(), 10 + user % 5, 15 + user % 5)]
    (folder / "actions.txt").write_text("".join(lines))
    return folder


def fit(out: Path, *arguments: object) -> Any:
    done = run("fit", *arguments, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert "Item graph: " in done.stderr
    return load_model(out)


def test_it_is_the_graph_of_the_ratings_in_train(files: Path, tmp_path: Path) -> None:
    path = files / "ratings.csv"
    ratings = read_ratings(path)
    words = ("--user-nearest", 3, "--item-nearest", 2, "--p0-item", 0.2, "--rho-user", 50, *MF)
    model = fit(tmp_path / "model", "mf", path, *words)
    assert pairs(model.item_graph) == pairs(cooccurrence_graph(ratings, "item", 2))
    assert pairs(model.user_graph) == pairs(cooccurrence_graph(ratings, "user", 3))
    assert (model.rho_item, model.rho_user) == (math.inf, 50.0), "rho is inf, if nothing else is said"
    assert pairs(model.item_graph) != pairs(cooccurrence_graph(ratings, "item", 3))


def test_what_is_left_out_of_histories_is_not_in_it(files: Path, tmp_path: Path) -> None:
    path = files / "actions.txt"
    words = ("--item-nearest", 4, "--p0-input", 0.2)
    model = fit(tmp_path / "a", "sasrec", path, "--validation", "last", *words, *SASREC)
    whole = read_sequences(path)
    train = leave_last_out(whole).train
    assert pairs(model.item_graph) == pairs(cooccurrence_graph(train, "item", 4))
    late = set(np.flatnonzero(train.item_counts() == 0).tolist())
    assert len(late) == 10
    assert not late & {code for pair in pairs(model.item_graph) for code in pair}
    # control: of the whole file they have neighbours
    assert late < {code for pair in pairs(cooccurrence_graph(whole, "item", 4)) for code in pair}


def test_graph_als_has_a_graph_and_no_rho(files: Path, tmp_path: Path) -> None:
    model = fit(tmp_path / "model", "graph-als", files / "ratings.csv", "--item-nearest", 2, *MF)
    assert pairs(model.item_graph) == pairs(cooccurrence_graph(read_ratings(files / "ratings.csv"), "item", 2))


def test_an_action_that_is_repeated_counts_once() -> None:
    once = Sequences.from_arrays([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 1, 2])
    often = Sequences.from_arrays([0, 0, 0, 0, 1, 1, 2, 2, 2], [0, 1, 0, 1, 0, 1, 1, 2, 2])
    assert pairs(cooccurrence_graph(once, "item", 1)) == pairs(cooccurrence_graph(often, "item", 1))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mf", "--item-nearest", 2, "--item-graph", "edges.csv"), "--item-graph and --item-nearest are both given"),
        (("sasrec", "--user-nearest", 2), "--user-nearest: sasrec has no such option; it is for mf"),
        (("item-knn", "--item-nearest", 2), "--item-nearest: item-knn has no such option; it is for mf"),
        (("mf", "--item-nearest", 2, "--edge-weight", "w"), "--edge-weight names a column of --item-graph"),
        (("mf", "--item-nearest", 2, "--rho-item", 0.5), "rho must be at least 1"),
        (("mf", "--item-nearest", 2, "--rho-user", 5), "rho_user = 5.0 needs user_graph"),
    ],
)
def test_what_is_refused(files: Path, tmp_path: Path, words: tuple[object, ...], message: str) -> None:
    model, *more = (files / str(word) if word == "edges.csv" else word for word in words)
    done = run("fit", model, files / "ratings.csv", *more, "--out", tmp_path / "model")
    assert done.exit_code == 1
    assert message in done.stderr
    assert not (tmp_path / "model").exists()
