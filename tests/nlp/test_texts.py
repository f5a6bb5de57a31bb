"""Documents and labelled texts from files; test documents kept out; pieces and batches."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from tiny_text import documents, tokenizer

from torchsse.errors import DataError
from torchsse.nlp.texts import Labelled, gather, read_documents, read_labelled
from torchsse.nlp.texts_tokens import Pieces, batches, cut_documents, encode, pad


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_lines_end_at_line_feeds_only(tmp_path: Path) -> None:
    found = read_documents(write(tmp_path / "a.txt.gz", "one\u0085two\r\n\n  \nthree\u2028four\n"))
    assert found == ["one\u0085two", "three\u2028four"]


def test_a_column_of_a_table(tmp_path: Path) -> None:
    table = write(tmp_path / "a.tsv", '1\tx\tthe "longest\n0\ty\tof all\n')
    assert read_documents(table) == ['the "longest', "of all"]
    assert read_documents(table, 1) == ["x", "y"]
    named = write(tmp_path / "b.csv.gz", 'id,review\n1,"good, or not"\n')
    assert read_documents(named) == read_documents(named, "review") == ["good, or not"]


def test_test_documents_are_left_out(tmp_path: Path) -> None:
    train = write(tmp_path / "train.txt", "one\ntwo\nthree  words here\nfour\ntwo\n")
    tests = write(tmp_path / "test.tsv", "1\ttwo\n0\tthree words  here\n")
    lines = write(tmp_path / "more.txt", "four\n")
    found = gather([train], [tests, lines])
    assert (found.documents, found.read, found.excluded) == (["one"], 5, 4)
    assert gather([train]).documents == read_documents(train)
    with pytest.raises(DataError, match="no documents are left"):
        gather([lines], [train])


def test_labelled_by_name_position_and_guess(tmp_path: Path) -> None:
    named = write(tmp_path / "a.tsv", "label\tsentence\n1\tgood\n0\tbad\n")
    assert read_labelled(named) == Labelled(["good", "bad"], ["1", "0"], str(named))
    plain = write(tmp_path / "b.tsv.gz", "1\t9\tid\ta long text\n0\t1\tid\tanother\n")
    assert list(read_labelled(plain, label=0).labels) == ["1", "0"]
    assert list(read_labelled(plain, text=2, label=1).texts) == ["id", "id"]
    two = write(tmp_path / "c.csv", 'great film,pos\n"bad, so bad",neg\n')
    assert read_labelled(two).classes == ["neg", "pos"]
    assert list(read_labelled(two, header=True).labels) == ["neg"]
    odd = write(tmp_path / "d.csv", "what,how\nfine film,2\nweak film,10\n")
    assert read_labelled(odd, "what", "how").classes == ["2", "10"]


@pytest.mark.parametrize(
    ("content", "words", "told"),
    [
        ("1\tx\ty\n", {}, "which column is the label"),
        ("1\tgood\n\tbad\n", {}, "line 2: expected a label"),
        ("1\tgood\n0\tbad\tfield\n", {}, "line 2: expected 2 fields"),
        ("1\tgood\n", {"label": "stars"}, "no label column"),
        ("1\tgood\n", {"label": 5}, "position from 0 to 1"),
        ("1\tgood\n", {"label": 1}, "same column"),
        ("good\n", {}, "without a tab or comma"),
        ("label\ttext\n", {}, "a header and no data"),
    ],
)
def test_bad_tables(tmp_path: Path, content: str, words: dict[str, str | int], told: str) -> None:
    path = write(tmp_path / "a.tsv", content)
    if words.get("label") == "stars":
        write(path, "mark\ttext\n1\tgood\n")
    with pytest.raises(DataError, match=told):
        read_labelled(path, **words)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_documents(tmp_path / "none.txt")
    (tmp_path / "a.txt").write_bytes(b"fine\n\xff\xfa\n")
    with pytest.raises(DataError, match="line 2: expected UTF-8"):
        read_documents(tmp_path / "a.txt")
    with pytest.raises(DataError, match="label for every text"):
        Labelled(["a"], [])


def test_pieces_use_every_token_and_are_alike() -> None:
    made, texts = tokenizer(), [*documents(20)[0], "film " * 40, ""]
    pieces = cut_documents(made, texts, 12)
    bare = made(texts, add_special_tokens=False)["input_ids"]
    rows = [pieces.row(i).tolist() for i in range(len(pieces))]
    assert all(row[0] == 2 and row[-1] == 3 and 3 <= len(row) <= 12 for row in rows)
    assert [id for row in rows for id in row[1:-1]] == [id for row in bare for id in row]
    assert [len(row) for row in rows[-4:]] == [12, 12, 12, 12]  # 40 tokens in 4 pieces, not 10 + 10 + 10 + 10 + 0
    whole = encode(made, texts, 12)
    assert len(whole) == len(texts)
    assert whole.lengths.max() == 12


def test_batches_hold_every_text_once_and_pad_little() -> None:
    lengths = np.random.default_rng(0).integers(3, 100, size=1003)
    found = batches(lengths, 10, seed=1, epoch=0)
    assert sorted(np.concatenate(found).tolist()) == list(range(1003))
    waste = sum(int(lengths[rows].max()) * len(rows) for rows in found) / lengths.sum()
    assert waste < 1.1
    again, other = batches(lengths, 10, seed=1, epoch=0), batches(lengths, 10, seed=1, epoch=1)
    assert all((a == b).all() for a, b in zip(found, again))
    assert any(len(a) != len(b) or (a != b).any() for a, b in zip(found, other))


def test_pad() -> None:
    ids, mask = pad(Pieces.of([[5, 6, 7], [8]]), [1, 0], pad_id=9)
    assert ids.tolist() == [[8, 9, 9], [5, 6, 7]]
    assert mask.tolist() == [[1, 0, 0], [1, 1, 1]]
