"""The kernel of rotary positions against the plain formula: values, gradients, rounding, what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchsse.recsys.kernels.turn import turn
from torchsse.recsys.sequence.rotary import Turn

# of products and sums in fp32, and half a step of bfloat16 beside them
TOLERANCE = {torch.float32: {"atol": 2e-6, "rtol": 1e-6}, torch.bfloat16: {"atol": 1e-5, "rtol": 2**-7}}


def plainly(turned: Turn, x: torch.Tensor, columns: int) -> torch.Tensor:
    """A head and a pair at a time."""
    out = x.clone()
    half = turned.size // 2
    for start in range(0, columns, turned.size):
        for j in range(start, start + half):
            c, s = turned.cos[:, 0, j - start], turned.sin[:, 0, j - start]
            a, b = x[:, j].float(), x[:, j + half].float()
            out[:, j], out[:, j + half] = a * c - b * s, b * c + a * s
    return out


def made(slots: int, pairs: int, seed: int, dtype: torch.dtype, width: int) -> tuple[Turn, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return (
        Turn(torch.randint(200, (slots,), generator=g), 2 * pairs, 200),
        torch.randn(slots, width, generator=g).to(dtype),
    )


@pytest.mark.parametrize("dtype", TOLERANCE)
@settings(deadline=None)  # the first example compiles
@given(st.integers(0, 20), st.integers(1, 9), st.integers(1, 4), st.integers(0, 5), st.integers(0, 99))
def test_values_are_those_of_the_formula(dtype, slots, pairs, heads, rest, seed) -> None:
    columns = 2 * pairs * heads
    turned, x = made(slots, pairs, seed, dtype, columns + rest)
    expected = plainly(turned, x, columns)
    found = turned.leading(x.clone(), columns)
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected, **TOLERANCE[dtype])
    assert torch.equal(found[:, columns:], x[:, columns:])
    if slots:
        # control: turned the other way it is something else, but for slots that nothing follows
        back = Turn.__new__(Turn)
        back.size, back.cos, back.sin = turned.size, turned.cos, -turned.sin
        still = bool((turned.sin.abs() < 0.1).all())
        assert still or not torch.allclose(plainly(back, x, columns), found, **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_gradients_are_those_of_torch(dtype) -> None:
    turned, x = made(30, 4, 1, dtype, 20)
    weight = torch.randn(30, 20, generator=torch.Generator().manual_seed(2)).to(dtype)
    grads = []
    for of in (turned.leading, lambda y, columns: plainly(turned, y, columns)):
        start = x.clone().requires_grad_()
        (of(start * 1.0, 16) * weight).sum().backward()
        grads.append(start.grad)
    torch.testing.assert_close(*grads, **TOLERANCE[dtype])


def test_gradients_leave_the_incoming_one_alone() -> None:
    turned, x = made(6, 2, 3, torch.float32, 12)
    incoming = torch.randn(6, 12)
    kept = incoming.clone()
    start = x.clone().requires_grad_()
    turned.leading(start * 1.0, 8).backward(incoming)
    assert torch.equal(incoming, kept)


def test_second_derivatives() -> None:
    turned, x = made(3, 2, 4, torch.float32, 6)
    start = x.clone().requires_grad_()
    (first,) = torch.autograd.grad((turned.leading(start * 1.0, 4) ** 3).sum(), start, create_graph=True)
    (found,) = torch.autograd.grad((first**2).sum(), start)
    other = x.clone().requires_grad_()
    (again,) = torch.autograd.grad((plainly(turned, other, 4) ** 3).sum(), other, create_graph=True)
    (expected,) = torch.autograd.grad((again**2).sum(), other)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-4)


def test_every_bfloat16_comes_back_from_a_turn_by_nothing() -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)
    x = np.zeros((1 << 16, 2), np.uint16)
    x[:, 0] = bits
    turn("bfloat16")(
        x, 0, 1 << 16, np.ones((1 << 16, 1), np.float32), np.zeros((1 << 16, 1), np.float32), 2, np.float32(1)
    )
    before, after = (torch.from_numpy(b.view(np.int16).copy()).view(torch.bfloat16) for b in (bits, x[:, 0]))
    torch.testing.assert_close(after, before, rtol=0, atol=0, equal_nan=True)
    assert int(before.isnan().sum()) == 254


def test_halves_round_to_even_as_in_torch() -> None:
    """Numbers of 16 bits times cosines of 8: products on the way between two bfloat16, ties among them."""
    first = torch.arange(128, 256, dtype=torch.float32)
    cos = (1 + torch.arange(256) / 256).float()
    pairs = torch.cartesian_prod(first, cos)
    x = torch.zeros(len(pairs), 2, dtype=torch.bfloat16)
    x[:, 0] = pairs[:, 0]
    numbers = x.view(torch.int16).numpy().view(np.uint16)
    table = pairs[:, 1:].contiguous().numpy()
    turn("bfloat16")(numbers, 0, len(table), table, np.zeros_like(table), 2, np.float32(1))
    product = pairs[:, 0] * pairs[:, 1]
    assert int((product.view(torch.int32) & 0xFFFF == 0x8000).sum()) > 100
    assert torch.equal(x[:, 0], product.to(torch.bfloat16))


def test_what_the_kernel_does_not_take_goes_by_torch() -> None:
    turned, x = made(5, 2, 5, torch.float64, 12)
    torch.testing.assert_close(turned.leading(x, 8), plainly(turned, x, 8), check_dtype=False)
    wide = made(5, 2, 5, torch.float32, 24)[1]
    kept = wide.clone()
    torch.testing.assert_close(turned.leading(wide[:, ::2], 8), plainly(turned, wide[:, ::2], 8))
    assert torch.equal(wide, kept)
