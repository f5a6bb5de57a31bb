"""The training loop of the language tasks: AdamW, linear warm-up and decay, every step a function of seed and number.

Dropout, swaps and masks of a step are drawn from generators seeded by (seed, step), so a run that was killed goes on
from its last saved state to the same weights, to the bit (on a GPU: as far as its kernels are deterministic).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from torchsse.errors import ConfigError
from torchsse.nlp.steps_state import StateFile
from torchsse.nlp.texts_tokens import draw_seed

__all__ = ["Losses", "Observer", "Progress", "Stepping", "pick_device", "run_steps"]

Losses = Callable[[int], Iterator[tuple[Tensor, int]]]
"""step -> (loss, tokens) of each part of its batch; the gradients of the parts add up."""

DROPS = 1  # which of the draws of a step: dropout and swaps
LOG_EVERY = 10


@dataclass(frozen=True)
class Stepping:
    """How to step: shared by pre-training and fine-tuning."""

    learning_rate: float
    weight_decay: float = 0.01
    warmup: float = 0.06
    clip: float = 1.0
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    save_every: float = 120.0

    def __post_init__(self) -> None:
        expected = (
            ("learning_rate", 0 < self.learning_rate < 1, "above 0 and below 1"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "at least 0"),
            ("warmup", 0 <= self.warmup <= 1, "a part of all steps, 0 to 1"),
            ("clip", self.clip > 0, "above 0"),
            ("seed", isinstance(self.seed, int) and self.seed >= 0, "0 or more"),
            ("precision", self.precision in ("fp32", "bf16"), "fp32 or bf16"),
        )
        for name, right, words in expected:
            if not right:
                raise ConfigError(f"{name}: expected {words}, got {getattr(self, name)!r}")

    @classmethod
    def of(cls, settings: Any, save_every: float = 120.0) -> Stepping:
        """What the settings of a task say of stepping.

        Args:
            settings: has `learning_rate`, `weight_decay`, `warmup`, `seed` and `precision`.
            save_every: seconds between states on disk; no setting, since it changes no result.
        """
        names = ("learning_rate", "weight_decay", "warmup", "seed", "precision")
        return cls(**{name: getattr(settings, name) for name in names}, save_every=save_every)

    def rate(self, step: int, steps: int) -> float:
        """Linear from 0 to the peak over the warm-up, then linear to 0.

        >>> [Stepping(1e-3, warmup=0.5).rate(step, 4) for step in range(4)]
        [0.0005, 0.001, 0.001, 0.0005]
        """
        up = math.ceil(self.warmup * steps)
        return self.learning_rate * min((step + 1) / max(up, 1), (steps - step) / max(steps - up, 1), 1.0)


@dataclass(frozen=True)
class Progress:
    """Where a run is."""

    step: int
    steps: int
    loss: float
    tokens_per_second: float
    seconds_left: float


class Observer(Protocol):
    """Told how a run goes. `say` gets what is worth a line of its own."""

    def say(self, message: str) -> None: ...

    def step(self, progress: Progress) -> None: ...


def run_steps(
    model: nn.Module,
    losses: Losses,
    steps: int,
    stepping: Stepping,
    *,
    state: StateFile | None = None,
    observer: Observer | None = None,
    after: Callable[[int], dict[str, Any] | None] | None = None,
) -> list[dict[str, Any]]:
    """Train `model` for `steps` steps; what was recorded of them.

    Args:
        model: on its device; left in training mode.
        losses: the work of a step.
        steps: how many.
        stepping: rates, seed, precision.
        state: where the state goes, and where an earlier run's is taken from.
        observer: told every few steps.
        after: called after every step with its number from 0; what it returns is recorded (a measurement).

    Raises:
        ConfigError: the loss left the finite numbers.
    """
    device = next(model.parameters()).device
    optimizer = _adamw(model, stepping)
    begun, history = 0, []
    found = None if state is None else state.load(model, optimizer)
    if found is not None:
        begun, history = int(found["step"]), list(found["history"])
        if observer is not None:
            observer.say(f"goes on from step {begun:,} of {steps:,}")
    saved = started = time.monotonic()
    total, seen, parts, all_seen = torch.zeros((), device=device), 0, 0, 0
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        for step in range(begun, steps):
            torch.manual_seed(draw_seed(stepping.seed, step, DROPS))
            rate = stepping.rate(step, steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            model.train()
            work = losses(step)
            while True:
                with _casting(device, stepping.precision):
                    part = next(work, None)
                if part is None:
                    break
                torch.autograd.backward(part[0])
                total += part[0].detach()
                seen += part[1]
            nn.utils.clip_grad_norm_(model.parameters(), stepping.clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            parts += 1
            measured = None if after is None else after(step)
            if measured is not None:
                history.append({"step": step + 1, **measured})
            due = (step + 1) % LOG_EVERY == 0 or step + 1 == steps or measured is not None
            if not due and step > begun:
                continue
            mean = float(total) / parts
            if not math.isfinite(mean):
                raise ConfigError(f"training diverged before step {step + 1} (loss {mean}): lower the learning rate")
            if observer is not None:  # from the first step of a session on
                spent = max(time.monotonic() - started, 1e-9)
                left = spent / (step + 1 - begun) * (steps - step - 1)
                observer.step(Progress(step + 1, steps, mean, (all_seen + seen) / spent, left))
            if not due:
                continue
            history.append({"step": step + 1, "loss": mean, "learning_rate": rate})
            total.zero_()
            all_seen, seen, parts = all_seen + seen, 0, 0
            if state is not None and (time.monotonic() - saved >= stepping.save_every or step + 1 == steps):
                state.save(model, optimizer, {"step": step + 1, "history": history})
                saved = time.monotonic()
    return history


def pick_device(name: str) -> torch.device:
    """ "auto" takes a GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device: expected auto, cpu or cuda, got {name!r}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device: there is no {name} here")
    return device


def _adamw(model: nn.Module, stepping: Stepping) -> torch.optim.AdamW:
    """Weight decay on matrices, not on biases and norms."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": stepping.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=stepping.learning_rate, fused=True)


def _casting(device: torch.device, precision: str) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
