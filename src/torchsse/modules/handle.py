"""What `attach` returns: the way to change, pause and remove SSE on a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from torch import nn

from torchsse.errors import ConfigError
from torchsse.modules.compiler import forget_compiled
from torchsse.modules.pause import get_p0, pause, set_p0

if TYPE_CHECKING:
    from torchsse.modules.sse import SSE

__all__ = ["Handle", "Swapping"]


class Swapping(Protocol):
    """A hook that swaps by the law and the p0 of an SSE."""

    @property
    def sse(self) -> SSE: ...


class Handle:
    """SSE on the tables of one model: change p0, pause, remove.

    Returned by :func:`attach` and :func:`attached`, not built by hand. Used as a context manager it removes the hooks
    on leaving. It may be kept, copied and pickled with the model.

    Attributes:
        names: dotted names of the hooked tables, in the model's order, tables that share a weight included.
        sses: name -> the SSE given for that table. One SSE may serve several tables.

    Example:
        >>> import torch
        >>> from torchsse import SSE, attach
        >>> model = torch.nn.ModuleDict({"user": torch.nn.Embedding(50, 4), "item": torch.nn.Embedding(80, 4)})
        >>> handle = attach(model, {"user": SSE(50, p0=0.1), "item": SSE(80, p0=0.2)})
        >>> handle
        Handle(user: N=50, p0=0.1; item: N=80, p0=0.2)
        >>> handle.p0s
        {'user': 0.1, 'item': 0.2}
        >>> handle.p0 = 0.05
        >>> with handle.paused():
        ...     handle.sses["user"].p0
        0.0
        >>> handle.p0
        0.05
        >>> handle.remove()
    """

    def __init__(
        self,
        tables: Mapping[str, tuple[nn.Module, Swapping]],
        bypasses: Sequence[tuple[nn.Module, object]],
    ) -> None:
        self._tables = dict(tables)
        self._bypasses = list(bypasses)

    @property
    def names(self) -> tuple[str, ...]:
        """Dotted names of the hooked tables, tables that share a weight included."""
        return tuple(self._tables)

    @property
    def sses(self) -> dict[str, SSE]:
        """The SSE of each table by name."""
        return {name: hook.sse for name, (_, hook) in self._tables.items()}

    @property
    def active(self) -> bool:
        """Whether any hook is still on; False after `remove`."""
        return any(_is_hooked(module, hook) for module, hook in self._tables.values())

    @property
    def p0s(self) -> dict[str, float]:
        """p0 of each table by name; during a pause, what comes back after it."""
        return {name: get_p0(sse) for name, sse in self.sses.items()}

    @property
    def p0(self) -> float:
        """p0 of all tables. Setting it sets all of them, compiled graphs included, without recompiling.

        During a pause: what comes back after it, also when set.

        Raises:
            ConfigError: on reading, when the tables differ (see `p0s`); on setting, when p0 is outside [0, 1].
        """
        values = set(self.p0s.values())
        if len(values) != 1:
            raise ConfigError(
                f"expected one p0 for all tables, got {self.p0s}: read handle.p0s, or set handle.p0 first"
            )
        return values.pop()

    @p0.setter
    def p0(self, p0: float) -> None:
        for sse in self.sses.values():
            set_p0(sse, p0)

    @contextmanager
    def paused(self) -> Iterator[Self]:
        """No swaps inside the block: p0 is 0 and comes back afterwards, exceptions or not. Pauses nest.

        Compiled graphs obey without recompiling. The pause belongs to the SSE: whatever else shares it pauses too.
        `handle.p0 = x` and a schedule's step inside the block take effect after it; `sse.p0 = x` at once, and stays.
        """
        with pause(self.sses.values()):
            yield self

    def remove(self) -> None:
        """Take every hook off; the model is then as before `attach`. A second call does nothing.

        Graphs that torch.compile made with the hooks are dropped (as in `attach`) and compiled again at their next
        call.
        """
        removed = [_unhook(module, hook) for module, hook in self._tables.values()]
        removed += [_unhook(module, hook) for module, hook in self._bypasses]
        if any(removed):
            forget_compiled()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()

    def __repr__(self) -> str:
        active = {name: _is_hooked(module, hook) for name, (module, hook) in self._tables.items()}
        tables = "; ".join(
            f"{name or '(model)'}: N={sse.num_embeddings}, p0={get_p0(sse):g}{'' if active[name] else ', removed'}"
            for name, sse in self.sses.items()
        )
        return f"Handle({tables})"


def _is_hooked(module: nn.Module, hook: object) -> bool:
    return any(there is hook for hooks, _ in _hooks_of(module) for there in hooks.values())


def _unhook(module: nn.Module, hook: object) -> bool:
    # By identity, not by a RemovableHandle: those hold weak references that a copied or unpickled model loses.
    removed = False
    for hooks, with_kwargs in _hooks_of(module):
        for key in [key for key, there in hooks.items() if there is hook]:
            del hooks[key]
            with_kwargs.pop(key, None)
            removed = True
    return removed


def _hooks_of(module: nn.Module) -> list[tuple[dict[int, Any], dict[int, bool]]]:
    """Hooks before and after forward, each with the record of which of them take keywords."""
    return [
        (module._forward_pre_hooks, module._forward_pre_hooks_with_kwargs),
        (module._forward_hooks, module._forward_hooks_with_kwargs),
    ]
