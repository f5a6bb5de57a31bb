"""One epoch of a sequence network by Adam, on one process or on several that share each batch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torchsse.recsys.kernels.rng import stream
from torchsse.recsys.schedules import p0_factor
from torchsse.recsys.sequence.attention import Attention
from torchsse.recsys.sequence.average import Average
from torchsse.recsys.sequence.batches import Batch, Packed, window_starts
from torchsse.recsys.sequence.draws import SeenItems, UnseenItems
from torchsse.recsys.sequence.dropout import Dropout
from torchsse.recsys.sequence.losses import sampled_loss, softmax_loss
from torchsse.recsys.sequence.network import SequenceNetwork
from torchsse.recsys.sequence.swapping import swap_coupled, swap_table
from torchsse.recsys.sequence.words import TrainWords
from torchsse.recsys.swap_table import SwapTable
from torchsse.transition import Law

__all__ = ["SequenceTrainer"]

#: What a stream of random words is for.
ORDER, COIN, CHANCE, MASK, WINDOW = 0, 1, 2, 3, 4
_ROWS = {"cpu": 11}  # sequences in a group; elsewhere launches cost more than padding
_ROWS_ELSEWHERE = 32


def _ranks() -> tuple[int, int]:
    dist = torch.distributed
    if not (dist.is_available() and dist.is_initialized()):
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


class SequenceTrainer:
    """Trains a network on packed sequences.

    With `torch.distributed` initialised every process takes its share of the users of each batch, and gradients are
    weighted by targets: the step is that of the whole batch. Orders agree between processes; swaps, negatives and
    dropout have streams of their own. A stream depends on (seed, epoch, rank) alone, so a run goes on from any epoch.

    Args:
        network: trained in place, where it is.
        indptr: int64, (users + 1,).
        items: int32 codes, in the order of time.
        words: what a step does.
        item_law: of items, or None without SSE on them.
        user_law: of users, or None.
    """

    def __init__(
        self,
        network: SequenceNetwork,
        indptr: npt.NDArray[np.int64],
        items: npt.NDArray[np.int32],
        words: TrainWords,
        item_law: Law | None,
        user_law: Law | None = None,
    ) -> None:
        self.network, self.words = network, words
        self.device = network.item_embedding.weight.device
        self._packed = Packed(
            indptr, items, network.max_length, self.device, _ROWS.get(self.device.type, _ROWS_ELSEWHERE)
        )
        users = np.flatnonzero(np.diff(indptr) >= 2)
        shared, drawn = words.shared_negatives, words.loss != "softmax"
        pairs = indptr, items, network.num_items, self.device
        self._seen = SeenItems(*pairs) if words.unseen_negatives and shared else None
        self._draws = UnseenItems(*pairs) if drawn and not shared else None
        self._users = users
        self._laws = item_law, user_law
        self._certain = None if item_law is None else SwapTable(item_law, 1.0)
        tables = [p for name, p in network.named_parameters() if "embedding" in name]
        others = [p for name, p in network.named_parameters() if "embedding" not in name]
        groups: list[dict[str, Any]] = [
            {"params": tables, "weight_decay": words.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.Adam(groups, lr=words.learning_rate, betas=(0.9, 0.98), fused=True)
        self.average = Average(network, words.ema_decay) if words.ema_decay > 0.0 else None
        self.swap_seconds, self.targets = 0.0, 0

    # one epoch --------------------------------------------------------------------------------------------------

    def epoch(self, epoch: int) -> float:
        """Train one epoch, counted from 0; the mean loss of its targets, each before its update.

        Afterwards `swap_seconds` is the time spent in swaps, and `targets` the number of targets, of this process.
        """
        rank, world = _ranks()
        words = self.words
        order = np.random.default_rng(int(stream(words.seed, epoch, 0, ORDER))).permutation(self._users)
        coin, chance = (
            torch.Generator(self.device).manual_seed(int(stream(words.seed, epoch, rank, purpose)) >> 1)
            for purpose in (COIN, CHANCE)
        )
        window = np.random.default_rng(int(stream(words.seed, epoch, rank, WINDOW)))
        self.swap_seconds, self.targets = 0.0, 0
        self._toss(p0_factor(words.p0_schedule, epoch, words.epochs))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(epoch)
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        self.network.train()
        with self._masks(int(stream(words.seed, epoch, rank, MASK)) >> 1):
            for start in range(0, len(order), words.batch_size):
                whole = order[start : start + words.batch_size]
                total += self._step(whole, whole[rank::world], coin, chance, window)
        everything = torch.stack([total, total.new_tensor(float(self.targets))])
        if world > 1:
            torch.distributed.all_reduce(everything)
        return float(everything[0] / everything[1].clamp(min=1))

    def learning_rate(self, epoch: int) -> float:
        """Of an epoch, counted from 0."""
        return self.words.learning_rate * self.words.learning_rate_decay**epoch

    def _toss(self, factor: float) -> None:
        """Swap from now on with `factor` times each p0."""
        (items, users), words = self._laws, self.words
        self._input, self._output = (
            None if items is None else SwapTable(items, factor * p0) for p0 in (words.p0_input, words.p0_output)
        )
        self._user = None if users is None else SwapTable(users, factor * words.p0_user)

    @contextmanager
    def _masks(self, seed: int) -> Iterator[None]:
        """Dropout draws from a stream of its own inside.

        On a GPU torch drops, from a generator that the whole process shares: fits there must not run side by side.
        """
        if self.device.type != "cpu":
            with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
                torch.manual_seed(seed)
                yield
            return
        modules = [module for module in self.network.modules() if isinstance(module, (Attention, Dropout))]
        own = torch.Generator().manual_seed(seed)
        for module in modules:
            module.generator = own
        try:
            yield
        finally:
            for module in modules:
                module.generator = None

    def _step(
        self, whole: Any, mine: Any, coin: torch.Generator, chance: torch.Generator, window: np.random.Generator
    ) -> Tensor:
        """One update; the sum of the losses of this process's targets."""
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        if len(mine):
            batch = self._packed.batch(mine, back=self._back(mine, window))
            count = len(batch.inputs)
            loss = self.loss(batch, coin, chance)
            if len(mine) < len(whole):
                _, lengths = window_starts(self._packed.indptr, whole, self.network.max_length, 1)
                loss = loss * (count / float(lengths.sum()))
                total += loss.detach() * float(lengths.sum())
            else:
                total += loss.detach() * count
            loss.backward()  # type: ignore[no-untyped-call]
            self.targets += count
        if _ranks()[1] > 1:
            self._share()
        self.optimizer.step()
        if self.average is not None:
            self.average.update()
        return total

    def _back(self, users: Any, window: np.random.Generator) -> npt.NDArray[np.int64] | None:
        """How many of the latest actions of each user are passed over in this epoch."""
        if not self.words.random_window:
            return None
        indptr = self._packed.indptr
        spare = window_starts(indptr, users, self.network.max_length, 1)[0] - indptr[users]
        chosen = window.random(len(users)) < self.words.random_window
        found: npt.NDArray[np.int64] = window.integers(0, spare + 1) * chosen
        return found

    def _share(self) -> None:
        """Sum the gradients over the processes, in one message."""
        parameters = list(self.network.parameters())
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([g.reshape(-1) for g in grads])
        torch.distributed.all_reduce(flat)
        for p, part in zip(parameters, torch.split(flat, [p.numel() for p in parameters])):
            p.grad = part.view_as(p)

    def loss(self, batch: Batch, coin: torch.Generator, chance: torch.Generator) -> Tensor:
        """Mean loss of a batch's targets, ids swapped."""
        words, network = self.words, self.network
        assert batch.targets is not None
        began = time.perf_counter()
        if words.coupled and self._input is not None and self._certain is not None:
            inputs, targets = swap_coupled(batch, self._input, self._certain, coin)
        else:
            inputs = swap_table(batch.inputs, self._input, coin)
            targets = swap_table(batch.targets, self._output, coin)
        users = swap_table(batch.rows, self._user, coin) if network.user_embedding is not None else None
        self.swap_seconds += time.perf_counter() - began
        per_slot = None if users is None else batch.users_of_slots(users)
        with self._rounded():
            slots = batch.slots(inputs, network.num_items)
            vectors = network.encode(slots, batch.left, batch.layout.groups, per_slot)
        vectors = vectors.float()[batch.slot]
        offset = None
        if users is not None:
            offset = network.user_part(vectors, batch.users_of_actions(users))
            vectors = vectors[:, : network.hidden]
        weight = network.item_rows()
        if words.loss == "softmax":
            return softmax_loss(vectors, targets, weight[: network.num_items])
        seen = row = None
        if self._draws is None:
            negatives = torch.randint(network.num_items, (words.num_negatives,), device=self.device, generator=chance)
            if self._seen is not None:
                seen, row = self._seen.of(batch.rows, negatives), batch.row
        else:
            negatives = self._draws.draw(batch.users_of_actions(), words.num_negatives, chance)
        return sampled_loss(
            words.loss, vectors, targets, negatives, weight, network.num_items, words.calibration, offset, seen, row
        )

    def _rounded(self) -> AbstractContextManager[Any]:
        """Inside, matrix products are made in bf16 if asked for; parameters, residual stream and losses stay fp32."""
        if self.words.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def judged(self) -> AbstractContextManager[None]:
        """Inside, the network has the parameters that a fit is judged by and ends with: averages, if there are any."""
        return nullcontext() if self.average is None else self.average.shown()
