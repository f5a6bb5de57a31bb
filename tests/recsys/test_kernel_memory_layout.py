"""Where the allocator puts arrays changes no bit of what the kernels of least squares compute.

LLVM's vectorised loops ask at run time whether arrays are near each other, and take scalar code where they are: sums
then round otherwise. Here every chunk that a kernel may ask for lies right behind the table that it writes.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import product
from multiprocessing import get_context
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from torchsse.recsys.kernels import als
from torchsse.recsys.kernels.mf import padded

ROWS, COLUMNS, EACH, CHUNKS = 12, 9, 5, range(32, 5120, 16)
TRIES, HEADER = 100, 24  # bytes between two chunks of glibc, at most

try:
    LIBC: Any = ctypes.CDLL("libc.so.6")
    LIBC.malloc.restype, LIBC.malloc.argtypes, LIBC.free.argtypes = (
        ctypes.c_void_p,
        [ctypes.c_size_t],
        [ctypes.c_void_p],
    )
except OSError:
    LIBC = None


@contextmanager
def table_before_a_free_chunk(
    shape: tuple[int, int], dtype: str, chunk: int, earlier: int
) -> Iterator[npt.NDArray[Any] | None]:
    """A table whose next neighbour in memory is free, and what the allocation of `chunk` bytes gets that comes after
    `earlier` others of as many bytes: glibc hands out first what was freed last. None if it would not have it so."""
    size = shape[0] * shape[1] * np.dtype(dtype).itemsize
    others = [LIBC.malloc(chunk) for _ in range(earlier)]
    held, found = [], None
    for _ in range(TRIES):  # until holes are used up and one comes after the other
        table, free = LIBC.malloc(size), LIBC.malloc(chunk)
        if 0 <= free - table - size <= HEADER:
            found = np.frombuffer((ctypes.c_char * size).from_address(table), dtype).reshape(shape)
            held += [table, LIBC.malloc(64)]
            break
        held += [table, free]
    for place in (*([free] if found is not None else []), *others):
        LIBC.free(place)
    yield found
    for place in held:
        LIBC.free(place)


def case(dtype: str, factors: int) -> tuple[Any, ...]:
    """Arguments of a kernel up to the table that it writes, and what the table begins with."""
    rng = np.random.default_rng(1)
    width = padded(factors)
    indices = np.concatenate([np.sort(rng.choice(COLUMNS, EACH, replace=False)) for _ in range(ROWS)]).astype(np.int32)
    indptr = np.arange(0, EACH * ROWS + 1, EACH, dtype=np.int64)
    t, s = rng.random(EACH * ROWS).astype(dtype), rng.normal(size=EACH * ROWS).astype(dtype)

    def table(rows: int) -> npt.NDArray[Any]:
        found = np.zeros((rows, width), dtype)
        found[:, :factors] = rng.normal(size=(rows, factors))
        return found

    Z, h, X = table(COLUMNS), table(3), table(ROWS)
    G, ones, v = Z.T @ Z, np.ones(ROWS, dtype), rng.random(ROWS).astype(dtype)
    return (indptr, indices, t, s, Z, G, G, G, ones, v, ones, np.ones(factors, dtype), h, v, False), X


def solved(kernel: Callable[..., int], arguments: Any, start: npt.NDArray[Any], X: npt.NDArray[Any]) -> bytes:
    X[...] = start
    values = np.zeros(ROWS)
    assert kernel(*arguments, X, values, 0, 0, ROWS, 3) == -1
    return X.tobytes() + values.tobytes()


def tried_and_other(solver: Callable[[str], Any], dtype: str) -> tuple[int, list[tuple[int, int]]]:
    """How often malloc obeyed, and where the kernel then gave other bits than in an array of numpy's.

    For a process of its own, since it leaves garbage collection off: that would move what malloc has at hand.
    """
    kernel = solver(dtype)
    arguments, start = case(dtype, 5)
    expected = solved(kernel, arguments, start, start.copy())
    gc.disable()
    tried, other = 0, []
    for chunk, earlier in product(CHUNKS, range(3)):
        with table_before_a_free_chunk(start.shape, dtype, chunk, earlier) as X:
            tried += X is not None
            if X is not None and solved(kernel, arguments, start, X) != expected:
                other.append((chunk, earlier))
    return tried, other


@pytest.mark.skipif(LIBC is None, reason="needs glibc's malloc")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("solver", [als.conjugate_gradients, als.cholesky])
def test_neighbours_in_memory_change_no_bit(solver: Callable[[str], Any], dtype: str) -> None:
    # in a process of its own: a heap full of other tests' holes seldom has two chunks side by side
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        tried, other = process.submit(tried_and_other, solver, dtype).result()
    assert not other, f"other bits with a free chunk of so many bytes, after so many others, behind the table: {other}"
    assert tried > len(CHUNKS) // 4
