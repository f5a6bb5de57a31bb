"""Downloads from a server on this machine: resumed, bounded, checked, whole or not there."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import Files, serving

from torchsse.data import transfer
from torchsse.data.transfer import Checks, check_address, fetch
from torchsse.errors import ConfigError, DataError

DATA = bytes(range(256)) * 4096  # 1 MiB
SHA = hashlib.sha256(DATA).hexdigest()
MD5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()
RIGHT = Checks(sha256=SHA, md5=MD5, size=len(DATA))


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    monkeypatch.setattr(transfer, "PAUSE", 0.001)
    with serving() as served:
        served.content["/a.bin"] = DATA
        yield served


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_file(files: Files, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    target = tmp_path / "new" / "a.bin"
    assert fetch(f"{files.url}/a.bin", target, RIGHT, progress=lambda *at: seen.append(at)) == SHA
    assert target.read_bytes() == DATA
    assert seen[-1] == (len(DATA), len(DATA))
    assert [at for at, _ in seen] == sorted(at for at, _ in seen)
    assert left(target.parent) == ["a.bin"]
    fetch(f"{files.url}/a.bin", target, RIGHT)
    assert len(files.asked) == 1, "a file that is there and right is not fetched again"


def test_a_broken_connection_goes_on_where_it_stopped(files: Files, tmp_path: Path) -> None:
    files.cut_at = [300_000, 200_000]
    fetch(f"{files.url}/a.bin", tmp_path / "a.bin", RIGHT)
    assert (tmp_path / "a.bin").read_bytes() == DATA
    assert files.asked == [None, "bytes=300000-", "bytes=500000-"]


def test_given_up_and_taken_up_later(files: Files, tmp_path: Path) -> None:
    files.cut_at = [100_000]
    files.failures = []
    files.content["/b.bin"] = DATA
    target = tmp_path / "b.bin"
    with pytest.raises(
        DataError, match=r"given up after 1 attempts in a row: .*100,000 bytes are kept in .*b\.bin\.part"
    ):
        fetch(f"{files.url}/b.bin", target, RIGHT, retries=0)
    assert left(tmp_path) == ["b.bin.part", "b.bin.part.json"]
    fetch(f"{files.url}/b.bin", target, RIGHT)
    assert files.asked == [None, "bytes=100000-"]
    assert left(tmp_path) == ["b.bin"]


def test_progress_starts_the_retries_anew_and_none_ends_them(files: Files, tmp_path: Path) -> None:
    files.cut_at = [100_000] * 8
    fetch(f"{files.url}/a.bin", tmp_path / "a.bin", RIGHT, retries=1)
    files.cut_at = [0, 0, 0]
    with pytest.raises(DataError, match="given up after 3 attempts in a row: the connection ended after 0 of"):
        fetch(f"{files.url}/a.bin", tmp_path / "again.bin", RIGHT, retries=2)


def test_a_server_that_knows_no_ranges(files: Files, tmp_path: Path) -> None:
    files.ranges = False
    files.cut_at = [300_000]
    fetch(f"{files.url}/a.bin", tmp_path / "a.bin", RIGHT)
    assert files.asked == [None, "bytes=300000-"]
    assert (tmp_path / "a.bin").read_bytes() == DATA


def test_a_server_that_sends_no_length(files: Files, tmp_path: Path) -> None:
    files.length = False
    fetch(f"{files.url}/a.bin", tmp_path / "a.bin", Checks(sha256=SHA))
    files.cut_at = [300_000]
    with pytest.raises(DataError, match=f"expected sha256 {SHA}, got .*; it was removed"):
        fetch(f"{files.url}/a.bin", tmp_path / "b.bin", Checks(sha256=SHA))
    assert left(tmp_path) == ["a.bin"]


def test_the_file_changed_between_the_halves(files: Files, tmp_path: Path) -> None:
    other = bytes(len(DATA))
    files.content["/a.bin"] = other
    files.cut_at = [300_000]
    with pytest.raises(DataError, match="given up"):
        fetch(f"{files.url}/a.bin", tmp_path / "a.bin", RIGHT, retries=0)
    files.content["/a.bin"], files.etag = DATA, '"2"'  # If-Range does not fit: all of it comes
    fetch(f"{files.url}/a.bin", tmp_path / "a.bin", RIGHT)
    assert (tmp_path / "a.bin").read_bytes() == DATA
    # and without a validator: the halves do not fit, so once more from the start
    files.content["/a.bin"], files.etag, files.asked = other, None, []
    files.cut_at = [300_000]
    with pytest.raises(DataError, match="given up"):
        fetch(f"{files.url}/a.bin", tmp_path / "b.bin", RIGHT, retries=0)
    files.content["/a.bin"] = DATA
    fetch(f"{files.url}/a.bin", tmp_path / "b.bin", RIGHT)
    assert files.asked == [None, "bytes=300000-", None]
    assert (tmp_path / "b.bin").read_bytes() == DATA


def test_half_a_file_of_another_address_is_not_taken(files: Files, tmp_path: Path) -> None:
    files.content["/other.bin"] = bytes(len(DATA))
    files.cut_at = [300_000]
    with pytest.raises(DataError, match="given up"):
        fetch(f"{files.url}/other.bin", tmp_path / "a.bin", RIGHT, retries=0)
    fetch(f"{files.url}/a.bin", tmp_path / "a.bin", RIGHT)
    assert files.asked == [None, None]


def test_a_part_that_was_complete(files: Files, tmp_path: Path) -> None:
    """Killed between the last byte and the check."""
    (tmp_path / "a.bin.part").write_bytes(DATA)
    (tmp_path / "a.bin.part.json").write_text(f'{{"url": "{files.url}/a.bin", "validator": null, "total": null}}')
    fetch(f"{files.url}/a.bin", tmp_path / "a.bin", RIGHT)
    assert files.asked == [f"bytes={len(DATA)}-"]
    assert left(tmp_path) == ["a.bin"]
    # damaged notes are no notes
    (tmp_path / "b.bin.part").write_bytes(DATA[:10])
    (tmp_path / "b.bin.part.json").write_text("[")
    fetch(f"{files.url}/a.bin", tmp_path / "b.bin", RIGHT)
    assert (tmp_path / "b.bin").read_bytes() == DATA


def test_a_wrong_range_is_noticed(files: Files, tmp_path: Path) -> None:
    files.cut_at, files.lie_about_range = [300_000], True
    fetch(f"{files.url}/a.bin", tmp_path / "a.bin", RIGHT)
    assert files.asked == [None, "bytes=300000-", None]


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        (Checks(sha256="0" * 64), f"expected sha256 {'0' * 64}, got {SHA}; it was removed"),
        (Checks(md5="0" * 32), f"expected md5 {'0' * 32}, got {MD5}; it was removed"),
        (Checks(sha256=SHA, size=len(DATA) + 1), r"expected 1,048,577 bytes, the server has 1,048,576: it is another"),
        (Checks(sha256=SHA, limit=1000), r"1,048,576 bytes, which is more than the limit of 1,000"),
    ],
)
def test_the_wrong_file(files: Files, tmp_path: Path, checks: Checks, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fetch(f"{files.url}/a.bin", tmp_path / "a.bin", checks)
    assert left(tmp_path) == []
    assert len(files.asked) == 1, "a wrong file is not asked for again"


def test_more_than_was_announced(files: Files, tmp_path: Path) -> None:
    files.length = False
    for checks in (Checks(sha256=SHA, limit=500_000), Checks(sha256=SHA, size=500_000)):
        with pytest.raises(DataError, match="more than the expected 500,000 bytes came; nothing was kept"):
            fetch(f"{files.url}/a.bin", tmp_path / "a.bin", checks)
        assert not (tmp_path / "a.bin.part").exists()


def test_a_file_that_is_there_and_wrong(files: Files, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"remove .*a\.bin to download it again"):
        fetch(f"{files.url}/a.bin", tmp_path / "a.bin", RIGHT)
    assert (tmp_path / "a.bin").read_bytes() == b"mine"


def test_refusals_and_busy_servers(files: Files, tmp_path: Path) -> None:
    files.failures = [503, 429]
    fetch(f"{files.url}/a.bin", tmp_path / "a.bin", RIGHT)
    assert len(files.asked) == 3
    with pytest.raises(DataError, match=r"/none\.bin: the server answers 404"):
        fetch(f"{files.url}/none.bin", tmp_path / "none.bin", RIGHT)
    assert len(files.asked) == 4, "404 is final"
    files.failures = [500] * 3
    with pytest.raises(DataError, match="given up after 3 attempts in a row: the server answers 500"):
        fetch(f"{files.url}/a.bin", tmp_path / "b.bin", RIGHT, retries=2)


def test_only_secure_addresses(files: Files, tmp_path: Path) -> None:
    for url in (
        "http://example.org/a.zip",
        "ftp://example.org/a",
        "file:///etc/passwd",
        "a.zip",
        "https:///a",
        "https://[::1/a",
    ):
        with pytest.raises(ConfigError, match="expected an https address"):
            fetch(url, tmp_path / "a", RIGHT)
    check_address("https://example.org/a.zip")
    for redirect in ("http://example.org/a.zip", "file:///etc/passwd", "ftp://example.org/a"):
        files.redirect = redirect
        with pytest.raises(DataError, match=r"redirects to .*, which is not https|the server answers 302"):
            fetch(f"{files.url}/a.bin", tmp_path / "a.bin", RIGHT)
    files.redirect = None


def test_a_server_that_is_not_there(files: Files, tmp_path: Path) -> None:
    with serving() as gone:
        url = gone.url
    with pytest.raises(DataError, match=r"given up after 2 attempts in a row: .*refused"):
        fetch(f"{url}/a.bin", tmp_path / "a.bin", RIGHT, retries=1)


def test_a_disk_that_is_full(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda path: _Free())
    with pytest.raises(DataError, match="1,048,576 bytes are needed, fewer are free"):
        fetch(f"{files.url}/a.bin", tmp_path / "a.bin", RIGHT)


class _Free:
    free = 10


def test_killed_in_the_middle(files: Files, tmp_path: Path) -> None:
    """SIGKILL loses nothing that was on the disk; the next run asks for the rest only."""
    files.content["/big.bin"] = big = DATA * 8
    files.slow = 0.02
    program = (
        "import sys; from pathlib import Path; from torchsse.data.transfer import Checks, fetch\n"
        "fetch(sys.argv[1], Path(sys.argv[2]), Checks())"
    )
    target, part = tmp_path / "big.bin", tmp_path / "big.bin.part"
    process = subprocess.Popen([sys.executable, "-c", program, f"{files.url}/big.bin", str(target)])
    until = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 500_000) and time.monotonic() < until:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = part.stat().st_size
    assert 500_000 < kept < len(big)
    assert not target.exists()
    files.slow = 0.0
    found = fetch(f"{files.url}/big.bin", target, Checks(sha256=hashlib.sha256(big).hexdigest()))
    assert found == hashlib.sha256(big).hexdigest()
    assert files.asked == [None, f"bytes={kept}-"]
