"""The kernels of dropout, of numbers of either width and of the exponential, against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from coins import coins, key_after
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from torchsse.recsys.kernels.bits import exp, number
from torchsse.recsys.kernels.drop import SIDES
from torchsse.recsys.sequence.dropout import Dropout
from torchsse.recsys.sequence.encode import threads
from torchsse.recsys.sequence.passes import spread


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@settings(deadline=None, max_examples=30)  # the first example compiles
@given(st.integers(0, 2100), st.integers(1, SIDES - 1), st.integers(0, 99))
def test_the_mask_is_that_of_its_coins(dtype, size, threshold, seed) -> None:
    x = torch.randn(size, generator=torch.Generator().manual_seed(seed)).to(dtype).requires_grad_()
    dropout = Dropout(threshold / SIDES)
    dropout.generator = torch.Generator().manual_seed(seed)
    out = dropout(x)
    key = key_after(torch.Generator().manual_seed(seed))
    mask = torch.tensor(coins(key, 0, size)) >= threshold
    scale = torch.where(mask, SIDES / (SIDES - threshold), 0.0).float()
    expected = (x.detach().float() * scale).to(dtype)
    torch.testing.assert_close(out.detach(), expected)
    out.sum().backward()
    torch.testing.assert_close(x.grad, scale.to(dtype))
    other = torch.tensor(coins(key + 1, 0, size)) >= threshold
    assert size < 100 or min(threshold, SIDES - threshold) < 9000 or not torch.equal(mask, other), "the control"


def test_a_coin_at_the_threshold_is_kept() -> None:
    """The chance is threshold / SIDES to the last coin, which few draws would show."""
    key = key_after(torch.Generator().manual_seed(3))
    for place, coin in enumerate(coins(key, 0, 40)):
        for threshold, kept in ((coin, True), (coin + 1, False)):
            if 0 < threshold < SIDES:
                dropout = Dropout(threshold / SIDES)
                dropout.generator = torch.Generator().manual_seed(3)
                assert bool(dropout(torch.ones(40))[place] > 0) == kept


def test_shapes_and_layouts() -> None:
    x = torch.randn(6, 8)[:, ::2].requires_grad_()
    dropout = Dropout(0.5)
    dropout.generator = torch.Generator().manual_seed(0)
    out = dropout(x)
    assert out.shape == x.shape
    assert set((out / x).detach().round(decimals=4).unique().tolist()) == {0.0, 2.0}
    assert Dropout(0.5)(torch.empty(0, 3)).shape == (0, 3)
    torch.testing.assert_close(Dropout(1.0)(x), torch.zeros(6, 4))


def test_second_derivatives_have_the_same_mask() -> None:
    x = torch.randn(2000).requires_grad_()
    out = Dropout(0.3)(x)
    (grad,) = torch.autograd.grad((out**2).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(grad.sum(), x)
    torch.testing.assert_close(second, 2.0 * (out / x).detach() ** 2)


def test_threads_change_nothing() -> None:
    x, found = torch.randn(50_000), []
    for count in (1, 2, 5):
        dropout = Dropout(0.3)
        dropout.generator = torch.Generator().manual_seed(1)
        with threads(count):
            found.append(dropout(x))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@given(st.integers(0, 5000), st.integers(1, 600), st.integers(1, 6))
def test_parts_cover_everything_once(count, grain, workers) -> None:
    seen = []
    with threads(workers):
        spread(lambda start, stop: seen.append((start, stop)), count, grain)
    seen.sort()
    assert [i for start, stop in seen for i in range(start, stop)] == list(range(count))
    assert all(start % grain == 0 for start, _ in seen)
    assert len(seen) <= max(workers, 1)


def test_what_a_part_raises_is_raised() -> None:
    def work(start: int, stop: int) -> None:
        if start:
            raise ValueError(f"part {start} to {stop}")

    with threads(2), pytest.raises(ValueError, match="part 5 to 10"):
        spread(work, 10)


def test_every_bfloat16_is_loaded_and_stored_as_torch_does() -> None:
    _, load, store = number("bfloat16")
    widen, narrow = (_each(f, t) for f, t in ((load, np.float32), (store, np.uint16)))
    bits = np.arange(1 << 16, dtype=np.uint16)
    plain = torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16)
    torch.testing.assert_close(torch.from_numpy(widen(bits)), plain.float(), rtol=0, atol=0, equal_nan=True)
    back = torch.from_numpy(narrow(widen(bits)).view(np.int16)).view(torch.bfloat16)
    torch.testing.assert_close(back, plain, rtol=0, atol=0, equal_nan=True)
    # between two bfloat16: every 16-bit upper half with the halves, and what lies next to them, below
    low = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    words = ((bits.astype(np.uint32)[:, None] << 16) | low).reshape(-1).view(np.float32)
    words = words[np.isfinite(words)]
    found = torch.from_numpy(narrow(words).view(np.int16)).view(torch.bfloat16)
    torch.testing.assert_close(found, torch.from_numpy(words).to(torch.bfloat16), rtol=0, atol=0)


def test_the_exponential() -> None:
    x = np.concatenate([-np.logspace(-9, math.log10(87.0), 200_001), [0.0]]).astype(np.float32)
    found = _each(exp, np.float32)(x)
    # a product with log2(e) rounds by half of the last place of the power
    allowed = 4e-7 + 1.2e-7 * np.abs(x)
    assert (np.abs(found / np.exp(x.astype(np.float64)) - 1.0) <= allowed).all()
    far = _each(exp, np.float32)(np.array([-100.0, -1e30, -np.inf, np.nan], np.float32))
    assert (far[:3] < 2e-38).all()
    assert (far[:3] >= 0).all()
    assert np.isnan(far[3])


def _each(function, dtype):
    @njit
    def loop(x):
        out = np.empty(len(x), dtype)
        for j in range(len(x)):
            out[j] = function(x[j])
        return out

    return loop
