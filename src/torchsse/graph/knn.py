"""Each vector linked with its k nearest ones: exact, a block of rows against all at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from torchsse.errors import ConfigError, GraphError
from torchsse.graph import arrays
from torchsse.graph.arrays import Array
from torchsse.graph.nearest import largest

if TYPE_CHECKING:
    from torchsse.graph.csr import Graph

__all__ = ["from_knn"]

BLOCK_ENTRIES = 1 << 24  # similarities held at once at most: 64 MB in float32
METRICS = ("cosine", "euclidean")


def from_knn(  # noqa: D417  (cls: bound in csr.py)
    cls: type[Graph],
    vectors: Any,
    k: int = 10,
    *,
    metric: str = "cosine",
    weighted: bool = False,
    directed: bool = False,
) -> Graph:
    """A graph that links each vector with its k nearest others.

    Every pair is compared, in blocks, by matrix products in torch: on the device where a tensor lives, on the CPU for
    an array. Time grows with N^2, memory does not.

    Args:
        vectors: (N, d) real array or tensor; row j is node j.
        k: neighbours per node; of equally near ones (after rounding) those with the smaller id.
        metric: "cosine" compares directions, in float32 unless float64 is given; a zero vector has none and gets no
            edge. "euclidean" compares distances, in float64, since close points far from the origin would drown in
            rounding.
        weighted: False: every weight is 1. True: for cosine the similarity (pairs at or below 0 are then not linked),
            for euclidean 1 / (1 + distance / mean distance of all pairs found).
        directed: False: an edge if either is among the other's k nearest. True: row j has exactly j's nearest.

    Raises:
        GraphError: no (N, d) array, NaN or infinite entries (the message names the first row), k below 1.
        ConfigError: an unknown metric.

    Example:
        >>> import numpy as np
        >>> from torchsse.graph import Graph
        >>> points = np.array([[0.0], [1.0], [5.0], [6.5]])
        >>> Graph.from_knn(points, k=1, metric="euclidean", directed=True).edges()[1].tolist()
        [1, 0, 3, 2]
    """
    import torch

    k = arrays.check_count(k, "k", 1)
    if metric not in METRICS:
        raise ConfigError(f"metric must be one of {', '.join(METRICS)}, got {metric!r}")
    points = _as_points(vectors, metric)
    number = len(points)
    # Nearness is largest for the nearest: the cosine, or minus half the squared distance, x.y - |y|^2/2 - |x|^2/2.
    offset = None
    usable = torch.ones(number, dtype=torch.bool, device=points.device)
    if metric == "cosine":
        largest_part = points.abs().amax(dim=1, keepdim=True)  # first, so that no square over- or underflows
        usable = largest_part[:, 0] > 0
        points = points / torch.where(largest_part > 0, largest_part, 1)
        points = points / torch.where(usable[:, None], torch.linalg.vector_norm(points, dim=1, keepdim=True), 1)
    else:
        points = points / points.abs().max().clamp(min=torch.finfo(points.dtype).tiny) if number else points
        points = points - points.mean(dim=0, keepdim=True)
        offset = (points * points).sum(dim=1) / 2

    src, dst, nearness = [], [], []
    step = max(1, BLOCK_ENTRIES // max(1, number))
    for low in range(0, number, step):
        block = points[low : low + step] @ points.T
        if offset is not None:
            block = block - offset - offset[low : low + step, None]
        own = torch.arange(len(block), device=points.device)
        block[own, own + low] = -torch.inf
        block[:, ~usable] = -torch.inf
        block[~usable[low : low + step]] = -torch.inf
        rows, columns = _k_largest(block, k)
        nearness.append(block[rows, columns].double().cpu().numpy())
        src.append((rows + low).cpu().numpy())
        dst.append(columns.cpu().numpy())
    if not src:
        return cls.from_edges([], [], number, directed=directed)
    sources, targets = np.concatenate(src), np.concatenate(dst)
    weight = _weights(np.concatenate(nearness), metric) if weighted else None
    return cls.from_edges(sources, targets, number, weight, directed=directed)


def _as_points(vectors: Any, metric: str) -> Any:
    """A detached (N, d) float tensor, all finite."""
    import torch

    points = vectors.detach() if isinstance(vectors, torch.Tensor) else None
    if points is None:
        array = arrays.as_numpy(vectors)
        if array.dtype.kind not in "fiub":
            raise GraphError(f"vectors must be real numbers, got dtype {array.dtype}")
        wide = array.dtype.itemsize > 4
        points = torch.from_numpy(np.array(array, dtype=np.float64 if wide else np.float32))
    if points.ndim != 2 or points.shape[1] == 0 or points.is_complex():
        raise GraphError(f"vectors must be real of shape (N, d), got {points.dtype} of shape {tuple(points.shape)}")
    points = points.double() if metric == "euclidean" or points.dtype == torch.float64 else points.float()
    bad = ~torch.isfinite(points).all(dim=1)
    if bool(bad.any()):
        raise GraphError(f"vectors must be finite, but row {int(bad.int().argmax())} is not")
    return points


def _k_largest(block: Any, k: int) -> tuple[Any, Any]:
    """(rows, columns) of the k largest entries above -inf of each row; among equals the first columns."""
    import torch

    k = min(k, block.shape[1])
    threshold = block.topk(k, dim=1).values[:, -1:]
    wanted = (block >= threshold) & (block > -torch.inf)
    for row in torch.nonzero(wanted.sum(dim=1) > k)[:, 0].tolist():  # ties at the threshold: rare
        chosen = largest(block[row].cpu().numpy(), np.arange(block.shape[1]), k)
        wanted[row] = False
        wanted[row, torch.from_numpy(chosen).to(wanted.device)] = True
    rows, columns = torch.nonzero(wanted, as_tuple=True)
    return rows, columns


def _weights(nearness: Array, metric: str) -> Array:
    if metric == "cosine":
        return np.clip(nearness, 0, 1)
    distance = np.sqrt(np.maximum(-2 * nearness, 0))
    scale = distance.mean() if len(distance) else 0.0
    return 1 / (1 + distance / scale) if scale > 0 else np.ones_like(distance)
