"""Factors for other programs: NumPy, Parquet, and an index of approximate nearest neighbours."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.data import IdMap
from torchsse.errors import ConfigError, CorruptFileError, DataError, MissingDependencyError
from torchsse.recsys.ann import LIBRARIES, build_index, load_index_file, query, save_index
from torchsse.recsys.base import Recommender, _listed
from torchsse.recsys.params import check_choice, check_integer
from torchsse.recsys.whole import check_target, read_manifest, whole_directory

__all__ = ["FORMATS", "ItemIndex", "Table", "check_export", "export", "tables"]

FORMATS = ("numpy", "parquet", *LIBRARIES)
MANIFEST = "export.json"
FORM = "torchsse-export"

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Table:
    """The rows of one table of a model.

    Attributes:
        ids: raw ids, in the order of the rows.
        vectors: (rows, factors); zeros for a row that is not trained, where the model predicts without it.
        bias: (rows,).
        trained: which rows have training examples.
    """

    ids: IdMap
    vectors: Floats
    bias: Floats
    trained: npt.NDArray[np.bool_]


def tables(model: Recommender) -> tuple[Table, Table, float]:
    """(users, items, mean) of a fitted model with factors.

    Its score of a pair of trained rows is ``mean + user.bias + item.bias + user.vector . item.vector``; explicit models
    clip it to the range of ratings in `predict`.

    Raises:
        NotFittedError: before `fit`. ConfigError: a model without factors.
    """
    model._check_fitted()
    factors = getattr(model, "_factors", None)
    if factors is None:
        raise ConfigError(f"{type(model).__name__} has no factors to export")
    words = model.get_params()
    width = words["factors"]
    trained = np.diff(model._indptr) > 0, np.bincount(model._indices, minlength=len(model.item_ids)) > 0
    vectors, biases = [factors.P[:, :width].copy(), factors.Q[:, :width].copy()], [factors.bu.copy(), factors.bi.copy()]
    warm = getattr(model, "_warm", None)
    # as the model predicts: explicit models leave out both sides' cold rows, BPR those of users only
    for side, cold in enumerate(warm if isinstance(warm, tuple) else (warm,) if warm is not None else ()):
        vectors[side][~cold] = 0.0
        biases[side][~cold] = 0.0
    mean = float(getattr(model, "mean_", 0.0)) if words.get("biases") else 0.0
    users, items = (
        Table(ids, vectors[side], biases[side], trained[side])
        for side, ids in enumerate((model.user_ids, model.item_ids))
    )
    return users, items, mean


def check_export(directory: str | os.PathLike[str], format: str) -> None:
    """What can be refused before anything is computed: an unknown format, a directory with something else in it."""
    check_choice("format", format, FORMATS)
    check_target(Path(directory), MANIFEST, FORM)


def export(model: Recommender, directory: str | os.PathLike[str], format: str = "numpy") -> dict[str, Any]:
    """Write a model's factors to a directory, all files at once; an earlier export there is replaced.

    Args:
        model: fitted, with factors.
        directory: where it goes. ``export.json`` says what is in it, with the sha256 of every file.
        format: "numpy": ``user_factors.npy, item_factors.npy`` (float32), ``user_bias.npy, item_bias.npy`` and
            ``user_ids.npy, item_ids.npy`` (int64 or text), ``*_trained.npy`` (bool). "parquet": ``users.parquet,
            items.parquet`` with the columns id, vector (a list of fixed size), bias, trained. "hnsw", "faiss": an
            index of the trained items by inner product, for `ItemIndex`; the bias is one more number of each vector,
            against a 1 in the users' vectors, so that the order is that of the scores.

    Returns:
        What ``export.json`` says: ``estimator, factors, mean, num_users, num_items`` and the rule for scores.

    Raises:
        NotFittedError: before `fit`. ConfigError: a model without factors, an unknown format, or a directory that holds
        something else. MissingDependencyError: hnswlib or faiss is not installed.

    Relations: `ItemIndex.load` reads the index formats back. `Recommender.save` writes models that train again.
    """
    check_export(directory, format)
    users, items, mean = tables(model)
    facts: dict[str, Any] = {
        "format": FORM,
        "schema": 1,
        "layout": format,
        "estimator": type(model).__name__,
        "factors": int(items.vectors.shape[1]),
        "mean": mean,
        "num_users": len(users.ids),
        "num_items": len(items.ids),
        "score": "mean + user_bias + item_bias + user_vector . item_vector",
    }
    if format in LIBRARIES:
        indexed = np.flatnonzero(items.trained)
        index = build_index(format, _augmented(items)[indexed])
        facts["indexed_items"] = len(indexed)
        facts["score"] = "user_offset + user_vector . item_vector, the last number of a vector being 1 or the bias"
    with whole_directory(Path(directory), MANIFEST, facts) as fresh:
        if format == "numpy":
            for name, table in (("user", users), ("item", items)):
                _save(fresh, f"{name}_factors", table.vectors)
                _save(fresh, f"{name}_bias", table.bias)
                _save(fresh, f"{name}_trained", table.trained)
                _save(fresh, f"{name}_ids", _ids(table.ids))
        elif format == "parquet":
            for name, table in (("users", users), ("items", items)):
                _write_parquet(fresh / f"{name}.parquet", table)
        else:
            save_index(format, index, fresh / f"items.{format}")
            _save(fresh, "item_ids", _ids(items.ids)[indexed])
            _save(fresh, "user_ids", _ids(users.ids))
            _save(fresh, "user_vectors", np.hstack([users.vectors, np.ones((len(users.ids), 1), np.float32)]))
            _save(fresh, "user_offset", users.bias + np.float32(mean))
    return facts


class ItemIndex:
    """An exported index of items: the best for a user, without scoring all of them. Approximate.

    Args:
        directory: what `export` wrote as "hnsw" or "faiss".

    Attributes:
        user_ids, item_ids: `IdMap` of all users, and of the items that are indexed.
        vectors: users, (n, factors + 1), as `search` takes them.

    The index holds items that a user has in train too: ask for more than are needed, and drop those.
    """

    def __init__(self, directory: Path, layout: str, index: Any, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self.directory, self.layout, self._index = directory, layout, index
        self.user_ids, self.item_ids = (IdMap(_plain_ids(arrays[name])) for name in ("user_ids", "item_ids"))
        self.vectors: Floats = arrays["user_vectors"]
        self._offset: Floats = arrays["user_offset"]

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> ItemIndex:
        """Read an exported index, checked against its manifest.

        Raises:
            CorruptFileError: none there, damaged or foreign. MissingDependencyError: its library is not installed.
        """
        root = Path(directory)
        manifest = read_manifest(root, MANIFEST, FORM)
        layout = manifest.get("layout")
        if layout not in LIBRARIES:
            raise CorruptFileError(f"{root}: expected an exported index, got an export as {layout!r}")
        names = ("user_ids", "item_ids", "user_vectors", "user_offset")
        try:
            arrays = {name: np.load(root / f"{name}.npy", allow_pickle=False) for name in names}
        except (OSError, ValueError) as error:
            raise CorruptFileError(f"{root}: {error}") from None
        sizes = arrays["user_vectors"].shape[1], len(arrays["item_ids"])
        return cls(root, layout, load_index_file(layout, root / f"items.{layout}", *sizes), arrays)

    def recommend(self, users: Any, k: int = 10) -> tuple[npt.NDArray[Any], Floats]:
        """(items, scores), both (n, k), best first, for raw user ids, as `Recommender.recommend` with `exclude_seen`
        off, nearly: raw ids in an array of objects; rows with fewer than k items end in None and -inf.

        Raises:
            DataError: an unknown user. ConfigError: k below 1.
        """
        check_integer("k", k, 1)
        raw = _listed(users)
        codes = self.user_ids.encode(raw)
        if len(codes) and codes.min() < 0:
            raise DataError(f"recommend: user {raw[int(np.argmin(codes))]!r} is not in the train set")
        items, products = self.search(self.vectors[codes], k)
        return items, products + self._offset[codes][:, None]

    def search(self, vectors: Any, k: int = 10) -> tuple[npt.NDArray[Any], Floats]:
        """(items, inner products) for vectors (n, factors + 1), the last number 1: users of your own making."""
        check_integer("k", k, 1)
        rows, products = query(self.layout, self._index, np.asarray(vectors, dtype=np.float32), k)
        items = np.full(rows.shape, None, dtype=object)
        items[rows >= 0] = self.item_ids.ids.astype(object)[rows[rows >= 0]]
        return items, products


def _augmented(items: Table) -> Floats:
    return np.hstack([items.vectors, items.bias[:, None]])


def _ids(ids: IdMap) -> npt.NDArray[Any]:
    """Raw ids as an array that needs no pickle."""
    return ids.ids if ids.is_integer else np.array(ids.ids.tolist(), dtype=np.str_)


def _plain_ids(stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return stored if stored.dtype.kind == "i" else stored.astype(object)


def _save(directory: Path, name: str, array: npt.NDArray[Any]) -> None:
    np.save(directory / f"{name}.npy", array, allow_pickle=False)


def _write_parquet(path: Path, table: Table) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        raise MissingDependencyError("Parquet needs pyarrow: python -m pip install 'torchsse[recsys]'") from error
    flat = pa.array(np.ascontiguousarray(table.vectors).ravel())
    columns = {
        "id": pa.array(table.ids.ids.tolist(), type=pa.int64() if table.ids.is_integer else pa.large_string()),
        "vector": pa.FixedSizeListArray.from_arrays(flat, table.vectors.shape[1]),
        "bias": pa.array(table.bias),
        "trained": pa.array(table.trained),
    }
    pyarrow.parquet.write_table(pa.table(columns), path)
