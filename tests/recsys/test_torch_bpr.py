"""BPR through autograd gives the kernel's updates, and draws negatives by the same law."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from recsys_data import planted
from scipy.stats import chi2

from torchsse.data import Ratings
from torchsse.errors import ConfigError
from torchsse.recsys import BPR
from torchsse.recsys.bpr_sgd import BPRKernelTrainer, RankingRates, pairs_of
from torchsse.recsys.factors import Factors
from torchsse.recsys.kernels import bpr
from torchsse.recsys.kernels.draw import swaps
from torchsse.recsys.kernels.negatives import seen_pairs
from torchsse.recsys.torch_bpr import TorchBPRTrainer
from torchsse.transition import build_law

ALPHA = 1e-6
RANK, WIDTH = 12, 16
DATA = planted(n=250)
SEEN = DATA.to_csr()
SEEN.sort_indices()
SIZES = DATA.num_users, DATA.num_items
PAIRS = [x.astype(np.int64) for x in SEEN.nonzero()]


def rates(p0: float = 0.0, biases: bool = True, hard: bool = False, count: int = 3) -> RankingRates:
    return RankingRates(lambda epoch: 0.05, p0, p0, True, count, hard, 0.08, 0.02, 0.0, biases, 4)


def trainer(tables: Factors, settings: RankingRates, batch: int = 1) -> TorchBPRTrainer:
    laws = build_law(SIZES[0]), build_law(SIZES[1])
    columns = (*PAIRS, SEEN.indptr.astype(np.int64), SEEN.indices)
    return TorchBPRTrainer(tables, *columns, laws, settings, RANK, batch, "cpu")


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("p0", [0.0, 0.4])
@pytest.mark.parametrize("hard", [True, False])
def test_batch_of_one_is_the_kernel(biases, p0, hard) -> None:
    """The triplets of one epoch of the kernel, fed to both."""
    settings, count = rates(p0, biases, hard), 3
    start = Factors.initial(*SIZES, RANK, 0.3, 0)
    start.bi[:] = np.random.default_rng(0).normal(size=SIZES[1])
    one, two = start.copy(), start.copy()
    seen = seen_pairs(SEEN.indptr, SEEN.indices, SIZES[1])
    n = 80
    samples = n if hard else n * count
    ids = [np.empty(m, np.uint64) for m in (samples, samples, n * count)]
    laws = (swaps(build_law(size), p0) for size in SIZES)
    bpr.plan()(
        pairs_of(*(ids[::3][:n] for ids in PAIRS)),
        count,
        hard,
        seen,
        *laws,
        True,
        *(np.uint64(s) for s in (1, 2, 3)),
        *ids,
    )
    f = np.float32
    words = f(0.05), f(0.05 * 0.08), f(0.05 * 0.02), biases, np.uint64(0), f(1)
    total = bpr.given(WIDTH)(*ids, count, hard, one.P, one.Q, one.bi, *words, np.uint64(0))
    through, loss = trainer(two, settings), 0.0
    users, items, negatives = (torch.from_numpy(x.astype(np.int64)) for x in ids)
    for q in range(samples):
        u, i, j = users[q : q + 1], items[q : q + 1], negatives[q : q + 1]
        if hard:
            j = through._hardest(u, negatives[None, q * count : (q + 1) * count])
        loss += float(through.step(u, i, j))
    through.store()
    assert total == pytest.approx(loss, rel=1e-4)
    for name, found in two.arrays().items():
        np.testing.assert_allclose(found, one.arrays()[name], rtol=1e-3, atol=2e-5)
    assert not np.allclose(two.Q, start.Q, atol=1e-3)


def test_negatives_are_uniform_over_the_unseen() -> None:
    through, draws = trainer(Factors.initial(*SIZES, RANK, 0.1, 0), rates()), 100_000
    generator = torch.Generator().manual_seed(0)
    values = []
    for user in range(SIZES[0]):
        unseen = SEEN[user].toarray()[0] == 0
        found = through.negatives(torch.full((draws,), user), generator).bincount(minlength=SIZES[1]).numpy()
        assert len(found) == SIZES[1]
        assert not found[~unseen].any()
        expected = draws / unseen.sum()
        values.append(chi2.sf(((found[unseen] - expected) ** 2 / expected).sum(), unseen.sum() - 1))
        # the control: were one item of the support never drawn
        fewer = found[unseen].copy()
        fewer[0] = 0
        assert chi2.sf(((fewer - expected) ** 2 / expected).sum(), unseen.sum() - 1) < ALPHA
    assert min(values) > ALPHA


def trained() -> Factors:
    tables = Factors.initial(*SIZES, RANK, 0.1, 0)
    seen, never = seen_pairs(SEEN.indptr, SEEN.indices, SIZES[1]), [swaps(build_law(size), 0.0) for size in SIZES]
    settings = replace(rates(), weight_decay=0.01, learning_rate=lambda epoch: 0.1)
    warm = BPRKernelTrainer(tables, pairs_of(*PAIRS), seen, *never, settings, 1)
    for epoch in range(30):
        warm.epoch(epoch)
    return tables


def objective(backend: str, tables: Factors, runs: int = 40, **words: Any) -> np.ndarray:
    """Loss of an epoch at a vanishing rate, over seeds: an estimate of the SSE objective (Eq. 4)."""
    seen, found = seen_pairs(SEEN.indptr, SEEN.indices, SIZES[1]), []
    for seed in range(runs):
        settings = replace(rates(), **words, seed=seed, learning_rate=lambda epoch: 1e-9)
        chosen: Any
        if backend == "torch":
            chosen = trainer(tables.copy(), settings, 512)
        else:
            laws = [swaps(build_law(size), 0.0) for size in SIZES]
            chosen = BPRKernelTrainer(tables.copy(), pairs_of(*PAIRS), seen, *laws, settings, 1)
        found.append(chosen.epoch(0))
    return np.array(found)


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"p0_user": 0.5},
        {"p0_item": 0.5, "swap_negatives": False},
        {"p0_item": 0.5, "swap_negatives": True},
        {"dropout": 0.3},
        {"p0_user": 0.2, "p0_item": 0.2, "dropout": 0.2},
    ],
)
@pytest.mark.parametrize("hard", [True, False])
def test_objectives_agree_under_swaps_and_dropout(words, hard) -> None:
    tables = trained()
    one, two = (objective(backend, tables, hard_negatives=hard, **words) for backend in ("kernel", "torch"))
    spread = np.sqrt((one.var(ddof=1) + two.var(ddof=1)) / len(one))
    assert abs(one.mean() - two.mean()) < 4.9 * spread  # alpha 1e-6
    # the control: without them, or with the other kind of negatives, it is another number
    other = {"hard_negatives": hard} if words else {"hard_negatives": not hard}
    assert abs(one.mean() - objective("kernel", tables, 4, **other).mean()) > 4.9 * spread


def test_unusable_settings() -> None:
    with pytest.raises(ConfigError, match="device: torch cannot use 'nonsense'"):
        BPR(device="nonsense").fit(DATA)
    with pytest.raises(ConfigError, match="backend='kernel'"):
        BPR(device="cuda", backend="kernel")
    everything = Ratings.from_arrays([1, 1], [1, 2])
    assert BPR(backend="torch", epochs=2).fit(everything).history_[-1]["train_loss"] == 0
