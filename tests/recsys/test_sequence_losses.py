"""Each loss against a loop over targets and items in float64; negatives against their law."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

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
