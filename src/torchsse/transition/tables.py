"""Numpy tables, and copies of them as torch tensors, one per device, made when first needed.

They are no buffers: `.to(bfloat16)` must not touch them, state dicts must not hold them, DDP must not broadcast them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from torchsse.transition.picks import Flat

__all__ = ["DeviceTables", "as_tensor", "run_while_tracing"]

F = TypeVar("F", bound=Callable[..., bool])


def run_while_tracing(function: F) -> F:
    """Let dynamo run `function` for real while it traces, so that the dictionary that is read next is filled.

    The same as `torch.compiler.assume_constant_result`, whose first use imports all of dynamo, at a second's cost for
    everyone who imports torchsse. For functions that return a plain bool: a returned tensor would be baked into the
    graph.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def as_tensor(array: np.ndarray[Any, Any]) -> Tensor:
    """A CPU tensor that shares the memory of `array`, memory-mapped and read-only arrays included."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


class DeviceTables:
    """Named numpy arrays, handed out as they are, or as tensors on a device. On the CPU the memory is shared."""

    def __init__(self, **arrays: np.ndarray[Any, Any] | None) -> None:
        # index_select refuses an empty table; one row that nothing reads keeps the ops the same for every graph.
        self._arrays = {
            name: np.asarray(array) if array.size else np.zeros(1, array.dtype)  # a plain array: np.memmap is slow
            for name, array in arrays.items()
            if array is not None
        }
        self._copies: dict[str, dict[str, Tensor]] = {}

    def like(self, ids: Flat) -> dict[str, Flat]:
        """The tables as what `ids` are: tensors on their device, or arrays."""
        return self.on(ids.device) if isinstance(ids, Tensor) else self._arrays

    def on(self, device: torch.device) -> dict[str, Tensor]:
        """The tables on `device`. Traceable: a compiled graph takes them as inputs."""
        key = str(device)
        if torch.compiler.is_compiling():
            self._prepare(key)
            return self._copies[key]
        found = self._copies.get(key)
        return self._copy(key) if found is None else found

    @run_while_tracing
    def _prepare(self, key: str) -> bool:
        if key not in self._copies:
            self._copy(key)
        return True

    def _copy(self, key: str) -> dict[str, Tensor]:
        # An inference tensor could not be used by autograd later; the cache outlives the context that filled it.
        with torch.inference_mode(False):
            made = {name: as_tensor(array).to(key) for name, array in self._arrays.items()}
        if all(type(tensor) is Tensor for tensor in made.values()):  # not under FakeTensorMode
            self._copies[key] = made
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {"_arrays": self._arrays, "_copies": {}}
