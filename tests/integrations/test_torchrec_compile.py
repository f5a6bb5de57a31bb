"""SSE on a KeyedJaggedTensor under torch.compile: one graph, p0 without recompilation, the same features swapped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch

from torchsse import SSE
from torchsse.integrations.torchrec import SSEKeyedJagged

torchrec = pytest.importorskip("torchrec")
KEYS = ["a", "b", "c"]


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def batch(examples: int, seed: int, **more: Any) -> Any:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 6, (3 * examples,), generator=generator)
    values = torch.randint(10, (int(lengths.sum()),), generator=generator)
    return torchrec.KeyedJaggedTensor(KEYS, values=values, lengths=lengths, **more)


def swapped(run: Callable[[Any], Any], kjt: Any, bounds: list[int]) -> list[set[bool]]:
    moved = run(kjt).values() != kjt.values()
    return [set(moved[start:stop].tolist()) for start, stop in pairwise(bounds)]


@pytest.mark.parametrize("shared", [True, False])
def test_one_graph_and_p0_without_recompilation(shared: bool) -> None:
    a, c = SSE(10, 1.0), SSE(20, 1.0)
    module = SSEKeyedJagged({"a": a, "b": a, "c": a} if shared else {"a": a, "c": c})
    graphs = 0

    def backend(graph: Any, _: Any) -> Any:
        nonlocal graphs
        graphs += 1
        return graph.forward

    run = torch.compile(module, fullgraph=True, backend=backend, dynamic=True)
    for seed in range(4):
        bounds = batch(4, seed).offset_per_key()
        expected = [{True}, {True}, {True}] if shared else [{True}, {False}, {True}]
        assert swapped(run, batch(4, seed), bounds) == expected
    before = graphs
    a.p0 = 0.0
    assert swapped(run, batch(4, 0), batch(4, 0).offset_per_key())[0] == {False}
    a.p0 = 1.0
    assert swapped(run, batch(4, 0), batch(4, 0).offset_per_key())[0] == {True}
    assert graphs == before


def test_variable_batch_sizes() -> None:
    module = SSEKeyedJagged({"a": SSE(10, 1.0), "c": SSE(20, 1.0)})
    run = torch.compile(module, fullgraph=True, backend="aot_eager")
    strides = [[2], [1], [3]]
    kjt = batch(2, 0, stride_per_key_per_rank=strides)
    bounds = batch(2, 0, stride_per_key_per_rank=strides).offset_per_key()
    assert swapped(run, kjt, bounds) == [{True}, {False}, {True}]
    assert run(kjt).stride_per_key_per_rank() == strides


def test_eval_is_the_identity() -> None:
    run = torch.compile(SSEKeyedJagged({"a": SSE(10, 1.0)}).eval(), fullgraph=True, backend="eager")
    kjt = batch(2, 0)
    assert torch.equal(run(kjt).values(), kjt.values())


@pytest.mark.slow
def test_inductor() -> None:
    module = SSEKeyedJagged({"a": SSE(10, 1.0), "c": SSE(20, 1.0)})
    run = torch.compile(module, fullgraph=True)
    assert swapped(run, batch(4, 1), batch(4, 1).offset_per_key()) == [{True}, {False}, {True}]
