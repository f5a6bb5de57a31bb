"""Coins of the dropout kernels, by the definition: 16 bits each of SplitMix64's words, lowest first."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from torchsse.recsys.kernels.drop import COINS
from torchsse.recsys.kernels.rng import _mix

GOLDEN = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1


def coins(key: int, first: int, count: int) -> list[int]:
    """`count` coins from word `first` of the stream on."""
    words = [_mix((key + (first + w) * GOLDEN) & MASK) for w in range(-(-count // COINS))]
    return [word >> 16 * part & 0xFFFF for word in words for part in range(COINS)][:count]


def key_after(generator: torch.Generator) -> int:
    """What a module draws of its generator."""
    return int(torch.empty((), dtype=torch.int64).random_(generator=generator))


def mask_of_attention(key: int, batch: int, length: int, threshold: int) -> Any:
    """(batch, length, length), True where a share is kept; ahead nothing is."""
    lanes = -(-length // 16) * 16 // COINS
    mask = np.zeros((batch, length, length), bool)
    for r in range(batch):
        for i in range(length):
            mask[r, i, : i + 1] = np.array(coins(key, (r * length + i) * lanes, i + 1)) >= threshold
    return torch.from_numpy(mask)
