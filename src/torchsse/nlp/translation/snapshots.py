"""Snapshots of the weights along a training run: which are kept, and their average."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from torchsse.errors import CorruptFileError

__all__ = ["Snapshots"]

History = list[dict[str, Any]]


class Snapshots:
    """Weights by step in a directory. The history has an entry for each, with a dev loss or without.

    Kept are the last `average`, and the `average` that end at the best dev loss: a run that is killed and goes on from
    an earlier state takes the others again, with the same bits.
    """

    def __init__(self, folder: Path, average: int) -> None:
        self.folder, self.size = folder, average

    def take(self, model: nn.Module, history: History) -> None:
        """Write the weights of the history's last entry, drop those that no average can need."""
        import safetensors.torch

        path = self._path(history[-1]["step"])
        beside = path.with_name(f".{path.name}.tmp")
        weights = {name: p.detach().cpu().contiguous() for name, p in model.named_parameters()}
        safetensors.torch.save_file(weights, beside)
        os.replace(beside, path)
        needed = {self._path(entry["step"]) for entry in history[-self.size :]}
        needed |= {self._path(step) for step in self.window(history)}
        for old in self.folder.glob("snapshot-*.safetensors"):
            if old not in needed and old.name <= path.name:
                old.unlink()

    def window(self, history: History) -> list[int]:
        """Steps whose weights make the model: up to the best dev loss, or the last."""
        end = self._best(history) + 1
        return [entry["step"] for entry in history[max(end - self.size, 0) : end]]

    def enough(self, history: History, patience: int | None) -> bool:
        """Whether the best dev loss is `patience` snapshots ago."""
        return patience is not None and bool(history) and len(history) - 1 - self._best(history) >= patience

    def average(self, model: nn.Module, history: History) -> None:
        """Give the model the mean of the window's weights."""
        import safetensors
        import safetensors.torch

        steps = self.window(history)
        parameters = dict(model.named_parameters())
        sums = {name: torch.zeros(p.shape, dtype=torch.float64) for name, p in parameters.items()}
        for step in steps:
            try:
                weights = safetensors.torch.load_file(self._path(step))
            except (OSError, safetensors.SafetensorError) as error:
                raise CorruptFileError(f"{self._path(step)}: cannot be read ({error}); --restart") from None
            for name, total in sums.items():
                total += weights[name]
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_((sums[name] / len(steps)).to(parameter.dtype))

    @staticmethod
    def _best(history: History) -> int:
        """Position of the best dev loss; of the last entry where there is none."""
        if "dev_loss" not in history[-1]:
            return len(history) - 1
        losses = [entry["dev_loss"] for entry in history]
        return losses.index(min(losses))

    def _path(self, step: int) -> Path:
        return self.folder / f"snapshot-{step:09d}.safetensors"
