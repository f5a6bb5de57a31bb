"""attach: SSE on the embedding tables of any PyTorch model, by name, without touching the model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import torch
from torch import nn

from torchsse.errors import AttachError
from torchsse.modules.compiler import forget_compiled
from torchsse.modules.handle import Handle
from torchsse.modules.hook import BypassHook, SwapHook, embeds_arguments
from torchsse.modules.ranks import warn_if_ranks_agree
from torchsse.modules.sse import SSE
from torchsse.modules.tables import clean, inner_table, match, rows_of, sharing, tables_of, weight_of

__all__ = ["attach", "attached"]


def attach(model: nn.Module, sses: Mapping[str, SSE]) -> Handle:
    """Swap the ids that go into the embedding tables of a model while it trains (Algorithm 1).

    Every named table gets a forward pre-hook that replaces its ids by `swap(ids, sse)`. The model stays what it was:
    its class, state_dict keys, parameters, tied weights and sparse gradients; copy.deepcopy, torch.save, DDP, FSDP,
    activation checkpointing and torch.compile(fullgraph=True) go on working. Several tables draw independently (Eq.
    4), and each position of a sequence draws for itself.

    The hook obeys the table's own `training` flag (`model.eval()` switches it off); the mode of the SSE, which is no
    part of the model, does not count. The table's `padding_idx` is neither swapped nor drawn, and tables that share
    one weight leave out the padding of each.

    Args:
        model: any module; it may itself be the table (its name is then "").
        sses: pattern -> SSE. A pattern is the dotted name of an nn.Embedding or nn.EmbeddingBag (or subclass) as in
            `model.named_modules()`, `_orig_mod` of torch.compile optional, else a glob (`*` crosses dots; only tables
            are matched). An exact name overrides a glob. Every other table that holds the same weight Parameter
            (encoder and decoder of BART, T5, Marian) gets the same SSE; a tied output Linear is left alone. One SSE
            may serve several tables.

    Returns:
        A :class:`Handle`: set `p0`, pause, remove.

    Raises:
        AttachError: a pattern that fits no table (the message lists them), a name that is no table, a table that has
            SSE already, an SSE whose N is not the table's number of rows, two globs with different SSEs for one table.
            The model is then unchanged.

    Warns:
        TorchsseWarning: in torch.distributed, when another rank attached with the same seed: such ranks draw the same
            swaps. Seed data-parallel ranks apart, before `attach`. And at a forward pass, once, when a training model
            is given `inputs_embeds`, which bypasses the tables.

    What cannot be seen: `F.embedding(ids, table.weight)` beside the table, and programs exported ahead of time.

    torch.compile: a graph compiled before the hook came would ignore it silently, so `attach` and `remove` drop
    everything that torch.compile has compiled in this process (`torch._dynamo.reset()`); it is compiled again when
    next called. Attach before the first call to pay nothing. Changing p0 or pausing does not recompile.

    Under PEFT, attach to the outer model, after wrapping it: a table with an adapter (LoRA) is hooked as its wrapper,
    so that both look the same ids up. Resizing a table: remove, resize, attach anew.

    Example:
        >>> import torch
        >>> from torchsse import SSE, attach
        >>> model = torch.nn.Sequential(torch.nn.Embedding(1000, 8), torch.nn.Linear(8, 2))
        >>> handle = attach(model, {"0": SSE(1000, p0=0.5)})
        >>> ids = torch.arange(1000)
        >>> same = (model(ids) == model[1](model[0].weight)).all(dim=1)
        >>> 400 < int(same.sum()) < 600
        True
        >>> handle.remove()
        >>> bool((model(ids) == model[1](model[0].weight)).all())
        True
    """
    chosen = _choose(model, sses)
    tables = tables_of(model)
    paddings = {id(module): _paddings(module, tables) for module, _ in chosen.values()}
    applied: dict[tuple[int, tuple[int, ...]], SSE] = {}
    hooked: dict[str, tuple[nn.Module, SwapHook]] = {}
    for name, (module, sse) in chosen.items():
        padding = paddings[id(module)]
        key = (id(sse), padding)
        if key not in applied:
            applied[key] = sse.excluding(padding) if padding else sse
        hooked[name] = (module, SwapHook(sse, applied[key], _ids_argument(module)))
    bypasses = [(module, BypassHook(arguments)) for module, arguments in _bypassed(model, hooked)]
    for table, swapping in hooked.values():
        table.register_forward_pre_hook(swapping, with_kwargs=True)
    for outer, watching in bypasses:
        outer.register_forward_pre_hook(watching, with_kwargs=True)
    forget_compiled()
    first = weight_of(next(iter(chosen.values()))[0])
    warn_if_ranks_agree(torch.device("cpu") if first is None else first.device)
    return Handle(hooked, bypasses)


def attached(model: nn.Module) -> Handle:
    """The handle of the SSE that a model carries already: after copy.deepcopy or unpickling, or when it was lost.

    Raises:
        AttachError: the model carries none.

    Example:
        >>> import copy, torch
        >>> from torchsse import SSE, attach
        >>> from torchsse.modules import attached
        >>> model = torch.nn.Embedding(10, 4)
        >>> handle = attach(model, {"": SSE(10, p0=0.5)})
        >>> attached(copy.deepcopy(model)).p0
        0.5
    """
    hooked: dict[str, tuple[nn.Module, SwapHook]] = {}
    seen: set[int] = set()
    for name, module in tables_of(model).items():
        hook = _hook_of(module)
        if hook is not None and id(module) not in seen:
            seen.add(id(module))
            hooked[name] = (module, hook)
    if not hooked:
        raise AttachError(f"expected a {type(model).__name__} with SSE attached, it has none")
    bypasses = [
        (module, hook)
        for module in model.modules()
        for hook in module._forward_pre_hooks.values()
        if isinstance(hook, BypassHook)
    ]
    return Handle(hooked, bypasses)


def _hook_of(module: nn.Module) -> SwapHook | None:
    return next((hook for hook in module._forward_pre_hooks.values() if isinstance(hook, SwapHook)), None)


def _choose(model: nn.Module, sses: Mapping[str, SSE]) -> dict[str, tuple[nn.Module, SSE]]:
    """Name -> (table, SSE) for every table to hook, each module once, checked; in the model's order."""
    if not isinstance(model, nn.Module):
        raise AttachError(f"expected a torch.nn.Module, got {type(model).__name__}")
    if not isinstance(sses, Mapping) or not sses:
        raise AttachError(f"expected a mapping of table names to SSEs with at least one entry, got {sses!r}")
    tables = tables_of(model)
    exact: dict[int, SSE] = {}
    by_glob: dict[int, SSE] = {}
    for pattern, sse in sses.items():
        if not isinstance(sse, SSE):
            raise AttachError(f"expected an SSE for {pattern!r}, got {type(sse).__name__}")
        names = match(model, pattern)
        into = exact if names == [clean(pattern)] else by_glob
        for name in names:
            _assign(into, tables[name], name, sse)
    choice = {**by_glob, **exact}
    tied: dict[int, SSE] = {}
    for name, module in tables.items():
        if id(module) in choice:
            for other in sharing(module, tables):
                if id(tables[other]) not in choice:
                    _assign(tied, tables[other], f"{other} (which shares the weight of {name})", choice[id(module)])
    choice |= tied
    result: dict[str, tuple[nn.Module, SSE]] = {}
    seen: set[int] = set()
    for name, module in tables.items():
        if id(module) in choice and id(module) not in seen:
            seen.add(id(module))
            _check(name, module, choice[id(module)])
            result[name] = (module, choice[id(module)])
    return result


