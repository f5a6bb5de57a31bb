"""Which tables of a model a pattern names, and which share their weight."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from fnmatch import fnmatchcase

import torch
from torch import nn

from torchsse.errors import AttachError

__all__ = ["clean", "inner_table", "match", "rows_of", "sharing", "tables_of"]

TABLES = (nn.Embedding, nn.EmbeddingBag)

# Where an adapter of PEFT keeps the module that it wraps.
WRAPPED = ("base_layer", "original_module", "token_adapter")


def clean(name: str) -> str:
    """A dotted name without the `_orig_mod` that torch.compile(module) puts in."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


def tables_of(model: nn.Module) -> dict[str, nn.Module]:
    """Every dotted name of every nn.Embedding and nn.EmbeddingBag in `model`, in the model's order.

    A module that hangs under several names is there under each of them; the model itself is "". A table that PEFT has
    wrapped (LoRA, modules_to_save, trainable tokens) is there as its outermost wrapper, what is inside is not: the
    adapter looks the same ids up in tables of its own.
    """
    tables: dict[str, nn.Module] = {}
    wrapper = None
    for name, module in model.named_modules(remove_duplicate=False):
        if wrapper is not None and name.startswith(wrapper):
            continue
        table = inner_table(module)
        if table is not None:
            tables[clean(name)] = module
        wrapper = f"{name}." if table is not None and table is not module else None
    return tables


def inner_table(module: nn.Module) -> nn.Module | None:
    """The table that `module` is, or that it wraps as an adapter of PEFT; None for any other module."""
    while not isinstance(module, TABLES):
        if not any(kind.__module__.partition(".")[0] == "peft" for kind in type(module).__mro__):
            return None
        inside = [module._modules[name] for name in WRAPPED if module._modules.get(name) is not None]
        if not inside:
            return None
        module = inside[0]  # type: ignore[assignment]
    return module


def rows_of(module: nn.Module) -> int:
    """Rows of a table, wrapped or not."""
    table = inner_table(module)
    assert isinstance(table, TABLES)
    return table.num_embeddings


def match(model: nn.Module, pattern: str) -> list[str]:
    """Names of the tables that `pattern` means: the one of exactly this name, else those that fit it as a glob.

    Raises:
        AttachError: when there is none; the message lists what there is.
    """
    tables = tables_of(model)
    if clean(pattern) in tables:
        return [clean(pattern)]
    for name, module in model.named_modules(remove_duplicate=False):
        if clean(name) == clean(pattern):
            raise AttachError(
                f"expected {pattern!r} to be an nn.Embedding or nn.EmbeddingBag, it is a {type(module).__name__}; "
                f"the tables are {_listed(tables)}"
            )
    fitting = [name for name in tables if fnmatchcase(name, pattern)]
    if not fitting:
        close = difflib.get_close_matches(pattern, tables, n=3)
        hint = f"; did you mean {_listed(close)}?" if close else ""
        raise AttachError(
            f"no table of {type(model).__name__} fits {pattern!r}{hint}; the tables are {_listed(tables)}"
        )
    return fitting


def _listed(names: Iterable[str], limit: int = 20) -> str:
    shown = [repr(name) for name in names]
    rest = f" and {len(shown) - limit} more" if len(shown) > limit else ""
    return (", ".join(shown[:limit]) + rest) or "none"


def weight_of(module: nn.Module) -> torch.Tensor | None:
    """The tensor that a table stores, also under a parametrisation, which computes `module.weight` afresh each time."""
    module = inner_table(module) or module
    weight = module._parameters.get("weight")
    if weight is None and "parametrizations" in module._modules:
        weight = next(module._modules["parametrizations"].parameters(), None)  # type: ignore[union-attr]
    if weight is None:
        weight = getattr(module, "weight", None)
    return weight if isinstance(weight, torch.Tensor) else None


def sharing(module: nn.Module, tables: dict[str, nn.Module]) -> list[str]:
    """Names of the tables that hold the same weight as `module`, itself included."""
    weight = weight_of(module)
    return [
        name for name, other in tables.items() if other is module or (weight is not None and weight_of(other) is weight)
    ]
