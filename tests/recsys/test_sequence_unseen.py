"""Shared negatives without those that a user has: against loops and autograd, up to the estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sequence_data import markov

from torchsse.data.sequence_split import leave_last_out
from torchsse.errors import ConfigError
from torchsse.experiments.sequence_settings import SequenceSettings
from torchsse.recsys import SSEPT, SASRec
from torchsse.recsys.sequence import shared
from torchsse.recsys.sequence.draws import SeenItems
from torchsse.recsys.sequence.losses import sampled_loss

N, D, T = 11, 5, 9
SMALL = {
    "hidden": 16, "max_length": 12, "batch_size": 16, "epochs": 3, "loss": "sampled-softmax", "num_negatives": 12,
    "shared_negatives": True,
}  # fmt: skip


@given(st.lists(st.lists(st.integers(0, 6), max_size=8), min_size=1, max_size=5), st.integers(0, 99))
def test_who_has_what(histories, seed) -> None:
    items = np.array([i for h in histories for i in h], dtype=np.int32)
    if not len(items):
        return
    indptr = np.concatenate([[0], np.cumsum([len(h) for h in histories])]).astype(np.int64)
    g = np.random.default_rng(seed)
    users, asked = g.integers(0, len(histories), 7), g.integers(0, 7, 9)
    found = SeenItems(indptr, items, 7, torch.device("cpu")).of(torch.from_numpy(users), torch.from_numpy(asked))
    assert found.tolist() == [[bool(i in histories[u]) for i in asked] for u in users]


@pytest.mark.parametrize("kind", ["bce", "sampled-softmax"])
@pytest.mark.parametrize("block", [2, 512])
def test_losses_and_gradients(kind, block, monkeypatch) -> None:
    """Every item is a negative once, so the sampled softmax is one over the target and what its user has not."""
    monkeypatch.setattr(shared, "_BLOCK", block)
    g = torch.Generator().manual_seed(0)
    v, w = (torch.randn(n, D, generator=g, dtype=torch.float64).requires_grad_() for n in (T, N))
    y, row, negatives = torch.randint(N, (T,), generator=g), torch.randint(3, (T,), generator=g), torch.randperm(N)
    seen = torch.rand(3, N, generator=g) < 0.4  # of items
    losses = []
    for t in range(T):
        others = [k for k in range(N) if k != int(y[t]) and not seen[row[t], k]]
        s, rest = v[t] @ w[y[t]], torch.stack([v[t] @ w[k] for k in others])
        if kind == "bce":
            losses.append(-s.sigmoid().log() - (1 - rest.sigmoid()).log().sum())
        else:
            losses.append(torch.logsumexp(torch.cat([s[None], rest]), 0) - s)
    expected = torch.stack(losses).mean()
    found = sampled_loss(kind, v, y, negatives, w, N, seen=seen[:, negatives], row=row)
    torch.testing.assert_close(found, expected)
    for ours, theirs in zip(*(torch.autograd.grad(loss, (v, w)) for loss in (found, expected))):
        torch.testing.assert_close(ours, theirs)
    # the control: to leave nothing out is another loss
    assert float(sampled_loss(kind, v, y, negatives, w, N).detach()) > float(found.detach()) + 0.1


@pytest.mark.parametrize("kind", ["bce", "gbce", "sampled-softmax"])
def test_a_user_who_has_every_negative(kind) -> None:
    v, w = torch.randn(4, D).requires_grad_(), torch.randn(N, D).requires_grad_()
    everything, row = torch.ones(1, 3, dtype=torch.bool), torch.zeros(4, dtype=torch.int64)
    loss = sampled_loss(kind, v, torch.full((4,), 7), torch.tensor([1, 2, 7]), w, N, seen=everything, row=row)
    gradients = torch.autograd.grad(loss, (v, w))
    assert all(bool(each.isfinite().all()) for each in (loss, *gradients))
    assert not gradients[1][[1, 2]].any()


@pytest.mark.parametrize("estimator", [SASRec, SSEPT])
@pytest.mark.parametrize("loss", ["gbce", "sampled-softmax"])
def test_fits_learn_nothing_against_what_their_users_have(estimator, loss) -> None:
    """Users have two sets of items: without the word an item of the own set is a negative, with it never."""
    parts = leave_last_out(markov(num_users=60, length=16)[0])
    losses = []
    for exclude in (False, True):
        model = estimator(**{**SMALL, "loss": loss}, dropout=0.0, unseen_negatives=exclude).fit(parts.train)
        losses.append(model.history_[-1]["train_loss"])
    assert losses[1] < losses[0] - 0.05


def test_a_run_with_it_resumes_to_the_bit(tmp_path) -> None:
    parts = leave_last_out(markov(num_users=40, length=16)[0])
    words = {**SMALL, "unseen_negatives": True, "random_window": 0.5, "max_length": 6, "p0_output": 0.1}
    whole = SASRec(**words).fit(parts.train, parts.validation)

    def killed(epoch: int, info: dict[str, Any]) -> bool:
        if epoch == 1:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        SASRec(**words, checkpoint=tmp_path).fit(parts.train, parts.validation, callback=killed)
    rest = SASRec(**words, checkpoint=tmp_path).fit(parts.train, parts.validation)
    assert all(torch.equal(a, b) for a, b in zip(whole.network.parameters(), rest.network.parameters()))


def test_the_full_softmax_has_nothing_to_leave_out() -> None:
    for build in (lambda **w: SASRec(**w), lambda **w: SequenceSettings(**w)):
        with pytest.raises(ConfigError, match="unseen_negatives: softmax is over all items and draws none"):
            build(loss="softmax", unseen_negatives=True)
