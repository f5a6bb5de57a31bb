"""What a training step of a sequence network does."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TrainWords"]


@dataclass(frozen=True)
class TrainWords:
    """Settings of an estimator that a step depends on: see `SASRec` for each."""

    learning_rate: float
    learning_rate_decay: float
    weight_decay: float
    batch_size: int
    loss: str
    num_negatives: int
    shared_negatives: bool
    unseen_negatives: bool
    random_window: float
    calibration: float
    p0_input: float
    p0_output: float
    p0_user: float
    p0_schedule: str
    coupled: bool
    ema_decay: float
    precision: str
    seed: int
    epochs: int
