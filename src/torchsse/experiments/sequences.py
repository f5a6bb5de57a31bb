"""A file of histories beside a fitted sequence model: what of it is the test part, and what the model should know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from torchsse.errors import ConfigError

if TYPE_CHECKING:
    from torchsse.data.sequence_split import SplitBy
    from torchsse.data.sequences import Sequences
    from torchsse.recsys.sequence.candidates import Candidates
    from torchsse.recsys.sequence.estimator import SequenceRecommender

__all__ = ["Held", "Split", "held_part", "is_train", "stored_candidates"]

Split = Literal["last", "time", "none"]

_WHAT: dict[SplitBy, str] = {
    "last": "each user's last action; the one before is in the history",
    "time": "the latest tenth of all actions; the tenth before is in the history",
}
_LEFT: dict[SplitBy, str] = {"last": "each user's last two actions", "time": "the latest fifth of all actions"}


@dataclass(frozen=True)
class Held:
    """What a model is measured on.

    Attributes:
        test: the actions.
        history: those between train and test; None if there are none.
        what: a line that says which actions of the file they are.
    """

    test: Sequences
    history: Sequences | None
    what: str


def held_part(model: SequenceRecommender, actions: Sequences, split: Split | None = None) -> Held:
    """The test part of `actions`.

    Args:
        model: a fitted one.
        actions: whole histories, of which the model learned the train part of `divide`; or what followed train.
        split: "last" or "time": whole histories; "none": what followed; None: whole ones if the train part of either
            is the model's.

    Raises:
        ConfigError: "last" or "time", and the train part is not the model's. DataError: "time", and there are no times.
    """
    from torchsse.data.sequence_split import divide
    from torchsse.errors import DataError

    tried: tuple[SplitBy, ...] = ("last", "time") if split is None else () if split == "none" else (split,)
    for by in tried:
        try:
            parts = divide(actions, by)
        except DataError:
            if split == "time":
                raise
            continue
        if is_train(model, parts.train):
            return Held(parts.test, parts.validation, _WHAT[by])
    if split is not None and split != "none":
        raise ConfigError(
            f"split {split}: the file less {_LEFT[split]} is not what the model was trained on; it must be the TRAIN "
            f"of `fit --validation {split}`, read in the same way"
        )
    return Held(actions, None, "all actions of the file, as what followed train")


def stored_candidates(
    model: SequenceRecommender, held: Held, negatives: int, seed: int, directory: Path | None
) -> Candidates:
    """Random negatives for the test part, drawn; or read from a directory that holds some, else written there.

    Raises:
        ConfigError: those of the directory are of other users, targets, number or seed.
    """
    from torchsse.recsys.sequence.candidates import Candidates
    from torchsse.recsys.storage import MANIFEST

    if directory is None or not (directory / MANIFEST).exists():
        drawn = model.draw_candidates(held.test, held.history, negatives, seed)
        if directory is not None:
            drawn.save(directory)
        return drawn
    found = Candidates.load(directory)
    expected = model.draw_candidates(held.test, held.history, 1, seed)
    same = np.array_equal(found.users, expected.users) and np.array_equal(found.targets, expected.targets)
    if not same or found.negatives.shape[1] != negatives or found.seed != seed:
        raise ConfigError(f"{directory} holds {found!r} of another test part, number or seed; name another directory")
    if _had(model, held, found):
        raise ConfigError(
            f"{directory} holds random items that these users have in their histories or test part: they were drawn "
            "for other data; name another directory"
        )
    return found


def _had(model: SequenceRecommender, held: Held, candidates: Candidates) -> bool:
    """Whether any user has one of its random items."""
    from torchsse.recsys.ranking import stored_pairs
    from torchsse.recsys.sequence.histories import merge

    seen = (model._indptr, model._indices)
    for part in (held.history, held.test):
        if part is not None:
            seen, _ = merge(seen, part, model.user_ids, model.item_ids)
    users = np.repeat(model.user_ids.encode(candidates.users), candidates.negatives.shape[1])
    items = model.item_ids.encode(candidates.negatives.reshape(-1))
    return bool(stored_pairs(seen, users, items, len(model.item_ids)).any())


def is_train(model: Any, train: Sequences) -> bool:
    """Whether the histories of the model are just these."""
    return (
        np.array_equal(model.user_ids.ids, train.user_ids.ids)
        and np.array_equal(model.item_ids.ids, train.item_ids.ids)
        and np.array_equal(model._indptr, train.offsets)
        and np.array_equal(model._indices, train.items)
    )
