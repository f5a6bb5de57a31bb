"""BPR through torch: autograd, sparse gradients, `torchsse.swap`. The kernel's oracle, and the GPU path."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from torchsse.errors import ConfigError
from torchsse.recsys.bpr_sgd import CHANCE, COIN, MASK, ORDER, RankingRates
from torchsse.recsys.factors import Factors
from torchsse.recsys.kernels.rng import stream
from torchsse.recsys.swap_table import SwapTable
from torchsse.swap import swap
from torchsse.transition import Law

__all__ = ["PairModel", "TorchBPRTrainer"]

Ids = npt.NDArray[np.int64]


class PairModel(nn.Module):
    """Two embedding tables; an item's row holds factors and, in its last column, its bias: a swap moves both.

    Shape: users, positives, negatives int64 (n,) -> differences s(u, i) - s(u, j) (n,), and the penalties (n,).
    """

    def __init__(self, num_users: int, num_items: int, factors: int, rates: RankingRates) -> None:
        super().__init__()
        self.user_embedding = nn.Embedding(num_users, factors, sparse=True)
        self.item_embedding = nn.Embedding(num_items, factors + 1, sparse=True)
        self.biases, self.dropout = rates.biases, rates.dropout
        self.weight_decay, self.bias_weight_decay = rates.weight_decay, rates.bias_weight_decay

    def forward(
        self, users: Tensor, positives: Tensor, negatives: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        a, up, down = self.user_embedding(users), self.item_embedding(positives), self.item_embedding(negatives)
        b, c = up[:, :-1], down[:, :-1]
        dropped = [self._dropped(rows, generator) for rows in (a, b, c)]
        difference = (dropped[0] * (dropped[1] - dropped[2])).sum(1)
        penalty = self.weight_decay * (a.square() + b.square() + c.square()).sum(1)
        if self.biases:
            difference = difference + up[:, -1] - down[:, -1]
            penalty = penalty + self.bias_weight_decay * (up[:, -1].square() + down[:, -1].square())
        return difference, penalty

    def _dropped(self, rows: Tensor, generator: torch.Generator | None) -> Tensor:
        if not self.dropout or not self.training:
            return rows
        # functional.dropout takes no generator
        kept = torch.rand(rows.shape, device=rows.device, generator=generator) >= self.dropout
        return rows * kept / (1.0 - self.dropout)


class TorchBPRTrainer:
    """Minibatch SGD with sparse gradients, summed over the batch: at batch size 1 the kernel's update rule exactly.

    Args:
        factors: trained in place (copied to the device, and back after every epoch).
        users, items: the (user, positive) pairs, codes (n,). Every user in it has left an item out.
        indptr, indices: CSR of the items not drawn as negatives, ascending in each row.
        laws: transition laws of users and items.
        rank: factors without padding.
        batch_size: triplets per step.
    """

    def __init__(
        self,
        factors: Factors,
        users: Ids,
        items: Ids,
        indptr: npt.NDArray[np.int64],
        indices: npt.NDArray[np.int32],
        laws: tuple[Law, Law],
        rates: RankingRates,
        rank: int,
        batch_size: int,
        device: str,
    ) -> None:
        self.factors, self._rates, self._rank = factors, rates, rank
        self._batch = max(1, batch_size // (1 if rates.hard_negatives else rates.num_negatives))
        num_items = len(factors.Q)
        try:
            self._device = torch.device(device)
            self.model = PairModel(len(factors.P), num_items, rank, rates).to(self._device)
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(f"device: torch cannot use {device!r} here ({str(error).splitlines()[0]})") from None
        degree = np.diff(indptr)
        # seen item t of a row has indices[t] - t unseen ones before it; one key per entry orders all rows together
        offset = np.arange(len(indices)) - np.repeat(indptr[:-1], degree)
        keys = np.repeat(np.arange(len(degree)), degree) * (num_items + 1) + (indices - offset)
        columns = (users, items, keys, indptr[:-1], num_items - degree)
        found = [torch.from_numpy(np.array(column, dtype=np.int64)).to(self._device) for column in columns]
        self._users, self._items, self._keys, self._starts, self._unseen = found
        self._stride = num_items + 1
        self._tables = SwapTable(laws[0], rates.p0_user), SwapTable(laws[1], rates.p0_item)
        self._optimizer = torch.optim.SGD(self.model.parameters(), lr=rates.learning_rate(0))
        self.load()

    def load(self) -> None:
        """Copy `factors` to the device."""
        user, item, own = self.model.user_embedding, self.model.item_embedding, self.factors
        with torch.no_grad():
            user.weight[:] = torch.as_tensor(own.P[:, : self._rank])
            item.weight[:, :-1] = torch.as_tensor(own.Q[:, : self._rank])
            item.weight[:, -1] = torch.as_tensor(own.bi)

    def store(self) -> None:
        """Copy the tables from the device to `factors`."""
        user, item = (t.weight.detach().cpu().numpy() for t in (self.model.user_embedding, self.model.item_embedding))
        self.factors.P[:, : self._rank] = user
        self.factors.Q[:, : self._rank], self.factors.bi[:] = item[:, :-1], item[:, -1]

    def negatives(self, users: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """For each user an item that is not in its row, uniformly: by rank among the unseen."""
        # float64 holds ranks below 2^53 exactly
        unit = torch.rand(users.shape, dtype=torch.float64, device=users.device, generator=generator)
        unseen = self._unseen[users]
        rank = torch.minimum((unit * unseen).long(), unseen - 1)
        before = torch.searchsorted(self._keys, users * self._stride + rank, right=True) - self._starts[users]
        return rank + before

    def step(
        self, users: Tensor, positives: Tensor, negatives: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """One update from triplets whose ids are swapped already; the sum of the losses before it."""
        self._optimizer.zero_grad(set_to_none=True)
        difference, penalty = self.model(users, positives, negatives, generator)
        losses = softplus(-difference)
        kept = positives != negatives  # swapped onto each other: an item compared with itself says nothing
        ((losses + 0.5 * penalty) * kept).sum().backward()
        self._optimizer.step()
        total: Tensor = losses.detach().sum()
        return total

    def epoch(self, epoch: int) -> float:
        """Train one epoch, counted from 0; the mean of -log sigmoid(difference) over its triplets."""
        rates = self._rates
        for group in self._optimizer.param_groups:
            group["lr"] = rates.learning_rate(epoch)
        order, coin, chance, mask = (
            torch.Generator(self._device).manual_seed(int(stream(rates.seed, epoch, 0, purpose)) >> 1)
            for purpose in (ORDER, COIN, CHANCE, MASK)
        )
        self.model.train()
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        count, triplets = rates.num_negatives, 0
        for batch in torch.split(torch.randperm(len(self._users), generator=order, device=self._device), self._batch):
            each = 1 if rates.hard_negatives else count
            users, items = (ids[batch].repeat_interleave(each) for ids in (self._users, self._items))
            negatives = self.negatives(self._users[batch].repeat_interleave(count), chance)
            users, items = swap(users, self._tables[0], coin), swap(items, self._tables[1], coin)
            if rates.swap_negatives:
                negatives = swap(negatives, self._tables[1], coin)
            if rates.hard_negatives:
                negatives = self._hardest(users, negatives.view(-1, count))
            total += self.step(users, items, negatives, mask)
            triplets += len(users)
        self.store()
        return float(total) / max(1, triplets)

    def _hardest(self, users: Tensor, candidates: Tensor) -> Tensor:
        with torch.no_grad():
            rows = self.model.item_embedding(candidates)
            scores = (rows[..., :-1] * self.model.user_embedding(users)[:, None, :]).sum(2)
            if self.model.biases:
                scores = scores + rows[..., -1]
            return candidates.gather(1, scores.argmax(1, keepdim=True))[:, 0]

    def skip(self, epochs: int) -> None:
        # every epoch draws its order afresh; only the tables have to follow
        self.load()
