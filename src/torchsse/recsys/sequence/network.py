"""The network of SASRec (Kang and McAuley 2018) and of SSE-PT (Wu et al. 2020): a plain nn.Module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from torchsse.errors import ConfigError
from torchsse.recsys.sequence.block import Block
from torchsse.recsys.sequence.dropout import Dropout
from torchsse.recsys.sequence.layout import Group
from torchsse.recsys.sequence.rotary import Turn

__all__ = ["POSITIONS", "SequenceNetwork", "check_heads"]

POSITIONS = ("learned", "rotary")

#: Standard deviation of initial weights, as in BERT.
_SPREAD = 0.02


class SequenceNetwork(nn.Module):
    """From a history of items to a vector whose product with an item's row scores that item as the next.

    Positions, learned and counted from the end of the history, or rotary; pre-norm causal blocks; one table for the
    items of the history and for those that are scored. With `user_hidden` the row of the user stands beside the row of
    each item, in the history and where items are scored (SSE-PT).

    Args:
        num_items: items have the codes 0 .. num_items - 1; num_items is the padding.
        hidden: length of an item's row.
        blocks: how many blocks.
        heads: of attention; they divide hidden + user_hidden.
        max_length: longest history.
        dropout: of the embedded history and within the feed-forward parts.
        attention_dropout: of attention weights.
        num_users: rows of the user table, with `user_hidden`.
        user_hidden: length of a user's row; 0: no users.
        temperature: an item scores the cosine of vector and row, divided by it; None: their inner product.
        positions: "learned", a row for each place, as in SASRec, or "rotary", queries and keys turned (see
            `rotary.py`); a head must have an even width then.
        inner: width within the feed-forward parts. None: hidden + user_hidden, as in SASRec.
        seed: of the initial values: normal with standard deviation .02, biases 0. Of three ways this was the best by
            NDCG@10 among all items on the validation part of MovieLens-1M after ten epochs of SASRec (d = 50, dropout
            .2, one seed): .079; Xavier .056, Xavier with a tenth of it for what a block adds to its input .070.

    Shape:
        histories (n, L) of item codes, L <= max_length, each row's earliest item first and padding behind the last
        -> (n, L, hidden + user_hidden): at each place the vector that scores the item to follow.

    >>> network = SequenceNetwork(num_items=5, hidden=8, max_length=4).eval()
    >>> found = network(torch.tensor([[3, 1, 5, 5], [0, 1, 2, 3]]))
    >>> found.shape, network.scores(found[0, 1]).shape
    (torch.Size([2, 4, 8]), torch.Size([5]))
    """

    def __init__(
        self,
        num_items: int,
        hidden: int = 50,
        blocks: int = 2,
        heads: int = 1,
        max_length: int = 200,
        dropout: float = 0.2,
        attention_dropout: float = 0.0,
        num_users: int = 0,
        user_hidden: int = 0,
        seed: int = 0,
        temperature: float | None = None,
        positions: str = "learned",
        inner: int | None = None,
    ) -> None:
        super().__init__()
        width = hidden + user_hidden
        check_heads(width, heads, positions)
        self.num_items, self.hidden, self.heads = num_items, hidden, heads
        self.max_length, self.temperature = max_length, temperature
        self.item_embedding = nn.Embedding(num_items + 1, hidden, padding_idx=num_items)
        self.position_embedding = nn.Embedding(max_length, width) if positions == "learned" else None
        self.user_embedding: nn.Embedding | None = nn.Embedding(num_users, user_hidden) if user_hidden else None
        self.dropout = Dropout(dropout)
        inner = width if inner is None else inner
        self.blocks = nn.ModuleList(Block(width, heads, inner, dropout, attention_dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width, eps=1e-8)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.dim() > 1:
                    parameter.normal_(0.0, _SPREAD, generator=generator)
                elif name.endswith("bias"):
                    parameter.zero_()
            self.item_embedding.weight[num_items] = 0.0

    def forward(self, histories: Tensor, users: Tensor | None = None) -> Tensor:
        n, length = histories.shape
        if length > self.max_length:
            raise ConfigError(f"histories: expected at most {self.max_length} items, got {length}")
        real = histories != self.num_items
        left = (real.sum(1, keepdim=True) - 1 - torch.arange(length, device=histories.device)).clamp(min=0)
        per_slot = None if users is None else users.repeat_interleave(length)
        found = self.encode(histories.reshape(-1), left.reshape(-1), (Group(0, n, length),), per_slot)
        return found.view(n, length, -1)

    def encode(self, items: Tensor, left: Tensor, groups: Sequence[Group], users: Tensor | None = None) -> Tensor:
        """Vectors of slots, (slots, width).

        Args:
            items: (slots,), the padding code where a slot is empty; empty slots follow a row's items.
            left: (slots,), how many items of the row follow.
            groups: consecutive slices that cover the slots.
            users: (slots,), with a user table.
        """
        x, turn = self._embed(items, left, users), self._turn(left)
        for block in self.blocks:
            x = block(x, groups, turn)
        return self._vectors(x)

    def encode_last(
        self, items: Tensor, left: Tensor, groups: Sequence[Group], last: Tensor, users: Tensor | None = None
    ) -> Tensor:
        """Vectors of the slots `last`, one for each row, (rows, width); without dropout."""
        x, turn = self._embed(items, left, users), self._turn(left)
        *first, final = cast("list[Block]", list(self.blocks))
        for block in first:
            x = block(x, groups, turn)
        return self._vectors(final.last(x, groups, last, turn))

    def _embed(self, items: Tensor, left: Tensor, users: Tensor | None) -> Tensor:
        x = self.item_embedding(items) * self.hidden**0.5
        if self.user_embedding is not None:
            if users is None:
                raise ConfigError("this network has a user table: expected users")
            user = self.user_embedding(users)
            x = torch.cat([x, user * user.shape[1] ** 0.5], 1)
        if self.position_embedding is not None:
            x = x + self.position_embedding(left)
        dropped: Tensor = self.dropout(x)
        return dropped

    def _turn(self, left: Tensor) -> Turn | None:
        if self.position_embedding is not None:
            return None
        return Turn(left, self.norm.normalized_shape[0] // self.heads, self.max_length)

    def _vectors(self, x: Tensor) -> Tensor:
        found: Tensor = self.norm(x)
        if self.temperature is None:
            return found
        unit = normalize(found[..., : self.hidden], dim=-1) / self.temperature
        return unit if self.user_embedding is None else torch.cat([unit, found[..., self.hidden :]], -1)

    def item_rows(self) -> Tensor:
        """(num_items + 1, hidden): what vectors are multiplied by, the last row that of the padding."""
        weight: Tensor = self.item_embedding.weight
        return weight if self.temperature is None else normalize(weight, dim=1)

    def scores(self, vectors: Tensor, users: Tensor | None = None) -> Tensor:
        """Scores of all items, (..., num_items); with a user table the user's part is the same for all of them."""
        found = vectors[..., : self.hidden] @ self.item_rows()[: self.num_items].T
        if self.user_embedding is not None and users is not None:
            found = found + self.user_part(vectors, users)[..., None]
        return found

    def user_part(self, vectors: Tensor, users: Tensor) -> Tensor:
        """What the user's row adds to the score of any item, (...)."""
        assert self.user_embedding is not None
        user = self.user_embedding(users)
        part: Tensor = (vectors[..., self.hidden :] * user).sum(-1) * user.shape[-1] ** 0.5
        return part


def check_heads(width: int, heads: int, positions: str) -> None:
    """Raise `ConfigError` where heads do not fit a network of this width.

    >>> check_heads(100, 2, "rotary")
    """
    if width % heads:
        raise ConfigError(f"heads: expected a divisor of the width {width}, got {heads}")
    if positions not in POSITIONS:
        raise ConfigError(f"positions: expected one of {', '.join(POSITIONS)}, got {positions!r}")
    if positions == "rotary" and width // heads % 2:
        raise ConfigError(f"positions: rotary turns pairs, expected an even width of a head, got {width // heads}")
