"""SSE on the ids of a batch: inputs, targets and users, each through `torchsse.swap`."""

from __future__ import annotations

import torch
from torch import Tensor

from torchsse.recsys.sequence.batches import Batch
from torchsse.recsys.swap_table import SwapTable
from torchsse.swap import swap

__all__ = ["swap_coupled", "swap_table"]


def swap_table(ids: Tensor, table: SwapTable | None, generator: torch.Generator) -> Tensor:
    """Swapped ids; the very same tensor without a table or at p0 = 0."""
    return ids if table is None or table.p0 == 0.0 else swap(ids, table, generator)


def swap_coupled(
    batch: Batch, table: SwapTable, certain: SwapTable, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Inputs and targets as the authors' second code moves them.

    One coin for each action: where it falls the input is replaced, and the target by a draw of its own; elsewhere the
    target is the next action's input, replaced or not.

    Args:
        batch: with targets.
        table: with p0.
        certain: the same law at p0 = 1.
        generator: of the device.
    """
    assert batch.targets is not None
    inputs = swap(batch.inputs, table, generator)
    fallen = inputs != batch.inputs
    follows = torch.cat([batch.left.new_tensor([]), inputs[1:], inputs[-1:]])
    last = batch.left[batch.slot] == 0
    targets = torch.where(last, batch.targets, follows)
    return inputs, torch.where(fallen, swap(batch.targets, certain, generator), targets)
