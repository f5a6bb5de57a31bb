"""`fit` for every model, with a checkpoint; `recommend --explain`; `export`."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import torchsse.recsys
from torchsse.cli import app
from torchsse.cli.fitting import OTHERS, fit
from torchsse.cli.models import MODELS, ModelName, estimator_of
from torchsse.data.synthetic import planted_clusters

SMALL = ["--factors", "4", "--epochs", "3"]
#: Those for ratings and positives; test_cli_sequences has the others.
UNORDERED = [model for model in MODELS if not MODELS[model].ordered]
#: Words that the command line leaves at their defaults.
NOT_OFFERED = {
    "backend",
    "batch_size",
    "checkpoint_seconds",
    "init_std",
    "max_entries",
    "bm25_b",
    "bm25_k1",
    "feedback",
}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    ratings, edges = planted_clusters(40, 30, 500, num_clusters=4)
    rows = [f"{u},{i},{r:g}" for u, i, r in zip(ratings.raw_users, ratings.raw_items, ratings.values)]
    for name, part in (("train", rows[::2]), ("test", rows[1::2])):
        (folder / f"{name}.csv").write_text("user,item,rating\n" + "\n".join(part) + "\n")
    pairs = zip(edges.src_raw.tolist(), edges.dst_raw.tolist())
    (folder / "edges.csv").write_text("a,b\n" + "".join(f"{a},{b}\n" for a, b in pairs))
    names = [f'{i},"The one, number {i}"' for i in ratings.item_ids.ids]
    (folder / "titles.csv").write_text("itemId,title,genre\n" + "\n".join(names) + "\n")
    return folder


@pytest.fixture(scope="module")
def fitted(files: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One model of each kind; those that can have the item graph."""
    found = {}
    for model in UNORDERED:
        out = tmp_path_factory.mktemp("models") / model.value
        words = estimator_of(model)._defaults()
        more: list[object] = [*SMALL] if "factors" in words else []
        if "item_graph" in words and model is not ModelName.als:
            more += ["--item-graph", files / "edges.csv"]
            more += ["--p0-item", "0.1", "--rho-item", "20"] if "rho_item" in words else []
        done = run("fit", model, files / "train.csv", "--validation", files / "test.csv", *more, "--out", out)
        assert done.exit_code == 0, (model, done.stderr)
        assert f"saved in {out}" in done.stdout
        assert "validation" in done.stdout
        if "epochs" in words:
            assert done.stdout.startswith(f"3 {MODELS[model].unit}s in ")
            assert "train " in done.stdout or "objective " in done.stdout
        found[model.value] = out
    return found


@pytest.mark.parametrize("model", UNORDERED)
def test_evaluate_and_recommend(files: Path, fitted: dict[str, Path], model: ModelName) -> None:
    values = json.loads(run("evaluate", fitted[model], files / "test.csv", "--json").stdout)
    if MODELS[model].explicit:
        assert values["n"] == 250
        assert 0.3 < values["rmse"] < 2.5
    else:
        assert values["n_pairs"] == 250
        assert values["precision@10"] > 0
    rows = json.loads(run("recommend", fitted[model], "--user", 3, "-k", 4, "--explain", "--json").stdout)
    assert [row["rank"] for row in rows] == [1, 2, 3, 4]
    seen = {line.split(",")[1] for line in (files / "train.csv").read_text().splitlines() if line.startswith("3,")}
    assert seen
    kinds = {row["explained_by"] for row in rows}
    expected = {"popularity": {"none"}, "item-knn": {"contributions"}, "als": {"contributions"}, "graph-als": {"edges"}}
    assert kinds & expected.get(model.value, {"graph"})
    for row in rows:
        assert str(row["item"]) not in seen
        assert {str(tie["item"]) for tie in row["ties"]} <= seen
        assert len(row["ties"]) <= 3


