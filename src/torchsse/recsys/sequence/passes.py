"""Kernels on tensors of the network: which they take, how they see them, and as many threads as torch has."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["KINDS", "by_kernel", "key_of", "numbers", "spread"]

KINDS = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
"""What kernels know, by torch's dtype."""


def by_kernel(x: Tensor) -> bool:
    """Whether kernels take it: on the CPU in eager mode, fp32 or bf16. All else goes by torch's own operations."""
    return x.is_cpu and not torch.compiler.is_compiling() and x.dtype in KINDS


def numbers(x: Tensor) -> npt.NDArray[Any]:
    """The memory of a contiguous tensor: float32, or the bits of bfloat16 as uint16.

    >>> numbers(torch.ones(2, dtype=torch.bfloat16)).tolist() == [0x3F80, 0x3F80]
    True
    """
    x = x.detach()
    return x.numpy() if x.dtype == torch.float32 else x.view(torch.int16).numpy().view(np.uint16)


def key_of(generator: torch.Generator | None) -> np.uint64:
    """The start of a stream of coins, drawn from a generator; None: torch's default."""
    return np.uint64(torch.empty((), dtype=torch.int64).random_(generator=generator).item())


def spread(work: Callable[[int, int], None], count: int, grain: int = 1) -> None:
    """Call ``work(start, stop)`` for the parts of range(count), side by side on torch's threads.

    `work` releases the GIL, and what it does to one index must not depend on the others. Parts start at multiples of
    `grain`.

    >>> spread(lambda start, stop: print(start, stop), 3)
    0 3
    """
    parts = -(-count // grain)
    threads = min(torch.get_num_threads(), parts)
    if threads <= 1:
        work(0, count)
        return
    edges = [min(count, grain * (parts * t // threads)) for t in range(threads)] + [count]
    others = [_pool(os.getpid()).submit(work, start, stop) for start, stop in pairwise(edges[1:])]
    work(edges[0], edges[1])
    for other in others:
        other.result()


@lru_cache(maxsize=1)
def _pool(_process: int) -> ThreadPoolExecutor:
    # of this process: threads do not survive a fork
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="torchsse")
