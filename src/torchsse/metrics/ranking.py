"""How good the head of a ranking is: precision, recall, NDCG, hit rate, MAP and MRR at any k, user by user."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.errors import ConfigError, DataError

__all__ = ["RANKING_METRICS", "checked_ks", "ranking_metrics"]

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

#: The names that `ranking_metrics` puts before ``@k``.
RANKING_METRICS = ("precision", "recall", "ndcg", "hr", "map", "mrr")


def ranking_metrics(top: Any, relevant: Any, ks: Sequence[int] = (1, 5, 10)) -> dict[str, Floats]:
    """Measure the head of each user's ranking against the items that are positive for that user.

    With h_i = 1 if the item at rank i (from 1) is positive and 0 if not, and P the number of positives of the user:

    ==============  =====================================================================================
    precision@k     sum_{i<=k} h_i / k, also where P < k or the list is shorter than k
    recall@k        sum_{i<=k} h_i / P
    ndcg@k          sum_{i<=k} h_i / log2(i + 1), divided by sum_{i<=min(k,P)} 1 / log2(i + 1)
    hr@k            1 if any h_i = 1 for i <= k, else 0 (hit rate)
    map@k           sum_{i<=k} h_i precision@i, divided by min(k, P) (average precision; the mean is over users)
    mrr@k           1 / the smallest i <= k with h_i = 1, or 0 if there is none (reciprocal rank)
    ==============  =====================================================================================

    All lie between 0 and 1. Gains are binary. Other tools divide precision by min(k, P) or MAP by P; compare numbers
    only under equal definitions.

    Args:
        top: item codes, shape (n, kmax), any integer type, best first; -1 fills rows that have fewer items. Ties must
            have been broken already: `torchsse.recsys.ranking.rank_all` puts the smaller code first.
        relevant: the positives, scipy sparse of shape (n, items), row q for row q of `top`. Every stored entry other
            than 0 is one; stored twice counts once.
        ks: cut-offs, each from 1 to kmax.

    Returns:
        ``{"precision@1": array, ...}``, float64 of shape (n,), for every metric and k, in the order of the table. A
        user without positives has NaN in all of them: take means with `numpy.nanmean`, and say how many were left out.

    Raises:
        DataError: shapes that do not match, an item code outside -1..items-1, an item twice in a row, an item after
            the padding. ConfigError: `ks` that are no positive integers, repeat, or exceed kmax.

    >>> from scipy.sparse import csr_matrix
    >>> top = [[3, 1, 0], [2, 0, -1], [0, 1, 2]]
    >>> relevant = csr_matrix([[0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
    >>> found = ranking_metrics(top, relevant, ks=(1, 3))
    >>> found["precision@3"].round(3).tolist(), found["recall@3"].tolist()
    ([0.333, 0.333, nan], [0.5, 1.0, nan])
    >>> found["ndcg@3"].round(3).tolist(), found["mrr@3"].tolist(), found["hr@1"].tolist()
    ([0.387, 1.0, nan], [0.5, 1.0, nan], [0.0, 1.0, nan])
    """
    codes, (indptr, indices, items) = _top(top), _positives(relevant)
    cuts = checked_ks(ks)
    if cuts[-1] > codes.shape[1]:
        raise ConfigError(f"ks: expected at most {codes.shape[1]}, the columns of top, got {cuts[-1]}")
    if len(codes) != len(indptr) - 1:
        raise DataError(f"expected as many rows in relevant as in top ({len(codes)}), got {len(indptr) - 1}")
    if codes.size and codes.max() >= items:
        raise DataError(f"top: expected item codes below {items}, the columns of relevant, got {codes.max()}")
    hits = _hits(codes[:, : cuts[-1]], indptr, indices, items)
    positives = np.diff(indptr).astype(np.float64)
    positives[positives == 0] = np.nan
    ranks = np.arange(1, hits.shape[1] + 1, dtype=np.float64)
    discount = 1.0 / np.log2(ranks + 1.0)
    found = np.cumsum(hits, axis=1, dtype=np.float64)
    gain, ideal = np.cumsum(hits * discount, axis=1), np.cumsum(discount)
    average = np.cumsum(hits * found / ranks, axis=1)
    first = np.where(found[:, -1] > 0, np.argmax(hits, axis=1), hits.shape[1])  # counted from 0
    nobody = np.where(np.isnan(positives), np.nan, 0.0)
    columns: dict[str, dict[int, Floats]] = {name: {} for name in RANKING_METRICS}
    for k in (int(k) for k in ks):
        reachable = np.minimum(positives, k)
        best = ideal[np.nan_to_num(reachable, nan=1.0).astype(np.int64) - 1]
        columns["precision"][k] = found[:, k - 1] / k + nobody
        columns["recall"][k] = found[:, k - 1] / positives
        columns["ndcg"][k] = gain[:, k - 1] / best + nobody
        columns["hr"][k] = (first < k) + nobody
        columns["map"][k] = average[:, k - 1] / reachable
        columns["mrr"][k] = np.where(first < k, 1.0 / (first + 1.0), 0.0) + nobody
    return {f"{name}@{k}": values for name, by_k in columns.items() for k, values in by_k.items()}


def checked_ks(ks: Iterable[Any]) -> list[int]:
    """The cut-offs in ascending order.

    Raises:
        ConfigError: none, or one that is no integer of at least 1, or twice the same.
    """
    given = list(ks) if isinstance(ks, Iterable) and not isinstance(ks, str) else [ks]
    for k in given:
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise ConfigError(f"ks: expected integers of at least 1, got {k!r}")
    if not given or len(set(given)) < len(given):
        raise ConfigError(f"ks: expected one or more different cut-offs, got {given!r}")
    return sorted(int(k) for k in given)


def _top(top: Any) -> Codes:
    codes = np.asarray(top)
    if codes.dtype.kind not in "iu" or codes.ndim != 2 or codes.shape[1] == 0:
        raise DataError(f"top: expected integer codes of shape (users, k), got {codes.dtype} of shape {codes.shape}")
    codes = codes.astype(np.int64, copy=False)
    if codes.size and codes.min() < -1:
        raise DataError(f"top: expected item codes from 0 or -1 for padding, got {codes.min()}")
    if ((codes[:, :-1] < 0) & (codes[:, 1:] >= 0)).any():
        row = int(np.argmax(((codes[:, :-1] < 0) & (codes[:, 1:] >= 0)).any(axis=1)))
        raise DataError(f"top: expected padding (-1) only at the end of a row, got {codes[row].tolist()} in row {row}")
    ordered = np.sort(codes, axis=1)
    twice = ((ordered[:, :-1] == ordered[:, 1:]) & (ordered[:, 1:] >= 0)).any(axis=1)
    if twice.any():
        row = int(np.argmax(twice))
        raise DataError(f"top: expected each item once in a row, got {codes[row].tolist()} in row {row}")
    return codes


def _positives(relevant: Any) -> tuple[Codes, npt.NDArray[Any], int]:
    """(indptr, indices, columns) of the entries that are not 0, indices ascending and once per row."""
    if not hasattr(relevant, "tocsr"):
        raise DataError(f"relevant: expected a scipy sparse matrix, got {type(relevant).__name__}")
    matrix = relevant.tocsr()
    if not matrix.has_canonical_format or not matrix.data.all():
        matrix = matrix.copy()
        matrix.data = (matrix.data != 0).astype(np.int32)  # before duplicates are added up: 1 and -1 are a positive
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
    return matrix.indptr.astype(np.int64), matrix.indices, int(matrix.shape[1])


def _hits(codes: Codes, indptr: Codes, indices: npt.NDArray[Any], items: int) -> npt.NDArray[np.bool_]:
    """Which of the codes are positive for their row."""
    if not len(indices):
        return np.zeros(codes.shape, dtype=bool)
    row = np.arange(len(codes), dtype=np.int64) * items
    keys = np.repeat(row, np.diff(indptr)) + indices  # ascending
    asked = codes + row[:, None]
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    found: npt.NDArray[np.bool_] = (keys[place] == asked) & (codes >= 0)
    return found
