"""What a study is given: its settings and its data, and the JSON that tells one study from another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from torchsse.errors import ConfigError
from torchsse.experiments.loading import Columns, load_graphs
from torchsse.experiments.settings import DataFile
from torchsse.experiments.tuning.models import ModelName, TunedModel
from torchsse.experiments.tuning.space import TuneSpace

if TYPE_CHECKING:
    from torchsse.data import Ratings
    from torchsse.data.sequences import Order
    from torchsse.graph import Graph

__all__ = ["TuneData", "TuneSettings", "config_of", "load_tune_data"]

Column = str | int | None


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


@dataclass(frozen=True)
class TuneData:
    """Ratings, graphs, and where they came from.

    Attributes:
        train: `Ratings` that trials learn from; without `validation`, what is split for them. Or `Sequences`.
        validation: under the same id maps as train, or None.
        files: for provenance and for telling a resumed study from another one.
        reading: how the files were read, where it changes the data.
        notes: what a reader of the results should know.
        histories: of `Sequences` train and validation together.
    """

    train: Any
    validation: Any = None
    user_graph: Graph | None = None
    item_graph: Graph | None = None
    files: tuple[DataFile, ...] = ()
    reading: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    histories: Any = None

    @cached_property
    def whole(self) -> Any:
        """Train and validation: what the best model is retrained on. A pair in both counts as validation has it."""
        if self.validation is None:
            return self.train
        if self.histories is not None:
            return self.histories
        train, validation = self.train, self.validation
        mine, theirs = (
            part.users.astype(np.int64) * train.num_items + part.items.astype(np.int64) for part in (train, validation)
        )
        kept = train.select(~np.isin(mine, theirs))
        ratings = (
            None
            if train.ratings is None or validation.ratings is None
            else np.concatenate([kept.values, validation.values])
        )
        users, items = (np.concatenate([getattr(kept, side), getattr(validation, side)]) for side in ("users", "items"))
        return type(train)(users, items, ratings, None, train.user_ids, train.item_ids)

    def splits(self, settings: TuneSettings) -> tuple[tuple[Any, Any], ...]:
        """What each fit of a trial learns from, and what judges it."""
        from torchsse.data import split

        if self.validation is not None:
            return ((self.train, self.validation),)
        return tuple(
            split.per_user(self.train, settings.validation_fraction, seed=settings.seed + number)
            for number in range(settings.validation_splits)
        )


def load_tune_data(
    train: Path,
    model: TunedModel,
    *,
    validation: Path | None = None,
    user_graph: Path | None = None,
    item_graph: Path | None = None,
    edge_weight: Column = None,
    columns: Columns | None = None,
    order: Order | None = None,
) -> TuneData:
    """Read everything a study needs.

    Args:
        train: ratings to learn from.
        model: decides whether ratings count, or pairs only.
        validation: ratings that judge trials.
        user_graph: edge file over raw user ids.
        item_graph: edge file over raw item ids.
        edge_weight: the column of edge weights, for both; None = every edge counts 1.
        columns: of both rating files.
        order: of histories, see `Sequences.from_ratings`.

    Raises:
        DataError: from the readers. ConfigError: an edge weight without a graph; pairs only where ratings are needed.
    """
    if edge_weight is not None and user_graph is None and item_graph is None:
        raise ConfigError("--edge-weight names a column of --item-graph or --user-graph; neither is given")
    columns = columns or Columns()
    if model.feedback == "sequences":
        return _load_sequences(train, validation, item_graph, edge_weight, columns, order)
    feedback: Literal["implicit"] | None = "implicit" if model.feedback == "implicit" else None
    learn = columns.read(train, feedback=feedback)
    files = [DataFile.of("train", train)]
    _check(learn, train, model)
    held_out = None
    if validation is not None:
        held_out = columns.read(validation, feedback=learn.feedback, like=learn)
        _check(held_out, validation, model)
        files.append(DataFile.of("validation", validation))
        # one pair of id maps for both, so that codes and graphs fit either and their union
        learn = learn.with_ids(held_out.user_ids, held_out.item_ids)
    graphs, more, about = load_graphs(learn, {"user": user_graph, "item": item_graph}, edge_weight)
    return TuneData(
        learn,
        held_out,
        graphs["user"],
        graphs["item"],
        (*files, *more),
        columns.reading(edge_weight),
        tuple(about),
    )


def _load_sequences(
    train: Path,
    validation: Path | None,
    item_graph: Path | None,
    edge_weight: Column,
    columns: Columns,
    order: Order | None,
) -> TuneData:
    """Histories without each user's last action, and that; or both from files of their own."""
    from torchsse.data import Sequences
    from torchsse.data.sequence_split import split_at

    learn = columns.sequences(train, order)
    files = [DataFile.of("train", train)]
    reading = columns.reading(edge_weight) + ((("order", order),) if order is not None else ())
    if validation is None:
        whole, counts = learn, np.where(learn.lengths >= 3, learn.lengths - 1, learn.lengths)
        reading += (("validation", "each user's last action"),)
    else:
        more = columns.sequences(validation, order)
        files.append(DataFile.of("validation", validation))
        # one pair of id maps for both, so that codes and graphs fit either and their union
        ends = [np.concatenate([_raw(part, side) for part in (learn, more)]) for side in ("user", "item")]
        whole = Sequences.from_arrays(*ends)
        counts = np.bincount(whole.user_ids.encode(_raw(learn, "user")), minlength=whole.num_users)
    first, held_out = split_at(whole, counts)
    if not len(first) or not len(held_out):
        raise ConfigError(f"{train}: expected users with at least three actions to judge trials by, found none")
    graphs, graph_files, about = load_graphs(first, {"user": None, "item": item_graph}, edge_weight)
    return TuneData(
        first,
        held_out,
        None,
        graphs["item"],
        (*files, *graph_files),
        tuple(sorted(reading)),
        tuple(about),
        whole,
    )


def _raw(part: Any, side: str) -> Any:
    """Raw ids of each action."""
    return part.user_ids.ids[part.users] if side == "user" else part.item_ids.ids[part.items]


def _check(ratings: Ratings, path: Path, model: TunedModel) -> None:
    if not len(ratings):
        raise ConfigError(f"{path}: expected ratings, found none")
    if model.feedback == "explicit" and ratings.feedback != "explicit":
        raise ConfigError(
            f"{path}: this model needs explicit ratings, but there is no rating column or all ratings are equal"
        )


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
