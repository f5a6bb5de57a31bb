"""Edge and attribute files, and their resolution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchsse.data import AttributeTable, EdgeTable, IdMap, as_edges, read_attributes, read_edges
from torchsse.errors import DataError, TorchsseWarning

NODES = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40)


def write(folder: Path, content: str, name: str = "edges.csv") -> Path:
    file = folder / name
    file.write_text(content)
    return file


@given(NODES, st.lists(st.integers(0, 12), unique=True), st.booleans(), st.booleans())
def test_resolve_keeps_what_both_ends_know(
    pairs: list[tuple[int, int]], known: list[int], as_text: bool, weighted: bool
) -> None:
    src, dst = [a for a, _ in pairs], [b for _, b in pairs]
    weights = [k / max(len(pairs), 1) for k in range(len(pairs))] if weighted else None
    columns = ([str(v) for v in src], [str(v) for v in dst]) if as_text and pairs else (src, dst)
    got = EdgeTable(*columns, weights).resolve(IdMap(known))  # type: ignore[arg-type]
    kept = [k for k, (a, b) in enumerate(pairs) if a in known and b in known]
    assert got.src.tolist() == [known.index(src[k]) for k in kept]
    assert got.dst.tolist() == [known.index(dst[k]) for k in kept]
    assert got.dropped == len(pairs) - len(kept)
    if weights is None:
        assert got.weights is None
    else:
        assert got.weights is not None
        assert got.weights.tolist() == [weights[k] for k in kept]


@pytest.mark.parametrize(
    "content",
    ["a,b,n\n1,2,3\n2,5,6\n", "1,2,3\n2,5,6\n", "# SNAP\n1\t2\t3\n2\t5\t6\n", "1 2 3\n2 5 6\n", "1::2::3\n2::5::6\n"],
)
def test_the_first_two_columns_are_ids(tmp_path: Path, content: str) -> None:
    file = write(tmp_path, content)
    edges = read_edges(file)
    assert (edges.src_raw.tolist(), edges.dst_raw.tolist(), edges.weights) == ([1, 2], [2, 5], None)
    weighted = read_edges(file, weight=2)
    assert weighted.weights is not None
    assert weighted.weights.tolist() == [0.5, 1.0]
    assert as_edges(file, weight=2).weights.tolist() == [0.5, 1.0]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("content", "header", "doubted"),
    [
        ("ann,bob\nbob,cid\ncid,ann\n", None, True),
        ("ann,bob\nbob,cid\ncid,ann\n", True, False),
        ("ann,bob\nbob,cid\ncid,ann\n", False, False),
        ("ann,bob\nbob,cid\ncid,bob\n", None, False),
        ("from,to\nbob,cid\ncid,ann\n", None, False),
        ("a,b\n1,2\n2,3\n", None, False),
    ],
)
def test_a_header_of_ids_is_told(recwarn, tmp_path: Path, content: str, header: bool | None, doubted: bool) -> None:
    """Ids may all be text, and then an edge would be lost without a word."""
    found = read_edges(write(tmp_path, content), header=header)
    told = [str(w.message) for w in recwarn if issubclass(w.category, TorchsseWarning)]
    assert len(told) == doubted, told
    assert len(found) == 3 - (header is not False) if content.startswith("ann") else 2
    assert not doubted or "the first line (ann, bob) holds no number and was taken for a header, but" in told[0]


def test_columns_of_one_file_may_differ_in_kind(tmp_path: Path) -> None:
    got = read_edges(write(tmp_path, "a,b\n1,2\n2,x\n")).resolve(IdMap([1, 2]))
    assert (got.src.tolist(), got.dst.tolist(), got.dropped) == ([0], [1], 1)


@pytest.mark.parametrize(
    ("content", "weight", "message"),
    [
        ("a,b,n\n1,2,3\n1,3,x\n", "n", r"edges.csv, line 3: column 'n': expected a number, got 'x'"),
        ("a,b,n\n1,2,3\n1,3,\n", "n", "line 3: column 'n': expected a finite number, got nothing"),
        ("a,b,n\n1,2,3\n1,3,-1\n", "n", "line 3: column 'n': expected a weight of at least 0, got -1"),
        ("a,b,n\n1,2,0\n1,3,0\n", "n", "column 'n': every weight is 0"),
        ("a,b,n\n1,2,3\n", "w", "no weight column 'w': the columns are 'a', 'b', 'n'"),
        ("a,b,n\n1,2,3\n1,,3\n", None, "line 3: column 'b': the id is missing"),
        ("a,b\n1,2\n1\n", None, "line 3: expected 2 fields as in the header, got 1"),
        ("", None, "the file is empty"),
    ],
)
def test_wrong_edge_files(tmp_path: Path, content: str, weight: str | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_edges(write(tmp_path, content), weight=weight)


def test_wrong_edge_tables() -> None:
    for arguments, message in (
        (([1, 2], [1]), "dst_raw: expected 2 values"),
        (([1], [1], [1.5]), r"weights: expected numbers in \[0, 1\], got 1.5"),
        (([1], [1], [-0.5]), r"weights: expected numbers in \[0, 1\]"),
        (([1], [1], [float("nan")]), "weights: expected a finite number"),
        (([1], [None]), "dst_raw: the id in row 0 is missing"),
    ):
        with pytest.raises(DataError, match=message):
            EdgeTable(*arguments)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="got 4 of them"):
        as_edges(([1], [1], [1], [1]))


def test_attributes(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        'movie\trelation\tentity\n1\tstarring\t"Weird_Al"\n1\tdirector\tLee\n2\tstarring\t"Weird_Al"\n9\tstarring\tX\n',
        "kg.tsv",
    )
    table = read_attributes(file, attribute="entity", only={"relation": "starring"})
    assert table.ids_raw.tolist() == [1, 2, 9]
    assert table.attributes_raw.tolist() == ['"Weird_Al"', '"Weird_Al"', "X"]
    got = table.resolve(IdMap([2, 1]))
    assert (got.ids.tolist(), got.dropped) == ([1, 0], 1)
    assert got.attributes[0] == got.attributes[1]
    assert len(read_attributes(file)) == 4
    with pytest.raises(DataError, match="no row has relation = 'writer'"):
        read_attributes(file, only={"relation": "writer"})
    with pytest.raises(DataError, match="attributes_raw: expected 2 values"):
        AttributeTable([1, 2], ["a"])  # type: ignore[arg-type]


def test_resolved_types() -> None:
    got = EdgeTable([1], [2]).resolve(IdMap([1, 2]))  # type: ignore[arg-type]
    assert got.src.dtype == got.dst.dtype == np.int64
