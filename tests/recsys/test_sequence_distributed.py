"""Two processes that share each batch take the steps of one."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

WORDS = {"hidden": 8, "max_length": 12, "batch_size": 14, "epochs": 2, "dropout": 0.0, "loss": "softmax"}


def fit(**words):
    from sequence_data import markov

    from torchsse.data.sequence_split import leave_last_out
    from torchsse.recsys import SASRec

    parts = leave_last_out(markov(num_users=57, length=16)[0])  # the last batch has one user: a process without a share
    return SASRec(**{**WORDS, **words}).fit(parts.train, parts.validation)


def work(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    for name, words in (("plain", {}), ("swapped", {"p0_input": 0.3, "p0_output": 0.3, "dropout": 0.2, "loss": "bce"})):
        model = fit(**words, checkpoint=f"{folder}/run-{name}")
        np.savez(f"{folder}/{name}{rank}.npz", *[p.detach().numpy() for p in model.network.parameters()])
        (Path(folder) / f"{name}{rank}.txt").write_text(repr([i["train_loss"] for i in model.history_]))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="needs torch.distributed")
def test_two_processes_take_the_steps_of_one(tmp_path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(work, (port, str(tmp_path)), nprocs=2)
    one = fit()
    arrays = {
        (name, rank): list(np.load(tmp_path / f"{name}{rank}.npz").values())
        for name in ("plain", "swapped")
        for rank in (0, 1)
    }
    for name in ("plain", "swapped"):
        assert all(np.array_equal(a, b) for a, b in zip(arrays[name, 0], arrays[name, 1]))
    for p, shared in zip(one.network.parameters(), arrays["plain", 0]):
        np.testing.assert_allclose(p.detach().numpy(), shared, atol=2e-3)
    losses = [(tmp_path / f"plain{rank}.txt").read_text() for rank in (0, 1)]
    assert losses[0] == losses[1]
    assert eval_list(losses[0]) == pytest.approx([i["train_loss"] for i in one.history_], rel=1e-4)
    # swaps and dropout of the two are drawn apart, and each still ends with the same parameters
    assert not all(np.array_equal(a, b) for a, b in zip(arrays["plain", 0], arrays["swapped", 0]))


def eval_list(text: str) -> list[float]:
    return [float(v) for v in text.strip("[]").split(",")]
