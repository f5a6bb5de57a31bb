"""All that a run needs to go on from an epoch, as arrays: parameters, what Adam keeps of each, averages."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torchsse.recsys.sequence.trainer import SequenceTrainer

__all__ = ["arrays_of", "restore"]


def arrays_of(trainer: SequenceTrainer) -> dict[str, npt.NDArray[Any]]:
    """Copies, by name."""
    found: dict[str, npt.NDArray[Any]] = {}
    average = trainer.average
    if average is not None:
        found = {f"average.{name}": _host(value) for name, value in zip(average.names, average.values)}
        found["updates"] = np.array([average.updates])
    for name, parameter in trainer.network.named_parameters():
        found[f"network.{name}"] = _host(parameter)
        for word, value in trainer.optimizer.state.get(parameter, {}).items():
            found[f"adam.{word}.{name}"] = _host(value)
    return found


def restore(trainer: SequenceTrainer, arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Go back to what `arrays_of` returned."""
    with torch.no_grad():
        for name, parameter in trainer.network.named_parameters():
            parameter.copy_(torch.from_numpy(arrays[f"network.{name}"]))
            state = {
                word: torch.from_numpy(np.array(arrays[f"adam.{word}.{name}"])).to(trainer.device)
                for word in ("step", "exp_avg", "exp_avg_sq")
                if f"adam.{word}.{name}" in arrays
            }
            if state:
                trainer.optimizer.state[parameter] = state
        average = trainer.average
        if average is not None:
            average.updates = int(arrays["updates"][0])
            for name, value in zip(average.names, average.values):
                value.copy_(torch.from_numpy(np.array(arrays[f"average.{name}"])))


def _host(value: Tensor) -> npt.NDArray[Any]:
    found: npt.NDArray[Any] = value.detach().cpu().numpy().copy()
    return found
