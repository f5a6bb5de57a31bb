"""What SSE on words and labels takes of a masked-LM training step of MiniLM on a GPU: fp32, bf16 and fp16.

The step of `hf_overhead` (16 x 128 ids, AdamW) with `attach_sse` and with swapped labels, under autocast (fp16 with a
gradient scaler) and with all weights in bf16. Events on the stream stand before and behind each swap, so its time holds
the gaps in which the device waits for launches. Fails where the loss is not finite, an excluded id is swapped, or the
swaps take more than their limit.

python -m benchmarks.gpu_attach [--device cuda] [--steps 30] [--out FILE]
"""

from __future__ import annotations

import statistics
import sys
from typing import Any

import torch
from torch import Tensor

from benchmarks.common import Clock, chosen_device, device_parser, write_result
from benchmarks.hf_overhead import VOCABULARY, batch, minilm, step_loss
from torchsse import SSE
from torchsse.integrations.hf import attach_sse
from torchsse.swap import swap

P0, SPECIAL = 0.015, 1000
CASES = {"fp32": None, "bf16 autocast": torch.bfloat16, "fp16 autocast": torch.float16, "bf16 weights": None}
LIMIT_PERCENT = 1.0  # of a step


class Watched:
    """Stands in for a hook: marks the clock before and behind it, and sees what it swaps."""

    def __init__(self, hook: Any, clock: Clock) -> None:
        self.hook, self.clock = hook, clock
        self.checking, self.special_kept = True, True

    def __call__(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        before = args[0] if args else kwargs["input"]
        self.clock.mark()
        result = self.hook(module, args, kwargs)
        self.clock.mark()
        if self.checking:  # waits for the device, so not while the clock counts
            after = before if result is None else (result[0][0] if result[0] else result[1]["input"])
            self.special_kept = self.special_kept and torch.equal(after[before < SPECIAL], before[before < SPECIAL])
        return result


def train(device: torch.device, case: str, steps: int, model: Any, p0: float = P0) -> dict[str, Any]:
    """Medians over steps."""
    model = model.to(device)
    if case == "bf16 weights":
        model = model.to(torch.bfloat16)
    dtype = CASES[case]
    clock, swaps = Clock(device), Clock(device)
    handle = attach_sse(model, p0=p0, exclude=range(SPECIAL))
    table = model.get_submodule(handle.names[0])
    ((key, hook),) = table._forward_pre_hooks.items()
    watched = Watched(hook, swaps)
    table._forward_pre_hooks[key] = watched
    of_labels = SSE(VOCABULARY, p0, exclude=range(SPECIAL))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16 and device.type == "cuda")
    losses = []
    for step in range(steps + 3):
        if step == 3:  # the first warm up
            swaps.seconds()
            watched.checking = False
            clock.mark()
        ids, labels = (one.to(device) for one in batch())
        ids[:, 0] = SPECIAL - 1
        kept = labels != -100
        swaps.mark()
        labels = torch.where(kept, swap(torch.where(kept, labels, 0), of_labels), labels)
        swaps.mark()
        with torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None):
            loss: Tensor = step_loss(model, ids, labels, masked_only=True)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        if step >= 3:
            clock.mark()
        losses.append(loss.detach())
    whole, marks = clock.seconds(), swaps.seconds()
    inside = [labels + words for labels, words in zip(marks[0::4], marks[2::4], strict=True)]
    handle.remove()
    share = 100 * statistics.median(inside) / statistics.median(whole)
    return {
        "percent_of_step": share, "within_limit": share <= LIMIT_PERCENT,
        "swaps_microseconds": 1e6 * statistics.median(inside), "step_milliseconds": 1e3 * statistics.median(whole),
        "loss_finite": bool(torch.stack(losses).isfinite().all()), "special_kept": watched.special_kept,
    }  # fmt: skip


def holds(found: dict[str, Any]) -> bool:
    """Whether nothing that was checked of a precision is wrong."""
    return bool(found["loss_finite"] and found["special_kept"] and found["within_limit"])


def main() -> int:
    """Measure, print, and fail where a check does."""
    arguments = device_parser(__doc__)
    arguments.add_argument("--steps", type=int, default=30)
    given = arguments.parse_args()
    device = chosen_device(given.device)
    found = {case: train(device, case, given.steps, minilm()) for case in CASES}
    write_result("gpu_attach", {"p0": P0, "limit_percent": LIMIT_PERCENT, "precision": found}, given.out)
    return 0 if all(map(holds, found.values())) else 1


if __name__ == "__main__":
    sys.exit(main())
