"""Figures 3 and 4 on small made-up files, and the numbers of Figure 3 against plain definitions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import made_data
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from torchsse.cli import app
from torchsse.errors import DataError
from torchsse.experiments.reproduce.figure3 import principal, spread
from torchsse.experiments.reproduce.reading import movie_names
from torchsse.report.embedding import frame, main_genres

TINY = ["--ranks", "8", "--seeds", "2", "--epochs", "4"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_data.make_data(tmp_path_factory.mktemp("data"))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["reproduce", *(str(argument) for argument in arguments)])


@pytest.fixture(scope="module")
def figures(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    for name in ("figure3", "figure4"):
        done = run(name, "--data", data, "--out", out, *TINY)
        assert done.exit_code == 0, done.stderr
    return out


def read(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "results.json").read_text(), parse_constant=pytest.fail)
    return document


def test_the_page_of_figure_3_needs_no_other_file(figures: Path) -> None:
    for study in ("mf", "bpr"):
        page = (figures / "figure3" / f"embeddings-{study}.html").read_text()
        assert "http" not in page
        assert page.count("<canvas") == 3
        facts = json.loads(re.search(r"const DATA = (\{.*?\});\n", page).group(1))  # type: ignore[union-attr]
        films = len(facts["titles"])
        assert "Film 3, The (1953)" in facts["titles"]
        assert all(len(points) == 3 * films for points in facts["points"])
        assert len(facts["genre"]) == films
        assert max(max(ends) for ends in facts["edges"]) < films
        picture = figures / "figure3" / f"embeddings-{study}.png"
        assert picture.read_bytes()[:4] == b"\x89PNG"


def test_the_implicit_page_names_the_films_and_not_the_numbers_of_the_split(figures: Path) -> None:
    """Both pages are over the same made-up films, one of them under other numbers: edges agree by title."""
    linked = []
    for study in ("mf", "bpr"):
        page = (figures / "figure3" / f"embeddings-{study}.html").read_text()
        facts = json.loads(re.search(r"const DATA = (\{.*?\});\n", page).group(1))  # type: ignore[union-attr]
        titles = facts["titles"]
        linked.append({frozenset((titles[a], titles[b])) for a, b in zip(*facts["edges"])})
    assert linked[0]
    assert linked[1] <= linked[0]
    assert len(linked[1]) > 0.8 * len(linked[0])


def test_results_hold_numbers_and_no_titles(figures: Path, data: Path) -> None:
    for name in ("figure3", "figure4"):
        folder = figures / name
        for path in (folder / "results.json", folder / "report.md", folder / "journal.jsonl"):
            assert "Film" not in path.read_text()
            assert str(data) not in path.read_text()
    third = read(figures / "figure3")
    assert [(r["study"], r["arm"]) for r in third["results"]] == [
        (study, arm) for study in ("mf", "bpr") for arm in ("none", "sse-graph", "sse-se")
    ]
    assert all(0 < r["distance"] < 2 and len(r["explained"]) == 3 for r in third["results"])


def test_figure_4_has_a_curve_per_arm(figures: Path) -> None:
    document = read(figures / "figure4")
    assert len(document["results"]) == 6
    for record in document["results"]:
        assert record["epoch"] == [1, 2, 3, 4]
        assert len(record["value"]) == len(record["seconds"]) == 4
        assert np.all(np.diff(record["seconds"]) > 0)
        assert all(low <= mean <= high for low, mean, high in zip(record["low"], record["value"], record["high"]))
        if record["arm"] == "none":
            assert record["epochs_to_plain_best"] is not None
    assert (figures / "figure4" / "training-speed.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("name", ["figure3", "figure4"])
def test_a_finished_figure_fits_nothing(name: str, figures: Path, data: Path) -> None:
    journal = figures / name / "journal.jsonl"
    before, results = journal.read_bytes(), read(figures / name)["results"]
    done = run(name, "--data", data, "--out", figures, *TINY)
    assert done.exit_code == 0, done.stderr
    assert journal.read_bytes() == before
    assert read(figures / name)["results"] == results


def test_an_interrupted_figure_goes_on(figures: Path, data: Path, tmp_path: Path) -> None:
    """A journal cut off in the middle of a line: the fits before it stay, the others are made again, the same."""
    (tmp_path / "figure3" / "projections").mkdir(parents=True)
    for source in (figures / "figure3" / "projections").iterdir():
        (tmp_path / "figure3" / "projections" / source.name).write_bytes(source.read_bytes())
    whole = (figures / "figure3" / "journal.jsonl").read_bytes()
    (tmp_path / "figure3" / "journal.jsonl").write_bytes(whole[: len(whole) // 2])
    done = run("figure3", "--data", data, "--out", tmp_path, *TINY)
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "figure3" / "journal.jsonl").read_bytes() == whole


def test_lost_projections_are_made_again(figures: Path, data: Path) -> None:
    lost = figures / "figure3" / "projections" / "bpr-sse-se.npy"
    before = lost.read_bytes()
    lost.unlink()
    done = run("figure3", "--data", data, "--out", figures, *TINY)
    assert done.exit_code == 0, done.stderr
    assert lost.read_bytes() == before


def test_options_of_tables_are_refused(data: Path) -> None:
    assert run("figure3", "--data", data, "--only", "mf").exit_code == 2
    assert run("figure4", "--data", data, "--trials", "3").exit_code == 2
    plan = run("figure4", "--data", data, "--dry-run")
    assert plan.exit_code == 0
    assert "none, sse-se, sse-graph" in plan.stdout


def test_principal_axes_against_the_covariance() -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(200, 6)) * [5, 3, 2, 1, 0.5, 0.1] + 7
    points, shares = principal(table)
    values = np.sort(np.linalg.eigvalsh(np.cov(table.T)))[::-1]
    assert points.var(axis=0, ddof=1) == pytest.approx(values[:3])
    assert shares == pytest.approx(values[:3] / values.sum())
    assert np.cov(points.T)[0, 1] == pytest.approx(0, abs=1e-9)


def test_spread_of_clusters_and_of_noise() -> None:
    """Neighbours in tight clusters are near; with a graph that has nothing to do with the rows the ratio is 1."""
    rng = np.random.default_rng(0)
    cluster = np.repeat(np.arange(20), 10)
    table = rng.normal(size=(20, 8))[cluster] + 0.05 * rng.normal(size=(200, 8))
    one, other = np.triu_indices(200, 1)
    linked = cluster[one] == cluster[other]
    assert spread(table, (one[linked], other[linked]), seed=0)["distance"] < 0.15
    noise = spread(rng.normal(size=(200, 8)), (one[linked], other[linked]), seed=0)
    assert noise["distance"] == pytest.approx(1, abs=0.05)


def test_films_take_the_rarest_of_the_frequent_genres() -> None:
    mine, legend = main_genres(["A|B"] * 3 + ["A"] * 5 + ["C"])
    assert mine[:3] == ["B"] * 3
    assert mine[3] == "A"
    assert legend == ["A", "B", "C", "other"]


def test_every_panel_lies_in_the_frame() -> None:
    points = [np.random.default_rng(n).normal(size=(500, 3)) + n for n in range(3)]
    centre, half = frame(points)
    assert all((abs(each - centre) <= half).all(axis=1).mean() > 0.97 for each in points)


def test_titles_may_hold_colons(tmp_path: Path) -> None:
    path = tmp_path / "movies.dat"
    path.write_bytes("1::Léon: The Professional (1994)::Crime|Drama\n".encode("latin-1"))
    assert movie_names(path) == {1: ("Léon: The Professional (1994)", "Crime|Drama")}
    path.write_text("no film\n")
    with pytest.raises(DataError, match="id::title::genres"):
        movie_names(path)
