"""The same model through torch: autograd, sparse gradients, `torchsse.swap`. The kernel's oracle, and the GPU path."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from torchsse.errors import ConfigError
from torchsse.recsys.factors import Factors
from torchsse.recsys.kernels.rng import stream
from torchsse.recsys.sgd import COIN, MASK, ORDER, Rates
from torchsse.swap import Coin, swap
from torchsse.transition import Law

__all__ = ["FactorModel", "TorchTrainer"]


class FactorModel(nn.Module):
    """Two embedding tables whose rows hold factors and, in their last column, the bias: a swap moves both.

    Shape: users, items int64 (n,) -> predictions (n,), and the penalty, a scalar.
    """

    def __init__(self, num_users: int, num_items: int, factors: int, rates: Rates) -> None:
        super().__init__()
        self.user_embedding = nn.Embedding(num_users, factors + 1, sparse=True)
        self.item_embedding = nn.Embedding(num_items, factors + 1, sparse=True)
        self.mean, self.biases, self.dropout = rates.mean, rates.biases, rates.dropout
        self.weight_decay, self.bias_weight_decay = rates.weight_decay, rates.bias_weight_decay

    def forward(self, users: Tensor, items: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        left, right = self.user_embedding(users), self.item_embedding(items)  # (n, factors + 1)
        a, b = left[:, :-1], right[:, :-1]
        prediction = self.mean + (self._dropped(a, generator) * self._dropped(b, generator)).sum(1)
        penalty = self.weight_decay * (a.square().sum() + b.square().sum())
        if self.biases:
            prediction = prediction + left[:, -1] + right[:, -1]
            penalty = penalty + self.bias_weight_decay * (left[:, -1].square().sum() + right[:, -1].square().sum())
        return prediction, penalty

    def _dropped(self, rows: Tensor, generator: torch.Generator | None) -> Tensor:
        if not self.dropout or not self.training:
            return rows
        # functional.dropout takes no generator
        kept = torch.rand(rows.shape, device=rows.device, generator=generator) >= self.dropout
        return rows * kept / (1.0 - self.dropout)


@dataclass
class _Table:
    """A law with a coin: what `swap` asks for. A p0 per row is beyond it and handled here."""

    law: Law
    p0_rows: float | npt.NDArray[np.float64]
    device: torch.device

    def __post_init__(self) -> None:
        self._coin = Coin(0.0, self.law.rate)
        self._rows = None if np.ndim(self.p0_rows) == 0 else torch.as_tensor(self.p0_rows).to(self.device)
        self._factor = 0.0

    @property
    def p0(self) -> float:
        return self._coin.p0

    def coin(self, device: torch.device) -> Tensor:
        return self._coin.threshold(device)

    def scale(self, factor: float) -> None:
        self._factor = factor
        if self._rows is None:
            self._coin.p0 = float(self.p0_rows) * factor

    def __call__(self, ids: Tensor, generator: torch.Generator) -> Tensor:
        if self._rows is None:
            return swap(ids, self, generator)
        coin = torch.rand(ids.shape, dtype=torch.float64, device=ids.device, generator=generator)
        return torch.where(coin < self._rows[ids] * self._factor, self.law.draw(ids, generator), ids)


class TorchTrainer:
    """Minibatch SGD with sparse gradients, summed over the batch: at batch size 1 the kernel's update rule exactly.

    Args:
        factors: trained in place (copied to the device, and back after every epoch).
        users, items, ratings: codes and ratings of train, (n,).
        laws: transition laws of users and items.
        rank: factors without padding.
    """

    def __init__(
        self,
        factors: Factors,
        users: npt.NDArray[Any],
        items: npt.NDArray[Any],
        ratings: npt.NDArray[np.float32],
        laws: tuple[Law, Law],
        rates: Rates,
        rank: int,
        batch_size: int,
        device: str,
    ) -> None:
        self.factors, self._rates, self._rank, self._batch = factors, rates, rank, batch_size
        try:
            self._device = torch.device(device)
            self.model = FactorModel(len(factors.P), len(factors.Q), rank, rates).to(self._device)
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(f"device: torch cannot use {device!r} here ({str(error).splitlines()[0]})") from None
        self._users, self._items = (
            torch.from_numpy(np.array(ids, dtype=np.int64)).to(self._device) for ids in (users, items)
        )
        self._ratings = torch.from_numpy(np.array(ratings)).to(self._device)
        self._tables = tuple(
            _Table(law, p0, self._device) for law, p0 in zip(laws, (rates.p0_user, rates.p0_item), strict=True)
        )
        self._optimizer = torch.optim.SGD(self.model.parameters(), lr=rates.learning_rate(0))
        self.load()

    def load(self) -> None:
        """Copy `factors` to the device."""
        with torch.no_grad():
            for table, rows, bias in self._pairs():
                table.weight[:, :-1] = torch.as_tensor(rows[:, : self._rank])
                table.weight[:, -1] = torch.as_tensor(bias)

    def store(self) -> None:
        """Copy the tables from the device to `factors`."""
        with torch.no_grad():
            for table, rows, bias in self._pairs():
                weight = table.weight.detach().cpu().numpy()
                rows[:, : self._rank], bias[:] = weight[:, :-1], weight[:, -1]

    def _pairs(self) -> tuple[tuple[nn.Embedding, Any, Any], tuple[nn.Embedding, Any, Any]]:
        own, model = self.factors, self.model
        return (model.user_embedding, own.P, own.bu), (model.item_embedding, own.Q, own.bi)

    def step(self, users: Tensor, items: Tensor, ratings: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One update from examples whose ids are swapped already; the sum of squared errors before it."""
        self._optimizer.zero_grad(set_to_none=True)
        prediction, penalty = self.model(users, items, generator)
        squared: Tensor = (ratings - prediction).square().sum()
        (0.5 * (squared + penalty)).backward()
        self._optimizer.step()
        return squared.detach()

    def epoch(self, epoch: int) -> float:
        rates = self._rates
        for group in self._optimizer.param_groups:
            group["lr"] = rates.learning_rate(epoch)
        for table in self._tables:
            table.scale(rates.p0_factor(epoch))
        order, coin, mask = (
            torch.Generator(self._device).manual_seed(int(stream(rates.seed, epoch, 0, purpose)) >> 1)
            for purpose in (ORDER, COIN, MASK)
        )
        self.model.train()
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        order_of = torch.randperm(len(self._users), generator=order, device=self._device)
        for batch in torch.split(order_of, self._batch):
            users = self._tables[0](self._users[batch], coin)
            items = self._tables[1](self._items[batch], coin)
            total += self.step(users, items, self._ratings[batch], mask)
        self.store()
        return math.sqrt(float(total) / len(self._users))

    def skip(self, epochs: int) -> None:
        # every epoch draws its order afresh; only the tables have to follow
        self.load()
