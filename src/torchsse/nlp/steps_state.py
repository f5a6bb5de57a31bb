"""The state of a training run on disk, so that a killed run goes on to the bit: one safetensors file, exchanged whole.

Weights, the moments of AdamW and, as JSON in the header, the step with all that was recorded up to it. Random draws
need no state: each step seeds them from the seed of the run and its own number.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from torchsse.errors import ConfigError, CorruptFileError

__all__ = ["StateFile", "remove_unfinished", "write_json"]

KEY = "torchsse"
SCHEMA = 1


class StateFile:
    """Where a run keeps its state.

    Args:
        path: the file.
        mark: a fingerprint of settings and data. The state of another run is refused.
    """

    def __init__(self, path: Path, mark: str) -> None:
        self.path, self.mark = path, mark

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer, progress: dict[str, Any]) -> None:
        """Write everything; `progress` is what `load` returns."""
        import safetensors.torch

        tensors = {f"model.{name}": tensor for name, tensor in _own(model).items()}
        for name, parameter in model.named_parameters():
            for key, value in optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{key}.{name}"] = value
        document = json.dumps({"schema": SCHEMA, "mark": self.mark, "progress": progress}, allow_nan=False)
        whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        beside = self.path.with_name(f".{self.path.name}.tmp")
        safetensors.torch.save_file(whole, beside, {KEY: document})
        _exchange(beside, self.path)

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
        """Bring model and optimizer to the state saved last; its progress, or None if there is none.

        Raises:
            ConfigError: the state of a run with other settings or data.
            CorruptFileError: a damaged file.
        """
        import safetensors

        if not self.path.exists():
            return None
        try:
            with safetensors.safe_open(self.path, framework="pt") as file:
                document = json.loads((file.metadata() or {})[KEY])
                if document["schema"] != SCHEMA:
                    raise CorruptFileError(f"{self.path}: written by another version of torchsse")
                if document["mark"] != self.mark:
                    raise ConfigError(
                        f"{self.path.parent} holds a run with other settings or data that has not ended; choose "
                        "another --out, or --restart to discard it"
                    )
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
            with torch.no_grad():
                for name, tensor in _own(model).items():
                    tensor.copy_(tensors[f"model.{name}"])
            parameters = dict(model.named_parameters())
            for key, tensor in tensors.items():
                kind, _, rest = key.partition(".")
                if kind == "optimizer":
                    moment, _, name = rest.partition(".")
                    parameter = parameters[name]
                    scalar = tensor.dim() == 0 and parameter.dim() > 0
                    place = tensor if scalar and not optimizer.defaults.get("fused") else tensor.to(parameter.device)
                    optimizer.state[parameter][moment] = place
        except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError, OSError) as error:
            if isinstance(error, (ConfigError, CorruptFileError)):
                raise
            raise CorruptFileError(f"{self.path}: the state of a run, but damaged ({error}); --restart") from None
        progress: dict[str, Any] = document["progress"]
        return progress

    def remove(self) -> None:
        """When the run has ended."""
        self.path.unlink(missing_ok=True)


def remove_unfinished(directory: Path) -> None:
    """What a kill in the middle of writing may leave."""
    for path in directory.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """JSON without NaN, whole or absent."""
    beside = path.with_name(f".{path.name}.tmp")
    beside.write_text(json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")
    _exchange(beside, path)


def _own(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers, those that are tied once."""
    named = dict(model.named_parameters())
    persistent = model.state_dict(keep_vars=True)
    known = {id(tensor) for tensor in named.values()}
    return named | {name: tensor for name, tensor in persistent.items() if id(tensor) not in known}


def _exchange(beside: Path, path: Path) -> None:
    with open(beside, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(beside, path)
    with contextlib.suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
