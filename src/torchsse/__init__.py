"""Stochastic Shared Embeddings (SSE) for PyTorch.

SSE regularises embedding tables: during training an id is replaced, with a small probability p0, by another id before
the look-up, along a knowledge graph (SSE-Graph) or over the whole table (SSE-SE). Wu, Li, Hsieh and Sharpnack,
"Stochastic Shared Embeddings: Data-driven Regularization of Embedding Layers", NeurIPS 2019.

    >>> import torch
    >>> from torchsse import SSE, attach
    >>> model = torch.nn.Sequential(torch.nn.Embedding(1000, 16), torch.nn.Flatten(), torch.nn.Linear(16 * 5, 2))
    >>> handle = attach(model, {"0": SSE(num_embeddings=1000, p0=0.01)})
    >>> model(torch.randint(1000, (8, 5))).shape
    torch.Size([8, 2])
    >>> handle.remove()

This module needs torch and numpy only, and loads them with the first name that is used: the command line answers
`--help` without them. Recommenders live in `torchsse.recsys`, readers in `torchsse.data`, metrics and statistics in
`torchsse.metrics`, the paper's theory in `torchsse.theory`; the command line is `torchsse --help`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torchsse.graph import Graph
    from torchsse.labels import SSECrossEntropyLoss
    from torchsse.modules import SSE, Handle, SSESchedule, attach
    from torchsse.swap import swap
    from torchsse.transition import Walk

__version__ = "0.1.0"

__all__ = ["SSE", "Graph", "Handle", "SSECrossEntropyLoss", "SSESchedule", "Walk", "__version__", "attach", "swap"]

_ROOMS = {
    "SSE": "modules", "Graph": "graph", "Handle": "modules", "SSECrossEntropyLoss": "labels", "SSESchedule": "modules",
    "Walk": "transition", "attach": "modules", "swap": "swap",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """A public name, from its room, at its first use (PEP 562); or one of these rooms."""
    if name in _ROOMS:
        value = globals()[name] = getattr(import_module(f"torchsse.{_ROOMS[name]}"), name)
        return value
    if name in {"errors", *_ROOMS.values()}:
        return import_module(f"torchsse.{name}")
    raise AttributeError(f"module 'torchsse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """`torchsse.swap` is the function, also after an import of the room of that name, which would take its place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "swap" and isinstance(value, ModuleType):
            value = value.swap
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
