"""Seconds per epoch of SASRec beside the public PyTorch port, and what else the issue asks about time.

Contenders at d = 50, b = 2, histories of at most 200, batches of 128, interleaved round by round on equal steps: ours
with one negative (without SSE; with p0 = .1 on inputs and outputs; without dropout of attention weights, which the
others have), ours with full softmax, ours in bf16, ours at d = 100 in fp32 and in bf16, the last with rotary
positions too, and the port, whose `model.py` and `utils.py` are imported from the folder that `--peer` names. The
port's data loader runs in processes of its own beside the steps, as its `main.py` has it; ours makes its batches in
the step. A round of each is `--steps` steps of 128 users; every rate is a median over rounds, every ratio a median of
the ratios within a round. Beside the wall clock stands the processor time of the process (for the port without its
loaders), which other work disturbs less.

Then: the share of a step that swaps take, and the time to rank all items for all users.

python -m benchmarks.sasrec_speed --data FILE [--peer FOLDER] [--num-threads 2] [--rounds 5] [--steps 16] [--out FILE]
"""

from __future__ import annotations

import importlib
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from benchmarks.common import parser, write_result
from torchsse.data import Sequences, read_sequences
from torchsse.data.sequence_split import SequenceSplit, leave_last_out
from torchsse.recsys import SASRec
from torchsse.recsys.sequence.trainer import SequenceTrainer
from torchsse.transition import build_law

BATCH, LENGTH, HIDDEN, BLOCKS = 128, 200, 50, 2
WIDE = 100  # the paper's width
RATIOS = {
    "attention_dropout_over_without": ("ours", "ours_without_attention_dropout"),
    "bf16_over_fp32": ("ours_bf16", "ours"),
    "wide_bf16_over_fp32": ("ours_wide_bf16", "ours_wide"),
    "wide_rotary_over_learned": ("ours_wide_rotary", "ours_wide_bf16"),
}
LIMITS = {"ours_over_port": 0.5, "swap_share": 0.01, "full_ranking_seconds": 4.0}  # the issue's


def made_up(num_users: int = 2000, num_items: int = 3000) -> Sequences:
    """Histories as long as MovieLens-1M's, of random items."""
    g = np.random.default_rng(0)
    lengths = np.clip(np.exp(g.normal(4.6, 1.0, num_users)), 20, 1500).astype(int)
    return Sequences.from_arrays(np.repeat(np.arange(num_users), lengths), g.integers(0, num_items, lengths.sum()))


class Ours:
    """Steps on the users of one epoch after another."""

    def __init__(self, train: Sequences, threads: int, **words: Any) -> None:
        words = {"hidden": HIDDEN, "blocks": BLOCKS, "max_length": LENGTH, "batch_size": BATCH, **words}
        model = SASRec(num_threads=threads, **words)
        network = model._network(train.num_users, train.num_items)
        law = build_law(train.num_items) if model.p0_input else None
        self.trainer = SequenceTrainer(network, train.offsets, train.items, model._words(), law)
        self._everybody, self._epoch, self.share = self.trainer._users, 0, 0.0

    def steps(self, count: int) -> None:
        users = np.random.default_rng(self._epoch).choice(self._everybody, BATCH * count)
        self.trainer._users = users
        began = time.perf_counter()
        self.trainer.epoch(self._epoch)
        self.share = self.trainer.swap_seconds / (time.perf_counter() - began)
        self._epoch += 1


