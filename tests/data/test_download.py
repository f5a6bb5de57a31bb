"""Data sets into folders: checks, recorded checksums, what is there already."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import Files, serving

from torchsse.data import catalog, download, read_ratings
from torchsse.data import download as download_function
from torchsse.data.catalog import CATALOG, DataSet
from torchsse.errors import ConfigError, DataError, TorchsseWarning

RATINGS = b"1::1193::5::978300760\n2::661::3::978302109\n"


def packed(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return stream.getvalue()


ZIP = packed({"ml-tiny/ratings.dat": RATINGS, "ml-tiny/README": b"terms"})
SHA = hashlib.sha256(ZIP).hexdigest()


@pytest.fixture
def files() -> Iterator[Files]:
    with serving() as served:
        served.content |= {"/ml-tiny.zip": ZIP, "/loc.txt.gz": b"one file"}
        yield served


@pytest.fixture
def listed(files: Files, monkeypatch: pytest.MonkeyPatch) -> Files:
    """A catalogue with one set of each kind on the server."""
    url = f"{files.url}/ml-tiny.zip"
    md5 = hashlib.md5(ZIP, usedforsecurity=False).hexdigest()
    entries = (
        DataSet("tiny", "", "terms", "", "movielens-1m", url, len(ZIP), sha256=SHA, md5=md5),
        DataSet("tiny-md5", "", "terms", "", "movielens-1m", url, len(ZIP), md5=md5),
        DataSet("tiny-bare", "", "terms", "", "movielens-1m", url, 999, exact_size=False),
        DataSet("shut", "", "by agreement", "https://example.org", "netflix", why_not="it is shut"),
    )
    monkeypatch.setattr(catalog, "CATALOG", entries)
    return files


def test_from_the_catalogue(listed: Files, tmp_path: Path) -> None:
    for name in ("tiny", "tiny-md5"):
        folder = download(name, tmp_path)
        assert len(read_ratings(folder)) == 2
        note = json.loads((folder / "torchsse-download.json").read_text())
        assert (note["sha256"], note["licence"]) == (SHA, "terms")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tiny", "tiny-md5"]
    count = len(listed.asked)
    assert download("tiny", tmp_path) == tmp_path / "tiny"
    assert len(listed.asked) == count, "what is there is not fetched again"
    download("tiny", tmp_path, overwrite=True, keep_archive=True)
    assert (tmp_path / "ml-tiny.zip").read_bytes() == ZIP


def test_without_a_checksum(listed: Files, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no checksum is known for .*give --sha256 .* or --record"):
        download("tiny-bare", tmp_path)
    assert listed.asked == []
    with pytest.warns(TorchsseWarning, match=f"no checksum was known; the file was taken as it came .sha256 {SHA}"):
        download("tiny-bare", tmp_path, record=True)
    assert (tmp_path / "tiny-bare.sha256").read_text().startswith(SHA)
    download("tiny-bare", tmp_path, overwrite=True)  # checked against what was recorded
    listed.content["/ml-tiny.zip"] = packed({"evil": b"!"})
    with pytest.raises(DataError, match=f"expected sha256 {SHA}, got"):
        download("tiny-bare", tmp_path, overwrite=True, record=True)
    assert len(read_ratings(tmp_path / "tiny-bare")) == 2, "the folder that was right stays"
    (tmp_path / "tiny-bare.sha256").write_text("garbage")
    with pytest.raises(DataError, match="expected a sha256, got 'garbage'"):
        download("tiny-bare", tmp_path, overwrite=True)


def test_wrong_files(listed: Files, tmp_path: Path) -> None:
    listed.content["/ml-tiny.zip"] = ZIP[:-1] + b"?"
    with pytest.raises(DataError, match=r"expected sha256 .*it was removed"):
        download("tiny", tmp_path)
    listed.content["/ml-tiny.zip"] = ZIP + b"?"
    with pytest.raises(DataError, match=r"the server has .*: it is another file"):
        download("tiny", tmp_path)
    evil = packed({"../evil.txt": b"!"})
    listed.content["/ml-tiny.zip"] = evil
    with pytest.raises(DataError, match="leaves the folder; nothing was unpacked"):
        download(f"{listed.url}/ml-tiny.zip", tmp_path, sha256=hashlib.sha256(evil).hexdigest())
    assert not (tmp_path / "ml-tiny").exists()
    assert not (tmp_path.parent / "evil.txt").exists()


def test_by_address(files: Files, tmp_path: Path) -> None:
    folder = download(f"{files.url}/ml-tiny.zip", tmp_path, sha256=SHA.upper())
    assert folder == tmp_path / "ml-tiny"
    alone = download(f"{files.url}/loc.txt.gz", tmp_path, sha256=hashlib.sha256(b"one file").hexdigest())
    assert (alone / "loc.txt.gz").read_bytes() == b"one file"
    with pytest.raises(ConfigError, match="is there already and not from"):
        download(f"{files.url}/other/ml-tiny.zip", tmp_path, sha256=SHA)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ml-2m", {}, r"expected a data set of the catalogue \(ml-100k, .*\) or an https address, got 'ml-2m'"),
        ("netflix", {}, "netflix cannot be downloaded: .*; get it from https"),
        ("http://example.org/a.zip", {}, "expected an https address"),
        ("https://example.org/", {}, "ends in the name of a file"),
        ("ml-1m", {"sha256": "abc"}, "sha256: expected 64 hexadecimal digits, got 'abc'"),
        ("ml-1m", {"sha256": "0" * 64}, "sha256: the catalogue has a6898adb"),
    ],
)
def test_what_is_refused_before_anything_is_asked(
    tmp_path: Path, name: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        download_function(name, tmp_path, **options)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_the_catalogue_is_sound() -> None:
    from torchsse.data.formats import format_named

    assert len({entry.name for entry in CATALOG}) == len(CATALOG)
    for entry in CATALOG:
        format_named(entry.format)
        assert entry.licence
        assert entry.page.startswith("https://")
        assert (entry.url is None) == bool(entry.why_not)
        assert entry.url is None or (entry.url.startswith("https://") and entry.size)
        assert entry.sha256 is None or len(entry.sha256) == 64
        assert entry.md5 is None or len(entry.md5) == 32
