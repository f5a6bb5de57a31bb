"""What the torch paths of the estimators hand to `torchsse.swap`."""

from __future__ import annotations

import torch
from torch import Tensor

from torchsse.swap import Coin
from torchsse.transition import Law

__all__ = ["SwapTable"]


class SwapTable:
    """A law with a coin.

    Args:
        law: where replaced ids go.
        p0: chance that one is replaced.
    """

    def __init__(self, law: Law, p0: float) -> None:
        self.law, self._coin = law, Coin(p0, law.rate)

    @property
    def p0(self) -> float:
        return self._coin.p0

    def coin(self, device: torch.device) -> Tensor:
        return self._coin.threshold(device)
