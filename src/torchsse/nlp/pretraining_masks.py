"""Which positions a masked language model has to tell, and what it sees in their place: afresh at every step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchsse.errors import ConfigError
from torchsse.integrations.hf.vocabulary import idle_ids, special_ids

__all__ = ["Masking"]

IGNORED = -100


class Masking:
    """BERT's corruption: a part of the positions is to be told; 80 % of these are masked, 10 % random, 10 % kept.

    Positions of special tokens are never chosen; a random token is an ordinary word, drawn uniformly. At least one
    position of a batch is chosen.

    Args:
        model: a masked language model.
        tokenizer: its own.
        rate: chance of a position to be chosen.
    """

    def __init__(self, model: Any, tokenizer: Any, rate: float = 0.15) -> None:
        if not 0 < rate < 1:
            raise ConfigError(f"mask_rate: expected a number above 0 and below 1, got {rate!r}")
        size = int(model.get_input_embeddings().weight.shape[0])
        out = {id for id in special_ids(model, tokenizer) if id < size}
        self.rate = rate
        self.mask_id = int(tokenizer.mask_token_id)
        self.special = torch.zeros(size, dtype=torch.bool)
        self.special[sorted(out)] = True
        # what can be drawn: neither special nor out of reach of texts
        unreached = out | idle_ids(tokenizer, size)
        self.words = torch.tensor([id for id in range(size) if id not in unreached])
        if not len(self.words):
            raise ConfigError("the tokenizer has special tokens only")

    def __call__(self, ids: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """(what the model sees, labels): labels are the ids at chosen positions and -100 elsewhere.

        A function of `ids` and `seed`, whatever the global generator does.

        Shape: ids, inputs and labels (B, T), int64, on the CPU.
        """
        generator = torch.Generator().manual_seed(seed)
        candidate = ~self.special[ids]
        chosen = candidate & (torch.rand(ids.shape, generator=generator) < self.rate)
        if not chosen.any():
            places = candidate.view(-1).nonzero().squeeze(1)
            if len(places):
                chosen.view(-1)[places[torch.randint(len(places), (1,), generator=generator)]] = True
        labels = torch.where(chosen, ids, IGNORED)
        fate = torch.rand(ids.shape, generator=generator)
        drawn = self.words[torch.randint(len(self.words), ids.shape, generator=generator)]
        inputs = torch.where(chosen & (fate < 0.8), self.mask_id, ids)
        return torch.where(chosen & (fate >= 0.9), drawn, inputs), labels
