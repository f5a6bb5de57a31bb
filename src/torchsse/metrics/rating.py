"""How far predicted ratings are from true ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.errors import DataError

__all__ = ["mae", "rating_metrics", "rmse", "squared_errors"]

Floats = npt.NDArray[np.float64]


def squared_errors(predicted: Any, true: Any) -> Floats:
    """(predicted - true)^2 of each pair, float64, shape (n,): what `paired_bootstrap` compares.

    Args:
        predicted: numbers, shape (n,); arrays of any float or integer type, lists, CPU tensors.
        true: numbers, shape (n,).

    Raises:
        DataError: the shapes differ, there are no pairs, or a value is not finite.

    >>> squared_errors([3.0, 4.5], [4, 4]).tolist()
    [1.0, 0.25]
    """
    return np.square(_errors(predicted, true))


def rmse(predicted: Any, true: Any, mask: Any = None) -> float:
    """Root mean squared error, over the pairs where `mask` is True (None: all).

    Arguments and errors as for `squared_errors`; a mask that keeps nothing raises `DataError` as well.

    >>> rmse([3, 5], [4, 5]), rmse([3, 5], [4, 5], mask=[False, True])
    (0.7071067811865476, 0.0)
    """
    return float(np.sqrt(_masked(squared_errors(predicted, true), mask).mean()))


def mae(predicted: Any, true: Any, mask: Any = None) -> float:
    """Mean absolute error; arguments and errors as for `rmse`.

    >>> mae([3, 5], [4, 5])
    0.5
    """
    return float(_masked(np.abs(_errors(predicted, true)), mask).mean())


def rating_metrics(predicted: Any, true: Any, warm: Any) -> dict[str, Any]:
    """RMSE and MAE over all pairs and apart for warm and cold ones, with their numbers.

    Args:
        predicted: numbers, shape (n,).
        true: numbers, shape (n,).
        warm: bool, shape (n,): user and item both occur in train (`Ratings.warm`).

    Returns:
        ``{"n", "rmse", "mae", "n_warm", "rmse_warm", "mae_warm", "n_cold", "rmse_cold", "mae_cold"}``; None where there
        are no such pairs.

    >>> m = rating_metrics([3, 5, 2], [4, 5, 2], [True, True, False])
    >>> m["n_cold"], m["rmse_cold"], round(m["rmse_warm"], 4), round(m["rmse"], 4)
    (1, 0.0, 0.7071, 0.5774)
    """
    errors = _errors(predicted, true)
    mask = _mask(warm, errors.shape)
    result: dict[str, Any] = {}
    for suffix, part in (("", errors), ("_warm", errors[mask]), ("_cold", errors[~mask])):
        result["n" + suffix] = len(part)
        result["rmse" + suffix] = float(np.sqrt(np.mean(part * part))) if len(part) else None
        result["mae" + suffix] = float(np.mean(np.abs(part))) if len(part) else None
    return result


def _errors(predicted: Any, true: Any) -> Floats:
    columns = []
    for name, values in (("predicted", predicted), ("true", true)):
        array = np.asarray(values)
        if array.dtype.kind not in "iuf":
            raise DataError(f"{name}: expected numbers, got dtype {array.dtype}")
        if array.ndim != 1 or array.size == 0:
            raise DataError(f"{name}: expected at least one value in one dimension, got shape {array.shape}")
        wide: Floats = array.astype(np.float64)
        if not np.isfinite(wide).all():
            row = int(np.argmin(np.isfinite(wide)))
            raise DataError(f"{name}: expected finite numbers, got {wide[row]} at position {row}")
        columns.append(wide)
    if columns[0].shape != columns[1].shape:
        raise DataError(f"expected as many predictions as ratings, got {len(columns[0])} and {len(columns[1])}")
    return columns[0] - columns[1]


def _mask(mask: Any, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    array = np.asarray(mask)
    if array.dtype.kind != "b" or array.shape != shape:
        raise DataError(f"mask: expected bool of shape {shape}, got {array.dtype} of shape {array.shape}")
    return array


def _masked(values: Floats, mask: Any) -> Floats:
    if mask is None:
        return values
    kept: Floats = values[_mask(mask, values.shape)]
    if not kept.size:
        raise DataError("mask: no pair is left")
    return kept
