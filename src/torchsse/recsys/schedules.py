"""How p0 changes over a run, and from row to row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["SCHEDULES", "p0_by_frequency", "p0_factor"]

SCHEDULES = ("constant", "anneal", "warmup")


def p0_factor(schedule: str, epoch: int, epochs: int) -> float:
    """What p0 is multiplied by in `epoch`, counted from 0.

    ``"constant"``: 1. ``"anneal"``: falls linearly from 1 in the first epoch to 0 in the last. ``"warmup"``: rises
    linearly from 0 to 1.

    >>> [p0_factor("anneal", e, 3) for e in range(3)], [p0_factor("warmup", e, 3) for e in range(3)]
    ([1.0, 0.5, 0.0], [0.0, 0.5, 1.0])
    """
    done = epoch / max(1, epochs - 1)
    return {"constant": 1.0, "anneal": 1.0 - done, "warmup": done}[schedule]


def p0_by_frequency(p0: float, power: float, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """A p0 for every row, in proportion to count^-power, at most 1, with mean p0 over the training examples.

    Rows without examples get the p0 of a row with one. `power` = 0 gives p0 everywhere; a negative power swaps
    frequent rows more.

    >>> p0_by_frequency(0.1, 1.0, np.array([1, 3])).round(4).tolist()
    [0.2, 0.0667]
    """
    shape = np.maximum(counts, 1).astype(np.float64) ** -power
    mass = counts / counts.sum()
    out = shape * (p0 / float(mass @ shape))
    # what a cap at 1 cuts off is spread over the other rows, in the same proportions
    for _ in range(64):
        capped = out >= 1.0
        free = float(mass[~capped] @ shape[~capped])
        missing = p0 - float(mass[capped].sum())
        if not capped.any() or free <= 0.0 or missing <= 0.0:
            break
        again = np.where(capped, 1.0, shape * (missing / free))
        if np.array_equal(again >= 1.0, capped):
            out = again
            break
        out = again
    return np.minimum(out, 1.0)
