"""Numbers of either width inside kernels: float32, and bfloat16 as the uint16 of its bits, which numba has no type for.

A bfloat16 is the upper half of a float32. Kernels load it as one, compute in float32, and round once, to even, when
they store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic

from torchsse.recsys.kernels.cache import MATH

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["exp", "number"]

_SIXTEEN, _ONE, _HALF = np.uint32(16), np.uint32(1), np.uint32(0x7FFF)
_LOG2_E = np.float32(1.4426950408889634)
#: Terms of 2^x = sum of (x ln 2)^k / k!; for x within a half of 0 the first left out is below 2e-7.
_C1, _C2, _C3, _C4, _C5, _C6 = (np.float32(np.log(2.0) ** k / np.prod(np.arange(1.0, k + 1))) for k in range(1, 7))


@intrinsic
def _as_float(_context: Any, word: Any) -> Any:
    def codegen(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.uint32), codegen


@intrinsic
def _as_bits(_context: Any, value: Any) -> Any:
    def codegen(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.uint32(types.float32), codegen


@njit(**MATH)
def _wide(half: Any) -> Any:
    return _as_float(np.uint32(half) << _SIXTEEN)


@njit(**MATH)
def _narrow(value: Any) -> Any:
    word = _as_bits(np.float32(value))
    return np.uint16((word + _HALF + ((word >> _SIXTEEN) & _ONE)) >> _SIXTEEN)


@njit(**MATH)
def _same(value: Any) -> Any:
    return np.float32(value)


def number(dtype: str) -> tuple[Any, Callable[..., Any], Callable[..., Any]]:
    """(numba's type of an element, load, store) of "float32" or "bfloat16", for a kernel to close over."""
    return (types.float32, _same, _same) if dtype == "float32" else (types.uint16, _wide, _narrow)


@njit(**MATH)
def exp(x: Any) -> Any:
    """e^x of a float32 of at most 0, off by a few units of its last place; numba's own is not vectorised.

    From -87 down it is about 1e-38 and not 0, which no sum of shares sees. NaN stays NaN.
    """
    power = max(x * _LOG2_E, np.float32(-126.0))
    whole = np.rint(power)
    f = power - whole
    value = np.float32(1.0) + f * (_C1 + f * (_C2 + f * (_C3 + f * (_C4 + f * (_C5 + f * _C6)))))
    return _as_float(np.uint32(np.int32(whole) + np.int32(127)) << np.uint32(23)) * value
