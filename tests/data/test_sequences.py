"""Sequences: packed storage, files, splits."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from torchsse.data import Ratings, Sequences, as_sequences, read_sequences
from torchsse.data.sequence_split import leave_last_out, split_by_time
from torchsse.errors import ConfigError, DataError

USERS, ITEMS, TIMES = [3, 1, 3, 1, 3, 1, 3, 2], [10, 20, 30, 10, 10, 10, 40, 20], [8, 1, 6, 3, 7, 2, 5, 4]


def listed(s: Sequences) -> dict:
    return {s.user_ids.ids[u]: s.item_ids.ids[s.of(u)].tolist() for u in range(s.num_users)}


def test_order_of_rows_and_of_time() -> None:
    by_row = Sequences.from_arrays(USERS, ITEMS)
    assert listed(by_row) == {1: [20, 10, 10], 2: [20], 3: [10, 30, 10, 40]}
    assert by_row.items.dtype == np.int32
    assert by_row.offsets.tolist() == [0, 3, 4, 8]
    by_time = Sequences.from_arrays(USERS, ITEMS, TIMES)
    assert listed(by_time) == {1: [20, 10, 10], 2: [20], 3: [40, 30, 10, 10]}
    ratings = Ratings.from_arrays(USERS, ITEMS, None, TIMES, duplicates="keep")
    assert listed(Sequences.from_ratings(ratings, "file")) == listed(by_row)
    assert listed(as_sequences(ratings)) == listed(by_time)
    assert as_sequences(by_time) is by_time
    assert len(by_row.to_ratings()) == 8


def test_files_of_every_layout(tmp_path) -> None:
    expected = {1: [20, 10, 10], 2: [20], 3: [10, 30, 10, 40]}
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("".join(f"{u} {i}\n" for u, i in zip(USERS, ITEMS)))
    assert listed(read_sequences(pairs)) == expected
    lines = tmp_path / "lines.txt.gz"
    lines.write_bytes(gzip.compress(b"1 20 10 10\n3 10 30 10 40\n2 20\n"))
    assert listed(read_sequences(lines)) == listed(as_sequences(str(lines))) == expected
    timed = tmp_path / "ratings.csv"
    timed.write_text(
        "user,item,rating,timestamp\n" + "".join(f"{u},{i},3,{t}\n" for u, i, t in zip(USERS, ITEMS, TIMES))
    )
    assert listed(read_sequences(timed))[3] == [40, 30, 10, 10]
    assert listed(read_sequences(timed, order="file")) == expected
    words = tmp_path / "words.txt"
    words.write_text("ann x1 x2\nbob x2 x2 x1\n")
    assert listed(read_sequences(words, format="user-lines")) == {"ann": ["x1", "x2"], "bob": ["x2", "x2", "x1"]}


def test_leave_last_out() -> None:
    parts = leave_last_out(Sequences.from_arrays(USERS, ITEMS))
    assert [listed(p) for p in parts] == [
        {1: [20], 2: [20], 3: [10, 30]},
        {1: [10], 2: [], 3: [10]},
        {1: [10], 2: [], 3: [40]},
    ]
    assert [len(p) for p in leave_last_out(Sequences.from_arrays(USERS, ITEMS), min_length=4)] == [6, 1, 1]
    with pytest.raises(ConfigError, match="min_length"):
        leave_last_out(Sequences.from_arrays(USERS, ITEMS), min_length=2)
    with pytest.raises(DataError, match="at least 3"):
        leave_last_out(Sequences.from_arrays([1, 1], [1, 2]))


def test_split_by_time() -> None:
    whole = Sequences.from_arrays(USERS, ITEMS, TIMES)
    parts = split_by_time(whole, 0.25, 0.25)
    assert [p.timestamps.max() for p in parts] == [4, 6, 8]
    assert sum(len(p) for p in parts) == 8
    with pytest.raises(DataError, match="timestamps"):
        split_by_time(Sequences.from_arrays(USERS, ITEMS))
    with pytest.raises(ConfigError, match="shares"):
        split_by_time(whole, 0.5, 0.5)


def test_what_is_refused() -> None:
    ids = Sequences.from_arrays([1, 2], [1, 2])
    for offsets, items in (([0, 1], [0, 1]), ([0, 2, 1], [0]), ([0, 1, 2], [0, 5]), ([0, 1, 2], [0.0, 1.0])):
        with pytest.raises(DataError):
            Sequences(np.array(offsets), np.array(items), ids.user_ids, ids.item_ids)
    with pytest.raises(DataError, match="rise"):
        Sequences(np.array([0, 2, 2]), np.array([0, 1]), ids.user_ids, ids.item_ids, np.array([2, 1]))
    with pytest.raises(DataError, match="no order"):
        as_sequences(Ratings.from_arrays([1], [2]).to_csr())
    with pytest.raises(ConfigError, match="order"):
        Sequences.from_ratings(Ratings.from_arrays([1], [2]), "rank")


def test_repeats_are_kept_only_when_asked() -> None:
    assert len(Ratings.from_arrays([1, 1], [2, 2], duplicates="keep")) == 2
    with pytest.raises(DataError, match="repeat"):
        Ratings.from_arrays([1, 1], [2, 2], duplicates="error")


def test_real_files(real_data) -> None:
    folder = real_data / "sasrec"
    ml = read_sequences(folder / "ml-1m.txt.gz")
    assert (ml.num_users, ml.num_items, len(ml)) == (6040, 3416, 999_611)
    beauty = read_sequences(folder / "s3rec_Beauty.txt.gz")
    assert (beauty.num_users, beauty.num_items, len(beauty)) == (22_363, 12_101, 198_502)
