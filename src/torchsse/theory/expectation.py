"""Losses in expectation over the swaps of one or several tables, and the transpose: what each entry is weighted with.

A loss table holds loss(E_1[k1], ..., E_M[kM], c | Theta) for every k1 .. kM, and every label c if there are labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from torchsse.errors import ConfigError, IdRangeError, IdTypeError
from torchsse.swap import Swappable
from torchsse.theory.operator import TransitionOperator, transition_operator
from torchsse.transition import Law

__all__ = ["MAX_TABLE_BYTES", "Expectation", "Swaps"]

Array = np.ndarray[Any, Any]

Swaps = Swappable | Law | Sequence[Swappable | Law]
"""What swaps each table: an SSE or a law (at p0 = 1); several tables: a sequence, one for each."""

MAX_TABLE_BYTES = 1 << 30
"""Largest loss table taken, as float64: 1 GiB. The product law of two tables needs all N1 x N2 losses."""


class Expectation:
    """The linear map from a loss table to the n expected losses of the examples, under the product of the laws (Eq. 4).

    Args:
        sse: see `Swaps`.
        ids: (n,) integers, or (n, M) for M tables.
        labels: None, (n,) integers, or (n, C) weights; see `rademacher_complexity`.
    """

    def __init__(self, sse: Swaps, ids: object, labels: object = None) -> None:
        given = list(sse) if isinstance(sse, Sequence) else [sse]
        if not given:
            raise ConfigError("expected an SSE for each table, got an empty sequence")
        self.operators: list[TransitionOperator] = [transition_operator(one) for one in given]
        self.sizes = tuple(operator.num_embeddings for operator in self.operators)
        self.ids = self._checked_ids(ids)
        self.labels = None if labels is None else _checked_labels(labels, len(self.ids))
        self.num_labels = 0
        if self.labels is not None:
            codes = self.labels.ndim == 1
            self.num_labels = int(self.labels.max(initial=-1)) + 1 if codes else self.labels.shape[1]

    @property
    def num_examples(self) -> int:
        return len(self.ids)

    def losses(self, table: object) -> Array:
        """(n,): sum_k1 .. sum_kM p(j1, k1) .. p(jM, kM) loss(k1, .., kM, y) of each example."""
        return self._pick(self._apply(self._checked_table(table), transpose=False))

    def own_losses(self, table: object) -> Array:
        """(n,): loss(j1, .., jM, y) of each example, nothing swapped."""
        return self._pick(self._checked_table(table))

    def weights(self, signs: Array, num_labels: int | None = None, swapped: bool = True) -> Array:
        """The transpose of `losses`: the table c with sum(c * table) = signs' losses(table), for every table.

        Args:
            signs: (n,) one number for each example.
            num_labels: C, where labels are codes and the table has more columns than they use.
            swapped: False for the transpose of `own_losses`.
        """
        labels = self.labels
        columns = max(self.num_labels, num_labels or 0) if labels is not None else 1
        self._check_size((*self.sizes, columns))
        table = np.zeros((int(np.prod(self.sizes)), columns))
        flat = self._flat_ids()
        if labels is None:
            np.add.at(table[:, 0], flat, signs)
        elif labels.ndim == 1:
            np.add.at(table, (flat, labels), signs)
        else:
            np.add.at(table, flat, signs[:, None] * labels)
        table = table.reshape(*self.sizes, columns)
        if swapped:
            table = self._apply(table, transpose=True)
        return table if labels is not None else table[..., 0]

    def _apply(self, table: Array, transpose: bool) -> Array:
        for axis, operator in enumerate(self.operators):
            front = np.moveaxis(table, axis, 0)
            table = np.moveaxis(operator.rmatvec(front) if transpose else operator.matvec(front), 0, axis)
        return table

    def _pick(self, table: Array) -> Array:
        picked: Array = table[tuple(self.ids.T)]
        if self.labels is None:
            return picked
        if self.labels.ndim == 1:
            return np.asarray(picked[np.arange(len(picked)), self.labels])
        return np.asarray((picked * self.labels).sum(axis=1))

    def _flat_ids(self) -> Array:
        return np.asarray(np.ravel_multi_index(tuple(self.ids.T), self.sizes))

    def _checked_ids(self, ids: object) -> Array:
        array = _numpy(ids)
        if array.dtype.kind not in "iu":
            raise IdTypeError(f"ids must be integers, got dtype {array.dtype}")
        if array.ndim == 1 and len(self.sizes) == 1:
            array = array[:, None]
        if array.ndim != 2 or array.shape[1] != len(self.sizes) or not len(array):
            tables = len(self.sizes)
            expected = "(n,)" if tables == 1 else f"(n, {tables})"
            raise ConfigError(f"expected ids of shape {expected}, n >= 1, for {tables} tables, got {array.shape}")
        for table, size in enumerate(self.sizes):
            outside = (array[:, table] < 0) | (array[:, table] >= size)
            if outside.any():
                raise IdRangeError(f"ids of table {table} must be in 0 .. {size - 1}, got {array[outside, table][0]}")
        return array.astype(np.int64)

    def _checked_table(self, table: object) -> Array:
        array = np.asarray(_numpy(table), np.float64)
        fits = array.shape == self.sizes
        expected = str(self.sizes)
        if self.labels is not None:
            # codes may leave the last labels unused, weights name each label
            exact = self.labels.ndim == 2
            columns = array.shape[-1] if array.ndim else 0
            fits = array.shape[:-1] == self.sizes and (
                columns == self.num_labels if exact else columns >= self.num_labels
            )
            sizes = ", ".join(map(str, self.sizes))
            expected = f"({sizes}, {self.num_labels}{'' if exact else ' or more'})"
        if not fits:
            raise ConfigError(f"expected a loss table of shape {expected}, got {array.shape}")
        self._check_size(array.shape)
        if not np.isfinite(array).all():
            raise ConfigError("a loss table holds NaN or infinite values")
        return array

    @staticmethod
    def _check_size(shape: tuple[int, ...]) -> None:
        size = 8
        for axis in shape:
            size *= axis
        if size > MAX_TABLE_BYTES:
            raise ConfigError(
                f"a loss table of shape {shape} takes {size / 2**30:.1f} GiB as float64, the limit is "
                f"{MAX_TABLE_BYTES / 2**30:.1f} GiB: take fewer rows or labels"
            )


def _checked_labels(labels: object, count: int) -> Array:
    array = _numpy(labels)
    if array.ndim == 1 and array.dtype.kind in "iu" and len(array) == count:
        if (array < 0).any():
            raise IdRangeError(f"labels must be at least 0, got {array.min()}")
        return array.astype(np.int64)
    if array.ndim == 2 and array.dtype.kind in "fiu" and len(array) == count:
        if not np.isfinite(array).all():
            raise ConfigError("labels hold NaN or infinite weights")
        return array.astype(np.float64)
    raise ConfigError(
        f"expected labels as ({count},) integers or ({count}, C) weights, got shape {array.shape} of {array.dtype}"
    )


def _numpy(value: object) -> Array:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
