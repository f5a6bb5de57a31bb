"""Where a swapped id goes, inside kernels: the laws of `torchsse.transition`, drawn from their own arrays.

One definition of p(j, k): the arrays of a `CompleteLaw` or `GraphLaw` are passed as they are, nothing is recomputed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, types

from torchsse.recsys.kernels.cache import compiled
from torchsse.recsys.kernels.rng import GOLDEN, below, mix, unit

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SWAPS", "Swaps", "coins", "draw", "draw_many", "frozen", "swaps"]

COIN_BITS = 32


class Swaps(NamedTuple):
    """One table's coin and law as a kernel reads them. Empty arrays stand for "all" or "none"."""

    coin: npt.NDArray[np.uint64]  # (1,) or (N,): an id is swapped if a 32-bit random word is below
    step: int  # 0: one coin for all rows, 1: a coin per row
    num_active: int
    active: npt.NDArray[np.int64]  # rank -> id; empty: every id is active
    position: npt.NDArray[np.int64]  # id -> rank; empty: every id is active
    stays: npt.NDArray[np.bool_]  # (N,)
    link: npt.NDArray[np.float64]  # (N,) probability of a neighbour; empty: complete graph
    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]
    cumulative: npt.NDArray[np.float64]  # per-row running sums of weights; empty: equal weights


def _readonly(dtype: Any) -> types.Array:
    return types.Array(dtype, 1, "C", readonly=True)


#: The numba type of `Swaps`.
SWAPS = types.NamedTuple(
    (
        _readonly(types.uint64),
        types.int64,
        types.int64,
        _readonly(types.int64),
        _readonly(types.int64),
        _readonly(types.bool_),
        _readonly(types.float64),
        _readonly(types.int64),
        _readonly(types.int32),
        _readonly(types.float64),
    ),
    Swaps,
)


def frozen(array: Any, dtype: Any) -> Any:
    """A read-only view: one type for the kernel whatever the caller's flags. Copies only to change the dtype."""
    view = np.ascontiguousarray(array if array is not None else (), dtype=dtype).view()
    view.flags.writeable = False
    return view


def coins(p0: float | npt.NDArray[np.float64]) -> npt.NDArray[np.uint64]:
    """p0, one number or one per row, as 32-bit thresholds: the chance is exact to 2^-33, and exact at 0 and 1."""
    scaled = np.rint(np.atleast_1d(np.asarray(p0, dtype=np.float64)) * 2.0**COIN_BITS).astype(np.uint64)
    thresholds: npt.NDArray[np.uint64] = frozen(scaled, np.uint64)
    return thresholds


def swaps(law: Any, p0: float | npt.NDArray[np.float64]) -> Swaps:
    """The kernel's view of a `CompleteLaw` or `GraphLaw` and a p0 (a float, or float64 of shape (N,))."""
    thresholds = coins(p0)
    graph = getattr(law, "graph", None)
    stays = getattr(law, "stays", None)
    if stays is None:
        stays = np.zeros(law.num_embeddings, dtype=bool)
        if law.num_active < 2:
            stays[:] = True
        elif law.position is not None:
            stays = np.asarray(law.position) < 0
    return Swaps(
        coin=thresholds,
        step=int(np.ndim(p0) > 0),
        num_active=int(law.num_active),
        active=frozen(law.active, np.int64),
        position=frozen(law.position, np.int64),
        stays=frozen(stays, np.bool_),
        link=frozen(law.link if graph is not None else None, np.float64),
        indptr=frozen(graph.indptr if graph is not None else None, np.int64),
        indices=frozen(graph.indices if graph is not None else None, np.int32),
        cumulative=frozen(law.cumulative if graph is not None else None, np.float64),
    )


@njit(error_model="numpy")
def draw(law: Any, j: Any, state: Any) -> Any:
    """Where id j goes once its coin has fallen, and the new state of the generator."""
    if law.stays[j]:
        return j, state
    if law.link.size:
        state += GOLDEN
        if unit(mix(state)) < law.link[j]:
            start = law.indptr[j]
            degree = law.indptr[j + 1] - start
            state += GOLDEN
            word = mix(state)
            if law.cumulative.size == 0:
                return np.int64(law.indices[start + below(word, degree)]), state
            # the first neighbour whose running sum passes the draw
            level = unit(word) * law.cumulative[start + degree - 1]
            low, high = np.int64(0), degree - 1
            while low < high:
                middle = (low + high) >> 1
                if law.cumulative[start + middle] > level:
                    high = middle
                else:
                    low = middle + 1
            return np.int64(law.indices[start + low]), state
    state += GOLDEN
    k = below(mix(state), law.num_active - 1)
    # uniform over the others: skip over j's own rank
    if law.active.size == 0:
        return k + np.int64(k >= j), state
    k += np.int64(k >= law.position[j])
    return law.active[k], state


def _draw_many(ids: Any, law: Any, state: Any, out: Any) -> None:
    for q in range(ids.shape[0]):
        out[q], state = draw(law, ids[q], state)


def draw_many() -> Callable[..., Any]:
    """The compiled ``f(ids int64, law Swaps, state uint64, out int64) -> None``: `draw` on each id; used by tests."""
    return compiled("draw_many", _draw_many, types.void(_readonly(types.int64), SWAPS, types.uint64, types.int64[::1]))
