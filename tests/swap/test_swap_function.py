"""`swap`: shapes, dtypes, freshness, range checks, reproducibility."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from torchsse.errors import IdRangeError, IdTypeError
from torchsse.graph import Graph
from torchsse.modules.sse import SSE
from torchsse.swap import swap
from torchsse.swap.check import _BLOCK, checked_copy
from torchsse.swap.plain import swap_plain
from torchsse.transition import Walk

SIZE = 30


def graph() -> Graph:
    rng = np.random.default_rng(0)
    source, target = rng.integers(0, SIZE, (2, 80))
    return Graph.from_edges(source, target, num_nodes=SIZE, weight=rng.random(80) * 0.9 + 0.1)


def modules(p0: float = 0.5) -> dict[str, SSE]:
    ring = np.roll(np.eye(SIZE), 1, axis=1)
    return {
        "complete": SSE(SIZE, p0),
        "excluded": SSE(SIZE, p0, exclude=[0, 3]),
        "graph": SSE(SIZE, p0, graph=graph(), rho=20.0),
        "inf": SSE(SIZE, p0, graph=graph(), rho=math.inf),
        "walk": SSE(SIZE, p0, graph=graph(), walk=Walk(2, 0.1, 0.1)),
        "matrix": SSE(SIZE, p0, transition=ring),
    }


NAMES = list(modules())
SHAPES = [(), (0,), (1,), (7,), (3, 0, 2), (2, 3, 4), (5, 1, 1, 2)]


def both(ids: Tensor, sse: SSE) -> list[Tensor]:
    return [swap(ids, sse), swap_plain(ids, sse.law, sse.coin(ids.device), None)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("shape", SHAPES)
def test_shape_dtype_and_freshness(shape: tuple[int, ...], dtype: torch.dtype, name: str) -> None:
    ids = torch.randint(SIZE, shape, dtype=dtype)
    before = ids.clone()
    for out in both(ids, modules()[name]):
        assert out.shape == ids.shape
        assert out.dtype == dtype
        assert out.is_contiguous()
        assert out.device == ids.device
        assert torch.equal(ids, before)
        assert ids.numel() == 0 or out.data_ptr() != ids.data_ptr()
        assert ids.numel() == 0 or (int(out.min()) >= 0 and int(out.max()) < SIZE)


@pytest.mark.parametrize("name", NAMES)
def test_non_contiguous_ids_draw_at_their_own_place(name: str) -> None:
    sse = modules(0.3)[name]
    base = torch.randint(SIZE, (60, 40))
    for view in (base.t(), base[::2, 1::3], base.flip(0), base[:, :1].expand(60, 5), base.unfold(1, 8, 4)):
        before = view.clone()
        want = swap(view.contiguous(), sse, torch.Generator().manual_seed(5))
        got = swap(view, sse, torch.Generator().manual_seed(5))
        assert torch.equal(got, want)
        assert got.is_contiguous()
        assert torch.equal(view, before)


def test_large_input_takes_the_blocked_copy() -> None:
    ids = torch.randint(SIZE, (3 * _BLOCK // 8 + 5,))
    for sse in modules(0.01).values():
        out = swap(ids, sse)
        changed = float((out != ids).double().mean())
        assert changed < 0.02
        assert out.untyped_storage().data_ptr() != ids.untyped_storage().data_ptr()
    out = swap(ids, SSE(SIZE, 0.01))
    out.add_(1)  # writable, and not the input's memory
    assert int(ids.max()) < SIZE


def test_a_kept_output_survives_its_source() -> None:
    out, _ = checked_copy(torch.arange(10**6), 10**6)
    garbage = [np.full(10**6, -1) for _ in range(3)]
    assert torch.equal(out, torch.arange(10**6))
    assert len(garbage) == 3


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (2, 100_000)])
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_checked_copy_is_one_fresh_memory_seen_twice(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    ids = torch.ones(shape, dtype=dtype)
    copy, flat = checked_copy(ids, 2)
    assert copy.shape == ids.shape
    assert copy.dtype == dtype
    assert flat.shape == (ids.numel(),)
    flat[...] = 7
    assert bool((copy == 7).all())
    assert bool((ids == 1).all())


@pytest.mark.parametrize("count", [5, 100_000])
def test_the_output_of_inference_mode_may_be_written_to(count: int) -> None:
    sse, ids = SSE(SIZE, 0.5), torch.zeros(count, dtype=torch.int64)
    with torch.inference_mode():
        out = swap(ids, sse)
        out += 1
    assert int(out.min()) == 1


@pytest.mark.parametrize("count", [5, 100_000])
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("bad", [-1, SIZE, 2**31 - 1, -(2**31)])
def test_out_of_range_is_named_with_its_place(count: int, dtype: torch.dtype, bad: int) -> None:
    ids = torch.zeros(2, count, dtype=dtype)
    ids[1, count - 2] = bad
    for p0 in (0.0, 0.01, 1.0):
        with pytest.raises(IdRangeError, match=rf"0 \.\. 29.* got {bad} at position \[1, {count - 2}\]"):
            swap(ids, SSE(SIZE, p0))


@pytest.mark.parametrize("bad", [2**32, 2**32 + 3, 2**62, -(2**63), 2**63 - 1])
def test_out_of_range_64_bits(bad: int) -> None:
    with pytest.raises(IdRangeError, match=str(bad)):
        swap(torch.tensor([0, bad]), SSE(SIZE, 0.5))


def test_out_of_range_scalar_and_view() -> None:
    with pytest.raises(IdRangeError, match=r"position \[\]"):
        swap(torch.tensor(SIZE), SSE(SIZE, 0.5))
    view = torch.full((4, 3), SIZE - 1).t()
    swap(view, SSE(SIZE, 0.5))
    view[2, 1] = SIZE
    with pytest.raises(IdRangeError, match=r"position \[2, 1\]"):
        swap(view, SSE(SIZE, 0.5))


@pytest.mark.parametrize("name", NAMES)
def test_plain_path_passes_out_of_range_ids_through(name: str) -> None:
    ids = torch.tensor([-1, SIZE, 2**62, -(2**63), 5] * 200)
    sse = modules(1.0)[name]
    out = swap_plain(ids, sse.law, sse.coin(ids.device), None).view(-1, 5)
    assert torch.equal(out[:, :4], ids.view(-1, 5)[:, :4])
    assert name == "inf" or bool((out[:, 4] != 5).any())
    assert bool(((out[:, 4] >= 0) & (out[:, 4] < SIZE)).all())


@pytest.mark.parametrize(
    "ids",
    [
        torch.zeros(3),
        torch.zeros(3, dtype=torch.float64),
        torch.zeros(3, dtype=torch.bfloat16),
        torch.zeros(3, dtype=torch.bool),
        torch.zeros(3, dtype=torch.uint8),
        torch.zeros(3, dtype=torch.int8),
        torch.zeros(3, dtype=torch.int16),
        torch.zeros(3, dtype=torch.complex64),
        [0, 1],
        np.zeros(3, np.int64),
        1,
        None,
        "ids",
    ],
    ids=lambda ids: str(getattr(ids, "dtype", ids)),
)
def test_wrong_ids_are_refused(ids: object) -> None:
    sse = SSE(5, 0.5)
    for call in (lambda: swap(ids, sse), lambda: sse(ids), lambda: sse.eval()(ids)):  # type: ignore[arg-type]
        with pytest.raises(IdTypeError, match="int32"):
            call()


@pytest.mark.parametrize("name", NAMES)
def test_generator_and_seed_fix_the_draw(name: str) -> None:
    sse, ids = modules()[name], torch.randint(SIZE, (500,))
    first, again, other = (swap(ids, sse, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    state = torch.get_rng_state()
    swap(ids, sse, torch.Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), state)  # a generator of its own leaves the default one alone
    torch.manual_seed(3)
    first = swap(ids, sse)
    second = swap(ids, sse)
    torch.manual_seed(3)
    assert torch.equal(swap(ids, sse), first)
    assert not torch.equal(first, second)


def test_swap_acts_whatever_the_mode() -> None:
    sse, ids = SSE(SIZE, 1.0).eval(), torch.arange(SIZE)
    assert bool((swap(ids, sse) != ids).all())


def test_ids_that_cannot_move_stay() -> None:
    ids = torch.arange(SIZE)
    lonely = Graph.from_edges([0], [1], num_nodes=SIZE)
    stay = [
        SSE(SIZE, 1.0, exclude=range(SIZE)),
        SSE(SIZE, 1.0, exclude=range(1, SIZE)),
        SSE(SIZE, 1.0, graph=lonely, rho=50.0, exclude=range(1, SIZE)),
        SSE(SIZE, 1.0, graph=lonely, rho=math.inf, exclude=[0]),
        SSE(SIZE, 1.0, graph=lonely, walk=Walk(3), exclude=[1]),
        SSE(SIZE, 1.0, graph=lonely, walk=Walk(3, restart=0.5, self_loop=0.5)),
        SSE(SIZE, 1.0, graph=Graph.from_edges([], [], num_nodes=SIZE), rho=math.inf),
        SSE(SIZE, 1.0, graph=Graph.from_edges([], [], num_nodes=SIZE), walk=Walk(1)),
        SSE(SIZE, transition=np.eye(SIZE)),
    ]
    for sse in stay:
        assert sse.law.stays.all()
        for out in both(ids, sse):
            assert torch.equal(out, ids)
            assert out.data_ptr() != ids.data_ptr()
    only_pair = SSE(SIZE, 1.0, graph=lonely, rho=math.inf)
    for out in both(ids, only_pair):
        assert out.tolist() == [1, 0, *range(2, SIZE)]
    assert swap(torch.tensor([0]), SSE(1, 1.0)).tolist() == [0]


def test_excluded_ids_neither_move_nor_appear() -> None:
    sse = SSE(SIZE, 1.0, exclude=[0, 3])
    ids = torch.arange(SIZE).repeat(1000)
    for out in both(ids, sse):
        keep = (ids == 0) | (ids == 3)
        assert torch.equal(out[keep], ids[keep])
        assert not ((out[~keep] == 0) | (out[~keep] == 3)).any()


def test_law_draw_keeps_shape_and_does_not_alias() -> None:
    for name, sse in modules().items():
        ids = torch.randint(SIZE, (4, 5), dtype=torch.int32)
        out = sse.law.draw(ids, torch.Generator().manual_seed(0))
        assert out.shape == ids.shape, name
        assert out.dtype == ids.dtype
    alone = SSE(1, 0.5).law
    ids = torch.zeros(3, dtype=torch.int64)
    assert alone.draw(ids).data_ptr() != ids.data_ptr()
