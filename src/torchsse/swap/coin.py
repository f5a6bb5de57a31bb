"""The coin: p0 as a number, and as an integer threshold that compiled graphs and CUDA kernels read."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from torchsse.errors import ConfigError
from torchsse.transition.tables import run_while_tracing

__all__ = ["COIN_RANGE", "Coin", "checked_p0"]

COIN_RANGE = 1 << 62
"""Coins are uniform integers below this; a coin falls if it is below p0 * rate * COIN_RANGE."""


def checked_p0(p0: object) -> float:
    """`p0` as a float in [0, 1], else ConfigError."""
    if isinstance(p0, Tensor) and p0.numel() == 1 and p0.dtype.is_floating_point:
        p0 = float(p0)
    if isinstance(p0, bool) or not isinstance(p0, Real):
        raise ConfigError(f"p0 must be a number in [0, 1], got {p0!r}")
    p0 = float(p0)
    if math.isnan(p0) or not 0.0 <= p0 <= 1.0:
        raise ConfigError(f"p0, the chance that an id is replaced, must be in [0, 1], got {p0}")
    return p0


class Coin:
    """p0 and its threshold tensors, one per device.

    The tensors are filled in place when p0 changes, so that a compiled graph sees the new value without recompiling,
    and a CUDA stream without a host synchronisation. int64: nothing for `.to(bfloat16)` to round. Neither copies nor
    pickles carry the tensors; they are made again where needed.

    Args:
        p0: chance in [0, 1] that the coin falls.
        rate: factor that the law puts before it (`Law.rate`).
    """

    def __init__(self, p0: object, rate: float = 1.0) -> None:
        self._p0 = checked_p0(p0)
        self._rate = rate
        self._thresholds: dict[str, Tensor] = {}

    @property
    def p0(self) -> float:
        return self._p0

    @p0.setter
    def p0(self, value: object) -> None:
        self._p0 = checked_p0(value)
        for threshold in self._thresholds.values():
            threshold.fill_(self._integer)

    @property
    def _integer(self) -> int:
        return round(self._p0 * self._rate * COIN_RANGE)

    def threshold(self, device: torch.device) -> Tensor:
        """0-dim int64 tensor on `device`, always the same one. Traceable: a compiled graph takes it as an input."""
        key = str(device)
        if torch.compiler.is_compiling():
            self._prepare(key)
            return self._thresholds[key]
        found = self._thresholds.get(key)
        return self._make(key) if found is None else found

    @run_while_tracing
    def _prepare(self, key: str) -> bool:
        if key not in self._thresholds:
            self._make(key)
        return True

    def _make(self, key: str) -> Tensor:
        # An inference tensor could not be filled outside inference mode; the cache outlives the context that filled it.
        with torch.inference_mode(False):
            made = torch.full((), self._integer, dtype=torch.int64, device=key)
        if type(made) is Tensor:  # not under FakeTensorMode
            self._thresholds[key] = made
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {"_p0": self._p0, "_rate": self._rate, "_thresholds": {}}
