"""Memory as kernels want it: padded rows, asked for before they are needed, and examples in a fresh order."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from torchsse.recsys.kernels.rng import GOLDEN, high, mix

__all__ = ["LANES", "padded", "positions", "prefetch", "prefetch_row"]

#: Rows are padded with zeros to a multiple of this many float32 (64 bytes, a cache line); zeros stay zeros.
LANES = 16


def padded(factors: int) -> int:
    """The width of a row that holds `factors` numbers.

    >>> padded(16), padded(100)
    (16, 112)
    """
    return -(-factors // LANES) * LANES


def _emit_prefetch(context: Any, builder: Any, kind: Any, array: Any, index: Any, lines: int) -> None:
    """Ask for the `lines` cache lines from array[index] on, to be written."""
    byte, word, wide = ir.IntType(8).as_pointer(), ir.IntType(32), ir.IntType(64)
    struct = context.make_array(kind)(context, builder, array)
    stride = cgutils.unpack_tuple(builder, struct.strides, kind.ndim)[0]
    start = builder.gep(builder.bitcast(struct.data, byte), [builder.mul(stride, index)])
    signature = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
    function = cgutils.get_or_insert_function(builder.module, signature, "llvm.prefetch.p0")
    for line in range(lines):
        address = builder.gep(start, [ir.Constant(wide, 64 * line)])
        builder.call(function, [address, ir.Constant(word, 1), ir.Constant(word, 3), ir.Constant(word, 1)])


@intrinsic
def prefetch(_context: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of array[index]."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _emit_prefetch(context, builder, signature.args[0], arguments[0], arguments[1], 1)
        return context.get_dummy_value()

    return types.void(array, types.int64), codegen


@intrinsic(prefer_literal=True)
def prefetch_row(_context: Any, array: Any, index: Any, width: Any) -> Any:
    """Ask for row `index` of float32, `width` (a constant) numbers wide."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lines = signature.args[2].literal_value * 4 // 64
        _emit_prefetch(context, builder, signature.args[0], arguments[0], arguments[1], lines)
        return context.get_dummy_value()

    return types.void(array, types.int64, width), codegen


@njit(error_model="numpy")
def positions(examples: Any, start: Any, size: Any, where: Any, state: Any) -> Any:
    """Fisher-Yates: example start+q will change places with one drawn from itself to the last."""
    # unsigned throughout: numba then leaves out the test for negative indices
    base, left = np.uint64(start), np.uint64(examples.shape[0] - start)
    for q in range(np.uint64(size)):
        state += GOLDEN
        j = base + q + high(mix(state), left - q)
        where[q] = j
        prefetch(examples, np.int64(j))
    return state
