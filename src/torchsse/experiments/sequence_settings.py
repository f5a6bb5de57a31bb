"""What a comparison of sequence models is given beside what every comparison is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torchsse.errors import ConfigError
from torchsse.experiments.settings import CompareSettings

__all__ = ["METRICS", "SequenceSettings"]

METRICS = ("ndcg@10", "hr@10", "sampled_ndcg@10", "sampled_hr@10")
"""What every final fit is measured by: among all items, then among random ones."""

_LOSSES = {"bce": 1, "gbce": 256, "sampled-softmax": 256, "softmax": None}
"""Negatives where nothing else is asked for."""


@dataclass(frozen=True)
class SequenceSettings(CompareSettings):
    """The same for histories, with defaults for SASRec on a CPU. Factors, biases and shares have no meaning.

    Attributes:
        epochs: the most a fit may take.
        patience: epochs without a better value on validation before a fit stops.
        learning_rate: of Adam, where an arm does not search it.
        learning_rate_decay: its factor from one epoch to the next.
        p0_schedule: of every arm that swaps: "constant", "anneal" or "warmup".
        trials: fewer than elsewhere, since each takes minutes.
        seeds: the same.
        hidden: the width of the network; SSE-PT gives half of it to the user.
        blocks: of attention and feed-forward.
        heads: of attention.
        inner: width within the feed-forward parts. None: the width of the network.
        max_length: items of a history that count.
        attention_dropout: of attention weights. None: as the dropout of an arm.
        loss: "bce", "gbce", "sampled-softmax" or "softmax", where an arm does not fix it.
        num_negatives: for each target, or for each batch if shared. None = by the loss: 1 for "bce", 256 for
            "sampled-softmax" and "gbce", which live on many; "softmax", over all items, draws none.
        shared_negatives: one set of them for a batch, so that hundreds are cheap. None = by the loss: "bce" draws for
            each target, the others for a batch.
        unseen_negatives: shared negatives that a user has count for nothing there: see `SASRec`.
        random_window: of longer histories: see `SASRec`.
        positions: "learned" or "rotary", where an arm does not fix it: see `SASRec`.
        temperature: scores are cosines divided by it; None: inner products.
        ema_decay: of the moving average of the parameters that is kept; 0: none.
        precision: of training, "fp32" or "bf16": see `SASRec`.
        metric: what decides on validation, and what the verdict speaks of: "ndcg@10", "hr@10", among all items, or with
            "sampled_" before it, among 100 random ones.
        batch_size: users in a step.
        validate_every: epochs between two measurements.
        device: where fits run; elsewhere than on the CPU one at a time.
        num_threads: of each fit.

    Raises:
        ConfigError: for a setting outside its range.
    """

    epochs: int = 200
    patience: int = 30
    learning_rate: float = 0.001
    learning_rate_decay: float | None = 1.0
    trials: int = 8
    seeds: int = 3
    validation_splits: int = 1
    hidden: int = 50
    blocks: int = 2
    heads: int = 1
    inner: int | None = None
    max_length: int = 200
    attention_dropout: float | None = None
    loss: str = "bce"
    num_negatives: int | None = None
    shared_negatives: bool | None = None
    unseen_negatives: bool = False
    random_window: float = 0.0
    positions: str = "learned"
    temperature: float | None = None
    ema_decay: float = 0.0
    p0_schedule: str = "constant"
    precision: str = "fp32"
    metric: str = METRICS[0]
    batch_size: int = 128
    validate_every: int = 5
    device: str = "cpu"
    num_threads: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss not in _LOSSES:
            raise ConfigError(f"loss must be one of {', '.join(_LOSSES)}, got {self.loss!r}")
        usual = _LOSSES[self.loss]
        if self.num_negatives is None:
            object.__setattr__(self, "num_negatives", usual)
        elif usual is None:
            raise ConfigError(f"num_negatives: {self.loss} is over all items and draws none, got {self.num_negatives}")
        if self.shared_negatives is None:
            object.__setattr__(self, "shared_negatives", self.loss != "bce" and (self.num_negatives or 1) > 1)
        drawn = () if usual is None else ("num_negatives",)
        wide = () if self.inner is None else ("inner",)
        counts = ("blocks", "heads", *wide, "max_length", *drawn, "batch_size", "validate_every", "num_threads")
        for name, least in (("hidden", 2), *((name, 1) for name in counts)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.attention_dropout is not None and not 0.0 <= self.attention_dropout < 1.0:
            raise ConfigError(f"attention_dropout must be at least 0 and below 1, got {self.attention_dropout}")
        if self.positions not in ("learned", "rotary"):
            raise ConfigError(f"positions must be learned or rotary, got {self.positions!r}")
        if self.temperature is not None and not 0.0 < self.temperature < math.inf:
            raise ConfigError(f"temperature must be above 0, got {self.temperature}")
        if not 0.0 <= self.random_window <= 1.0:
            raise ConfigError(f"random_window must be from 0 to 1, got {self.random_window}")
        if self.unseen_negatives and usual is None:
            raise ConfigError(f"unseen_negatives: {self.loss} is over all items and draws none")
        if not 0.0 <= self.ema_decay < 1.0:
            raise ConfigError(f"ema_decay must be at least 0 and below 1, got {self.ema_decay}")
        if self.precision not in ("fp32", "bf16"):
            raise ConfigError(f"precision must be fp32 or bf16, got {self.precision!r}")
        if self.p0_schedule not in ("constant", "anneal", "warmup"):
            raise ConfigError(f"p0_schedule must be constant, anneal or warmup, got {self.p0_schedule!r}")
        if self.metric not in METRICS:
            raise ConfigError(f"metric must be one of {', '.join(METRICS)}, got {self.metric!r}")
        if self.hidden % self.heads:
            raise ConfigError(f"heads must divide hidden = {self.hidden}, got {self.heads}")
