"""What a training run of a translation model is told, with defaults for three sizes."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from torchsse.errors import ConfigError

__all__ = ["SIZES", "Size", "TranslationSettings"]

Size = Literal["tiny", "small", "base"]
Schedule = Literal["inverse-sqrt", "linear"]
Precision = Literal["fp32", "bf16"]

#: base is the model of Vaswani et al. (2017) that section 4.3 of the paper takes.
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "layers": 2, "width": 128, "heads": 4, "inner": 512, "vocabulary": 4000,
        "learning_rate": 2e-3, "warmup": 400, "batch_tokens": 2048,
    },
    "small": {
        "layers": 3, "width": 256, "heads": 4, "inner": 1024, "vocabulary": 8000,
        "learning_rate": 1e-3, "warmup": 800, "batch_tokens": 4096,
    },
    "base": {
        "layers": 6, "width": 512, "heads": 8, "inner": 2048, "vocabulary": 32000,
        "learning_rate": 7e-4, "warmup": 4000, "batch_tokens": 25000,
    },
}  # fmt: skip


@dataclass(frozen=True)
class TranslationSettings:
    """Settings of a training run; `TranslationSettings.of(size)` fills in those of a size.

    Attributes:
        layers, width, heads, inner: of encoder and decoder; `inner` is the width of the feed-forward part.
        vocabulary: pieces of the joint BPE.
        p0: SSE probability of source and target words. The paper: 0.01. 0: no SSE.
        p0_labels: of the words that the loss compares with, on top of label smoothing.
        dropout, label_smoothing: the paper: 0.1 each.
        epochs: passes over the training pairs.
        max_steps: ends earlier if it is reached first.
        batch_tokens: tokens of a batch on each side, padding included.
        accumulate: batches to an update.
        learning_rate: the highest, reached after `warmup` updates.
        schedule: after the warm-up, "inverse-sqrt" or "linear" down to 0.
        clip: longest gradient; longer ones are cut to it.
        average: so many snapshots are averaged at the end.
        snapshot_steps: updates from snapshot to snapshot; None: 1/40 of all.
        patience: with dev data, snapshots without a better dev loss before training stops; None: never.
        max_length: longer sentences (in pieces, on either side) are left out of training.
        max_ratio: pairs of which one side is so many times longer than the other are left out (by pieces, 8 or more).
        precision: "bf16" computes in bfloat16 where that is safe; for GPUs, and CPUs that have instructions for it.
        seed: of weights, order, dropout and swaps.
    """

    layers: int
    width: int
    heads: int
    inner: int
    vocabulary: int
    learning_rate: float
    warmup: int
    batch_tokens: int
    p0: float = 0.01
    p0_labels: float = 0.0
    dropout: float = 0.1
    label_smoothing: float = 0.1
    epochs: int = 10
    max_steps: int | None = None
    accumulate: int = 1
    schedule: Schedule = "inverse-sqrt"
    clip: float = 1.0
    average: int = 5
    snapshot_steps: int | None = None
    patience: int | None = None
    max_length: int = 128
    max_ratio: float = 3.0
    precision: Precision = "fp32"
    seed: int = 0

    @classmethod
    def of(cls, size: Size = "small", **given: Any) -> TranslationSettings:
        """Settings of a size, with those given and not None in their place.

        >>> TranslationSettings.of("tiny", p0=0.0, epochs=None).layers
        2
        """
        if size not in SIZES:
            raise ConfigError(f"expected size to be one of {', '.join(SIZES)}, got {size!r}")
        known = {field.name for field in dataclasses.fields(cls)}
        for name in given:
            if name not in known:
                raise ConfigError(f"expected one of {', '.join(sorted(known))}, got {name!r}")
        return cls(**{**SIZES[size], **{name: value for name, value in given.items() if value is not None}})

    def __post_init__(self) -> None:
        counts = ("layers", "width", "heads", "inner", "vocabulary", "batch_tokens", "epochs", "accumulate", "average")
        for name in (*counts, "max_length", *(n for n in ("max_steps", "snapshot_steps", "patience") if self.have(n))):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"expected {name} to be an integer of at least 1, got {value!r}")
        for name in ("warmup", "seed"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 0:
                raise ConfigError(f"expected {name} to be an integer of at least 0, got {getattr(self, name)!r}")
        for name in ("p0", "p0_labels", "dropout", "label_smoothing"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not 0 <= value <= 1 or (name[0] != "p" and value == 1):
                raise ConfigError(f"expected {name} in [0, 1{')' if name[0] != 'p' else ']'}, got {value!r}")
        for name in ("learning_rate", "clip"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
                raise ConfigError(f"expected {name} to be a positive number, got {value!r}")
        if not self.max_ratio >= 1:
            raise ConfigError(f"expected max_ratio to be at least 1, got {self.max_ratio!r}")
        if self.width % self.heads or self.width % 2:
            raise ConfigError(f"expected an even width that {self.heads} heads divide, got {self.width}")
        for name, words in (("schedule", get_args(Schedule)), ("precision", get_args(Precision))):
            if getattr(self, name) not in words:
                raise ConfigError(f"expected {name} to be one of {', '.join(words)}, got {getattr(self, name)!r}")

    def have(self, name: str) -> bool:
        return getattr(self, name) is not None

    def rate(self, step: int, total: int) -> float:
        """The learning rate of update `step`, counted from 1, of `total`.

        >>> settings = TranslationSettings.of("tiny", learning_rate=1.0, warmup=100)
        >>> [settings.rate(step, 1000) for step in (50, 100, 400)]
        [0.5, 1.0, 0.5]
        """
        if step < self.warmup:
            factor = step / self.warmup
        elif self.schedule == "inverse-sqrt":
            factor = math.sqrt(max(self.warmup, 1) / step)
        else:
            factor = (total - step) / max(total - self.warmup, 1)
        return self.learning_rate * factor
