"""attach under torch.distributed: DDP, fully_shard, and ranks seeded alike. Two gloo processes on the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed"),
]

PRELUDE = """
import copy, os, sys, warnings
import torch, torch.distributed as dist
from torch import nn
from torchsse.errors import TorchsseWarning
from torchsse.modules import SSE, SSESchedule, attach

torch.set_num_threads(1)
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
N = 500

class Model(nn.Module):
    def __init__(self, sparse=False):
        super().__init__()
        self.table = nn.Embedding(N, 2, padding_idx=0, sparse=sparse)
        self.head = nn.Linear(2, 1)
        self.seen = None
    def forward(self, ids):
        return self.head(self.table(ids))

def watch(model):
    seen = []
    model.table.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    return seen

def gathered(tensor):
    out = [torch.empty_like(tensor) for _ in range(2)]
    dist.all_gather(out, tensor)
    return out
"""


def run_ranks(tmp_path: Path, code: str) -> list[str]:
    """Run `code` as two ranks; each rank's output. Fails with what a failing rank said."""
    script = tmp_path / "rank.py"
    script.write_text(PRELUDE + code + "\ndist.destroy_process_group()\n")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    ranks = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(tmp_path / "store")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=120) for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    for process, (_, said) in zip(ranks, outputs, strict=True):
        assert process.returncode == 0, said
    return [out for out, _ in outputs]


DDP = """
from torch.nn.parallel import DistributedDataParallel as DDP
warnings.simplefilter("error", TorchsseWarning)
for sparse in (False, True):
    for before in (True, False):  # attach before wrapping, or to the wrapper
        torch.manual_seed(7)
        model = Model(sparse)
        torch.manual_seed(10 * sparse + 20 * before + rank)
        seen = watch(model)
        sse = SSE(N, p0=0.5)
        if before:
            handle = attach(model, {"table": sse})
            ddp = DDP(model)
        else:
            ddp = DDP(model)
            handle = attach(ddp, {"module.table": sse})
        optimizer = torch.optim.SGD(ddp.parameters(), lr=0.1)
        ids = torch.arange(1, N)
        seen.clear()
        for _ in range(3):
            ddp(ids).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        one, two = gathered(seen[0])
        changed = (one != ids).sum().item()
        assert 150 < changed < 350, changed
        assert not torch.equal(one, two), "ranks seeded apart must draw apart"
        a, b = gathered(model.table.weight.detach())
        assert torch.equal(a, b), "DDP keeps the replicas equal"
        assert list(ddp.state_dict()) == ["module.table.weight", "module.head.weight", "module.head.bias"]
        handle.remove()
        assert torch.equal((ddp(ids), seen[-1])[1], ids)
"""

FULLY_SHARD = """
from torch.distributed.fsdp import fully_shard
warnings.simplefilter("error", TorchsseWarning)
from torch.distributed.device_mesh import init_device_mesh
mesh = init_device_mesh("cpu", (2,))
for before in (True, False):
    torch.manual_seed(7)
    model = Model()
    torch.manual_seed(20 * before + rank)
    seen = watch(model)
    sse = SSE(N, p0=0.5)
    if before:
        handle = attach(model, {"table": sse})
    fully_shard(model.table, mesh=mesh)
    fully_shard(model, mesh=mesh)
    if not before:
        handle = attach(model, {"table": sse})
    ids = torch.arange(1, N)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(ids).sum().backward()
    optimizer.step()
    assert 150 < (seen[0] != ids).sum().item() < 350
    assert not (seen[0] == 0).any()
    assert list(model.state_dict()) == ["table.weight", "head.weight", "head.bias"]
    handle.remove()
    model(ids)
    assert torch.equal(seen[-1], ids)
"""

SEEDS = """
def warned(seed):
    torch.manual_seed(seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        attach(Model(), {"table": SSE(N, p0=0.1)})
    return sum(issubclass(w.category, TorchsseWarning) and "same seed" in str(w.message) for w in caught)

def total(count):
    counts = torch.tensor(count)
    dist.all_reduce(counts)
    return counts.item()

assert total(warned(3)) == 1, "the second of two equal ranks warns"
assert total(warned(3 + rank)) == 0, "control: seeded apart"
assert total(warned(8 - rank)) == 0
if rank == 1:
    warned(5)  # only one rank attaches: must not hang
"""


def test_ddp_fully_shard_and_seeds(tmp_path: Path) -> None:
    """DDP trains replicas alike on draws of their own; sharded tables swap; equal seeds warn, nobody waits."""
    code = "\n".join([DDP, FULLY_SHARD, SEEDS, "print('done')"])
    assert [out.strip() for out in run_ranks(tmp_path, code)] == ["done", "done"]
