"""The model through autograd gives the kernel's updates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from recsys_data import planted

from torchsse.recsys import MatrixFactorization
from torchsse.recsys.factors import Factors
from torchsse.recsys.kernels import mf
from torchsse.recsys.kernels.draw import swaps
from torchsse.recsys.sgd import KernelTrainer, Rates, examples_of
from torchsse.recsys.torch_mf import TorchTrainer
from torchsse.transition import build_law

DATA = planted()
RANK, WIDTH = 12, 16


def rates(biases: bool, p0: float) -> Rates:
    return Rates(lambda epoch: 0.05, p0, p0, lambda epoch: 1.0, 0.08, 0.02, 0.0, 3.1 if biases else 0.0, biases, 4)


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("p0", [0.0, 0.2])
def test_batch_of_one_is_the_kernel(biases: bool, p0: float) -> None:
    settings, n = rates(biases, p0), len(DATA)
    laws = build_law(DATA.num_users), build_law(DATA.num_items)
    kernel_tables = Factors.initial(DATA.num_users, DATA.num_items, RANK, 0.1, 0)
    torch_tables = kernel_tables.copy()
    # the swapped ids of one epoch of the kernel, fed to both
    users, items, ratings = np.empty(n, np.uint64), np.empty(n, np.uint64), np.empty(n, np.float32)
    examples = examples_of(DATA.users, DATA.items, DATA.ratings)
    mf.plan()(examples, *(swaps(law, p0) for law in laws), np.uint64(1), np.uint64(2), users, items, ratings)
    f = np.float32
    words = f(settings.mean), f(0.05), f(0.05 * 0.08), f(0.05 * 0.02), biases, np.uint64(0), f(1)
    k = kernel_tables
    total = mf.given(WIDTH)(users, items, ratings, k.P, k.Q, k.bu, k.bi, *words, np.uint64(0))
    trainer = TorchTrainer(torch_tables, DATA.users, DATA.items, DATA.ratings, laws, settings, RANK, 1, "cpu")
    squared = 0.0
    for u, i, r in zip(users.astype(np.int64), items.astype(np.int64), ratings):
        squared += float(trainer.step(torch.tensor([u]), torch.tensor([i]), torch.tensor([r])))
    trainer.store()
    assert total == pytest.approx(squared, rel=1e-4)
    for name, found in torch_tables.arrays().items():
        np.testing.assert_allclose(found, kernel_tables.arrays()[name], rtol=1e-3, atol=2e-5)
    assert not np.allclose(torch_tables.P, Factors.initial(DATA.num_users, DATA.num_items, RANK, 0.1, 0).P, atol=1e-3)


def test_both_backends_end_alike() -> None:
    words = {"factors": RANK, "epochs": 15, "weight_decay": 0.05, "seed": 3}
    kernel = MatrixFactorization(**words, p0_user=0.05, p0_item=0.05).fit(DATA)
    through = MatrixFactorization(**words, p0_user=0.05, p0_item=0.05, backend="torch", batch_size=32).fit(DATA)
    one, two = (m.predict(DATA.raw_users, DATA.raw_items) for m in (kernel, through))
    assert np.corrcoef(one, two)[0, 1] > 0.97
    assert through.history_[-1]["train_rmse"] == pytest.approx(kernel.history_[-1]["train_rmse"], rel=0.05)


def objective(backend: str, p0: float, dropout: float, runs: int = 60) -> np.ndarray:
    """RMSE of a first epoch at a vanishing rate, over seeds: an estimate of the SSE objective (Eq. 4)."""
    laws = build_law(DATA.num_users), build_law(DATA.num_items)
    start = Factors.initial(DATA.num_users, DATA.num_items, RANK, 0.1, 0)
    columns = DATA.users, DATA.items, DATA.ratings
    trained = replace(rates(True, 0.0), learning_rate=lambda epoch: 0.1, weight_decay=0.0)
    never = [swaps(law, 0.0) for law in laws]
    warm = KernelTrainer(start, examples_of(*columns), *never, trained, 1)
    for epoch in range(30):
        warm.epoch(epoch)
    found = []
    for seed in range(runs):
        settings = replace(rates(True, p0), seed=seed, dropout=dropout, learning_rate=lambda epoch: 1e-9)
        trainer: Any
        if backend == "torch":
            trainer = TorchTrainer(start.copy(), *columns, laws, settings, RANK, 512, "cpu")
        else:
            trainer = KernelTrainer(start.copy(), examples_of(*columns), *(swaps(law, p0) for law in laws), settings, 1)
        found.append(trainer.epoch(0))
    return np.array(found)


@pytest.mark.parametrize(("p0", "dropout"), [(0.5, 0.0), (0.0, 0.3), (0.3, 0.3)])
def test_objectives_agree_under_swaps_and_dropout(p0: float, dropout: float) -> None:
    one, two = objective("kernel", p0, dropout), objective("torch", p0, dropout)
    spread = np.sqrt((one.var(ddof=1) + two.var(ddof=1)) / len(one))
    assert abs(one.mean() - two.mean()) < 4.9 * spread  # alpha 1e-6
    # the control: without them it is another number
    assert abs(one.mean() - objective("kernel", 0.0, 0.0, 1)[0]) > 4.9 * spread
