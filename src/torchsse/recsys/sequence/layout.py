"""How sequences of different lengths lie in one batch: sorted by length, in groups padded to their longest.

The network computes on one tensor of slots, (slots, width); a group is a slice of it seen as (rows, length, width), so
attention within a group copies nothing, and everything else sees no groups at all. With a dozen groups some 6 % of the
slots are padding, where padding to 200 would make it half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Group", "Layout", "lay_out"]

Ints = npt.NDArray[np.int64]


class Group(NamedTuple):
    """`rows` sequences of `length` slots each, from slot `start` on."""

    start: int
    rows: int
    length: int


@dataclass(frozen=True)
class Layout:
    """Where every action of a batch lies.

    Attributes:
        order: the rows of the batch as they lie, longest first.
        groups: consecutive slices of the slots.
        slots: how many slots there are.
        slot: slot of every action, row by row in `order`, each row's earliest first, (actions,).
        row: for every action, which of the rows in `order` it is of, (actions,).
        left: how many actions follow in its row, (actions,): 0 for the last.
        last: slot of the last action of every row in `order`.
    """

    order: Ints
    groups: tuple[Group, ...]
    slots: int
    slot: Ints
    row: Ints
    left: Ints
    last: Ints


def lay_out(lengths: Ints, rows: int) -> Layout:
    """The layout of sequences of these lengths (each at least 1), `rows` of them to a group.

    >>> found = lay_out(np.array([1, 3, 2]), rows=2)
    >>> found.order.tolist(), [tuple(g) for g in found.groups], found.slot.tolist(), found.left.tolist()
    ([1, 2, 0], [(0, 2, 3), (6, 1, 1)], [0, 1, 2, 3, 4, 6], [2, 1, 0, 1, 0, 0])
    """
    order = np.argsort(-lengths, kind="stable")
    sizes = lengths[order]
    width = np.repeat(sizes[::rows], rows)[: len(sizes)]
    start = np.cumsum(width) - width
    groups = tuple(
        Group(int(start[first]), min(rows, len(sizes) - first), int(width[first]))
        for first in range(0, len(sizes), rows)
    )
    row = np.repeat(np.arange(len(sizes)), sizes)
    before = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return Layout(
        order=order,
        groups=groups,
        slots=int(width.sum()),
        slot=start[row] + before,
        row=row,
        left=sizes[row] - 1 - before,
        last=start + sizes - 1,
    )
