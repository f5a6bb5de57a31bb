"""`swap`: the pure function behind the SSE module."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from torchsse.errors import ConfigError
from torchsse.swap.check import checked_ids
from torchsse.swap.cpu import swap_cpu
from torchsse.swap.plain import swap_plain
from torchsse.transition import Law

__all__ = ["Swappable", "swap"]


class Swappable(Protocol):
    """What `swap` needs to know: a law, and a coin as a number and as a tensor."""

    @property
    def law(self) -> Law: ...

    @property
    def p0(self) -> float: ...

    def coin(self, device: torch.device) -> Tensor:
        """0-dim int64 threshold on `device`: p0 * law.rate * COIN_RANGE, filled in place when p0 changes."""
        ...


def swap(ids: Tensor, sse: Swappable, generator: torch.Generator | None = None) -> Tensor:
    """Replace each id with probability p0 by a draw from the transition law (Algorithm 1 of the paper, one table).

    What the `SSE` module does in training, as a function: it acts whatever the module's mode. Every position draws
    independently, and anew at every call.

    CPU eager: positions by geometric gaps, cost of a copy plus work in proportion to p0. CUDA or compiled: plain
    elementwise ops that fuse, without host synchronisation. The laws agree; the draws for one seed do not.

    Args:
        ids: int32 or int64, any shape (0-dim, empty and non-contiguous included), any device. Not modified.
        sse: an `SSE` module, or anything with `law`, `p0` and `coin(device)`.
        generator: random generator of the device of `ids`, eager only. Default: the device's default generator, so that
            activation checkpointing replays the same draw and `torch.manual_seed` fixes it.

    Returns:
        Fresh contiguous tensor, shape, dtype and device of `ids`.

    Raises:
        IdTypeError: ids that are no int32 / int64 tensor.
        IdRangeError: an id outside 0 .. N-1, on the CPU in eager mode. On CUDA or compiled such ids pass through
            unswapped, so that the look-up itself still fails.
        ConfigError: a generator under torch.compile.

    Example:
        >>> from torchsse import SSE, swap
        >>> sse = SSE(num_embeddings=5, p0=1.0)
        >>> ids = torch.arange(5)
        >>> new = swap(ids, sse, generator=torch.Generator().manual_seed(0))
        >>> bool((new != ids).all())  # at p0 = 1 every id is replaced by another
        True
    """
    ids = checked_ids(ids)
    compiling = torch.compiler.is_compiling()
    if compiling and generator is not None:
        raise ConfigError("swap: generator works in eager mode only; under torch.compile use torch.manual_seed")
    if compiling or type(ids) is not Tensor or not ids.is_cpu:  # is_cpu: no device object, no string
        return swap_plain(ids, sse.law, sse.coin(ids.device), generator)
    return swap_cpu(ids, sse.law, sse.p0 * sse.law.rate, generator)
