"""IdMap and columns of raw ids against dictionaries."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchsse.data import IdMap
from torchsse.data.idmap import factorize
from torchsse.data.ids import id_column
from torchsse.errors import DataError

INTEGERS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=60)
SMALL = st.lists(st.integers(-50, 50), max_size=60)
TEXTS = st.lists(st.text(min_size=1).filter(str.strip), max_size=60)


@given(INTEGERS | SMALL | TEXTS)
def test_factorize_is_a_sorted_dictionary(raw: list[object]) -> None:
    ids, codes = factorize(raw)
    expected = sorted(set(raw))  # type: ignore[type-var]
    assert ids.ids.tolist() == expected
    assert codes.tolist() == [expected.index(v) for v in raw]
    assert ids.decode(codes).tolist() == raw
    assert codes.dtype == np.int32


@given(SMALL | TEXTS, SMALL | TEXTS)
def test_encode_is_a_dictionary_look_up(known: list[object], asked: list[object]) -> None:
    ids = factorize(known)[0]
    code = {str(v): i for i, v in enumerate(ids.ids.tolist())}
    assert ids.encode(asked).tolist() == [code.get(str(v), -1) for v in asked]


@given(SMALL | TEXTS, st.data())
def test_extended_keeps_codes_and_appends_sorted(known: list[object], data: st.DataObject) -> None:
    same = SMALL if known and isinstance(known[0], int) else TEXTS
    new = data.draw(same)
    ids = factorize(known)[0]
    longer = ids.extended(new) if known else factorize(new)[0]
    assert longer.ids[: len(ids)].tolist() == ids.ids.tolist()
    assert longer.ids[len(ids) :].tolist() == sorted(set(new) - set(known))  # type: ignore[type-var]
    if known and not set(new) - set(known):
        assert longer is ids


def test_far_apart_integers_are_searched_and_near_ones_looked_up_alike() -> None:
    rng = np.random.default_rng(0)
    near = rng.integers(0, 1000, 5000)
    far = near * 2**40
    a, b = factorize(near), factorize(far)
    assert np.array_equal(a[1], b[1])
    assert np.array_equal(a[0].ids * 2**40, b[0].ids)


def test_only_canonical_integers_cross_between_text_and_numbers() -> None:
    numbers, texts = IdMap([7, -3, 2**62]), IdMap(["7", "007", "x"])
    assert numbers.encode(["7", "007", "+7", "7.0", " 7", "-3", "-0", str(2**62), str(2**70), "x"]).tolist() == [
        *[0, -1, -1, -1, -1, 1, -1, 2, -1, -1]
    ]
    assert texts.encode([7, 8]).tolist() == [0, -1]
    assert numbers.encode(np.array([7.0, -3.0])).tolist() == [0, 1]
    assert 7 in numbers
    assert "8" not in numbers
    assert None not in numbers


def test_json_and_pickle_and_equality() -> None:
    for ids in (IdMap([5, -1, 9]), IdMap(["b", "ä", "a"]), IdMap([])):
        assert IdMap.from_json(json.loads(json.dumps(ids.to_json()))).ids.tolist() == ids.ids.tolist()
        assert pickle.loads(pickle.dumps(ids)) == ids  # noqa: S301  (our own bytes)
    assert IdMap([1, 2]) != IdMap([2, 1])
    assert IdMap([1]) != IdMap(["1"])
    assert hash(IdMap([1, 2])) == hash(IdMap([1, 2]))


def test_frozen() -> None:
    source = np.array([3, 4])
    ids = IdMap(source)
    source[0] = 9
    assert ids.ids.tolist() == [3, 4]
    with pytest.raises(ValueError, match="read-only"):
        ids.ids[0] = 1
    with pytest.raises(AttributeError, match="frozen"):
        ids.ids = source


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, None], "row 1 is missing"),
        (["a", ""], "row 1 is missing"),
        (["a", "  "], "row 1 is missing"),
        ([1.0, float("nan")], "row 1 is missing"),
        (np.array([1.0, np.nan]), r"row 1 is missing \(NaN\)"),
        (np.array([1.0, 1.5]), "row 1 is 1.5, not a whole number"),
        ([1, "a"], "text and numbers are mixed"),
        ([True, False], "expected integers or text"),
        (np.array([True]), "expected integers or text, got dtype bool"),
        ([2**70], "row 0 is beyond 64-bit"),
        (np.array([1, 2**63], dtype=np.uint64), "row 1 is beyond 64-bit"),
        (np.ones((2, 2)), "one dimension"),
        ([[1, 2]], "expected integers or text, got \\[1, 2\\] in row 0"),
        ([2**63, -1], "row 0 is beyond 64-bit"),
        (np.array(["2001-01-01"], dtype="datetime64[D]"), "got dtype datetime64"),
    ],
)
def test_bad_columns_are_refused(values: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        id_column(values)


def test_bad_maps_are_refused() -> None:
    with pytest.raises(DataError, match="2 occurs more than once"):
        IdMap([1, 2, 2])
    with pytest.raises(DataError, match="'a' occurs more than once"):
        IdMap(["a", "b", "a"])
    with pytest.raises(DataError, match="known ids are integers"):
        IdMap([1]).extended(["x"])
    ids = IdMap([1, 2])
    for codes in ([-1], [2]):
        with pytest.raises(DataError, match="expected 0 to 1"):
            ids.decode(codes)
    with pytest.raises(DataError, match="expected integers"):
        ids.decode([0.5])
    for value in (
        {},
        {"kind": "integer", "ids": ["a"]},
        {"kind": "pickle", "ids": []},
        [1],
        {"kind": "text", "ids": [1]},
    ):
        with pytest.raises(DataError, match="expected"):
            IdMap.from_json(value)
