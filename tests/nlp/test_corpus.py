"""Parallel text: what is read, what is dropped, and what is said of files that are wrong."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from torchsse.errors import ConfigError, DataError
from torchsse.nlp.corpus import Corpus, read_parallel, without_overlap


def write(path: Path, text: str) -> Path:
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_tables_with_and_without_a_header(tmp_path: Path) -> None:
    named = write(tmp_path / "a.tsv", 'set\ten\tde\ntrain\tOne "dog.\tEin Hund.\r\nval\tA cat.\tEine Katze.\n')
    assert read_parallel(named).source == ['One "dog.', "A cat."]
    assert read_parallel(named).target == ["Ein Hund.", "Eine Katze."]
    assert read_parallel(named, source="de", target="en").source == ["Ein Hund.", "Eine Katze."]
    assert read_parallel(f"{named}@set=val").source == ["A cat."]
    assert len(read_parallel(f"{named}@set=val,train")) == 2
    bare = write(tmp_path / "b.tsv.gz", "Hi.\tHallo!\nBye.\tWiedersehen.\n")
    assert read_parallel(bare).source == ["Hi.", "Bye."]
    assert read_parallel(bare, source=1, target=0).source == ["Hallo!", "Wiedersehen."]
    swapped = write(tmp_path / "c.tsv", "target\tsource\tnote\nja\tyes\tx\n")
    assert read_parallel(swapped, source="source", target="target") == Corpus(["yes"], ["ja"])
    assert len(read_parallel(named, bare)) == 4, "files are put together"


def test_pairs_of_files_keep_step_and_odd_line_ends(tmp_path: Path) -> None:
    en, de = write(tmp_path / "x.en.gz", "a\u2028b\nc\x85\n\nlast"), write(tmp_path / "x.de", "A\nC\nnothing\nL\n")
    found = read_parallel(en, de)
    assert found.source == ["a\u2028b", "c", "last"]
    assert found.target == ["A", "C", "L"]
    assert found.dropped == 1
    assert len(read_parallel(en, de, keep_empty=True)) == 4, "a test set is measured whole"


def test_groups(tmp_path: Path) -> None:
    table = write(tmp_path / "t.tsv", "set\ten\tde\nx\ta\tA\ny\tb\tB\nx\tc\tC\n")
    parts = read_parallel(table, group="set").parts()
    assert {name: part.source for name, part in parts.items()} == {"x": ["a", "c"], "y": ["b"]}
    assert list(read_parallel(table).parts()) == [""]


def test_overlap() -> None:
    train = Corpus(["A dog.", "One  cat.", "A fish.", "B"], ["Ein Hund.", "Eine Katze.", "Ein Fisch.", "b"])
    held = Corpus(["a DOG.", "One cat.", "other"], ["Hund!", "Eine Katze.", "ein fisch."])
    left, dropped = without_overlap(train, [held])
    assert (left.source, dropped) == (["B"], 3)
    left, dropped = without_overlap(train, [held], whole_pairs=True)
    assert (left.source, dropped) == (["A dog.", "A fish.", "B"], 1)


def test_bad_files_are_named(tmp_path: Path) -> None:
    good = write(tmp_path / "good.tsv", "a\tb\nc\td\n")
    with pytest.raises(DataError, match="no such file"):
        read_parallel(tmp_path / "none.tsv")
    with pytest.raises(DataError, match=r"line 2: expected 2 cells .* got 3"):
        read_parallel(write(tmp_path / "w.tsv", "a\tb\na\tb\tc\n"))
    with pytest.raises(DataError, match="line 1: expected two or more cells"):
        read_parallel(write(tmp_path / "one.tsv", "abc\n"))
    with pytest.raises(DataError, match="no column 'fr'"):
        read_parallel(good, source="fr", target="b")
    with pytest.raises(DataError, match="column from 0 to 1, got 7"):
        read_parallel(good, source=7, target=0)
    with pytest.raises(ConfigError, match="both columns"):
        read_parallel(good, source="a")
    with pytest.raises(DataError, match=r"no line has 'nope' .* it has c"):
        read_parallel(f"{good}@a=nope")
    with pytest.raises(DataError, match=r"2 lines, .* 1: expected a translation for each line"):
        read_parallel(write(tmp_path / "l.en", "a\nb\n"), write(tmp_path / "l.de", "A\n"))
    with pytest.raises(ConfigError, match="with its translations after it"):
        read_parallel(tmp_path / "l.en")
    with pytest.raises(ConfigError, match="with its translations after it"):
        read_parallel(tmp_path / "l.en", good)
    with pytest.raises(ConfigError, match="one or more files"):
        read_parallel()
    (tmp_path / "latin.tsv").write_bytes("a\tb\nä\tc\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"line 2: expected UTF-8"):
        read_parallel(tmp_path / "latin.tsv")
    with pytest.raises(DataError, match="no pair"):
        read_parallel(write(tmp_path / "e.tsv", "en\tde\n\tx\n"))
    (tmp_path / "cut.tsv.gz").write_bytes(gzip.compress(b"a\tb\n" * 99)[:-9])
    with pytest.raises(DataError, match="damaged"):
        read_parallel(tmp_path / "cut.tsv.gz")