def _assign(into: dict[int, SSE], module: nn.Module, name: str, sse: SSE) -> None:
    if into.setdefault(id(module), sse) is not sse:
        raise AttachError(f"expected one SSE for table {name}, got two: name it exactly to say which")


def _check(name: str, module: nn.Module, sse: SSE) -> None:
    if _hook_of(module) is not None:
        raise AttachError(f"table {name!r} has SSE already: remove that handle first (attached(model).remove())")
    if rows_of(module) != sse.num_embeddings:
        raise AttachError(
            f"expected an SSE with num_embeddings={rows_of(module)} for table {name!r} "
            f"({type(module).__name__}), got {sse.num_embeddings}"
        )


def _paddings(module: nn.Module, tables: dict[str, nn.Module]) -> tuple[int, ...]:
    """The padding rows of a table, and of those that share its weight: such a row is never trained, so never drawn."""
    rows = {getattr(inner_table(tables[name]), "padding_idx", None) for name in sharing(module, tables)}
    return tuple(sorted(row for row in rows if row is not None))


def _ids_argument(module: nn.Module) -> str:
    """What the first argument of a table's forward is called: `input`, in subclasses often `input_ids`."""
    names = list(inspect.signature(type(module).forward).parameters)
    return names[1] if len(names) > 1 else "input"


def _bypassed(
    model: nn.Module, hooked: dict[str, tuple[nn.Module, SwapHook]]
) -> list[tuple[nn.Module, dict[str, int]]]:
    """The outermost modules over a hooked table that take inputs_embeds. Inner ones are given it in normal running."""
    ours = {id(module) for module, _ in hooked.values()}
    found: list[tuple[nn.Module, dict[str, int]]] = []

    def descend(module: nn.Module) -> None:
        if not any(id(inner) in ours for inner in module.modules()):
            return
        arguments = embeds_arguments(module)
        if arguments:
            found.append((module, arguments))
        else:
            for child in module.children():
                descend(child)

    descend(model)
    return list({id(module): (module, arguments) for module, arguments in found}.values())
