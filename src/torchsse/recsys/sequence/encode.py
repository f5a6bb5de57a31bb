"""Vectors of the latest histories of many users, in blocks of equal work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch

from torchsse.recsys.sequence.batches import Packed, window_starts
from torchsse.recsys.sequence.network import SequenceNetwork

__all__ = ["encode_histories", "threads"]

#: Slots at a time: activations of a block stay in the cache.
_SLOTS = {"cpu": 1 << 12}
_SLOTS_ELSEWHERE = 1 << 18

Ints = npt.NDArray[np.int64]


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Torch computes on so many threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def encode_histories(
    network: SequenceNetwork, indptr: Ints, items: npt.NDArray[np.int32], users: Ints, table_users: Ints | None = None
) -> npt.NDArray[np.float32]:
    """(len(users), width): what scores the next item of each user; zeros for a user without a history.

    Args:
        network: left in evaluation mode.
        indptr: int64, of the packed histories.
        items: int32 codes, in the order of time.
        users: rows of `indptr`.
        table_users: rows of the user table, with one; default: `users`.
    """
    weight = network.item_embedding.weight
    device = weight.device
    out = np.zeros((len(users), network.norm.normalized_shape[0]), dtype=np.float32)
    known = np.flatnonzero(indptr[users + 1] > indptr[users])
    _, count = window_starts(indptr, users[known], network.max_length, 0)
    known, count = (a[np.argsort(-count, kind="stable")] for a in (known, count))
    budget = _SLOTS.get(device.type, _SLOTS_ELSEWHERE)
    packed = Packed(indptr, items, network.max_length, device, len(users) + 1)
    network.eval()
    start = 0
    with torch.inference_mode():
        while start < len(known):
            part = known[start : start + max(1, budget // int(count[start]))]
            batch = packed.batch(users[part], targets=False)
            per_slot = None
            if network.user_embedding is not None:
                rows = users[part] if table_users is None else table_users[part]
                per_slot = batch.users_of_slots(torch.from_numpy(rows[batch.layout.order]).to(device))
            found = network.encode_last(
                batch.slots(batch.inputs, network.num_items),
                batch.left,
                batch.layout.groups,
                torch.from_numpy(batch.layout.last).to(device),
                per_slot,
            )
            out[part[batch.layout.order]] = found.cpu().numpy()
            start += len(part)
    return out
