"""How long fits take, roughly: for the time left and for `--dry-run`. No result depends on it."""

from __future__ import annotations

from torchsse.experiments.arms import Arm
from torchsse.experiments.reproduce.table import Block
from torchsse.experiments.sequence_settings import SequenceSettings

__all__ = ["block_seconds", "fit_seconds", "unit_seconds"]

_PER_STEP = {
    "bpr": 0.6e-9 * 3,
    "bpr, hardest of 4 negatives": 0.9e-9 * 3,
    "marginalized": 4e-9,
    "graph-als": 4e-9,
    "als": 4e-9,
    "sqlrank": 4e-9,
}
"""Seconds per train rating, epoch and factor, on one core at 3 GHz. MF by SGD, the fastest, takes what the last line
of `fit_seconds` says."""

_MF = 0.16e-9
_WARM_UP = 20
"""Factors' worth of time that an example takes whatever the rank."""

_PER_TARGET = {"bce": 8.4e-6, "softmax": 19.5e-6}
"""Seconds per action and epoch of SASRec with d = 50 and 2 blocks; with few or shared negatives as with one."""

_FILL_IN = 5.0
"""How much longer a sweep of alternating least squares takes where a graph fills the data in."""


def fit_seconds(block: Block, arm: Arm, *, trial: bool) -> float:
    """One trial (as many fits as there are validation splits), or one final fit."""
    settings, kind = block.settings, arm.model
    plain = "bpr" if block.data.feedback == "implicit" else "mf"
    name = plain if kind is None else kind.name
    if kind is not None and kind.trained is None:
        return 1.0
    if isinstance(settings, SequenceSettings):
        if not trial and settings.seeds == 1:
            return 1.0  # the chosen trial's fit
        words = arm.params(arm.defaults)
        size = settings.hidden / 50 * float(words.get("blocks", settings.blocks)) / 2
        per_target = _PER_TARGET.get(str(words.get("loss", settings.loss)), _PER_TARGET["bce"])
        return block.data.positives * settings.epochs * size * per_target
    epochs = settings.epochs if kind is None else kind.limits(settings)[0]
    seconds = block.data.positives * epochs * (settings.factors + _WARM_UP) * _PER_STEP.get(name, _MF)
    if arm.graphs != "none" and name in ("marginalized", "als"):
        seconds *= _FILL_IN
    return seconds * (settings.validation_splits if trial else 1)


def unit_seconds(block: Block, arm: str, kind: str) -> float:
    """A trial or a final fit of a block; what came to nothing and the model that is saved take none."""
    declared = next((each for each in block.arms if each.name == arm), None)
    if declared is None or kind not in ("trial", "final"):
        return 0.0
    return fit_seconds(block, declared, trial=kind == "trial")


def block_seconds(block: Block) -> float:
    """The whole block on one core."""
    settings = block.settings
    return sum(
        arm.trials(settings.trials) * fit_seconds(block, arm, trial=True)
        + settings.seeds * fit_seconds(block, arm, trial=False)
        for arm in block.arms
    )
