"""Items that the same users rated are linked: each item with its k most similar ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from torchsse.errors import ConfigError, GraphError
from torchsse.graph import arrays
from torchsse.graph.arrays import Array
from torchsse.graph.nearest import largest

if TYPE_CHECKING:
    from torchsse.graph.csr import Graph

__all__ = ["from_cooccurrence"]

BLOCK_ENTRIES = 1 << 22  # entries of one block of similarities at most: 4 Mi, about 50 MB as a sparse block
SIMILARITIES = ("cosine", "jaccard", "count")


def from_cooccurrence(  # noqa: D417  (cls: bound in csr.py)
    cls: type[Graph],
    matrix: Any,
    k: int = 10,
    *,
    similarity: str = "cosine",
    binary: bool = True,
    min_common: int = 1,
    weighted: bool = False,
    directed: bool = False,
) -> Graph:
    """A graph over the columns of a ratings matrix that links each column with its k most similar ones.

    Similarities are made a block of columns at a time and never held as a whole.

    Args:
        matrix: (users, items) scipy sparse matrix or array, or dense array; stored zeros count as absent. The nodes are
            its columns: pass the transpose for a graph over users.
        k: neighbours per node at most; of equally similar ones those with the smaller id. Nodes of similarity 0 or less
            are never linked.
        similarity: with n_j the users of item j and n_jk those of both, "cosine" is n_jk / sqrt(n_j n_k), "jaccard"
            n_jk / (n_j + n_k - n_jk), "count" n_jk.
        binary: True: only who rated counts. False: the cosine of the columns with their values ("cosine" only), so that
            columns centred before link what is rated alike.
        min_common: users that both items must share. 1 takes every pair; more keeps chance out of rarely rated items.
        weighted: False: every weight is 1. True: the similarity; for "count" over the largest one kept.
        directed: False: an edge if either is among the other's k nearest (so a popular item may have many more than k).
            True: row j has exactly j's nearest.

    Raises:
        GraphError: no matrix, NaN or infinite entries, k or min_common below 1.
        ConfigError: an unknown similarity; binary=False with another one than cosine.
        MissingDependencyError: scipy is not installed.

    Example:
        >>> import numpy as np
        >>> from torchsse.graph import Graph
        >>> ratings = np.array([[5, 4, 0, 0], [3, 5, 0, 0], [0, 1, 2, 2]])
        >>> Graph.from_cooccurrence(ratings, k=1, directed=True).edges()[1].tolist()
        [1, 0, 3, 2]
    """
    k = arrays.check_count(k, "k", 1)
    min_common = arrays.check_count(min_common, "min_common", 1)
    if similarity not in SIMILARITIES:
        raise ConfigError(f"similarity must be one of {', '.join(SIMILARITIES)}, got {similarity!r}")
    if not binary and similarity != "cosine":
        raise ConfigError(f"binary=False compares values, which needs similarity='cosine', got {similarity!r}")
    ratings = _as_csr(matrix)
    incidence = ratings.copy()
    incidence.data = np.ones_like(ratings.data)
    size = np.bincount(ratings.indices, minlength=ratings.shape[1]).astype(np.float64)
    factor = incidence if binary else _normalised(ratings)
    counts = incidence if not binary and min_common > 1 else None

    src, dst, kept = [], [], []
    for item, other, value, common in _rows(factor, counts):
        keep = (other != item) & (value > 0)
        if min_common > 1:
            keep &= (value if common is None else common) >= min_common
        other, value = other[keep], value[keep]
        if binary and similarity == "cosine":
            value = value / np.sqrt(size[item] * size[other])
        elif similarity == "jaccard":
            value = value / (size[item] + size[other] - value)
        chosen = largest(value, other, k)
        src.append(np.full(len(chosen), item, dtype=other.dtype))
        dst.append(other[chosen])
        kept.append(value[chosen])
    weight = None
    if weighted and src:
        weight = np.concatenate(kept)
        weight = weight / weight.max(initial=1) if similarity == "count" else np.minimum(weight, 1)  # rounding above 1
    sources, targets = (np.concatenate(part) if part else np.empty(0, dtype=np.int64) for part in (src, dst))
    return cls.from_edges(sources, targets, ratings.shape[1], weight, directed=directed)


def _as_csr(matrix: Any) -> Any:
    """A float64 CSR copy without stored zeros and with summed duplicates."""
    sparse = arrays.import_scipy_sparse()
    if not sparse.issparse(matrix):
        matrix = arrays.as_numpy(matrix)
    if len(matrix.shape) != 2 or matrix.dtype.kind not in "fiub":
        raise GraphError(f"expected a numeric (users, items) matrix, got {matrix.dtype} of shape {matrix.shape}")
    ratings = sparse.csr_array(matrix, dtype=np.float64, copy=True)
    ratings.sum_duplicates()
    if not np.isfinite(ratings.data).all():
        at = int(np.argmin(np.isfinite(ratings.data)))
        row = int(np.searchsorted(ratings.indptr, at, side="right")) - 1
        raise GraphError(f"entry ({row}, {ratings.indices[at]}) of the matrix must be finite, got {ratings.data[at]}")
    ratings.eliminate_zeros()
    return ratings


def _normalised(ratings: Any) -> Any:
    """The matrix with every column of length 1."""
    length = np.sqrt(np.bincount(ratings.indices, weights=ratings.data**2, minlength=ratings.shape[1]))
    unit = ratings.copy()
    unit.data = ratings.data / length[ratings.indices]
    return unit


def _rows(factor: Any, counts: Any) -> Iterator[tuple[int, Array, Array, Array | None]]:
    """Row by row of factor' factor: (row, columns in any order, values, the same entries of counts' counts or None)."""
    items = factor.shape[1]
    transposed = factor.T.tocsr()
    step = max(1, BLOCK_ENTRIES // max(1, items))
    scratch = np.zeros(items)
    counted = None if counts is None else counts.T.tocsr()
    for low in range(0, items, step):
        block = transposed[low : low + step] @ factor
        common = None if counted is None else counted[low : low + step] @ counts
        for row in range(block.shape[0]):
            piece = slice(block.indptr[row], block.indptr[row + 1])
            other, shared = block.indices[piece], None
            if common is not None:
                own = slice(common.indptr[row], common.indptr[row + 1])
                scratch[common.indices[own]] = common.data[own]
                shared = scratch[other]
                scratch[common.indices[own]] = 0
            yield low + row, other, block.data[piece], shared
