"""Edges in any order -> compressed sparse rows, in memory close to that of the result.

The edges are read several times, once per block of rows; a block's edges are packed into int64 keys (row, column),
sorted and deduplicated, and written behind the block before. Beside the finished arrays only one block lives at a time,
about a sixteenth of the edges, so that the peak stays well below three times the finished graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from torchsse.errors import GraphError
from torchsse.graph import arrays
from torchsse.graph.arrays import Array

__all__ = ["CSR", "edges_to_csr"]

CHUNK = 1 << 18  # edges looked at together: 2 MiB of int64, so that a chunk stays in the L2 cache
MIN_BLOCK = 1 << 20  # below this many edges one block does all
MAX_BLOCKS = 16  # each block reads all edges once more
MAX_BUCKETS = 1 << 16  # rows are counted in at most this many buckets to find blocks of equal size


class CSR(NamedTuple):
    """Row pointers (num_nodes + 1), column indices (sorted within a row), weights (None: all 1)."""

    indptr: Array
    indices: Array
    weights: Array | None


class _Survey(NamedTuple):
    """What one pass over the edges found: edges per bucket of 2**shift rows, and the span of ids in each chunk."""

    per_bucket: Array
    shift: int
    spans: list[tuple[int, int]]


def edges_to_csr(src: Array, dst: Array, num_nodes: int, weight: Array | None, *, directed: bool) -> CSR:
    """Check the edges and sort them into rows.

    Duplicates keep the largest weight, self-loops and edges of weight 0 are dropped, an undirected edge is stored in
    both directions. Raises GraphError naming the first edge with an endpoint outside 0 .. num_nodes-1 or a weight that
    is NaN or outside [0, 1].
    """
    survey = _survey(src, dst, num_nodes, weight, directed=directed)
    total = int(survey.per_bucket.sum())
    bits = max(num_nodes - 1, 1).bit_length()

    # Written front to back and cut to size at the end: pages never written cost no memory.
    indices = np.empty(total, dtype=arrays.index_dtype(num_nodes))
    weights = None if weight is None else np.empty(total, dtype=weight.dtype)
    indptr = np.zeros(num_nodes + 1, dtype=arrays.index_dtype(total + 1))
    filled = 0
    for low, high, capacity in _blocks(survey, num_nodes, total, bits):
        keys, block_weights = _gather(src, dst, weight, survey.spans, low, high, capacity, bits, directed=directed)
        keys, block_weights = _sort_unique(keys, block_weights)
        end = filled + len(keys)
        np.bitwise_and(keys, (1 << bits) - 1, out=indices[filled:end], casting="unsafe")
        if weights is not None and block_weights is not None:
            weights[filled:end] = block_weights
        keys >>= bits
        indptr[low + 1 : high + 1] = np.bincount(keys, minlength=high - low)
        filled = end
    np.cumsum(indptr, out=indptr)

    indices.resize(filled, refcheck=False)
    if weights is not None:
        weights.resize(filled, refcheck=False)
        if bool((weights == 1).all()):
            weights = None
    return CSR(indptr.astype(arrays.index_dtype(filled + 1), copy=False), indices, weights)


def _survey(src: Array, dst: Array, num_nodes: int, weight: Array | None, *, directed: bool) -> _Survey:
    shift = max(0, max(num_nodes - 1, 0).bit_length() - (MAX_BUCKETS - 1).bit_length())
    per_bucket = np.zeros(max(1, ((num_nodes - 1) >> shift) + 1), dtype=np.int64)
    spans = []
    for start in range(0, len(src), CHUNK):
        piece = slice(start, start + CHUNK)
        ends = (src[piece], dst[piece])
        # Python ints, so that unsigned ids beyond int64 are compared by value
        low = min(int(ends[0].min()), int(ends[1].min()))
        high = max(int(ends[0].max()), int(ends[1].max()))
        if low < 0 or high >= num_nodes:
            _raise_first_bad_endpoint(ends[0], ends[1], num_nodes, start)
        if weight is not None:
            _check_weights(weight[piece], ends[0], ends[1], start)
        spans.append((low, high))
        for rows in ends[: 1 if directed else 2]:
            per_bucket += np.bincount(rows.astype(np.int64) >> shift, minlength=len(per_bucket))
    return _Survey(per_bucket, shift, spans)


def _raise_first_bad_endpoint(src: Array, dst: Array, num_nodes: int, start: int) -> None:
    for offset, (s, d) in enumerate(zip(src.tolist(), dst.tolist())):
        for name, node in (("src", s), ("dst", d)):
            if not 0 <= node < num_nodes:
                span = f"in 0 .. {num_nodes - 1}" if num_nodes else "none, the graph has no nodes"
                raise GraphError(
                    f"edge {start + offset} ({s} -> {d}): {name} must be {span} (num_nodes = {num_nodes}), got {node}"
                )


def _check_weights(weight: Array, src: Array, dst: Array, start: int) -> None:
    good = (weight >= 0) & (weight <= 1)  # False for NaN
    if not good.all():
        at = int(good.argmin())
        raise GraphError(
            f"edge {start + at} ({src[at]} -> {dst[at]}): weight must be in [0, 1] and not NaN, got {weight[at]!s}; "
            "divide by the largest weight if the scale is another"
        )


def _blocks(survey: _Survey, num_nodes: int, total: int, bits: int) -> Iterator[tuple[int, int, int]]:
    """Row ranges (low, high, edges at most) of about equal edge counts that together cover all rows."""
    target = max(MIN_BLOCK, -(-total // MAX_BLOCKS))
    most_rows = 1 << (63 - bits)  # so that (row - low, column) fits an int64 key
    width = 1 << survey.shift
    low, count = 0, 0
    for bucket, edges in enumerate(survey.per_bucket.tolist()):
        start = bucket * width
        if start > low and (count + edges > target or start + width - low > most_rows):
            yield low, start, count
            low, count = start, 0
        count += edges
    if num_nodes > low:
        yield low, num_nodes, count


def _gather(
    src: Array,
    dst: Array,
    weight: Array | None,
    spans: list[tuple[int, int]],
    low: int,
    high: int,
    capacity: int,
    bits: int,
    *,
    directed: bool,
) -> tuple[Array, Array | None]:
    """Keys ((row - low) << bits) | column, and weights, of the edges whose row is in low .. high-1, in input order."""
    keys = np.empty(capacity, dtype=np.int64)
    weights = None if weight is None else np.empty(capacity, dtype=weight.dtype)
    filled = 0
    for number, (first, last) in enumerate(spans):
        if last < low or first >= high:
            continue
        piece = slice(number * CHUNK, (number + 1) * CHUNK)
        s, d = src[piece].astype(np.int64, copy=False), dst[piece].astype(np.int64, copy=False)
        wanted = s != d
        if weight is not None:
            wanted &= weight[piece] > 0
        for rows, columns in ((s, d), (d, s))[: 1 if directed else 2]:
            chosen = np.flatnonzero(wanted & (rows >= low) & (rows < high))
            end = filled + len(chosen)
            keys[filled:end] = ((rows[chosen] - low) << bits) | columns[chosen]
            if weights is not None and weight is not None:
                weights[filled:end] = weight[piece][chosen]
            filled = end
    return keys[:filled], None if weights is None else weights[:filled]


def _sort_unique(keys: Array, weights: Array | None) -> tuple[Array, Array | None]:
    if weights is None:
        keys.sort()
    else:
        order = np.argsort(keys)
        keys, weights = keys[order], weights[order]
    first = np.empty(len(keys), dtype=np.bool_)
    first[:1] = True
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    if first.all():
        return keys, weights
    if weights is not None:
        weights = np.maximum.reduceat(weights, np.flatnonzero(first))
    return keys[first], weights
