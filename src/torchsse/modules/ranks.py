"""Are data-parallel ranks seeded apart?"""

from __future__ import annotations

import itertools
import warnings

import torch

from torchsse.errors import TorchsseWarning

__all__ = ["warn_if_ranks_agree"]

_calls = itertools.count()


def warn_if_ranks_agree(device: torch.device) -> None:
    """Warn if another rank of the default process group has attached with the same seed.

    Ranks with equal seeds swap the same positions for the same ids, so that a step sees fewer draws than it seems to.
    The comparison never waits: each rank adds one to a counter in the group's store whose key holds its seed, and
    whoever finds it there already warns (so the first of the equal ranks stays silent). A collective would hang when
    only some ranks attach. The n-th call of one rank is compared with the n-th calls of the others.
    """
    call = next(_calls)
    dist = torch.distributed
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() < 2:
        return
    seed = torch.cuda.initial_seed() if device.type == "cuda" else torch.initial_seed()
    try:
        # No public way to the store of the default group; without one (MPI) there is no cheap comparison.
        store = dist.distributed_c10d._get_default_store()
        same = store.add(f"torchsse/attach/{call}/{device.type}/{seed}", 1)
    except (AttributeError, NotImplementedError, RuntimeError, ValueError):
        return
    if same > 1:
        warnings.warn(
            f"rank {dist.get_rank()} and another rank attached SSE with the same seed {seed}, so they draw the same "
            "swaps: seed data-parallel ranks apart, torch.manual_seed(seed + rank) (tensor-parallel ones alike)",
            TorchsseWarning,
            stacklevel=3,
        )
