"""The journal survives a kill at any byte and refuses what is not its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from torchsse.errors import ConfigError, CorruptFileError
from torchsse.experiments.journal import Journal, glance

CONFIG = {"settings": {"trials": 2}, "data": {"train": "abc"}}
RECORDS = [{"kind": "trial", "number": n, "value": n / 7} for n in range(4)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.jsonl"
    with Journal(path, CONFIG) as journal:
        for record in RECORDS:
            journal.append(record)
    return path


def test_records_come_back_exactly(path: Path) -> None:
    with Journal(path, CONFIG) as journal:
        assert journal.records == RECORDS


def test_any_torn_tail_loses_at_most_one_record(path: Path) -> None:
    whole = path.read_bytes()
    header = whole.index(b"\n") + 1
    for size in range(header, len(whole) + 1, 3):
        path.write_bytes(whole[:size])
        complete = whole[:size].count(b"\n") - 1
        with Journal(path, CONFIG) as journal:
            assert journal.records == RECORDS[:complete]
            journal.append({"kind": "trial", "number": 99})
        with Journal(path, CONFIG) as journal:
            assert journal.records == [*RECORDS[:complete], {"kind": "trial", "number": 99}]


def test_a_glance_at_what_is_no_journal_finds_nothing(path: Path) -> None:
    """It decides whether a block is finished, so it must not end in a traceback."""
    found = glance(path)
    assert found is not None
    assert found == (CONFIG, RECORDS)
    whole = path.read_bytes()
    for line in (b"[1, 2]\n", b"7\n", b"null\n", b"{}\n", b"{half\n"):
        path.write_bytes(whole + line)
        assert glance(path) is None, line
        path.write_bytes(line + whole)
        assert glance(path) is None, line
    for line in (b'{"config": 7}\n', b'{"config": ["ab"]}\n'):
        path.write_bytes(line)
        assert glance(path) is None, line
    assert glance(path.parent) is None, "a directory"
    assert glance(path / "below") is None
    assert glance(path.parent / "none") is None


def test_a_torn_header_starts_afresh(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])
    with Journal(path, CONFIG) as journal:
        assert journal.records == []


def test_other_config_is_refused_and_left_alone(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"settings\.trials: 2 there, 3 here"):
        Journal(path, {"settings": {"trials": 3}, "data": {"train": "abc"}})
    assert path.read_bytes() == before


def test_foreign_and_damaged_files_are_refused(path: Path) -> None:
    path.write_text('{"kind": "diary"}\n')
    with pytest.raises(CorruptFileError, match="not a journal"):
        Journal(path, CONFIG)
    path.write_text("dear diary\n")
    with pytest.raises(CorruptFileError, match="line 1"):
        Journal(path, CONFIG)


def test_one_process_at_a_time(path: Path) -> None:
    pytest.importorskip("fcntl")
    with Journal(path, CONFIG), pytest.raises(ConfigError, match="in use"):
        Journal(path, CONFIG)


def test_restart(path: Path) -> None:
    with Journal(path, {"other": 1}, restart=True) as journal:
        assert journal.records == []
    assert len(path.read_text().splitlines()) == 1


def test_nan_is_refused(path: Path) -> None:
    with Journal(path, CONFIG) as journal, pytest.raises(ValueError, match="JSON"):
        journal.append({"value": float("nan")})
    assert [json.loads(line) for line in path.read_text().splitlines()[1:]] == RECORDS
