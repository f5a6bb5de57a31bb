"""attach on nn.EmbeddingBag: whichever way ids, offsets and weights come."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchsse.modules import SSE, attach

N = 50
IDS = torch.arange(N).repeat(4)
OFFSETS = torch.arange(0, 200, 8)
WEIGHTS = torch.rand(200)


def bag(**settings: Any) -> nn.EmbeddingBag:
    torch.manual_seed(0)
    return nn.EmbeddingBag(N, 3, **settings)


CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]] = {
    "2-D": ((IDS.view(25, 8),), {}, {"mode": "mean"}),
    "2-D by keyword": ((), {"input": IDS.view(25, 8)}, {"mode": "mean"}),
    "offsets by position": ((IDS, OFFSETS), {}, {"mode": "max"}),
    "offsets by keyword": ((IDS,), {"offsets": OFFSETS}, {"mode": "sum"}),
    "all by keyword": ((), {"input": IDS, "offsets": OFFSETS}, {"mode": "sum"}),
    "weights": ((IDS,), {"offsets": OFFSETS, "per_sample_weights": WEIGHTS}, {"mode": "sum"}),
    "weights by position": ((IDS, OFFSETS, WEIGHTS), {}, {"mode": "sum"}),
    "last offset": ((IDS,), {"offsets": torch.cat([OFFSETS, torch.tensor([200])])}, {"include_last_offset": True}),
    "int32": ((IDS.int(),), {"offsets": OFFSETS.int()}, {"mode": "sum"}),
    "sparse": ((IDS,), {"offsets": OFFSETS}, {"mode": "sum", "sparse": True}),
    "padding": ((IDS,), {"offsets": OFFSETS}, {"mode": "sum", "padding_idx": 2}),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_bag_sees_the_swapped_ids_and_everything_else_as_given(name: str) -> None:
    args, kwargs, settings = CALLS[name]
    plain, hooked = bag(**settings), bag(**settings)
    given: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    attach(hooked, {"": SSE(N, p0=1.0)})
    hooked.register_forward_hook(lambda module, args, kwargs, output: given.append((args, kwargs)), with_kwargs=True)
    out = hooked(*args, **kwargs)
    assert out.shape == plain(*args, **kwargs).shape
    assert not torch.allclose(out, plain(*args, **kwargs))
    (seen, named) = given[0]
    ids = seen[0] if seen else named["input"]
    before = args[0] if args else kwargs["input"]
    assert ids.shape == before.shape
    assert ids.dtype == before.dtype
    padding = settings.get("padding_idx", -1)
    assert torch.equal(ids != before, before != padding)
    assert not (ids[before != padding] == padding).any()
    rest = [*seen[1:], *(value for key, value in named.items() if key != "input")]
    expected = [*args[1:], *(value for key, value in kwargs.items() if key != "input")]
    assert len(rest) == len(expected)
    assert all(a is b for a, b in zip(rest, expected, strict=True))
    torch.testing.assert_close(out, plain(*seen, **named))
    out.sum().backward()
    assert hooked.weight.grad is not None
    assert hooked.weight.grad.is_sparse == settings.get("sparse", False)


def test_eval_and_removal() -> None:
    hooked = bag()
    handle = attach(hooked, {"": SSE(N, p0=1.0)})
    expected: Tensor = bag()(IDS, OFFSETS)
    assert torch.equal(hooked.eval()(IDS, offsets=OFFSETS), expected)
    handle.remove()
    assert torch.equal(hooked.train()(IDS, offsets=OFFSETS), expected)