def test_every_word_is_offered_and_none_is_idle() -> None:
    offered = set(inspect.signature(fit).parameters) - OTHERS - {"ctx"}
    words = {model: set(estimator_of(model)._defaults()) for model in MODELS}
    for model, mine in words.items():
        assert mine - offered <= NOT_OFFERED, model
    assert offered <= set().union(*words.values())
    assert {kind.estimator for kind in MODELS.values()} <= set(torchsse.recsys.__all__)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["popularity", "--factors", "3"], "--factors: popularity has no such option; it is for mf, "),
        (["item-knn", "--item-graph", "{}/edges.csv"], "--item-graph: item-knn has no such option"),
        (["bpr", "--alpha", "2"], "--alpha: bpr has no such option; it is for als"),
        (["als", "--learning-rate", "1"], "--learning-rate: als has no such option; it is for mf, bpr, sqlrank"),
        (["graph-als", "--p0-item", "0.1"], "--p0-item: graph-als has no such option"),
        (["mf", "--hard-negatives"], "--hard-negatives: mf has no such option; it is for bpr"),
        (["item-knn", "--checkpoint", "{}/run"], "--checkpoint: item-knn has no such option"),
        (["item-knn", "--similarity", "pearson"], "similarity: expected one of"),
        (["als", "--alpha", "-1"], "alpha"),
        (["bpr", "--feedback", "explicit"], "--feedback explicit: bpr ranks positives"),
        (["bpr", "--rho-item", "3"], "item_graph"),
        (["bpr", "--metric", "rmse"], "metric"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refused_before_anything_is_read(files: Path, arguments: list[str], message: str, tmp_path: Path) -> None:
    words = [word.replace("{}", str(files)) for word in arguments]
    done = run("fit", words[0], files / "nowhere.csv", *words[1:], "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("model", [m for m in UNORDERED if "checkpoint" in estimator_of(m)._defaults()])
def test_a_killed_fit_goes_on(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: ModelName) -> None:
    """Stopped in its third epoch, the same command ends where an uninterrupted run does."""
    command = ["fit", model, files / "train.csv", "--factors", 4, "--epochs", 5]
    assert run(*command, "--out", tmp_path / "whole").exit_code == 0
    kind, kept = estimator_of(model), estimator_of(model).fit

    def killed(self: Any, train: Any, validation: Any = None, callback: Any = None) -> Any:
        def stop(epoch: int, info: dict[str, Any]) -> None:
            callback(epoch, info)
            if epoch == 3:
                raise KeyboardInterrupt

        return kept(self, train, validation, stop)

    monkeypatch.setattr(kind, "fit", killed)
    done = run(*command, "--checkpoint", tmp_path / "run", "--out", tmp_path / "out")
    assert done.exit_code == 130
    assert "the same command goes on" in done.stderr
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    done = run(*command, "--checkpoint", tmp_path / "run", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert f"going on after {MODELS[model].unit} 2 of the run" in done.stderr
    scores = [run("recommend", tmp_path / name, "--user", 3, "--csv").stdout for name in ("whole", "out")]
    assert scores[0] == scores[1]
    longer = run(*command[:-1], 7, "--checkpoint", tmp_path / "run", "--out", tmp_path / "longer")
    assert (longer.exit_code, f"going on after {MODELS[model].unit} 5 of" in longer.stderr) == (0, True)
    fewer = run(*command, "--checkpoint", tmp_path / "run", "--out", tmp_path / "fewer")
    assert (fewer.exit_code, "has 7 epochs, got epochs 5" in fewer.stderr) == (1, True)
    other = run(*command[:-1], 7, "--learning-rate" if model in ("mf", "bpr") else "--seed", 1, "--checkpoint",
                tmp_path / "run", "--out", tmp_path / "new")  # fmt: skip
    assert (other.exit_code, "other settings" in other.stderr) == (1, True)


# recommend


def test_explained_with_titles(files: Path, fitted: dict[str, Path]) -> None:
    shown = run("recommend", fitted["bpr"], "--user", 3, "-k", 8, "--explain", "--titles", files / "titles.csv")
    assert shown.exit_code == 0, shown.stderr
    assert "1. The one, number " in shown.stdout
    assert "linked to The one, number " in shown.stdout
    assert "'linked to': items of the history that are neighbours" in shown.stdout
    command = ["recommend", fitted["bpr"], "--user", 3, "--user", 5, "-k", 2, "--titles", files / "titles.csv"]
    rows = json.loads(run(*command, "--explain", "--ties", 1, "--json").stdout)
    assert [row["user"] for row in rows] == [3, 3, 5, 5]
    for row in rows:
        assert row["title"] == f"The one, number {row['item']}"
        assert len(row["ties"]) <= 1
        if row["explained_by"] == "graph":
            assert 0 < row["ties"][0]["share"] <= 1
            assert row["ties"][0]["title"].endswith(str(row["ties"][0]["item"]))
    assert "title" in run(*command, "--csv").stdout.splitlines()[0]
    assert f"The one, number {rows[0]['item']}" in run(*command).stdout
    contributions = run("recommend", fitted["als"], "--user", 3, "--explain").stdout
    assert "because of" in contributions
    assert "'none': " not in contributions
    assert "the score does not depend" in run("recommend", fitted["popularity"], "--user", 3, "--explain").stdout


def test_explain_refusals(files: Path, fitted: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "bare.csv").write_text("1\n2\n")
    for more, message in (
        (["--explain", "--csv"], "--explain and --csv"),
        (["--titles", tmp_path / "nowhere.csv"], "nowhere.csv"),
        (["--titles", tmp_path / "bare.csv"], "expected an id and a title"),
        (["--explain", "--user", "777"], "777"),
    ):
        done = run("recommend", fitted["bpr"], "--user", 3, *more)
        assert (done.exit_code, message in done.stderr) == (1, True), done.stderr


# export


def test_export(fitted: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "factors"
    done = run("export", fitted["mf"], "--out", out)
    assert done.exit_code == 0, done.stderr
    assert "of 4 factors" in done.stdout
    assert "score = mean + user_bias + item_bias + user_vector . item_vector" in done.stdout
    assert np.load(out / "item_factors.npy").shape[1] == 4
    again = run("export", fitted["mf"], "--out", out, "--format", "parquet")
    assert (again.exit_code, "--overwrite" in again.stderr) == (1, True)
    assert run("export", fitted["mf"], "--out", out, "--format", "parquet", "--overwrite").exit_code == 0
    assert sorted(p.name for p in out.iterdir()) == ["export.json", "items.parquet", "users.parquet"]
    model = run("export", fitted["mf"], "--out", fitted["bpr"], "--overwrite")
    assert (model.exit_code, "holds no earlier" in model.stderr) == (1, True)
    none = run("export", fitted["popularity"], "--out", tmp_path / "none")
    assert (none.exit_code, "no factors" in none.stderr) == (1, True)
    assert run("export", fitted["mf"], "--out", tmp_path / "x", "--format", "onnx").exit_code == 2


@pytest.mark.parametrize(("layout", "library"), [("hnsw", "hnswlib"), ("faiss", "faiss")])
def test_export_an_index(fitted: dict[str, Path], tmp_path: Path, layout: str, library: str) -> None:
    pytest.importorskip(library)
    done = run("export", fitted["als"], "--out", tmp_path / "index", "--format", layout)
    assert done.exit_code == 0, done.stderr
    assert "items indexed" in done.stdout
    from torchsse.recsys.export import ItemIndex

    command = ["recommend", fitted["als"], "--user", 3, "-k", 5, "--include-seen", "--json"]
    items, _ = ItemIndex.load(tmp_path / "index").recommend([3], 5)
    assert items[0].tolist() == [row["item"] for row in json.loads(run(*command).stdout)]
