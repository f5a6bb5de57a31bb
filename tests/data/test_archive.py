"""Archives of strangers: unpacked inside the folder or not at all."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from torchsse.data import archive as archive_module
from torchsse.data.archive import extract, is_archive
from torchsse.errors import DataError

LIMIT = 1 << 20


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return path


def make_tar(path: Path, members: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as packed:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
    return path


MAKERS = [("a.zip", make_zip), ("a.tar.gz", make_tar)]


@pytest.mark.parametrize(("name", "make"), MAKERS)
@pytest.mark.parametrize("top", ["ml-1m/", ""])
def test_a_good_archive(tmp_path: Path, name: str, make: object, top: str) -> None:
    file = make(tmp_path / name, {f"{top}ratings.dat": b"1::2::3::4\n", f"{top}sub/readme.txt": b"hi"})  # type: ignore[operator]
    out = tmp_path / "out"
    assert is_archive(file)
    assert [str(p.relative_to(out)) for p in extract(file, out, limit=LIMIT)] == ["ratings.dat", "sub/readme.txt"]
    assert (out / "ratings.dat").read_bytes() == b"1::2::3::4\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "out"])


@pytest.mark.parametrize(("name", "make"), MAKERS)
@pytest.mark.parametrize(
    "member",
    ["../evil.txt", "a/../../evil.txt", "/tmp/evil.txt", "..\\evil.txt", "C:\\evil.txt", "C:evil.txt", "a\nb", ".."],
)
def test_names_that_leave_the_folder(tmp_path: Path, name: str, make: object, member: str) -> None:
    file = make(tmp_path / name, {"good.txt": b"1", member: b"evil"})  # type: ignore[operator]
    with pytest.raises(DataError, match=r"leaves the folder; nothing was unpacked"):
        extract(file, tmp_path / "inner" / "out", limit=LIMIT)
    assert not (tmp_path / "evil.txt").exists()
    assert not (tmp_path / "inner" / "out").exists()


def test_links_and_devices(tmp_path: Path) -> None:
    file = tmp_path / "links.tar"
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        with tarfile.open(file, "w") as packed:
            info = tarfile.TarInfo("passwords")
            info.type, info.linkname = kind, "/etc/passwd"
            packed.addfile(info)
        with pytest.raises(DataError, match="'passwords' is a link or a device"):
            extract(file, tmp_path / "out", limit=LIMIT)
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "links.zip", "w") as packed_zip:
        packed_zip.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="'link' is a link or a device"):
        extract(tmp_path / "links.zip", tmp_path / "out", limit=LIMIT)


@pytest.mark.parametrize(("name", "make"), MAKERS)
def test_bombs(tmp_path: Path, name: str, make: object, monkeypatch: pytest.MonkeyPatch) -> None:
    file = make(tmp_path / name, {"zeros": bytes(2 * LIMIT)})  # type: ignore[operator]
    assert file.stat().st_size < LIMIT // 50
    with pytest.raises(DataError, match=r"unpacks to 2,097,152 bytes, more than the limit of 1,048,576"):
        extract(file, tmp_path / "out", limit=LIMIT)
    many = make(tmp_path / f"many-{name}", {f"f{n}": b"" for n in range(6)})  # type: ignore[operator]
    monkeypatch.setattr(archive_module, "MAX_MEMBERS", 5)
    with pytest.raises(DataError, match="more than 5"):
        extract(many, tmp_path / "out", limit=LIMIT)
    assert not (tmp_path / "out").exists()


def test_a_zip_that_lies_about_its_sizes(tmp_path: Path) -> None:
    file = make_zip(tmp_path / "a.zip", {"zeros": bytes(2 * LIMIT)})
    data = bytearray(file.read_bytes())
    at = data.rindex(b"PK\x01\x02") + 24  # the size in the directory
    data[at : at + 4] = (100).to_bytes(4, "little")
    file.write_bytes(data)
    with pytest.raises(DataError, match=r"damaged|limit"):
        extract(file, tmp_path / "out", limit=LIMIT)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / ".out.unpacking").exists()


def test_other_bad_archives(tmp_path: Path) -> None:
    text = tmp_path / "text.zip"
    text.write_text("no archive")
    assert not is_archive(text)
    with pytest.raises(DataError, match="expected a ZIP or tar archive, got something else"):
        extract(text, tmp_path / "out", limit=LIMIT)
    with pytest.raises(DataError, match="the archive holds no files"):
        extract(make_zip(tmp_path / "empty.zip", {}), tmp_path / "out", limit=LIMIT)
    whole = make_zip(tmp_path / "a.zip", {"a": bytes(range(256)) * 40})
    data = bytearray(whole.read_bytes())
    data[60] ^= 255
    whole.write_bytes(data)
    with pytest.raises(DataError, match="damaged"):
        extract(whole, tmp_path / "out", limit=LIMIT)
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as packed:
        packed.writestr("a", "1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            packed.writestr("a", "2")
    with pytest.raises(DataError, match="'a' occurs twice"):
        extract(tmp_path / "twice.zip", tmp_path / "out", limit=LIMIT)
    assert not (tmp_path / "out").exists()
