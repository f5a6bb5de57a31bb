"""The exponential moving average of a network's parameters over its updates (Polyak averaging)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["Average"]

#: At first the latest ninth of the updates is remembered: a longer memory of the initial values would hold it back.
_WARM_UP = 10


class Average:
    """a <- d a + (1 - d) w after each update; d is `decay`, less at first: at most (1 + n) / (10 + n) after n updates.

    Args:
        network: whose parameters w are averaged; they are never changed but inside `shown`.
        decay: d, 0 < d < 1: about 1 / (1 - d) updates are remembered.

    >>> network = torch.nn.Linear(1, 1, bias=False)
    >>> average = Average(network, decay=0.5)
    >>> for value in (1.0, 3.0):
    ...     _ = torch.nn.init.constant_(network.weight, value)
    ...     average.update()
    >>> with average.shown():
    ...     shown = network.weight.item()
    >>> round(shown, 3), network.weight.item()      # d is 2/11 after one update, 1/4 after two
    (2.416, 3.0)
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._parameters: list[Tensor] = list(network.parameters())
        self.names = [name for name, _ in network.named_parameters()]
        self.values = [parameter.detach().clone() for parameter in self._parameters]
        self.decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters after an update."""
        self.updates += 1
        share = 1.0 - min(self.decay, (1 + self.updates) / (_WARM_UP + self.updates))
        torch._foreach_lerp_(self.values, self._parameters, share)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """The network has the averages inside, and its own parameters again afterwards."""
        own = [parameter.detach().clone() for parameter in self._parameters]
        self.apply()
        try:
            yield
        finally:
            self._put(own)

    def apply(self) -> None:
        """The averages become the network's parameters."""
        self._put(self.values)

    @torch.no_grad()
    def _put(self, values: list[Tensor]) -> None:
        for parameter, value in zip(self._parameters, values, strict=True):
            parameter.copy_(value)
