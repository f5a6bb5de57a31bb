"""The best of all items for many users, in blocks of users: memory never grows with users times items."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from torchsse.errors import ConfigError, DataError
from torchsse.recsys.topk import top_k

if TYPE_CHECKING:
    import scipy.sparse

__all__ = ["Codes", "ScoreBlock", "Seen", "factor_scores", "one_thread", "rank_all"]

Codes = npt.NDArray[np.int64]
ScoreBlock = Callable[[Codes], npt.NDArray[Any]]
Seen = tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]

#: A block of users has about this many scores, 2 MiB of float32: they are ranked while they lie in the cache. It has
#: at least _ROWS users, so that a matrix product reads the item table only once for that many.
_SCORES, _ROWS = 1 << 19, 128

_lock = threading.Lock()
_inside, _before = 0, 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes on one thread inside: blocks are too small to share, and fits that run side by side would fight.

    The setting is global to the process; the last one to leave restores it.
    """
    global _inside, _before
    with _lock:
        if not _inside:
            _before = torch.get_num_threads()
        _inside += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                torch.set_num_threads(_before)


def factor_scores(P: Any, Q: Any, item_bias: Any = None) -> ScoreBlock:
    """The function for `rank_all` of a dot-product model: users -> P[users] Q' (+ item_bias), float32.

    Args:
        P: user factors, shape (users, width), float32.
        Q: item factors, shape (items, width), float32.
        item_bias: shape (items,), or None. A bias per user does not change a ranking.

    >>> factor_scores(np.eye(2), np.array([[1, 2], [3, 4], [5, 6]]))(np.array([1])).tolist()
    [[2.0, 4.0, 6.0]]
    """
    users, items = (torch.as_tensor(np.asarray(table, dtype=np.float32)) for table in (P, Q))
    bias = None if item_bias is None else torch.as_tensor(np.asarray(item_bias, dtype=np.float32))
    turned = items.T

    def scores(codes: Codes) -> npt.NDArray[Any]:
        left = users[torch.from_numpy(codes)]
        found = left @ turned if bias is None else torch.addmm(bias, left, turned)
        return found.numpy()

    return scores


def rank_all(
    score_block: ScoreBlock,
    seen: scipy.sparse.csr_matrix | Seen | None,
    users: Any,
    k: int,
    *,
    block: int | None = None,
    num_threads: int = 1,
) -> Codes:
    """The k best of all items for each user.

    Args:
        score_block: from user codes, int64 (b,), to scores (b, items) in memory of their own, float32 or float64; with
            several threads it is called from them at the same time. `factor_scores` makes one from factors.
        seen: items to leave out, scipy CSR (users, items) of which every stored entry counts, or its (indptr, indices);
            None leaves out nothing.
        users: user codes, shape (n,): the rows of `seen`.
        k: items per user.
        block: users per call; default: about 2 MiB of scores, at least 128 users. Memory is one block per thread
            and the result.
        num_threads: blocks at a time. Within a block torch computes on one thread.

    Returns:
        int64 (n, k) item codes, best first, equal scores by the smaller code; -1 where an item is missing (fewer than
        k are left). An item whose score is -inf is never listed.

        The result does not depend on `num_threads`. A matrix product may round differently for another `block`.

    Raises:
        DataError: a score is NaN, `score_block` returns another shape, or a user code is out of range.
        ConfigError: k, block or num_threads is no positive integer.

    >>> scores = np.array([[1, 2, 2], [3, 0, 1]], dtype=np.float32)
    >>> rank_all(lambda users: scores[users], None, [0, 1], 2).tolist()
    [[1, 2], [0, 2]]
    """
    given = (("k", k), ("num_threads", num_threads), *([] if block is None else [("block", block)]))
    for name, value in given:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ConfigError(f"{name}: expected an integer of at least 1, got {value!r}")
    codes, held, items = _codes(users), None, None
    if seen is not None:
        held, items = _seen(seen, codes)
    top = np.full((len(codes), k), -1, dtype=np.int64)
    if not len(codes):
        return top

    def rank(start: int, stop: int) -> int:
        part = codes[start:stop]
        scores = score_block(part)
        if scores.ndim != 2 or len(scores) != len(part) or (items is not None and scores.shape[1] != items):
            wanted = f"({len(part)}, {'items' if items is None else items})"
            raise DataError(f"score_block: expected scores of shape {wanted}, got {scores.shape}")
        if held is not None and scores.shape[1] <= highest:
            raise DataError(f"seen: expected item codes below {scores.shape[1]}, got {highest}")
        top[start:stop] = top_k(scores, k, part, held)[0]
        return int(scores.shape[1])

    highest = int(held[1].max(initial=-1)) if held is not None else -1
    with one_thread():
        # the first user alone tells how many items there are
        width = items if items is not None else rank(0, 1)
    rows = block if block is not None else max(_ROWS, _SCORES // max(1, width))
    spans = [(start, min(start + rows, len(codes))) for start in range(0, len(codes), rows)]

    def work(mine: Sequence[tuple[int, int]]) -> None:
        with one_thread():
            for span in mine:
                rank(*span)

    if num_threads == 1 or len(spans) == 1:
        work(spans)
    else:
        with ThreadPoolExecutor(num_threads, thread_name_prefix="torchsse-rank") as pool:
            list(pool.map(work, [spans[t::num_threads] for t in range(num_threads)]))
    return top


def _codes(users: Any) -> Codes:
    codes = np.asarray(users)
    if codes.ndim != 1 or (codes.size and codes.dtype.kind not in "iu"):
        raise DataError(f"users: expected integer codes in one dimension, got {codes.dtype} of shape {codes.shape}")
    if codes.size and codes.min() < 0:
        raise DataError(f"users: expected codes from 0, got {codes.min()}")
    return np.ascontiguousarray(codes, dtype=np.int64)


def _seen(seen: Any, users: Codes) -> tuple[Seen, int | None]:
    """CSR arrays in the kernel's types, and the number of items if it is known."""
    items: int | None = None
    if isinstance(seen, tuple):
        indptr, indices = seen
    elif hasattr(seen, "tocsr"):
        matrix = seen.tocsr()
        indptr, indices, items = matrix.indptr, matrix.indices, int(matrix.shape[1])
    else:
        raise DataError(f"seen: expected a scipy sparse matrix or (indptr, indices), got {type(seen).__name__}")
    if len(users) and users.max() >= len(indptr) - 1:
        raise DataError(f"users: expected codes from 0 to {len(indptr) - 2}, got {users.max()}")
    held = np.ascontiguousarray(indptr, dtype=np.int64), np.ascontiguousarray(indices, dtype=np.int32)
    return held, items
