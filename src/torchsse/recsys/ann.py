"""Approximate nearest neighbours: an index of items that answers "the best items for this user" without scoring all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.errors import ConfigError, CorruptFileError, MissingDependencyError

__all__ = ["LIBRARIES", "build_index", "load_index_file", "query", "save_index"]

#: Format -> what pip calls its library.
LIBRARIES = {"hnsw": "hnswlib", "faiss": "faiss-cpu"}
#: Links of a node; candidates while building, and while searching. Recall@10 is about 0.98 at 20,000 random vectors.
LINKS, BUILD, SEARCH = 32, 200, 200

Floats = npt.NDArray[np.float32]


def _library(kind: str) -> Any:
    try:
        if kind == "hnsw":
            import hnswlib as library
        else:
            import faiss as library
    except ImportError as error:
        name = LIBRARIES[kind]
        extra = " (or 'torchsse[ann]')" if kind == "faiss" else ""
        raise MissingDependencyError(f"the {kind} index needs {name}: python -m pip install {name}{extra}") from error
    return library


def build_index(kind: str, vectors: Floats, seed: int = 0) -> Any:
    """An HNSW graph over rows of `vectors` for the largest inner products.

    Raises:
        MissingDependencyError: the library is not installed. ConfigError: no rows.
    """
    library = _library(kind)
    if not len(vectors):
        raise ConfigError("expected at least one item with training examples to index, got none")
    width = vectors.shape[1]
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    if kind == "hnsw":
        index = library.Index("ip", width)
        index.init_index(max_elements=len(rows), M=LINKS, ef_construction=BUILD, random_seed=seed)
        index.add_items(rows, np.arange(len(rows)), num_threads=1)  # several threads: another graph every time
        index.set_ef(SEARCH)
        return index
    index = library.IndexHNSWFlat(width, LINKS, library.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = BUILD, SEARCH
    index.add(rows)
    return index


def save_index(kind: str, index: Any, path: Path) -> None:
    """Write an index; not atomic by itself."""
    if kind == "hnsw":
        index.save_index(str(path))
    else:
        _library(kind).write_index(index, str(path))


def load_index_file(kind: str, path: Path, width: int, rows: int) -> Any:
    """Read an index of `rows` vectors of `width` numbers.

    Raises:
        CorruptFileError: it cannot be read, or is another one. MissingDependencyError: the library is not installed.
    """
    library = _library(kind)
    try:
        if kind == "hnsw":
            index = library.Index("ip", width)
            index.load_index(str(path))
            count = index.get_current_count()
        else:
            index = library.read_index(str(path))
            index.hnsw.efSearch = SEARCH
            count, width = index.ntotal, width if index.d == width else -1
    except Exception as error:  # both raise bare RuntimeErrors
        raise CorruptFileError(f"{path}: cannot be read as an {kind} index: {error}") from None
    if count != rows or width < 0:
        raise CorruptFileError(f"{path}: expected an index of {rows} items, got {count} or another width")
    return index


def query(kind: str, index: Any, vectors: Floats, k: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """(rows of the index, inner products), both (n, k), best first; -1 and -inf where fewer are found."""
    asked = np.ascontiguousarray(vectors, dtype=np.float32)
    if kind == "hnsw":
        most = min(k, index.get_current_count())
        index.set_ef(max(SEARCH, k))
        labels, distances = index.knn_query(asked, k=most, num_threads=1)
        products = 1.0 - distances
    else:
        most = min(k, index.ntotal)
        index.hnsw.efSearch = max(SEARCH, k)
        products, labels = index.search(asked, most)
    rows = np.full((len(asked), k), -1, dtype=np.int64)
    found = np.full((len(asked), k), -np.inf, dtype=np.float32)
    rows[:, :most] = labels
    found[:, :most] = np.where(rows[:, :most] >= 0, products, -np.inf)
    return rows, found
