"""Rotary positions (Su et al. 2021): what a query and a key have in common depends on how far apart they are."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Turn"]


class Turn:
    """Turns queries and keys by their places: pair i of a head's numbers by place * base^(-i / pairs) radians.

    The product of a query and a key turned so depends on the distance of their places alone, so every place of a
    history learns what holds at its end, where the next item is asked for. A table of positions counted from the end
    learns its first row from one target of each user.

    Args:
        left: place of each slot, counted from the end, (slots,).
        size: numbers of a head, even.
        base: longest history: over it the slowest pair turns by about one radian.

    >>> Turn(torch.arange(3), size=4, base=200).of(torch.ones(3, 1, 4))[0].tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """

    def __init__(self, left: Tensor, size: int, base: int) -> None:
        pairs = size // 2
        speeds = float(base) ** (-torch.arange(pairs, device=left.device) / pairs)
        # earlier actions have the larger `left`
        angles = -left[:, None, None] * speeds
        self.cos, self.sin = angles.cos(), angles.sin()

    def of(self, x: Tensor) -> Tensor:
        """x turned, (slots, heads, size), in its dtype: number i of a head and number i + size / 2 are a pair."""
        first, second = x.chunk(2, -1)
        turned = [first * self.cos - second * self.sin, first * self.sin + second * self.cos]
        return torch.cat(turned, -1).to(x.dtype)
