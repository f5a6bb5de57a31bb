"""The coin and the scatter: the pure function `swap`, with its CPU path and its plain (CUDA, compiled) path."""

from __future__ import annotations

from torchsse.swap.coin import Coin
from torchsse.swap.function import Swappable, swap

__all__ = ["Coin", "Swappable", "swap"]
