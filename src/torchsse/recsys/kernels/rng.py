"""Random words inside kernels: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).

The state is a counter, so a kernel carries it in a register, vectorises over it, and starts anywhere. Every
(seed, epoch, thread, purpose) has a stream of its own: what a stream yields does not depend on the others, and an epoch
can be repeated or resumed alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic

__all__ = ["GOLDEN", "below", "high", "mix", "stream", "unit"]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MASK = (1 << 64) - 1


@intrinsic
def high(_context: Any, a: Any, b: Any) -> Any:
    """The upper 64 bits of a product of two 64-bit words."""

    def codegen(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(arguments[0], wide), builder.zext(arguments[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), codegen


@njit(error_model="numpy")
def mix(state: Any) -> Any:
    """The random word of a counter; callers step with ``state += GOLDEN``."""
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(error_model="numpy")
def below(word: Any, n: Any) -> Any:
    """An integer from 0 to n-1 out of a random word; off uniform by at most n / 2^64."""
    return np.int64(high(word, np.uint64(n)))


@njit(error_model="numpy")
def unit(word: Any) -> Any:
    """A float64 in [0, 1) out of a random word."""
    return np.float64(word >> np.uint64(11)) * (1.0 / 9007199254740992.0)


def stream(*words: int) -> np.uint64:
    """The start of the stream named by integers, such as (seed, epoch, thread, purpose).

    >>> bool(stream(0, 1) == stream(0, 1)), bool(stream(0, 1) == stream(1, 0))
    (True, False)
    """
    state = 0
    for word in words:
        state = _mix((state + int(GOLDEN) + _mix(int(word) & _MASK)) & _MASK)
    return np.uint64(state)


def _mix(z: int) -> int:
    """`mix` in Python: the oracle of the tests, and no compilation for a few seeds."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)
