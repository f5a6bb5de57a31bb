"""Where fits that take minutes are kept while a comparison runs: a killed one goes on after its last epoch."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchsse.experiments.arms import Arm
from torchsse.experiments.files import jsonable

__all__ = ["FITS", "FitFiles"]

FITS = "fits"
"""The directory, within that of the results."""


@dataclass(frozen=True)
class FitFiles:
    """One checkpoint for each fit, by what it depends on: a final fit that repeats the chosen trial finds it done.

    A checkpoint goes once no unit that is left can go on from it (see `Plan`).

    >>> from torchsse.experiments.sequence_arms import sequence_arms
    >>> FitFiles(Path("out")).place(sequence_arms()[0], {"dropout": 0.2, "weight_decay": 1e-5}, 3).name
    'none-84f81204-3'
    """

    folder: Path

    def place(self, arm: Arm, searched: dict[str, float], seed: int) -> Path:
        """The directory of a fit."""
        what: list[Any] = [arm.name, arm.model.name if arm.model else None, jsonable(arm.params(searched))]
        digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:8]
        return self.folder / f"{re.sub(r'[^a-z0-9-]+', '-', arm.name)}-{digest}-{seed}"

    def drop(self, arm: Arm, searched: dict[str, float], seed: int) -> None:
        """Remove a fit's checkpoint, if it is there."""
        shutil.rmtree(self.place(arm, searched, seed), ignore_errors=True)

    def clear(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.folder, ignore_errors=True)
