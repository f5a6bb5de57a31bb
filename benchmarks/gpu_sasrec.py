"""Seconds per epoch of SASRec on a GPU at the paper's size, d = 100, b = 2 and 6, histories of at most 200.

Made-up histories as long as MovieLens-1M's (6,040 users, 3,416 items), batches of 128 and of 1,024, with one negative
and with the full softmax, with and without SSE on inputs and outputs, in fp32 and in bf16. Then the time to rank all
items for all users. The share of swaps is measured by `gpu_swap` and `gpu_attach`: here they are queued with the rest.

python -m benchmarks.gpu_sasrec [--device cuda] [--epochs 3] [--users 6040] [--out FILE]
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks.common import chosen_device, device_parser, write_result
from benchmarks.sasrec_speed import made_up
from torchsse.data.sequence_split import SequenceSplit, leave_last_out
from torchsse.recsys import SASRec

SSE = {"p0_input": 0.1, "p0_output": 0.1}
CASES: dict[str, dict[str, Any]] = {
    "b = 2": {"blocks": 2},
    "b = 2, sse": {"blocks": 2, **SSE},
    "b = 2, softmax": {"blocks": 2, "loss": "softmax"},
    "b = 2, softmax, sse": {"blocks": 2, "loss": "softmax", **SSE},
    "b = 2, batch 1024, sse": {"blocks": 2, "batch_size": 1024, **SSE},
    "b = 6, sse": {"blocks": 6, **SSE},
    "b = 2, sse, bf16": {"blocks": 2, "precision": "bf16", **SSE},
    "b = 6, sse, bf16": {"blocks": 6, "precision": "bf16", **SSE},
}


def measure(parts: SequenceSplit, device: str, epochs: int, **words: Any) -> dict[str, Any]:
    """Seconds per epoch (median, the first left out), users a second, the losses, and the time of a full ranking."""
    model = SASRec(max_length=200, epochs=epochs, device=device, seed=1, **words)
    model.fit(parts.train)
    history = model.history_
    seconds = statistics.median(line["seconds"] for line in history[1:])
    model.evaluate(parts.test, history=parts.validation)  # warms up
    start = time.perf_counter()
    model.evaluate(parts.test, history=parts.validation)
    return {
        "epoch_seconds": seconds, "users_per_second": parts.train.num_users / seconds,
        "train_loss": [line["train_loss"] for line in (history[0], history[-1])],
        "full_ranking_seconds": time.perf_counter() - start,
    }  # fmt: skip


def run(device: str, users: int, items: int, epochs: int, hidden: int = 100) -> dict[str, Any]:
    """Every case on the same histories."""
    parts = leave_last_out(made_up(users, items))
    return {name: measure(parts, device, epochs, hidden=hidden, **words) for name, words in CASES.items()}


def main() -> None:
    arguments = device_parser(__doc__)
    arguments.add_argument("--epochs", type=int, default=3)
    arguments.add_argument("--users", type=int, default=6040)
    given = arguments.parse_args()
    device = chosen_device(given.device)
    found = run(str(device), given.users, 3416, given.epochs)
    write_result("gpu_sasrec", {"users": given.users, "hidden": 100, "cases": found}, given.out)


if __name__ == "__main__":
    main()
