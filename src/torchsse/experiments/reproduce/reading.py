"""From the data sets' own files to train, test and graphs."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from torchsse.data.text import load_bytes
from torchsse.errors import DataError, TorchsseWarning
from torchsse.experiments.loading import load_graph
from torchsse.experiments.reproduce.dataset import Files
from torchsse.experiments.settings import CompareData

if TYPE_CHECKING:
    from torchsse.data import IdMap, Ratings
    from torchsse.graph import Graph

__all__ = [
    "TEST_SHARE",
    "held_out",
    "monti",
    "movie_names",
    "movie_numbers",
    "one_user_per_line",
    "read_ciao",
    "sse_bpr",
    "sse_mf",
    "two_files",
]

TEST_SHARE = 0.1
SEED = 0
"""Of the splits made here: always the same, so that tables on one data set share their test part."""


def held_out(files: Files, *, header: bool | None = None, **columns: str | int) -> CompareData:
    """A tenth of all ratings, drawn at random, is the test part."""
    from torchsse.data import read_ratings

    return _split(read_ratings(files["ratings"], header=header, feedback="explicit", **columns), files)  # type: ignore[arg-type]


def read_ciao(files: Files) -> CompareData:
    """The rating is the fourth column; zeros are no ratings; of repeated pairs the last one counts."""
    from torchsse.data import Ratings, read_ratings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TorchsseWarning)  # of repeated pairs: the tables say what becomes of them
        lines = read_ratings(files["ratings"], user=0, item=1, rating=3, header=False, feedback="explicit")
    real = lines.select(lines.values > 0)
    whole = Ratings.from_arrays(real.raw_users, real.raw_items, real.values, feedback="explicit")
    return _split(whole, files)


def monti(files: Files) -> CompareData:
    """``user,item,rating,split`` with the fixed split that came with the subset."""
    from torchsse.data import Ratings

    rows = table(files["ratings"])
    try:
        users, items = (np.array(rows[name], dtype=np.int64) for name in ("user", "item"))
        ratings, part = np.array(rows["rating"], dtype=np.float32), np.array(rows["split"])
    except (KeyError, ValueError) as error:
        raise DataError(f"{files['ratings']}: expected numbers under user,item,rating,split: {error}") from None
    if set(np.unique(part).tolist()) != {"train", "test"}:
        raise DataError(f"{files['ratings']}: column split: expected train and test, got {np.unique(part)}")
    learn = part == "train"
    train = Ratings.from_arrays(users[learn], items[learn], ratings[learn], feedback="explicit")
    test = Ratings.from_arrays(users[~learn], items[~learn], ratings[~learn], feedback="explicit", like=train)
    return _with_graphs(train, test, files)


def two_files(files: Files, *, header: bool = False) -> CompareData:
    """Implicit feedback in two files of lines ``user item ...``."""
    from torchsse.data import read_ratings

    train = read_ratings(files["train"], header=header, feedback="implicit")
    test = read_ratings(files["test"], header=header, feedback="implicit", like=train)
    return _with_graphs(train, test, files)


def one_user_per_line(files: Files) -> CompareData:
    """Lines ``user item item ...``; train and validation are the train part."""
    from torchsse.data import Ratings, read_ratings

    parts = [read_ratings(files[role], format="user-lines") for role in ("train", "validation")]
    users, items = (np.concatenate([getattr(part, side) for part in parts]) for side in ("raw_users", "raw_items"))
    train = Ratings.from_arrays(users, items, feedback="implicit")
    test = read_ratings(files["test"], format="user-lines", like=train)
    return _with_graphs(train, test, files)


def sse_mf(files: Files) -> CompareData:
    """The authors' explicit split; users are linked by equal gender, age band and occupation, movies by actors."""
    from torchsse.data import read_ratings

    train = read_ratings(files["train"], header=False, feedback="explicit")
    test = read_ratings(files["test"], header=False, feedback="explicit", like=train)
    users, about_users = demographic_graph(files["users"], files["user_map"], train.user_ids)
    items, about_items = load_graph(files["item_graph"], train.item_ids, "item")
    return CompareData(train, test, users, items, notes=(about_users, about_items))


