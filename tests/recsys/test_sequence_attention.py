"""Dropped attention against its definition, its gradient, and the law of what is dropped."""

from __future__ import annotations

import math

import pytest
import torch
from coins import key_after, mask_of_attention
from scipy import stats
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from torchsse.recsys.kernels.drop import SIDES
from torchsse.recsys.sequence.attention import Attention, _Dropped
from torchsse.recsys.sequence.encode import threads
from torchsse.recsys.sequence.layout import Group

GROUPS = [Group(0, 2, 130), Group(260, 1, 64), Group(324, 3, 5), Group(339, 1, 1)]
SLOTS = 340
ALPHA = 1e-6


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slow(qkv: Tensor, heads: int, threshold: int, generator: torch.Generator) -> Tensor:
    """From the definition, in float64, one softmax over all places, what lies ahead masked."""
    width = qkv.shape[1] // 3
    found = []
    for start, rows, length in GROUPS:
        part = qkv[start : start + rows * length].double().reshape(rows, length, 3, heads, width // heads)
        q, k, v = part.permute(2, 0, 3, 1, 4).unbind()
        ahead = torch.ones(length, length, dtype=torch.bool).triu(1)
        share = (q @ k.mT / math.sqrt(width // heads)).masked_fill(ahead, -torch.inf).softmax(-1)
        mask = mask_of_attention(key_after(generator), rows * heads, length, threshold).view(share.shape)
        mixed = (share * mask * SIDES / (SIDES - threshold)) @ v
        found.append(mixed.transpose(1, 2).reshape(rows * length, width))
    return torch.cat(found)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_equal_to_the_definition_with_its_gradient(heads: int, dtype: torch.dtype, tolerance: float) -> None:
    qkv = torch.randn(SLOTS, 24, generator=seeded(0)).to(dtype)
    weight = torch.randn(SLOTS, 8, generator=seeded(1)).to(dtype)
    attention = Attention(heads, 0.3).train()
    attention.generator = seeded(2)
    mine, theirs = (qkv.clone().requires_grad_() for _ in range(2))
    got = attention(mine, GROUPS)
    expected = slow(theirs, heads, round(0.3 * SIDES), seeded(2))
    assert got.dtype == dtype
    torch.testing.assert_close(got.double(), expected, atol=tolerance, rtol=tolerance)
    for out in (got, expected):
        (out * weight.to(out.dtype)).sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad, atol=tolerance, rtol=tolerance)
    other = slow(qkv, heads, round(0.3 * SIDES), seeded(3))  # the control: other coins
    assert not torch.allclose(got.double(), other, atol=5 * tolerance, rtol=5 * tolerance)


def test_threads_change_nothing() -> None:
    """Coins follow from places, so that parts may be taken side by side."""
    qkv = torch.randn(SLOTS, 24, generator=seeded(0))
    attention, found = Attention(2, 0.3).train(), []
    for count in (1, 3):
        with threads(count):
            attention.generator, mine = seeded(2), qkv.clone().requires_grad_()
            out = attention(mine, GROUPS)
            out.sum().backward()
            found.append((out, mine.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_without_dropout_it_is_torchs() -> None:
    qkv = torch.randn(SLOTS, 12, generator=seeded(0))
    expected = Attention(2)(qkv, GROUPS)
    assert torch.equal(Attention(2, 0.5).eval()(qkv, GROUPS), expected)
    assert torch.equal(Attention(2, 1e-9)(qkv, GROUPS), expected)  # rounds to 0
    assert not torch.allclose(Attention(2, 0.5)(qkv, GROUPS), expected)
    q = torch.randn(3, 70, 4, generator=seeded(1))
    mine = _Dropped.apply(torch.cat([q, q, q], 2).view(210, 12), [Group(0, 3, 70)], 1, 0, None).view(3, 70, 4)
    torch.testing.assert_close(mine, scaled_dot_product_attention(q, q, q, is_causal=True), atol=1e-5, rtol=1e-4)


def test_weights_are_dropped_apart_with_their_chance_and_scaled() -> None:
    """Keys alike and values one-hot: a place puts out its dropped weights times how many there are."""
    length, rows, p = 8, 4000, 0.3
    v = torch.eye(length).expand(rows, length, length)
    qkv = torch.cat([torch.zeros(rows, length, 2 * length), v], 2).view(rows * length, 3 * length)
    out = _Dropped.apply(qkv, [Group(0, rows, length)], 1, round(p * SIDES), seeded(4)).view(rows, length, length)
    past = torch.ones(length, length).tril()
    weights = out * past.sum(1)[:, None]
    assert (weights[:, past == 0] == 0).all()
    left = weights[:, past == 1]
    assert torch.unique(left.round(decimals=3)).tolist() == pytest.approx([0.0, 1 / (1 - p)], abs=1e-3)
    gone = int((left == 0).sum())
    assert stats.binomtest(gone, left.numel(), p).pvalue > ALPHA
    assert stats.binomtest(gone, left.numel(), p + 0.02).pvalue < ALPHA, "the control"
    both = (left[:, ::2] == 0) & (left[:, 1::2] == 0)
    assert stats.binomtest(int(both.sum()), both.numel(), p * p).pvalue > ALPHA


def test_certain_dropout_leaves_finite_numbers() -> None:
    attention = Attention(1, 1.0)
    qkv = torch.randn(SLOTS, 12, generator=seeded(0)).requires_grad_()
    out = attention(qkv, GROUPS)
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert torch.isfinite(qkv.grad).all()


def test_large_scores_are_no_overflow_and_nan_is_seen() -> None:
    qkv = 200.0 * torch.randn(SLOTS, 12, generator=seeded(0))
    attention = Attention(1, 0.2).train()
    assert torch.isfinite(attention(qkv, GROUPS)).all()
    for bad in (torch.nan, torch.inf):
        broken = qkv.clone()
        broken[270, 2] = bad  # a query of the second group
        out = attention(broken, GROUPS)
        assert out[270].isnan().all()
        assert torch.isfinite(out[:260]).all()


def test_it_has_no_second_derivative_and_says_so() -> None:
    qkv = torch.randn(SLOTS, 12, generator=seeded(0)).requires_grad_()
    (grad,) = torch.autograd.grad((Attention(1, 0.2).train()(qkv, GROUPS) ** 2).sum(), qkv, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        grad.sum().backward()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_other_numbers_go_by_torch(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    qkv = torch.randn(SLOTS, 12, generator=seeded(0)).to(dtype).requires_grad_()
    out = Attention(1, 0.2).train()(qkv, GROUPS)
    assert out.dtype == dtype
    out.sum().backward()
    assert not torch.allclose(out, Attention(1, 0.2).eval()(qkv, GROUPS))
