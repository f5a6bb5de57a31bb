"""Dropped attention against its definition, its gradient, and the law of what is dropped."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from torchsse.recsys.sequence.attention import Attention, _Dropped
from torchsse.recsys.sequence.dropout import SIDES, kept
from torchsse.recsys.sequence.layout import Group

GROUPS = [Group(0, 2, 130), Group(260, 1, 64), Group(324, 3, 5), Group(339, 1, 1)]
SLOTS = 340
ALPHA = 1e-6


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def coins_of(length: int, batch: int, threshold: int, generator: torch.Generator) -> Tensor:
    """The mask of a group, with the tiles' coins in the order they are drawn."""
    mask = torch.zeros(batch, length, length, dtype=torch.bool)
    for start in range(0, length, 64):
        end = min(start + 64, length)
        mask[:, start:end, :end] = kept((batch, end - start, end), threshold, generator)
    return mask


def slow(qkv: Tensor, heads: int, threshold: int, generator: torch.Generator) -> Tensor:
    """From the definition, one softmax over all places, what lies ahead masked."""
    width = qkv.shape[1] // 3
    found = []
    for start, rows, length in GROUPS:
        part = qkv[start : start + rows * length].reshape(rows, length, 3, heads, width // heads)
        q, k, v = part.permute(2, 0, 3, 1, 4).unbind()
        ahead = torch.ones(length, length, dtype=torch.bool).triu(1)
        share = (q @ k.mT / math.sqrt(width // heads)).masked_fill(ahead, -torch.inf).softmax(-1)
        mask = coins_of(length, rows * heads, threshold, generator).view(share.shape)
        mixed = (share * mask * SIDES / (SIDES - threshold)) @ v
        found.append(mixed.transpose(1, 2).reshape(rows * length, width))
    return torch.cat(found)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_equal_to_the_definition_with_its_gradient(heads: int) -> None:
    qkv = torch.randn(SLOTS, 24, dtype=torch.float64, generator=seeded(0))
    weight = torch.randn(SLOTS, 8, dtype=torch.float64, generator=seeded(1))
    attention = Attention(heads, 0.3).train()
    attention.generator = seeded(2)
    mine, theirs = (qkv.clone().requires_grad_() for _ in range(2))
    got = attention(mine, GROUPS)
    expected = slow(theirs, heads, round(0.3 * SIDES), seeded(2))
    torch.testing.assert_close(got, expected)
    for out in (got, expected):
        (out * weight).sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad)
    other = slow(qkv, heads, round(0.3 * SIDES), seeded(3))  # the control: other coins
    assert not torch.allclose(got, other)


def test_without_dropout_it_is_torchs() -> None:
    qkv = torch.randn(SLOTS, 12, generator=seeded(0))
    expected = Attention(2)(qkv, GROUPS)
    assert torch.equal(Attention(2, 0.5).eval()(qkv, GROUPS), expected)
    assert torch.equal(Attention(2, 1e-9)(qkv, GROUPS), expected)  # rounds to 0
    assert not torch.allclose(Attention(2, 0.5)(qkv, GROUPS), expected)
    q = torch.randn(3, 70, 4, generator=seeded(1))
    torch.testing.assert_close(
        _Dropped.apply(q, q, q, 0, None), scaled_dot_product_attention(q, q, q, is_causal=True), atol=1e-5, rtol=1e-4
    )


def test_weights_are_dropped_apart_with_their_chance_and_scaled() -> None:
    """Keys alike and values one-hot: a place puts out its dropped weights times how many there are."""
    length, rows, p = 8, 4000, 0.3
    k = torch.zeros(rows, length, length)
    v = torch.eye(length).expand(rows, length, length)
    out = _Dropped.apply(k, k, v, round(p * SIDES), seeded(4))
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