def sse_bpr(files: Files) -> CompareData:
    """The authors' implicit split; its items have numbers of their own, the actor graph has MovieLens'."""
    from torchsse.data import EdgeTable, read_edges
    from torchsse.graph import Graph

    data = two_files({"train": files["train"], "test": files["test"]})
    names = _map(files["item_map"])
    raw = read_edges(files["item_graph"])
    both = (_whole(files["item_graph"], column) for column in (raw.src_raw, raw.dst_raw))
    ends = [[names.get(movie, -1) for movie in column] for column in both]
    source, target, _, dropped = EdgeTable(*map(np.array, ends)).resolve(data.train.item_ids)
    graph = Graph.from_edges(source, target, num_nodes=data.train.num_items)
    notes = (_covers("Item", graph, f"{dropped:,} edges with movies that are not in train dropped"),)
    return CompareData(data.train, data.test, None, graph, notes=notes)


def demographic_graph(users: Path, names: Path, ids: IdMap) -> tuple[Graph, str]:
    """Users of equal gender, age band and occupation (``id::gender::age::occupation::zip``), all of them linked."""
    from torchsse.data import read_users, user_groups
    from torchsse.graph import Graph

    own, groups = _map(names), user_groups(read_users(users))
    codes = ids.encode(np.array([own.get(user, -1) for user in _whole(users, groups.ids_raw)], dtype=np.int64))
    known = codes >= 0
    graph = Graph.from_attributes(codes[known], groups.attributes_raw[known], num_nodes=len(ids))
    return graph, _covers("User", graph, "linked by equal gender, age band and occupation")


def table(path: Path) -> dict[str, list[str]]:
    """A CSV file with a header, as columns of text."""
    rows = list(csv.reader(load_bytes(path).decode("latin-1").splitlines()))
    if len(rows) < 2:
        raise DataError(f"{path}: expected a header and rows, got {len(rows)} lines")
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise DataError(f"{path}, line {number}: expected {len(rows[0])} fields, got {len(row)}")
    return dict(zip(rows[0], map(list, zip(*rows[1:]))))


def _split(whole: Ratings, files: Files) -> CompareData:
    from torchsse.data import split

    return _with_graphs(*split.random(whole, TEST_SHARE, seed=SEED), files)


def _with_graphs(train: Ratings, test: Ratings, files: Files) -> CompareData:
    """With the graphs that are among the files, over raw ids."""
    graphs: dict[str, Any] = {}
    notes = []
    for side, ids in (("user", train.user_ids), ("item", train.item_ids)):
        if f"{side}_graph" in files:
            graphs[f"{side}_graph"], note = load_graph(files[f"{side}_graph"], ids, side)
            notes.append(note)
    return CompareData(train, test, **graphs, notes=tuple(notes))


def _covers(side: str, graph: Graph, more: str) -> str:
    linked = int(np.count_nonzero(graph.degree()))
    return f"{side} graph: {linked:,} of {graph.num_nodes:,} {side.lower()}s have a neighbour, {more}."


def _map(path: Path) -> dict[int, int]:
    """MovieLens' id -> the number in the split, from a file with a header whose columns are the other way round."""
    columns = list(table(path).values())
    if len(columns) < 2:
        raise DataError(f"{path}: expected two columns, our number and MovieLens' id, got {len(columns)}")
    return dict(zip(_whole(path, columns[1]), _whole(path, columns[0])))


def _whole(path: Path, ids: Iterable[Any]) -> list[int]:
    """Ids of MovieLens and of its splits are whole numbers; `DataError` for others."""
    try:
        return [int(each) for each in ids]
    except ValueError as error:
        raise DataError(f"{path}: expected whole numbers as ids: {error}") from None


def movie_numbers(files: Files, items: Any) -> list[int]:
    """MovieLens' ids of raw item ids: those themselves, or by the split's map."""
    if "item_map" not in files:
        return [int(item) for item in items]
    originals = {number: original for original, number in _map(files["item_map"]).items()}
    return [originals.get(int(item), -1) for item in items]


def movie_names(path: Path) -> dict[int, tuple[str, str]]:
    """Title and genres (separated by |) of each film, from MovieLens' own file."""
    from torchsse.data import read_items

    films = read_items(path)
    names = zip(films.titles, map("|".join, films.genres))
    return dict(zip(_whole(path, films.ids), names))
