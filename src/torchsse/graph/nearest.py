"""Keep the k largest of a row, ties broken by the smaller id, so that a graph does not depend on a sort's whims."""

from __future__ import annotations

import numpy as np

from torchsse.graph.arrays import Array

__all__ = ["largest"]


def largest(values: Array, k: int) -> Array:
    """Positions, rising, of the k largest entries; among equals the first. All positions if there are at most k."""
    if len(values) <= k:
        return np.arange(len(values))
    threshold = np.partition(values, len(values) - k)[len(values) - k]
    above = np.flatnonzero(values > threshold)
    equal = np.flatnonzero(values == threshold)[: k - len(above)]
    return np.sort(np.concatenate([above, equal]))
