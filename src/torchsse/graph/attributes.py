"""Nodes that share an attribute are linked: movies with a common actor, products of one brand."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from torchsse.errors import GraphError, TorchsseWarning
from torchsse.graph import arrays
from torchsse.graph.arrays import Array

if TYPE_CHECKING:
    from torchsse.graph.csr import Graph

__all__ = ["from_attributes"]

MAX_GROUP = 1000


def from_attributes(  # noqa: D417  (cls: bound in csr.py)
    cls: type[Graph],
    ids: Any,
    attributes: Any,
    num_nodes: int,
    *,
    max_group: int | None = MAX_GROUP,
    weighted: bool = False,
) -> Graph:
    """An undirected graph that links any two nodes with an attribute in common.

    Args:
        ids: (n,) int, a node per row of the table "node has attribute"; a node may come many times.
        attributes: (n,) integers, strings or any hashable values. Missing ones (None, NaN, "") link nothing.
        num_nodes: rows of the embedding table.
        max_group: an attribute of more nodes than this links none of them: a group of g nodes has g (g-1) / 2 edges,
            and what thousands share says little about any two. Such attributes are dropped with a TorchsseWarning that
            names the largest. The default 1000 allows half a million edges for one attribute. None: no cap.
        weighted: False: every weight is 1. True: the number of attributes two nodes share, over the largest such
            number.

    Raises:
        GraphError: lengths that differ, an id outside 0 .. num_nodes-1, max_group below 2.
        IdTypeError: ids that are no integers.

    Example:
        >>> from torchsse.graph import Graph
        >>> movies = [0, 1, 1, 2, 3]
        >>> actors = ["De Niro", "De Niro", "Pacino", "Pacino", "Streep"]
        >>> Graph.from_attributes(movies, actors, num_nodes=4).degree()
        array([1, 2, 1, 0])
    """
    num_nodes = arrays.check_count(num_nodes, "num_nodes")
    if max_group is not None:
        max_group = arrays.check_count(max_group, "max_group", 2)
    nodes = arrays.as_ids(ids, "ids")
    codes, names = _factorise(attributes, len(nodes))
    _check_range(nodes, num_nodes)

    known = codes >= 0
    pairs = np.unique(np.stack([codes[known], nodes[known].astype(np.int64)], axis=1), axis=0)
    members = pairs[:, 1]
    sizes = np.bincount(pairs[:, 0], minlength=len(names))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    if max_group is not None and bool((sizes > max_group).any()):
        _warn_dropped(sizes, names, max_group)
        sizes = np.where(sizes > max_group, 0, sizes)
    src, dst = _all_pairs(members, starts, sizes, arrays.index_dtype(num_nodes))
    if not weighted:
        return cls.from_edges(src, dst, num_nodes)
    bits = max(num_nodes - 1, 1).bit_length()
    keys, counts = np.unique((src.astype(np.int64) << bits) | dst, return_counts=True)
    weight = counts / max(1, counts.max(initial=1))
    return cls.from_edges(keys >> bits, keys & ((1 << bits) - 1), num_nodes, weight)


def _check_range(nodes: Array, num_nodes: int) -> None:
    bad = (nodes < 0) | (nodes >= num_nodes)
    if bad.any():
        at = int(bad.argmax())
        raise GraphError(f"ids[{at}] must be in 0 .. {num_nodes - 1} (num_nodes = {num_nodes}), got {nodes[at]}")


def _factorise(attributes: Any, length: int) -> tuple[Array, list[Any]]:
    """A code per row (-1: missing) and the attribute of each code."""
    values = arrays.as_numpy(attributes)
    if values.shape != (length,):
        raise GraphError(f"attributes must have one entry per id, shape ({length},), got shape {values.shape}")
    if values.dtype.kind in "iub":
        found, codes = np.unique(values, return_inverse=True)
        return codes, found.tolist()
    # A dictionary, since mixed or missing values cannot be sorted; NaN is what does not equal itself.
    known: dict[Any, int] = {}
    codes = np.full(length, -1, dtype=np.int64)
    for at, value in enumerate(values.tolist()):
        if value is not None and value != "" and value == value:
            codes[at] = known.setdefault(value, len(known))
    return codes, list(known)


def _warn_dropped(sizes: Array, names: list[Any], max_group: int) -> None:
    largest = int(sizes.argmax())
    warnings.warn(
        f"from_attributes: {int((sizes > max_group).sum())} of {len(sizes)} attributes have more than max_group = "
        f"{max_group} nodes and link none of them; the largest is {names[largest]!r} with {int(sizes[largest])}",
        TorchsseWarning,
        stacklevel=3,
    )


def _all_pairs(members: Array, starts: Array, sizes: Array, dtype: Any) -> tuple[Array, Array]:
    """Every pair (smaller, larger) of each group; `members` is sorted within a group. One step per group size."""
    total = int((sizes * (sizes - 1) // 2).sum())
    src, dst = np.empty(total, dtype=dtype), np.empty(total, dtype=dtype)
    filled = 0
    for size in np.unique(sizes[sizes > 1]).tolist():
        first, second = np.triu_indices(size, 1)
        groups = starts[:-1][sizes == size]
        step = max(1, (1 << 20) // len(first))  # groups at once
        for at in range(0, len(groups), step):
            corner = groups[at : at + step, None]
            end = filled + corner.shape[0] * len(first)
            src[filled:end] = members[corner + first].ravel()
            dst[filled:end] = members[corner + second].ravel()
            filled = end
    return src, dst
