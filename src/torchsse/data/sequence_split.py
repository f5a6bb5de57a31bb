"""Ways to hold out the end of sequences: each user's last actions, or everything after a time.

Every part keeps the id maps of the whole. In a `SequenceSplit` the parts of a user follow one another: train, then
validation, then test. To measure on test, a model should know train and validation as the history.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from torchsse.data.sequences import Sequences
from torchsse.errors import ConfigError, DataError

__all__ = ["SequenceSplit", "SplitBy", "divide", "leave_last_out", "split_at", "split_by_time"]

SplitBy = Literal["last", "time"]
"""How whole histories are divided: each user's last two actions held out, or the latest fifth of all actions."""


class SequenceSplit(NamedTuple):
    """Three parts of one `Sequences`, in the order of time."""

    train: Sequences
    validation: Sequences
    test: Sequences


def leave_last_out(sequences: Sequences, *, min_length: int = 3) -> SequenceSplit:
    """Each user's last action is for test, the one before for validation, the others for train.

    Args:
        sequences: the whole.
        min_length: users with fewer actions stay in train entirely, at least 3. (Of the public codes the first keeps
            users of up to 2 whole, the PyTorch port those of up to 3.)

    Raises:
        ConfigError: min_length below 3. DataError: no user is long enough.

    >>> parts = leave_last_out(Sequences.from_arrays([1, 1, 1, 1, 2, 2], [5, 6, 7, 8, 5, 6]))
    >>> [len(part) for part in parts], parts.test.of(0).tolist()
    ([4, 1, 1], [3])
    """
    if isinstance(min_length, bool) or not isinstance(min_length, int) or min_length < 3:
        raise ConfigError(f"min_length: expected an integer of at least 3, got {min_length!r}")
    left = sequences.offsets[1:][sequences.users] - np.arange(len(sequences))  # 1: the user's last
    long = (sequences.lengths >= min_length)[sequences.users]
    if not long.any():
        raise DataError(f"leave_last_out: expected users with at least {min_length} actions, got none")
    return SequenceSplit(
        sequences.select(~long | (left > 2)), sequences.select(long & (left == 2)), sequences.select(long & (left == 1))
    )


def divide(sequences: Sequences, by: SplitBy) -> SequenceSplit:
    """`leave_last_out` or `split_by_time`, with their defaults.

    >>> [len(part) for part in divide(Sequences.from_arrays([1, 1, 1, 1], [5, 6, 7, 8]), "last")]
    [2, 1, 1]
    """
    return split_by_time(sequences) if by == "time" else leave_last_out(sequences)


def split_at(sequences: Sequences, counts: npt.NDArray[np.integer[Any]]) -> tuple[Sequences, Sequences]:
    """The first `counts` actions of each user, (num_users,), and the others.

    >>> first, others = split_at(Sequences.from_arrays([1, 1, 1, 2], [5, 6, 7, 8]), np.array([2, 5]))
    >>> len(first), others.of(0).tolist()
    (3, [2])
    """
    users = sequences.users
    place = np.arange(len(sequences)) - sequences.offsets[users]
    return sequences.select(place < counts[users]), sequences.select(place >= counts[users])


def split_by_time(sequences: Sequences, validation: float = 0.1, test: float = 0.1) -> SequenceSplit:
    """Train on the past, validate and test on the future of all users together.

    Args:
        sequences: the whole, with timestamps.
        validation: share of the actions, above 0. Equal times stay together, so shares are as near as they can be.
        test: the same of the latest; below 1 together.

    Raises:
        ConfigError: shares out of range. DataError: no timestamps, or a part would be empty.
    """
    if not (0 < validation < 1 and 0 < test < 1 and validation + test < 1):
        raise ConfigError(f"expected shares above 0 and below 1 together, got {validation!r} and {test!r}")
    if sequences.timestamps is None:
        raise DataError("split_by_time: expected sequences with timestamps, got only their order")
    times = sequences.timestamps
    ordered = np.sort(times)
    first, second = (ordered[min(len(times) - 1, round(len(times) * s))] for s in (1 - validation - test, 1 - test))
    parts = times < first, (times >= first) & (times < second), times >= second
    if not all(part.any() for part in parts):
        raise DataError(
            f"split_by_time: {len(times):,} actions at {len(np.unique(times)):,} different times are too few: a part "
            "would be empty"
        )
    return SequenceSplit(*(sequences.select(part) for part in parts))
