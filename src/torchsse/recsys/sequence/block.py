"""A block of the network: attention over the past, then a feed-forward part, each beside what it changes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from torchsse.recsys.sequence.attention import Attention
from torchsse.recsys.sequence.dropout import Dropout
from torchsse.recsys.sequence.layout import Group
from torchsse.recsys.sequence.rotary import Turn

__all__ = ["Block"]


class Block(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x)), `inner` wide within; the past only."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.attention_norm, self.forward_norm = (nn.LayerNorm(width, eps=1e-8) for _ in range(2))
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention = Attention(heads, attention_dropout)
        self.out = nn.Linear(width, width)
        self.inner, self.outer = nn.Linear(width, inner), nn.Linear(inner, width)
        self.inner_dropout, self.outer_dropout = Dropout(dropout), Dropout(dropout)

    def forward(self, x: Tensor, groups: Sequence[Group], turn: Turn | None = None) -> Tensor:
        qkv = self.query_key_value(self.attention_norm(x))
        if turn is not None:
            qkv = turn.leading(qkv, 2 * x.shape[1])
        mixed = self.attention(qkv, groups)  # (slots, width)
        x = x + self.out(mixed)
        inner = torch.relu(self.inner_dropout(self.inner(self.forward_norm(x))))
        out: Tensor = x + self.outer_dropout(self.outer(inner))
        return out

    def last(self, x: Tensor, groups: Sequence[Group], last: Tensor, turn: Turn | None = None) -> Tensor:
        """The same for the last action of every row alone, (rows, width): its past is looked up, not computed on."""
        width, heads = x.shape[1], self.attention.heads
        normed = self.attention_norm(x)
        weight, bias = self.query_key_value.weight, self.query_key_value.bias
        kv = torch.nn.functional.linear(normed, weight[width:], bias[width:])
        query = torch.nn.functional.linear(normed[last], weight[:width], bias[:width])
        if turn is not None:
            # the query stays as it is: nothing follows the last action, so it is turned by nothing
            kv = turn.leading(kv, width)
        found, row = [], 0
        for start, rows, length in groups:
            part = kv[start : start + rows * length].view(rows, length, 2, heads, width // heads)
            k, v = part.permute(2, 0, 3, 1, 4).unbind()
            q = query[row : row + rows].view(rows, heads, 1, width // heads)
            # slots after a row's last action are padding
            known = last[row : row + rows] - torch.arange(rows, device=x.device) * length - start
            mask = torch.arange(length, device=x.device) <= known[:, None]
            mixed = scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
            found.append(mixed.reshape(rows, width))
            row += rows
        x = x[last] + self.out(torch.cat(found))
        out: Tensor = x + self.outer(torch.relu(self.inner(self.forward_norm(x))))
        return out
