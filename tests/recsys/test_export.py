"""Exported factors score as the model does; the indexes find what an exact search finds; files are whole or absent."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchsse.data import Ratings, planted_clusters
from torchsse.errors import ConfigError, CorruptFileError, DataError, MissingDependencyError, NotFittedError
from torchsse.recsys import BPR, ItemKNN, MatrixFactorization, Popularity, WeightedALS, whole
from torchsse.recsys.export import ItemIndex, export, tables

MODELS: dict[str, Any] = {
    "mf": MatrixFactorization(factors=5, epochs=3),
    "mf-no-biases": MatrixFactorization(factors=5, epochs=3, biases=False, learning_rate=0.1),
    "bpr": BPR(factors=5, epochs=3),
    "bpr-biases": BPR(factors=5, epochs=3, biases=True),
    "als": WeightedALS(factors=5, epochs=3),
}


@pytest.fixture(scope="module")
def with_cold(ratings: Ratings) -> Ratings:
    """Item 123 and user u29 are in the maps, but not in train."""
    return ratings.select((ratings.raw_items != 123) & (ratings.raw_users != "u29"))


@pytest.mark.parametrize("name", MODELS)
def test_the_tables_score_as_the_model_does(with_cold: Ratings, name: str) -> None:
    model = MODELS[name].fit(with_cold)
    users, items, mean = tables(model)
    scores = mean + users.bias[:, None] + items.bias + users.vectors @ items.vectors.T
    expected = model._score_users(np.arange(30))
    both = np.ix_(users.trained, items.trained)
    assert users.vectors.shape == (30, 5)
    assert (users.trained.sum(), items.trained.sum()) == (29, 23)
    # a bias of the user changes no ranking, and BPR has none
    assert scores[both] == pytest.approx(expected[both], abs=1e-5)
    if name == "mf":
        assert scores == pytest.approx(expected, abs=1e-5)


def test_numpy(with_cold: Ratings, tmp_path: Path) -> None:
    model = MODELS["mf"].fit(with_cold)
    facts = export(model, tmp_path / "out")
    found = {p.stem: np.load(p) for p in (tmp_path / "out").glob("*.npy")}
    assert set(found) == {f"{s}_{w}" for s in ("user", "item") for w in ("factors", "bias", "trained", "ids")}
    assert found["item_ids"].tolist() == list(range(100, 124))
    assert found["user_ids"][3] == "u03"
    assert found["user_factors"].dtype == np.float32
    pair = [found[f"{side}_ids"].tolist().index(raw) for side, raw in (("user", "u03"), ("item", 107))]
    score = facts["mean"] + found["user_bias"][pair[0]] + found["item_bias"][pair[1]]
    score += found["user_factors"][pair[0]] @ found["item_factors"][pair[1]]
    assert np.clip(score, 1, 5) == pytest.approx(model.predict("u03", 107)[0], abs=1e-5)
    manifest = json.loads((tmp_path / "out" / "export.json").read_text())
    assert manifest["estimator"] == "MatrixFactorization"
    assert len(manifest["files"]) == 8


def test_parquet(with_cold: Ratings, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    model = MODELS["bpr-biases"].fit(with_cold)
    export(model, tmp_path, "parquet")
    users, items = (pyarrow.parquet.read_table(tmp_path / f"{name}.parquet") for name in ("users", "items"))
    assert items.schema.field("vector").type == pa.list_(pa.float32(), 5)
    assert (items.schema.field("id").type, users.schema.field("id").type) == (pa.int64(), pa.large_string())
    user, item = users.to_pylist()[4], items.to_pylist()[9]
    score = item["bias"] + np.dot(user["vector"], item["vector"])
    assert score == pytest.approx(model.predict(user["id"], item["id"])[0], abs=1e-5)
    assert [row["id"] for row in items.to_pylist() if not row["trained"]] == [123]


@pytest.fixture(scope="module")
def larger() -> Any:
    ratings, _ = planted_clusters(300, 2000, 20_000, num_clusters=12)
    return MatrixFactorization(factors=16, epochs=6, learning_rate=0.05).fit(ratings)


@pytest.mark.parametrize("layout", ["hnsw", "faiss"])
def test_an_index_finds_what_exact_search_finds(larger: Any, tmp_path: Path, layout: str) -> None:
    library = pytest.importorskip("hnswlib" if layout == "hnsw" else "faiss")
    del library
    export(larger, tmp_path / "index", layout)
    index = ItemIndex.load(tmp_path / "index")
    users = larger.user_ids.ids[:200].tolist()
    exact, exact_scores = larger.recommend(users, 10, exclude_seen=False)
    items, scores = index.recommend(users, 10)
    recall = np.mean([len({*a} & {*b}) for a, b in zip(items, exact)]) / 10
    assert recall > 0.98
    for row in range(0, 200, 40):
        known = dict(zip(exact[row], exact_scores[row]))
        for item, score in zip(items[row], scores[row]):
            if item in known:
                assert score == pytest.approx(known[item], abs=1e-4)
    # control: without its bias an item is not where it belongs
    vectors = index.vectors.copy()
    vectors[:, -1] = 0
    off, _ = index.search(vectors[: len(users)], 10)
    assert np.mean([len({*a} & {*b}) for a, b in zip(off, exact)]) / 10 < 0.9
    with pytest.raises(DataError, match="not in the train set"):
        index.recommend([10**6])
    with pytest.raises(ConfigError, match="k"):
        index.recommend(users, 0)


@pytest.mark.parametrize("layout", ["hnsw", "faiss"])
def test_a_small_index_is_whole(with_cold: Ratings, tmp_path: Path, layout: str) -> None:
    pytest.importorskip("hnswlib" if layout == "hnsw" else "faiss")
    model = MODELS["als"].fit(with_cold)
    export(model, tmp_path, layout)
    items, scores = ItemIndex.load(tmp_path).recommend(["u03", "u00"], 30)
    assert items.shape == (2, 30)
    assert set(items[0][:23]) == set(range(100, 123))  # not the item without examples
    assert items[0][23:].tolist() == [None] * 7
    assert np.isneginf(scores[:, 23:]).all()
    assert scores[1][:23] == pytest.approx(model.predict("u00", items[1][:23]), abs=1e-5)
    victim = tmp_path / f"items.{layout}"
    victim.write_bytes(victim.read_bytes()[:-8] + b"\1" * 8)
    with pytest.raises(CorruptFileError, match="was changed"):
        ItemIndex.load(tmp_path)


@pytest.mark.parametrize(("layout", "library"), [("hnsw", "hnswlib"), ("faiss", "faiss")])
def test_a_missing_library_says_how_to_get_it(
    with_cold: Ratings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    pip = "hnswlib" if layout == "hnsw" else "faiss-cpu"
    with pytest.raises(MissingDependencyError, match=f"pip install {pip}"):
        export(MODELS["als"].fit(with_cold), tmp_path / "out", layout)
    assert not (tmp_path / "out").exists()


def test_whole_or_absent(with_cold: Ratings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = MODELS["bpr"].fit(with_cold)
    out = tmp_path / "out"
    export(model, out)
    before = sorted(p.name for p in out.iterdir())
    export(model, out, "parquet")  # another layout replaces it: nothing of the first is left
    assert sorted(p.name for p in out.iterdir()) == ["export.json", "items.parquet", "users.parquet"]

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        export(model, out)
    monkeypatch.undo()
    assert sorted(p.name for p in out.iterdir()) == ["export.json", "items.parquet", "users.parquet"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    export(model, out)
    assert sorted(p.name for p in out.iterdir()) == before


def test_refusals(with_cold: Ratings, tmp_path: Path) -> None:
    model = MODELS["bpr"].fit(with_cold)
    with pytest.raises(NotFittedError):
        export(BPR(), tmp_path / "out")
    for other in (Popularity().fit(with_cold), ItemKNN().fit(with_cold)):
        with pytest.raises(ConfigError, match="no factors"):
            export(other, tmp_path / "out")
    with pytest.raises(ConfigError, match="format"):
        export(model, tmp_path / "out", "onnx")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds no earlier"):
        export(model, tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["precious.txt"]
    with pytest.raises(CorruptFileError, match=r"export\.json"):
        ItemIndex.load(tmp_path / "mine")
    export(model, tmp_path / "numpy")
    with pytest.raises(CorruptFileError, match="expected an exported index"):
        ItemIndex.load(tmp_path / "numpy")
    assert not (tmp_path / "out").exists()
