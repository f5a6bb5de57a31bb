"""The data of a study: what trials learn from, what judges them, and their graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from torchsse.errors import ConfigError
from torchsse.experiments.arms import Side
from torchsse.experiments.loading import Columns, check_edge_weight, load_graphs
from torchsse.experiments.settings import DataFile
from torchsse.experiments.tuning.models import TunedModel
from torchsse.experiments.tuning.settings import TuneSettings

if TYPE_CHECKING:
    from torchsse.data import Ratings
    from torchsse.data.sequences import Order
    from torchsse.graph import Graph

__all__ = ["TuneData", "load_tune_data"]

Column = str | int | None


@dataclass(frozen=True)
class TuneData:
    """Ratings, graphs, and where they came from.

    Attributes:
        train: `Ratings` that trials learn from; without `validation`, what is split for them. Or `Sequences`.
        validation: under the same id maps as train, or None.
        files: for provenance and for telling a resumed study from another one.
        reading: how the files were read, where it changes the data, and `nearest`.
        notes: what a reader of the results should know.
        histories: of `Sequences` train and validation together.
        nearest: table -> how many nearest rows by co-occurrence, in what a fit learns from, are its graph.
    """

    train: Any
    validation: Any = None
    user_graph: Graph | None = None
    item_graph: Graph | None = None
    files: tuple[DataFile, ...] = ()
    reading: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    histories: Any = None
    nearest: Mapping[Side, int] = field(default_factory=dict)

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
    nearest: Mapping[Side, int] | None = None,
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
        nearest: see `TuneData`.
        edge_weight: the column of edge weights, for both; None = every edge counts 1.
        columns: of both rating files.
        order: of histories, see `Sequences.from_ratings`.

    Raises:
        DataError: from the readers. ConfigError: an edge weight without a graph; pairs only where ratings are needed.
    """
    check_edge_weight(edge_weight, user_graph, item_graph)
    columns = columns or Columns()
    if model.feedback == "sequences":
        data = _load_sequences(train, validation, item_graph, edge_weight, columns, order)
    else:
        data = _load_ratings(train, model, validation, user_graph, item_graph, edge_weight, columns)
    return _with_nearest(data, nearest or {})


def _with_nearest(data: TuneData, nearest: Mapping[Side, int]) -> TuneData:
    """The same along co-occurrence: noted, and part of what tells one study from another."""
    notes = tuple(
        f"{side.capitalize()} graph: each {side}'s {k} nearest by co-occurrence, in what a fit learns from."
        for side, k in nearest.items()
    )
    reading = sorted((*data.reading, *((f"{side}_nearest", str(k)) for side, k in nearest.items())))
    return replace(data, nearest=nearest, reading=tuple(reading), notes=data.notes + notes)


def _load_ratings(
    train: Path,
    model: TunedModel,
    validation: Path | None,
    user_graph: Path | None,
    item_graph: Path | None,
    edge_weight: Column,
    columns: Columns,
) -> TuneData:
    """Train, validation if it is a file, and the graphs."""
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
