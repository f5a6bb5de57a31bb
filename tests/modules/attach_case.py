"""Models that the tests of attach hook."""

from __future__ import annotations

import torch
from torch import Tensor, nn

N = 200


class Tower(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.user = nn.Embedding(N, 3)
        self.item = nn.Embedding(N, 3, padding_idx=0)
        self.head = nn.Linear(3, 1)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        return (self.user(user) * self.item(item)).sum(-1)


class Identity(nn.Module):
    """Holds a table whose rows are their own ids, so that the output shows which rows were looked up."""

    def __init__(self, n: int = N, padding_idx: int | None = None) -> None:
        super().__init__()
        self.table = nn.Embedding(n, 1, padding_idx=padding_idx)
        self.table.weight.data = torch.arange(float(n)).unsqueeze(1)

    def forward(self, ids: Tensor) -> Tensor:
        return self.table(ids).squeeze(-1).long()


def fired(model: nn.Module, ids: Tensor) -> bool:
    """Whether the model looks up other rows than it was given; at p0 = 1 every id moves."""
    return not torch.equal(model(ids), ids)
