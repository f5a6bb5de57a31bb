"""The forward pre-hooks that `attach` installs: instances of module-level classes, so that models stay picklable."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from torchsse.errors import AttachError, TorchsseWarning
from torchsse.modules.tables import rows_of
from torchsse.swap import swap
from torchsse.transition.tables import run_while_tracing

if TYPE_CHECKING:
    from torchsse.modules.sse import SSE

__all__ = ["BypassHook", "SwapHook", "embeds_arguments"]

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class SwapHook:
    """Swaps the ids on their way into one table, while that table trains.

    `sse` is the caller's (its p0 counts), `applied` the same law without the table's padding row.
    """

    def __init__(self, sse: SSE, applied: SSE, argument: str) -> None:
        self.sse = sse
        self.applied = applied
        self.argument = argument
        self._rows = sse.num_embeddings

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments | None:
        if not module.training:
            return None
        if rows_of(module) != self._rows:
            raise AttachError(
                f"expected a table of {self._rows} rows as when SSE was attached, "
                f"got {rows_of(module)}: after resizing, remove the handle and attach an SSE of the new size"
            )
        if args:
            return (swap(args[0], self.applied), *args[1:]), kwargs
        if self.argument in kwargs:
            return args, {**kwargs, self.argument: swap(kwargs[self.argument], self.applied)}
        raise AttachError(
            f"expected the ids as first argument or as {self.argument}=..., got keywords {sorted(kwargs)}"
        )


# Arguments by which transformers take vectors in place of ids.
EMBEDS = ("inputs_embeds", "decoder_inputs_embeds")

MESSAGE = (
    "the model was given {name}, which bypasses its embedding tables: SSE does not swap anything there. "
    "Pass ids, or swap them before the look-up: model.get_input_embeddings()(sse(ids))"
)


def embeds_arguments(module: nn.Module) -> dict[str, int]:
    """Name -> position of the arguments of `module.forward` that bypass the tables; empty if it has none."""
    try:
        names = list(inspect.signature(type(module).forward).parameters)[1:]
    except (TypeError, ValueError):
        return {}
    return {name: names.index(name) for name in EMBEDS if name in names}


class BypassHook:
    """Warns, once, when a training model is given vectors where it takes ids."""

    def __init__(self, arguments: dict[str, int]) -> None:
        self.arguments = arguments
        self.warned = False

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not module.training:
            return
        for name, position in self.arguments.items():
            given = args[position] if position < len(args) else kwargs.get(name)
            if given is None:
                continue
            if torch.compiler.is_compiling():
                _warn(name)  # runs while tracing, leaves nothing in the graph
            elif not self.warned:
                self.warned = True
                _warn(name)


@run_while_tracing
def _warn(name: str) -> bool:
    warnings.warn(MESSAGE.format(name=name), TorchsseWarning, stacklevel=4)
    return True
