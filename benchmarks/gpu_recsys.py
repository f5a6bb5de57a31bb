"""MF and BPR through torch on a GPU, beside the kernel on one core: examples a second, and what is learnt.

Data of ML-1M's size, rank 100, SSE-SE off and on, several batch sizes. A time is the median over epochs after the
first. The learning rate is that of single examples whose gradients are summed over the batch, so large batches may not
learn; the last training loss stands beside the time.

python -m benchmarks.gpu_recsys [--device cuda] [--epochs 4] [--pairs 1000000] [--out FILE]
"""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.common import chosen_device, device_parser, write_result
from benchmarks.mf_speed import made_up
from torchsse.recsys import BPR, MatrixFactorization

P0, BATCHES = 0.05, (1024, 8192, 65_536)


def fitted(kind: Any, data: Any, epochs: int, examples: int, **words: Any) -> dict[str, Any]:
    """Examples a second, and the losses of the first and the last epoch."""
    history = kind(epochs=epochs, seed=1, **words).fit(data).history_
    seconds = statistics.median(line["seconds"] for line in history[1:])
    loss = "train_loss" if kind is BPR else "train_rmse"
    values = [line[loss] for line in (history[0], history[-1])]
    return {"examples_per_second": examples / seconds, "epoch_seconds": seconds, loss: values}


def run(device: str, data: Any, epochs: int, factors: int = 100, batches: tuple[int, ...] = BATCHES) -> dict[str, Any]:
    """By model, arm and backend."""
    result: dict[str, Any] = {}
    words: dict[str, Any] = {"factors": factors}
    for kind, examples in ((BPR, 3 * len(data)), (MatrixFactorization, len(data))):
        for arm, swaps in (("none", {}), ("sse-se", {"p0_user": P0, "p0_item": P0})):
            both = words | swaps
            name = f"{kind.__name__} {arm}"
            result[f"{name}, kernel"] = fitted(kind, data, epochs, examples, **both)
            for size in batches:
                own = {"device": device, "backend": "torch", "batch_size": size}
                result[f"{name}, {device}, batch {size}"] = fitted(kind, data, epochs, examples, **both, **own)
    return result


def main() -> None:
    arguments = device_parser(__doc__)
    arguments.add_argument("--epochs", type=int, default=4)
    arguments.add_argument("--pairs", type=int, default=1_000_000)
    given = arguments.parse_args()
    device = chosen_device(given.device)
    found = run(str(device), made_up(n=given.pairs), given.epochs)
    write_result("gpu_recsys", {"pairs": given.pairs, "p0": P0, "runs": found}, given.out)


if __name__ == "__main__":
    main()
