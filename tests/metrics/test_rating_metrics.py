"""Rating errors against numpy by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchsse.errors import DataError
from torchsse.metrics import mae, rating_metrics, rmse, squared_errors

PAIRS = st.lists(st.tuples(st.floats(-10, 10), st.floats(-10, 10), st.booleans()), min_size=1, max_size=40)


@given(PAIRS)
def test_against_sums_by_hand(pairs: list[tuple[float, float, bool]]) -> None:
    predicted, true, warm = (list(c) for c in zip(*pairs))
    errors = [p - t for p, t, _ in pairs]
    assert squared_errors(predicted, true).tolist() == [e * e for e in errors]
    assert rmse(predicted, true) == pytest.approx(math.sqrt(sum(e * e for e in errors) / len(errors)))
    assert mae(predicted, true) == pytest.approx(sum(map(abs, errors)) / len(errors))
    got = rating_metrics(predicted, true, warm)
    for suffix, part in (
        ("", errors),
        ("_warm", [e for e, w in zip(errors, warm) if w]),
        ("_cold", [e for e, w in zip(errors, warm) if not w]),
    ):
        assert got["n" + suffix] == len(part)
        if part:
            assert got["rmse" + suffix] == pytest.approx(math.sqrt(sum(e * e for e in part) / len(part)))
            assert got["mae" + suffix] == pytest.approx(sum(map(abs, part)) / len(part))
        else:
            assert got["rmse" + suffix] is got["mae" + suffix] is None
    if any(warm):
        assert rmse(predicted, true, mask=warm) == pytest.approx(got["rmse_warm"])


def test_narrow_types_do_not_lose_digits() -> None:
    predicted = np.full(10_000, 3.1, dtype=np.float16)
    true = np.full(10_000, 3, dtype=np.int8)
    assert rmse(predicted, true) == pytest.approx(float(np.float16(3.1)) - 3, rel=1e-12)
    assert rmse(torch.tensor([3.0, 4.0]), torch.tensor([3, 5])) == pytest.approx(math.sqrt(0.5))


@pytest.mark.parametrize(
    ("predicted", "true", "message"),
    [
        ([1, 2], [1], "as many predictions as ratings, got 2 and 1"),
        ([], [], "predicted: expected at least one value"),
        ([1, math.nan], [1, 2], "predicted: expected finite numbers, got nan at position 1"),
        ([1, 2], [1, math.inf], "true: expected finite numbers, got inf at position 1"),
        (["a"], [1], "predicted: expected numbers"),
        ([[1]], [[1]], "one dimension"),
    ],
)
def test_wrong_values(predicted: list[object], true: list[object], message: str) -> None:
    for measure in (squared_errors, rmse, mae):
        with pytest.raises(DataError, match=message):
            measure(predicted, true)


def test_wrong_masks() -> None:
    for mask, message in (
        ([True], "bool of shape"),
        ([1, 0], "mask: expected bool"),
        ([False, False], "no pair is left"),
    ):
        with pytest.raises(DataError, match=message):
            rmse([1, 2], [1, 2], mask=mask)
