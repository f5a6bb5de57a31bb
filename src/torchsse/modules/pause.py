"""Pausing: p0 is zero for a while and comes back. Counted per SSE, so that pauses of several handles nest.

p0 lives in a tensor that compiled graphs read, so a pause that sets it to zero is obeyed by a graph compiled before the
pause, without a recompilation; a flag in Python would be baked in or recompile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from torchsse.modules.sse import SSE

__all__ = ["get_p0", "pause", "set_p0"]


@dataclass
class _Pause:
    depth: int
    p0: float  # what comes back when the last pause ends


_pauses: WeakKeyDictionary[SSE, _Pause] = WeakKeyDictionary()


def get_p0(sse: SSE) -> float:
    """The p0 that was asked for: that of the SSE, or during a pause the one that comes back after it."""
    held = _pauses.get(sse)
    return sse.p0 if held is None else held.p0


def set_p0(sse: SSE, p0: float) -> None:
    """Set p0 now, or during a pause for after it."""
    held = _pauses.get(sse)
    sse.p0 = p0  # checks the value
    if held is not None:
        held.p0, sse.p0 = sse.p0, 0.0


@contextmanager
def pause(sses: Iterable[SSE]) -> Iterator[None]:
    """p0 = 0 inside the block for all of `sses`; each comes back when its last pause ends, whoever made that."""
    paused = list({id(sse): sse for sse in sses}.values())
    for sse in paused:
        held = _pauses.setdefault(sse, _Pause(0, sse.p0))
        held.depth += 1
        sse.p0 = 0.0
    try:
        yield
    finally:
        for sse in paused:
            held = _pauses[sse]
            held.depth -= 1
            if held.depth == 0:
                del _pauses[sse]
                if sse.p0 == 0.0:  # else somebody set sse.p0 itself during the pause, and meant it
                    sse.p0 = held.p0
