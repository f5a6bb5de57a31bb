"""Keep the k largest of a row, ties broken by the smaller id, so that a graph does not depend on a sort's whims."""

from __future__ import annotations

import numpy as np

from torchsse.graph.arrays import Array

__all__ = ["largest"]


def largest(values: Array, ids: Array, k: int) -> Array:
    """Positions, in no order, of the k largest values; among equals those of smaller id. All if there are at most k."""
    if len(values) <= k:
        return np.arange(len(values))
    threshold = np.partition(values, len(values) - k)[len(values) - k]
    above = np.flatnonzero(values > threshold)
    equal = np.flatnonzero(values == threshold)
    equal = equal[np.argsort(ids[equal])[: k - len(above)]]
    return np.concatenate([above, equal])
