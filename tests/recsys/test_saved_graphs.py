"""Graphs are saved with the model: it can be fitted again and explain itself; damage and foreign files are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchsse.data import Ratings
from torchsse.errors import ConfigError, CorruptFileError
from torchsse.graph import Graph
from torchsse.recsys import BPR, GraphALS, MatrixFactorization, WeightedALS, storage

SRC, DST = np.arange(100, 120), np.arange(101, 121)


def weighted_graph(n: int = 24) -> Graph:
    return Graph.from_edges(SRC - 100, DST - 100, num_nodes=n, weight=np.linspace(0.2, 1, len(SRC)))


MAKE: dict[str, Callable[[], Any]] = {
    "mf": lambda: MatrixFactorization(
        factors=4, epochs=3, p0_item=0.2, item_graph=weighted_graph(), rho_item=9, p0_user=0.1,
        user_graph=Graph.from_edges([0, 1], [2, 3], num_nodes=30, directed=True), rho_user=float("inf"),
    ),
    "bpr": lambda: BPR(factors=4, epochs=3, p0_item=0.2, item_graph=(SRC, DST), rho_item=9),
    "als": lambda: WeightedALS(factors=4, epochs=3, p0_item=0.2, item_graph=weighted_graph(), rho_item=9),
    "graph-als": lambda: GraphALS(factors=4, epochs=3, item_graph=weighted_graph()),
}  # fmt: skip


@pytest.mark.parametrize("name", MAKE)
def test_a_loaded_model_fits_again(name: str, ratings: Ratings, tmp_path: Path) -> None:
    model = MAKE[name]().fit(ratings)
    model.save(tmp_path)
    again = type(model).load(tmp_path)
    pairs = ratings.raw_users, ratings.raw_items
    assert np.array_equal(again.predict(*pairs), model.predict(*pairs))
    assert isinstance(again.item_graph, Graph)
    assert again.item_graph.num_nodes == 24
    assert (again.user_graph is None) == (model.user_graph is None)
    again.fit(ratings)
    assert np.array_equal(again.predict(*pairs), model.predict(*pairs))
    without = type(model)(**{**model.get_params(), "item_graph": None, "rho_item": None} if name != "graph-als" else {})
    assert not np.array_equal(without.fit(ratings).predict(*pairs), model.predict(*pairs))


def test_the_graph_of_the_fit_is_kept_not_a_later_one(ratings: Ratings, tmp_path: Path) -> None:
    model = MAKE["als"]().fit(ratings)
    model.set_params(item_graph=Graph.from_edges([0], [1], num_nodes=24))
    model.save(tmp_path)
    assert WeightedALS.load(tmp_path).item_graph.num_edges == 40


def test_saving_again_leaves_the_same_bytes_and_drops_old_graphs(ratings: Ratings, tmp_path: Path) -> None:
    model = MAKE["als"]().fit(ratings)
    model.save(tmp_path)
    before = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert len([p for p in tmp_path.iterdir() if p.is_dir()]) == 1
    model.save(tmp_path)
    assert {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    WeightedALS(factors=4, epochs=1).fit(ratings).save(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    assert WeightedALS.load(tmp_path).item_graph is None


def test_a_writer_that_dies_leaves_the_old_model(
    ratings: Ratings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = MAKE["als"]().fit(ratings)
    old.save(tmp_path)
    new = WeightedALS(factors=4, epochs=1, p0_item=0.1, item_graph=(SRC[:3], DST[:3]), rho_item=2).fit(ratings)
    replace = storage._replace

    def dies(root: Path, name: str, *rest: Any) -> None:
        if name == storage.MANIFEST:
            raise KeyboardInterrupt
        replace(root, name, *rest)

    monkeypatch.setattr(storage, "_replace", dies)
    with pytest.raises(KeyboardInterrupt):
        new.save(tmp_path)
    monkeypatch.undo()
    assert WeightedALS.load(tmp_path).item_graph.num_edges == 40
    new.save(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_model_of_before_graphs_were_saved_still_loads(ratings: Ratings, tmp_path: Path) -> None:
    model = MAKE["als"]().fit(ratings)
    model._graphs = {}
    model.save(tmp_path)
    old = WeightedALS.load(tmp_path)
    assert old.item_graph is None
    assert np.array_equal(old.predict("u00", [100, 101]), model.predict("u00", [100, 101]))
    with pytest.raises(ConfigError, match="item_graph"):
        old.fit(ratings)


@pytest.mark.parametrize("victim", ["manifest.json", "indptr.npy", "indices.npy", "weights.npy"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_graph_is_refused(ratings: Ratings, tmp_path: Path, victim: str, damage: str) -> None:
    model = MAKE["als"]().fit(ratings)
    model.save(tmp_path)
    path = next(tmp_path.glob(f"item_graph-*/{victim}"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flip" else content[: len(content) // 2])
    with pytest.raises(CorruptFileError, match="item_graph"):
        WeightedALS.load(tmp_path)
    model.save(tmp_path)  # heals it
    assert WeightedALS.load(tmp_path).item_graph.num_edges == 40


def test_a_foreign_graph_is_refused(ratings: Ratings, tmp_path: Path) -> None:
    """A whole graph, but another one than was saved; and one that a model file with a right checksum names."""
    model = MAKE["als"]().fit(ratings)
    model.save(tmp_path)
    directory = next(tmp_path.glob("item_graph-*"))
    shutil.rmtree(directory)
    Graph.from_edges([0], [1], num_nodes=24).save(directory)
    with pytest.raises(CorruptFileError, match="not the graph that was saved"):
        WeightedALS.load(tmp_path)
    model._graphs = {"item": Graph.from_edges([0], [1], num_nodes=7)}
    model.save(tmp_path / "other")
    with pytest.raises(CorruptFileError, match="does not belong"):
        WeightedALS.load(tmp_path / "other")
    manifest = json.loads((tmp_path / "other" / "model.json").read_text())
    assert set(manifest["files"]) == {"arrays", "ids", "item_graph"}
