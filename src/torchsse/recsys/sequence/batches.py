"""From packed sequences to the tensors of one step: inputs, targets, who they are of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torchsse.recsys.sequence.layout import Layout, lay_out

__all__ = ["Batch", "Packed", "window_starts"]

Ints = npt.NDArray[np.int64]


def window_starts(indptr: Ints, users: Ints, max_length: int, targets: int) -> tuple[Ints, Ints]:
    """Where the latest `max_length` inputs of each user begin, and how many there are.

    `targets` = 1 leaves the last action out, as a target without a successor; 0 takes it in.
    """
    end = indptr[users + 1] - targets
    count = np.minimum(end - indptr[users], max_length)
    return end - count, count


@dataclass
class Batch:
    """One step's data on the device.

    Attributes:
        layout: where the actions lie.
        slot: `layout.slot` as a tensor.
        left: how many actions follow each slot's, (slots,).
        inputs: item of each action, (T,).
        targets: the item that follows it, (T,), or None.
        rows: the user of each row in the order of the layout, (rows,).
    """

    layout: Layout
    slot: Tensor
    left: Tensor
    inputs: Tensor
    targets: Tensor | None
    rows: Tensor

    def slots(self, values: Tensor, fill: int) -> Tensor:
        """Values of the actions, (T,), in their slots, `fill` in the empty ones."""
        out = torch.full((self.layout.slots,), fill, dtype=torch.int64, device=values.device)
        out[self.slot] = values.long()
        return out

    @property
    def row(self) -> Tensor:
        """`layout.row` as a tensor, (T,)."""
        return torch.from_numpy(self.layout.row).to(self.slot.device)

    def users_of_actions(self, users: Tensor | None = None) -> Tensor:
        """`rows`, or other values per row, for each action, (T,)."""
        return (self.rows if users is None else users)[self.row]

    def users_of_slots(self, users: Tensor) -> Tensor:
        """Values per row for each slot, (slots,)."""
        counts = [g.length for g in self.layout.groups for _ in range(g.rows)]
        return users.repeat_interleave(torch.tensor(counts, device=users.device))


class Packed:
    """Packed sequences on a device, and the batches of them.

    Args:
        indptr: int64, (users + 1,); stays on the host.
        items: int32 codes, in the order of time.
        rows_per_group: sequences that are padded to a common length.
    """

    def __init__(
        self, indptr: Ints, items: npt.NDArray[np.int32], max_length: int, device: torch.device, rows_per_group: int
    ) -> None:
        self.indptr, self.max_length, self.device, self._rows = indptr, max_length, device, rows_per_group
        self.items = torch.from_numpy(np.array(items, dtype=np.int64)).to(device)

    def batch(self, users: Ints, targets: bool = True, back: Ints | None = None) -> Batch:
        """The latest actions of users who have at least one (with targets: two); those before the last `back`."""
        start, count = window_starts(self.indptr, users, self.max_length, int(targets))
        if back is not None:
            start = start - back
        layout = lay_out(count, self._rows)
        where = start[layout.order][layout.row] + (count[layout.order][layout.row] - 1 - layout.left)
        index, slot, left = (torch.from_numpy(a).to(self.device) for a in (where, layout.slot, layout.left))
        padded = torch.zeros(layout.slots, dtype=torch.int64, device=self.device)
        padded[slot] = left
        return Batch(
            layout=layout,
            slot=slot,
            left=padded,
            inputs=self.items[index],
            targets=self.items[index + 1] if targets else None,
            rows=torch.from_numpy(users[layout.order]).to(self.device),
        )