class Port:
    """The public port's model and loop."""

    def __init__(self, train: Sequences, folder: Path) -> None:
        sys.path.insert(0, str(folder))
        model, utils = importlib.import_module("model"), importlib.import_module("utils")
        words = SimpleNamespace(
            device="cpu", norm_first=False, hidden_units=HIDDEN, maxlen=LENGTH, dropout_rate=0.2, num_blocks=BLOCKS,
            num_heads=1,
        )  # fmt: skip
        histories = {u + 1: (train.of(u) + 1).tolist() for u in range(train.num_users)}
        self._sampler = utils.WarpSampler(
            histories, train.num_users, train.num_items, batch_size=BATCH, maxlen=LENGTH, n_workers=3
        )
        self.model = model.SASRec(train.num_users, train.num_items, words)
        for parameter in self.model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.xavier_normal_(parameter.data)
        self.model.train()
        self._adam = torch.optim.Adam(self.model.parameters(), lr=0.001, betas=(0.9, 0.98))
        self._cost = torch.nn.BCEWithLogitsLoss()

    def steps(self, count: int) -> None:
        for _ in range(count):
            user, past, positive, negative = (np.array(column) for column in self._sampler.next_batch())
            up, down = self.model(user, past, positive, negative)
            real = np.where(positive != 0)
            self._adam.zero_grad()
            loss = self._cost(up[real], torch.ones_like(up)[real]) + self._cost(
                down[real], torch.zeros_like(down)[real]
            )
            loss.backward()
            self._adam.step()

    def close(self) -> None:
        self._sampler.close()


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def ranking(parts: SequenceSplit, threads: int) -> dict[str, float]:
    """Seconds to rank all items for all users, and to score 101 candidates of each, by an untrained model."""
    model = SASRec(hidden=HIDDEN, blocks=BLOCKS, max_length=LENGTH, num_threads=threads, epochs=1)
    rows = parts.train.to_ratings()
    model.fit(Sequences.from_arrays(rows.raw_users[:500], rows.raw_items[:500]))
    model.user_ids, model.item_ids = parts.train.user_ids, parts.train.item_ids
    model._indptr, model._indices = np.array(parts.train.offsets), np.array(parts.train.items)
    model.network = model._network(parts.train.num_users, parts.train.num_items)
    candidates = model.draw_candidates(parts.test, history=parts.validation)
    model.evaluate(parts.test, history=parts.validation)  # compiles
    full = timed(lambda: model.evaluate(parts.test, history=parts.validation) and None)
    sampled = timed(lambda: model.evaluate_sampled(candidates, history=parts.validation) and None)
    return {
        "full_ranking_seconds": full[0], "full_ranking_processor_seconds": full[1], "candidates_seconds": sampled[0],
    }  # fmt: skip


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--data", type=Path, help="sequences; made up if left out")
    arguments.add_argument("--peer", type=Path, help="the folder of the port's model.py and utils.py")
    arguments.add_argument("--num-threads", type=int, default=2)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--steps", type=int, default=16)
    given = arguments.parse_args()
    torch.set_num_threads(given.num_threads)
    parts = leave_last_out(read_sequences(given.data) if given.data else made_up())
    swapping = {"p0_input": 0.1, "p0_output": 0.1}
    contenders: dict[str, Any] = {
        "ours": Ours(parts.train, given.num_threads),
        "ours_sse": Ours(parts.train, given.num_threads, **swapping),
        "ours_without_attention_dropout": Ours(parts.train, given.num_threads, attention_dropout=0.0),
        "ours_softmax": Ours(parts.train, given.num_threads, loss="softmax"),
        "ours_bf16": Ours(parts.train, given.num_threads, precision="bf16"),
        "ours_wide": Ours(parts.train, given.num_threads, hidden=WIDE),
        "ours_wide_bf16": Ours(parts.train, given.num_threads, hidden=WIDE, precision="bf16"),
        "ours_wide_rotary": Ours(parts.train, given.num_threads, hidden=WIDE, precision="bf16", positions="rotary"),
    }
    if given.peer:
        contenders["port"] = Port(parts.train, given.peer)
    for contender in contenders.values():
        contender.steps(2)
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    shares = []
    for _ in range(given.rounds):
        for name, contender in contenders.items():
            rounds[name].append(timed(lambda c=contender: c.steps(given.steps)))  # type: ignore[misc]
        shares.append(contenders["ours_sse"].share)
    per_epoch = -(-parts.train.num_users // BATCH) / given.steps
    result: dict[str, Any] = {
        "threads": given.num_threads, "users": parts.train.num_users, "steps_per_round": given.steps,
        "limits": LIMITS, "swap_share": statistics.median(shares),
    }  # fmt: skip
    for name, taken in rounds.items():
        result[f"{name}_seconds_per_epoch"] = statistics.median(t[0] for t in taken) * per_epoch
        result[f"{name}_processor_seconds_per_epoch"] = statistics.median(t[1] for t in taken) * per_epoch
    for name, (one, other) in RATIOS.items():
        result[name] = statistics.median(a[0] / b[0] for a, b in zip(rounds[one], rounds[other], strict=True))
    if given.peer:
        pairs = list(zip(rounds["ours"], rounds["port"], strict=True))
        result["ours_over_port"] = statistics.median(a[0] / b[0] for a, b in pairs)
        result["ours_over_port_processor"] = statistics.median(a[1] / b[1] for a, b in pairs)
        contenders["port"].close()
    result |= ranking(parts, given.num_threads)
    write_result("sasrec_speed", result, given.out)


if __name__ == "__main__":
    main()
