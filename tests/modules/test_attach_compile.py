"""attach and torch.compile: one graph, p0 without recompiling, and hooks that come or go after compilation."""

from __future__ import annotations

import copy
import importlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

from torchsse.modules import SSE, SSESchedule, attach
from torchsse.modules.compiler import forget_compiled

N = 64
IDS = torch.arange(N)
Call = Callable[[Tensor], Tensor]

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


class Model(nn.Module):
    """The output shows which rows were looked up."""

    def __init__(self, padding_idx: int | None = None) -> None:
        super().__init__()
        self.table = nn.Embedding(N, 1, padding_idx=padding_idx)
        self.table.weight.data = torch.arange(float(N)).unsqueeze(1)

    def forward(self, ids: Tensor) -> Tensor:
        return self.table(ids).squeeze(-1) * 1.0


def moved(call: Call) -> int:
    return int((call(IDS) != IDS).sum())


def wrapped(model: nn.Module, **how: Any) -> Call:
    return torch.compile(model, **how)  # type: ignore[return-value]


def in_place(model: nn.Module, **how: Any) -> Call:
    model.compile(**how)
    return model


def in_a_function(model: nn.Module, **how: Any) -> Call:
    """As in a compiled training step, which only closes over the model."""
    return torch.compile(lambda ids: model(ids) + 0, **how)


WAYS = [wrapped, in_place, in_a_function]
needs_compiler = pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")


@pytest.mark.parametrize(
    ("way", "backend"), [*((way, "eager") for way in WAYS), pytest.param(wrapped, "inductor", marks=needs_compiler)]
)
def test_a_hook_added_after_compilation_takes_effect_and_so_does_removal(way: Any, backend: str) -> None:
    model = Model()
    call = way(model, fullgraph=True, backend=backend)
    assert moved(call) == 0  # compiled and run without the hook
    for _ in range(2):  # the second time there is an older graph without the hook to fall back on
        handle = attach(model, {"table": SSE(N, p0=1.0)})
        assert moved(call) == N
        handle.remove()
        assert moved(call) == 0


@pytest.mark.parametrize("way", [wrapped, in_a_function])
def test_control_the_trap_is_there_without_the_reset(way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, torch guards on empty hooks again, and the reset can go."""
    monkeypatch.setattr(importlib.import_module("torchsse.modules.attach"), "forget_compiled", lambda: False)
    model = Model()
    call = way(model, fullgraph=True, backend="eager")
    assert moved(call) == 0
    attach(model, {"table": SSE(N, p0=1.0)})
    assert moved(call) == 0  # silently ignored
    assert moved(model) == N  # though it works in eager mode


def test_nothing_is_dropped_before_the_first_compilation() -> None:
    assert forget_compiled() is False
    other = torch.compile(lambda x: x + 1, backend="eager")
    other(IDS)
    assert forget_compiled() is True
    assert forget_compiled() is False


@pytest.mark.parametrize("padding_idx", [None, 0])
@pytest.mark.parametrize("way", WAYS)
def test_one_graph_whatever_p0_does(way: Any, padding_idx: int | None) -> None:
    """One compilation in all through: p0 by handle, by SSE, by schedule, paused. fullgraph=True raises on a break."""
    counter = CompileCounter()
    model, sse = Model(padding_idx), SSE(N, p0=1.0)
    handle = attach(model, {"table": sse})
    call = way(model, fullgraph=True, backend=counter)
    everything = N - (padding_idx is not None)
    assert moved(call) == everything
    handle.p0 = 0.0
    assert moved(call) == 0
    sse.p0 = 0.5
    assert 5 < moved(call) < 60
    handle.p0 = 1.0
    with handle.paused():
        assert moved(call) == 0
    assert moved(call) == everything
    schedule = SSESchedule(handle, total_steps=2, decay="linear")
    schedule.step()
    assert 5 < moved(call) < 60
    schedule.step()
    assert moved(call) == 0
    assert counter.frame_count == 1


def test_draws_are_fresh_at_every_call_and_follow_the_seed() -> None:
    model = Model()
    attach(model, {"table": SSE(N, p0=1.0)})
    call = wrapped(model, fullgraph=True, backend="eager")
    torch.manual_seed(0)
    first, second = call(IDS), call(IDS)
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    assert torch.equal(call(IDS), first)


def test_train_and_eval_are_told_apart() -> None:
    model = Model()
    attach(model, {"table": SSE(N, p0=1.0)})
    call = wrapped(model, fullgraph=True, backend="eager")
    assert moved(call) == N
    model.eval()
    assert moved(call) == 0
    model.train()
    assert moved(call) == N


def test_attaching_to_the_compiled_wrapper_uses_the_plain_names() -> None:
    compiled = torch.compile(Model(), backend="eager")
    moved(compiled)  # type: ignore[arg-type]
    for name in ("table", "_orig_mod.table"):
        handle = attach(compiled, {name: SSE(N, p0=1.0)})  # type: ignore[arg-type]
        assert handle.names == ("table",)
        assert moved(compiled) == N  # type: ignore[arg-type]
        handle.remove()
    inner = nn.Sequential(Model())
    inner[0].table = torch.compile(inner[0].table, backend="eager")
    attach(inner, {"0.table": SSE(N, p0=1.0)})
    assert moved(inner) == N


def test_copies_of_a_compiled_model_swap_for_themselves() -> None:
    model = Model()
    handle = attach(model, {"table": SSE(N, p0=1.0)})
    call = wrapped(model, fullgraph=True, backend="eager")
    moved(call)
    twin = copy.deepcopy(model)
    handle.p0 = 0.0
    again = wrapped(twin, fullgraph=True, backend="eager")
    assert (moved(call), moved(again)) == (0, N)


def test_gradients_and_checkpointing_under_compilation() -> None:
    """The recomputed forward must swap as the first did: rows that get a gradient are exactly the rows looked up."""
    from torch.utils.checkpoint import checkpoint

    model = Model()
    attach(model, {"table": SSE(N, p0=0.5)})
    seen = torch.zeros(N)

    def run(ids: Tensor) -> Tensor:
        return checkpoint(lambda ids: model(ids) ** 2, ids, use_reentrant=False)  # type: ignore[no-any-return]

    call = torch.compile(run, fullgraph=True, backend="aot_eager")
    for _ in range(3):
        model.zero_grad()
        out = call(IDS)
        seen = torch.zeros(N).index_add(0, out.detach().sqrt().round().long(), 2 * out.detach().sqrt())
        out.sum().backward()
        assert model.table.weight.grad is not None
        torch.testing.assert_close(model.table.weight.grad.squeeze(1), seen)


def test_embedding_bag_compiles_whole() -> None:
    table = nn.EmbeddingBag(N, 1, mode="sum")
    table.weight.data = torch.arange(float(N)).unsqueeze(1)
    counter = CompileCounter()
    handle = attach(table, {"": SSE(N, p0=1.0)})
    call = torch.compile(lambda ids: table(ids, offsets=torch.arange(N)).squeeze(1), fullgraph=True, backend=counter)
    assert moved(call) == N
    handle.p0 = 0.0
    assert moved(call) == 0
    assert counter.frame_count == 1
