"""Figure 3: item embeddings without SSE, with SSE-Graph and with SSE-SE, projected to three dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.experiments.arms import Arm, standard_arms
from torchsse.experiments.files import write_array, write_json
from torchsse.experiments.ranking_arms import ranking_arms
from torchsse.experiments.reproduce.datasets import ML1M_IMPLICIT, ML1M_SPARSE
from torchsse.experiments.reproduce.figure import Report, Study, arms_named, fitted, origin_of, run_studies
from torchsse.experiments.reproduce.reading import movie_names, movie_numbers
from torchsse.experiments.reproduce.table import Overrides
from torchsse.experiments.settings import CompareData, CompareSettings, RankingSettings
from torchsse.metrics import t_interval

__all__ = ["figure3", "principal", "reproduce_figure3", "spread"]

RANK = 50
ARMS = ("none", "sse-graph", "sse-se")
PROJECTIONS = "projections"

Floats = npt.NDArray[np.float64]


def figure3(wanted: Overrides) -> tuple[Study, ...]:
    """Both models of the paper with one hidden layer, at its 50 dimensions, with the tables' default settings."""
    rank = wanted.ranks[0] if wanted.ranks else RANK
    movies = {"movies": "ml1m/movies.dat.gz"}
    return (
        Study(
            "mf",
            "Matrix factorisation",
            replace(ML1M_SPARSE, files={**ML1M_SPARSE.files, **movies}),
            wanted.applied(CompareSettings(factors=rank, biases=False, epochs=120, seeds=5)),
            arms_named(standard_arms(biases=False, item_graph=True), ARMS),
        ),
        Study(
            "bpr",
            "Bayesian personalised ranking",
            replace(ML1M_IMPLICIT, files={**ML1M_IMPLICIT.files, **movies}),
            wanted.applied(RankingSettings(factors=rank, epochs=80, seeds=5)),
            arms_named(ranking_arms(item_graph=True), ARMS),
        ),
    )


