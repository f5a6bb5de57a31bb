"""What holds for every trial of a study, and the JSON that tells one study from another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from torchsse.errors import ConfigError
from torchsse.experiments.settings import DataFile
from torchsse.experiments.tuning.models import ModelName, TunedModel
from torchsse.experiments.tuning.space import TuneSpace

if TYPE_CHECKING:
    from torchsse.experiments.tuning.data import TuneData

__all__ = ["TuneSettings", "config_of", "roles", "validation_words"]


@dataclass(frozen=True)
class TuneSettings:
    """What holds for every trial.

    Attributes:
        epochs: the most a fit may take; early stopping on validation chooses the number.
        patience: epochs without a better value on validation before a fit stops.
        trials: of the search. Not part of what tells studies apart: a finished one goes on with more.
        seed: of the splits, the search and the fits.
        pruning: stop a trial whose best value so far is worse than the median of the complete trials at that epoch, in
            the second half of its epochs: strong SSE learns more slowly and ends higher.
        profile: fits along each p0 at the best settings, once they are found: the response that is plotted. Not part
            of what tells studies apart.
        validation_fraction: of each user's train ratings, held out where no validation file is given.
        validation_splits: how often, at random; a trial is judged by the mean.

    Raises:
        ConfigError: for a setting outside its range.
    """

    epochs: int
    patience: int
    trials: int = 50
    seed: int = 0
    pruning: bool = True
    profile: int = 6
    validation_fraction: float = 0.1
    validation_splits: int = 1

    def __post_init__(self) -> None:
        counts = ("epochs", "patience", "trials", "validation_splits")
        for name, least in (*((name, 1) for name in counts), ("seed", 0), ("profile", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not 0 < self.validation_fraction < 1:
            raise ConfigError(f"validation_fraction must lie between 0 and 1, got {self.validation_fraction}")

    @classmethod
    def of(cls, model: TunedModel, **given: Any) -> TuneSettings:
        """With the model's budget and the validation of `torchsse compare` for its feedback; None is the default.

        >>> from torchsse.experiments.tuning.models import MODELS
        >>> TuneSettings.of(MODELS[ModelName.bpr], epochs=20).validation_fraction
        0.2
        """
        split = {"explicit": (0.1, 2), "implicit": (0.2, 1), "sequences": (0.1, 1)}[model.feedback]
        usual = {
            "epochs": model.epochs,
            "patience": model.patience,
            "validation_fraction": split[0],
            "validation_splits": split[1],
        }
        return cls(**{**usual, **{name: value for name, value in given.items() if value is not None}})


def config_of(name: ModelName, space: TuneSpace, settings: TuneSettings, data: TuneData) -> dict[str, Any]:
    """Everything that trials depend on, as JSON: its fingerprint decides whether a study may go on."""
    import torchsse

    kept = {key: value for key, value in asdict(settings).items() if key not in ("trials", "profile")}
    if data.validation is not None:
        kept |= {"validation_fraction": None, "validation_splits": None}
    return {
        "task": "tune",
        "model": name.value,
        "version": torchsse.__version__,
        "settings": kept,
        "space": space.config(),
        "data": {file.role: file.sha256 for file in data.files},
        "reading": dict(data.reading),
    }


def validation_words(settings: TuneSettings, data: TuneData) -> str:
    """How trials are judged, in words."""
    if dict(data.reading).get("validation") is not None:
        return f"each user's last action, {len(data.validation):,} of them"
    if data.validation is not None:
        return f"the validation file, {len(data.validation):,} ratings"
    times = "" if settings.validation_splits == 1 else f", {settings.validation_splits} times"
    return f"{settings.validation_fraction:.0%} of each user's train ratings, at random{times}"


def roles(files: Sequence[DataFile]) -> list[dict[str, str]]:
    """The files as JSON, for provenance."""
    return [vars(file) for file in files]
