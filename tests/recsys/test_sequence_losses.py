"""Each loss against a loop over targets and items in float64; negatives against their law."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from torchsse.recsys.sequence import drawn, shared
from torchsse.recsys.sequence.draws import UnseenItems
from torchsse.recsys.sequence.losses import calibration_power, sampled_loss, softmax_loss

N, D, T, K = 11, 5, 9, 4


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x))


def slow(kind: str, v, y, negatives, w, offset=None, calibration=0.75) -> float:
    total = 0.0
    for t in range(len(y)):
        plus = 0.0 if offset is None else float(offset[t])
        s = float(v[t].double() @ w[y[t]].double()) + plus
        row = negatives if negatives.dim() == 1 else negatives[t]
        others = [float(v[t].double() @ w[k].double()) + plus for k in row if negatives.dim() == 2 or k != y[t]]
        if kind == "sampled-softmax":
            mass = math.exp(s) + (N - 1) / len(others) * sum(math.exp(o) for o in others)
            total += math.log(mass) - s
            continue
        alpha = len(row) / (N - 1)
        beta = alpha * (calibration * (1 - 1 / alpha) + 1 / alpha) if kind == "gbce" else 1.0
        total -= beta * log_sigmoid(s) + sum(log_sigmoid(-o) for o in others)
    return total / len(y)


@pytest.fixture
def case():
    g = torch.Generator().manual_seed(0)
    v, w = torch.randn(T, D, generator=g), torch.randn(N + 1, D, generator=g)
    y = torch.randint(N, (T,), generator=g)
    return v, w, y, g


@pytest.mark.parametrize("kind", ["bce", "gbce", "sampled-softmax"])
@pytest.mark.parametrize("shape", [(T, 1), (T, K), (K,)])
@pytest.mark.parametrize("with_offset", [False, True])
def test_sampled_losses(case, kind, shape, with_offset) -> None:
    v, w, y, g = case
    negatives = torch.randint(N, shape, generator=g)
    offset = torch.randn(T, generator=g) if with_offset else None
    found = float(sampled_loss(kind, v, y, negatives, w, N, offset=offset))
    assert found == pytest.approx(slow(kind, v, y, negatives, w, offset), rel=1e-5)


@pytest.mark.parametrize("kind", ["bce", "gbce", "sampled-softmax"])
@pytest.mark.parametrize("with_offset", [False, True])
@pytest.mark.parametrize("block", [2, 512])
def test_gradients_with_shared_negatives(case, kind, with_offset, block, monkeypatch) -> None:
    """Against autograd through a loop over targets; among the negatives are targets, and one twice."""
    monkeypatch.setattr(shared, "_BLOCK", block)
    v, w, y, g = case
    negatives = torch.cat([y[:2], y[:1], torch.randint(N, (K,), generator=g)])
    given = [v.double(), w.double(), torch.randn(T, generator=g).double() if with_offset else None]
    leaves = [each.requires_grad_() for each in given if each is not None]
    power = None if kind == "sampled-softmax" else calibration_power(len(negatives), N, 0.75) if kind == "gbce" else 1.0
    losses = []
    for t in range(T):
        plus = 0.0 if given[2] is None else given[2][t]
        s = given[0][t] @ given[1][y[t]] + plus
        others = torch.stack([given[0][t] @ given[1][k] + plus for k in negatives.tolist() if k != y[t]])
        if power is None:
            losses.append(torch.log(s.exp() + (N - 1) / len(others) * others.exp().sum()) - s)
        else:
            losses.append(-power * s.sigmoid().log() - (1 - others.sigmoid()).log().sum())
    expected = torch.stack(losses).mean()
    found = sampled_loss(kind, given[0], y, negatives, given[1], N, offset=given[2])
    torch.testing.assert_close(found, expected)
    pairs = zip(*(torch.autograd.grad(3 * loss, leaves, allow_unused=True) for loss in (found, expected)))
    for ours, theirs in pairs:
        torch.testing.assert_close(torch.zeros_like(theirs) if ours is None else ours, theirs)
        assert kind == "sampled-softmax" or float(theirs.abs().sum()) > 0


@pytest.mark.parametrize("kind", ["bce", "gbce", "sampled-softmax"])
@pytest.mark.parametrize("with_offset", [False, True])
@pytest.mark.parametrize("chunk", [2, 256])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gradients_with_drawn_negatives(case, kind, with_offset, chunk, dtype, monkeypatch) -> None:
    """Against autograd through a loop over targets; a negative is drawn twice, and one is the target."""
    monkeypatch.setattr(drawn, "_CHUNK", chunk)
    v, w, y, g = case
    negatives = torch.randint(N, (T, K), generator=g)
    negatives[0, 1], negatives[1, 0] = negatives[0, 0], y[1]
    given = [v.to(dtype), w.to(dtype), torch.randn(T, generator=g).to(dtype) if with_offset else None]
    leaves = [each.requires_grad_() for each in given if each is not None]
    power = calibration_power(K, N, 0.75) if kind == "gbce" else 1.0
    losses = []
    for t in range(T):
        plus = 0.0 if given[2] is None else given[2][t]
        s = given[0][t] @ given[1][y[t]] + plus
        others = torch.stack([given[0][t] @ given[1][k] + plus for k in negatives[t].tolist()])
        if kind == "sampled-softmax":
            losses.append(torch.log(s.exp() + (N - 1) / K * others.exp().sum()) - s)
        else:
            losses.append(-power * s.sigmoid().log() - (1 - others.sigmoid()).log().sum())
    expected = torch.stack(losses).mean()
    found = sampled_loss(kind, given[0], y, negatives, given[1], N, offset=given[2])
    close = {} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(found, expected, **close)
    for ours, theirs in zip(*(torch.autograd.grad(3 * loss, leaves) for loss in (found, expected))):
        torch.testing.assert_close(ours, theirs, **close)
        assert kind == "sampled-softmax" or float(theirs.abs().sum()) > 0


def test_scores_too_large_for_exp_stay_finite(case) -> None:
    v, w, y, g = case
    negatives = torch.randint(N, (T, K), generator=g)
    for kind in ("bce", "gbce", "sampled-softmax"):
        leaves = (1000.0 * v).requires_grad_(), w.clone().requires_grad_()
        loss = sampled_loss(kind, leaves[0], y, negatives, leaves[1], N)
        assert all(bool(each.isfinite().all()) for each in (loss, *torch.autograd.grad(loss, leaves)))


@pytest.mark.parametrize("kind", ["bce", "sampled-softmax"])
def test_a_target_that_is_every_shared_negative(case, kind) -> None:
    """Nothing is left to stand for the others: no loss by them, and no nan."""
    v, w, _, _ = case
    v, w = v.requires_grad_(), w.requires_grad_()
    y, negatives = torch.full((T,), 3), torch.full((K,), 3)
    loss = sampled_loss(kind, v, y, negatives, w, N)
    expected = 0.0 if kind == "sampled-softmax" else -float(torch.nn.functional.logsigmoid(v @ w[3]).mean().detach())
    assert float(loss.detach()) == pytest.approx(expected, abs=1e-6)
    assert all(bool(each.isfinite().all()) for each in torch.autograd.grad(loss, (v, w)))


def test_one_negative_is_the_loss_of_sasrec(case) -> None:
    v, w, y, g = case
    negatives = torch.randint(N, (T, 1), generator=g)
    positive, negative = (v * w[y]).sum(1), (v * w[negatives[:, 0]]).sum(1)
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    expected = bce(positive, torch.ones(T)) + bce(negative, torch.zeros(T))
    torch.testing.assert_close(sampled_loss("bce", v, y, negatives, w, N), expected)


def test_all_others_as_negatives_make_the_full_softmax(case) -> None:
    v, w, y, _ = case
    others = torch.tensor([[k for k in range(N) if k != t] for t in y.tolist()])
    torch.testing.assert_close(sampled_loss("sampled-softmax", v, y, others, w, N), softmax_loss(v, y, w[:N]))
    torch.testing.assert_close(sampled_loss("sampled-softmax", v, y, torch.arange(N), w, N), softmax_loss(v, y, w[:N]))


def test_the_uniform_correction_is_needed(case) -> None:
    v, w, _, g = case
    exact = float((v @ w[:N].T).exp().sum(1).log().mean())
    draws = torch.stack([(v @ w[torch.randint(N, (5,), generator=g)].T).exp().sum(1) for _ in range(20_000)]).double()
    corrected = draws.mean(0) * N / 5
    assert float(corrected.log().mean()) == pytest.approx(exact, abs=0.05)
    assert float(draws.mean(0).log().mean()) != pytest.approx(exact, abs=0.5)


def test_calibration_makes_probabilities_those_of_all_negatives() -> None:
    # sigma(s)^beta: at t = 1 the optimum for K of N - 1 negatives is the optimum for all of them
    beta = calibration_power(4, N, 1.0)
    assert beta == pytest.approx(4 / (N - 1))
    assert calibration_power(4, N, 0.0) == pytest.approx(1.0)


def test_softmax_and_its_gradients_in_chunks() -> None:
    g = torch.Generator().manual_seed(1)
    v = torch.randn(1100, D, generator=g, requires_grad=True)
    w = torch.randn(N, D, generator=g, requires_grad=True)
    y = torch.randint(N, (1100,), generator=g)
    expected = torch.autograd.grad(torch.nn.functional.cross_entropy(v @ w.T, y) * 3, (v, w))
    found = torch.autograd.grad(softmax_loss(v, y, w) * 3, (v, w))
    for one, two in zip(found, expected):
        torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-4)


def test_unseen_items_are_uniform() -> None:
    have = [[0, 3, 3], [], list(range(N)), [10, 0, 1]]
    indptr = np.concatenate([[0], np.cumsum([len(h) for h in have])])
    draws = UnseenItems(
        indptr, np.array([item for row in have for item in row], dtype=np.int32), N, torch.device("cpu")
    )
    assert draws.some().tolist() == [True, True, False, True]
    count = 40_000
    found = draws.draw(torch.arange(4), count, torch.Generator().manual_seed(0))
    for user, seen in enumerate(have):
        left = sorted(set(range(N)) - set(seen)) or list(range(N))
        observed = np.bincount(found[user], minlength=N)
        assert set(np.flatnonzero(observed)) == set(left)
        expected = count / len(left)
        # chi-square with at most 10 degrees of freedom: above 40 with a chance below 2e-5
        assert ((observed[left] - expected) ** 2 / expected).sum() < 40
