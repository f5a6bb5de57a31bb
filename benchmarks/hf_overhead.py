"""What SSE takes of a masked-LM training step of MiniLM: the time inside its hooks over the time of the whole step.

The shape of MiniLM (BERT, 6 layers, d = 384, 30,522 words; weights are random, which takes as long), 16 x 128 ids, 15 %
of them masked, AdamW. Timed where they run: the swap of the ids before the look-up, and that of the labels. Two steps,
with the head on every position (as transformers has it) and with the head on masked positions only, the shortest step
there is. Times are of the processor, all threads together, so that a busy machine does not dilute the ratio. The exact
form of SSE on labels is timed beside plain cross entropy: it draws nothing, but sums over classes.

python -m benchmarks.hf_overhead [--steps 7] [--out FILE]
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.common import parser, write_result
from torchsse import SSE, SSECrossEntropyLoss
from torchsse.integrations.hf import attach_sse
from torchsse.swap import swap

VOCABULARY, BATCH, LENGTH, MASKED = 30_522, 16, 128, 0.15
LIMIT_PERCENT = 0.1


class Stopwatch:
    """Stands in for a hook and adds up the time inside it."""

    def __init__(self, hook: Any) -> None:
        self.hook = hook
        self.seconds = 0.0

    def __call__(self, *arguments: Any) -> Any:
        start = time.process_time()
        result = self.hook(*arguments)
        self.seconds += time.process_time() - start
        return result


def minilm() -> Any:
    """A random model of MiniLM's shape with a masked-LM head."""
    import transformers

    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        pad_token_id=0,
    )
    return transformers.BertForMaskedLM(config).train()


def batch() -> tuple[Tensor, Tensor]:
    """Ids, and labels that are -100 where nothing is masked."""
    ids = torch.randint(1000, VOCABULARY, (BATCH, LENGTH))
    labels = torch.where(torch.rand(ids.shape) < MASKED, ids, -100)
    return ids, labels


def step_loss(model: Any, ids: Tensor, labels: Tensor, masked_only: bool) -> Tensor:
    """The loss from every position's logits, or from those of masked positions."""
    hidden = model.bert(input_ids=ids).last_hidden_state
    kept = labels != -100
    if masked_only:
        return nn.functional.cross_entropy(model.cls(hidden[kept]), labels[kept])
    return nn.functional.cross_entropy(model.cls(hidden).flatten(0, 1), labels.flatten())


def overhead(p0: float, steps: int, masked_only: bool) -> dict[str, float]:
    """Medians over steps: the swaps' share of a step in percent, and the times."""
    model = minilm()
    handle = attach_sse(model, p0=p0, exclude=range(1000))
    table = model.get_submodule(handle.names[0])
    ((key, hook),) = table._forward_pre_hooks.items()
    watch = Stopwatch(hook)
    table._forward_pre_hooks[key] = watch
    of_labels = SSE(VOCABULARY, p0, exclude=range(1000))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    shares, words, targets, whole = [], [], [], []
    for step in range(steps + 2):
        ids, labels = batch()
        watch.seconds = 0.0
        start = time.process_time()
        kept = labels != -100
        swapped = torch.where(kept, swap(torch.where(kept, labels, 0), of_labels), labels)
        on_labels = time.process_time() - start
        step_loss(model, ids, swapped, masked_only).backward()
        optimizer.step()
        optimizer.zero_grad()
        taken = time.process_time() - start
        if step >= 2:  # the first two warm caches up
            shares.append(100 * (watch.seconds + on_labels) / taken)
            words.append(watch.seconds)
            targets.append(on_labels)
            whole.append(taken)
    return {
        "percent_of_step": statistics.median(shares),
        "percent_worst": max(shares),
        "ids_microseconds": 1e6 * statistics.median(words),
        "labels_microseconds": 1e6 * statistics.median(targets),
        "step_cpu_milliseconds": 1e3 * statistics.median(whole),
        "limit_percent": LIMIT_PERCENT,
    }


def exact_loss(p0: float, steps: int) -> dict[str, float]:
    """Forward and backward of the exact SSE loss and of plain cross entropy on the logits of masked positions."""
    labels = batch()[1]
    targets = labels[labels != -100]
    losses = {
        "plain": SSECrossEntropyLoss(SSE(VOCABULARY, 0.0)).eval(),
        "exact": SSECrossEntropyLoss(SSE(VOCABULARY, p0), exact=True),
    }
    times: dict[str, list[float]] = {name: [] for name in losses}
    logits = torch.randn(len(targets), VOCABULARY, requires_grad=True)
    for _ in range(steps + 1):
        for name, loss in losses.items():
            start = time.process_time()
            loss(logits, targets).backward()
            times[name].append(time.process_time() - start)
    return {f"{name}_milliseconds": 1e3 * statistics.median(values[1:]) for name, values in times.items()}


def main() -> int:
    """Measure, print, and fail where the swaps take more than their limit."""
    arguments = parser(__doc__)
    arguments.add_argument("--steps", type=int, default=7)
    arguments.add_argument("--p0", type=float, default=0.015)
    options = arguments.parse_args()
    result: dict[str, Any] = {
        "head on masked positions": overhead(options.p0, options.steps, masked_only=True),
        "head on every position": overhead(options.p0, options.steps, masked_only=False),
    }
    good = all(found["percent_of_step"] <= LIMIT_PERCENT for found in result.values())
    result["exact loss on labels"] = exact_loss(options.p0, options.steps)
    write_result("hf_overhead", result, options.out)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