def reproduce_figure3(
    studies: Sequence[Study],
    root: Path,
    out: Path,
    *,
    report: Report,
    command: Sequence[str],
    restart: bool = False,
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Fit, project, measure. Returns the document, written to out/results.json, and for each study what a page shows.

    The document holds numbers only: titles and genres are not ours to pass on.
    """

    def measure(
        study: Study, data: CompareData, arm: Arm, seed: int, so_far: Callable[[float], None]
    ) -> dict[str, Any]:
        model = fitted(study, data, arm, seed, watched=False, report=so_far)
        trained = np.flatnonzero(data.train.item_counts() > 0)
        table = _item_factors(model)[trained].astype(np.float64)
        points, shares = principal(table)
        if seed == study.settings.seed:
            path = _projection(out, study.name, arm.name)
            path.parent.mkdir(exist_ok=True)
            write_array(path, points)
        graph = data.item_graph
        assert graph is not None
        return {**spread(table, _edges(graph, trained), seed), "explained": [round(float(s), 6) for s in shares]}

    def intact(record: dict[str, Any]) -> bool:
        first = record["seed"] == next(s.settings.seed for s in studies if s.name == record["study"])
        return not first or _projection(out, record["study"], record["arm"]).is_file()

    records = run_studies("figure3", studies, root, out, measure, report, restart=restart, intact=intact)
    results = []
    for study in studies:
        for arm in study.arms:
            mine = [r for r in records if (r["study"], r["arm"]) == (study.name, arm.name)]
            results.append(_record(study, arm, mine))
    document = {
        "schema": 1,
        "provenance": origin_of(studies, root, command, "figure3"),
        "figure": {
            "name": "figure3",
            "studies": [{"name": study.name, "title": study.title} for study in studies],
            "measured": "distance: mean Euclidean distance between films that share an actor, over that between "
            "films paired at random with the same numbers of partners; 1 = the graph is not in the embeddings. "
            "explained: share of the variance along the first three principal axes.",
        },
        "results": results,
    }
    write_json(out / "results.json", document)
    return document, {study.name: _shown(study, root, out) for study in studies}


def principal(table: Floats) -> tuple[Floats, Floats]:
    """Coordinates along the first three principal axes, (n, 3), and each axis' share of the variance, (3,).

    Signs are such that the largest coordinate of each axis is positive.

    >>> points, shares = principal(np.array([[1.0, 0, 0, 0], [-1, 0, 0, 0], [0, 2, 0, 0], [0, -2, 0, 0]]))
    >>> np.abs(points[2]).round(6).tolist(), shares.round(6).tolist()
    ([2.0, 0.0, 0.0], [0.8, 0.2, 0.0])
    """
    centred = table - table.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    points = left[:, :3] * values[:3]
    largest = np.abs(points).argmax(axis=0)
    points *= np.where(points[largest, np.arange(points.shape[1])] < 0, -1.0, 1.0)
    total = float((values**2).sum())
    return points, values[:3] ** 2 / total if total else np.zeros(3)


def spread(table: Floats, edges: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], seed: int) -> dict[str, float]:
    """How near neighbours are: distances between linked rows over those of pairs whose ends are shuffled.

    Shuffling keeps how often each row is an end, so that popular rows, which have many partners and longer
    embeddings, do not decide.

    >>> rows = np.array([[0.0], [0.1], [5.0], [5.1], [9.0], [9.1]])
    >>> spread(rows, (np.array([0, 2, 4]), np.array([1, 3, 5])), seed=0)["distance"] < 0.1
    True
    """
    one, other = edges
    shuffled = np.random.default_rng(seed).permutation(other)
    kept = one != shuffled
    near = np.linalg.norm(table[one] - table[other], axis=1).mean()
    far = np.linalg.norm(table[one[kept]] - table[shuffled[kept]], axis=1).mean()
    length = np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    unit = table / length
    return {
        "distance": float(near / far),
        "cosine": float((unit[one] * unit[other]).sum(axis=1).mean()),
        "cosine_shuffled": float((unit[one[kept]] * unit[shuffled[kept]]).sum(axis=1).mean()),
        "length": float(length.mean()),
    }


def _record(study: Study, arm: Arm, fits: list[dict[str, Any]]) -> dict[str, Any]:
    """Means and intervals over seeds."""
    record: dict[str, Any] = {"study": study.name, "arm": arm.name, "params": arm.params(arm.defaults)}
    for name in ("distance", "cosine", "cosine_shuffled", "length"):
        over_seeds = t_interval([fit[name] for fit in fits])
        record[name] = over_seeds.mean
        record[f"{name}_ci95"] = [over_seeds.low, over_seeds.high] if over_seeds.n > 1 else None
    record["explained"] = np.mean([fit["explained"] for fit in fits], axis=0).tolist()
    return record | {"seeds": study.settings.final_seeds}


def _item_factors(model: Any) -> npt.NDArray[np.floating]:
    """The item table, (items, rank)."""
    from torchsse.recsys.export import tables

    return tables(model)[1].vectors


def _edges(graph: Any, kept: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Edges, each once, between kept rows, as positions among them."""
    place = np.full(graph.num_nodes, -1)
    place[kept] = np.arange(len(kept))
    source = place[np.repeat(np.arange(graph.num_nodes), graph.degree())]
    target = place[graph.indices]
    inside = (source >= 0) & (target > source)
    return source[inside], target[inside]


def _shown(study: Study, root: Path, out: Path) -> dict[str, Any]:
    """Points, titles, genres and edges of the first seed."""
    data, files = study.load(root), study.data.located(root)
    trained = np.flatnonzero(data.train.item_counts() > 0)
    numbers = movie_numbers(files, data.train.item_ids.decode(trained))
    names = movie_names(files["movies"])
    source, target = _edges(data.item_graph, trained)
    return {
        "title": study.title,
        "titles": [names.get(number, (str(number), "unknown"))[0] for number in numbers],
        "genres": [names.get(number, (str(number), "unknown"))[1] for number in numbers],
        "edges": [source.tolist(), target.tolist()],
        "arms": [arm.name for arm in study.arms],
        "points": [np.load(_projection(out, study.name, arm.name), allow_pickle=False) for arm in study.arms],
    }


def _projection(out: Path, study: str, arm: str) -> Path:
    """Where the points of the first seed are kept."""
    return out / PROJECTIONS / f"{study}-{arm}.npy"
