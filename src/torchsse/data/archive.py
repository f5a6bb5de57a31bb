"""Unpacking archives of strangers: nothing outside the folder, no links, no bombs, all or nothing."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from torchsse.errors import DataError

__all__ = ["extract", "is_archive"]

MAX_MEMBERS = 100_000
_CHUNK = 1 << 20


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    folder: bool
    entry: Any


def is_archive(path: Path) -> bool:
    """A ZIP or (compressed) tar file, by content."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def extract(archive: Path, out: Path, *, limit: int) -> list[Path]:
    """Unpack a ZIP or tar file into the new folder `out`; it appears when everything is there.

    If the archive holds a single folder, `out` takes its place. Every name is checked before anything is written.

    Args:
        archive: the file.
        out: a path that does not exist yet, or an empty folder.
        limit: bytes that all files together may have once unpacked; counted while writing, whatever the archive says.

    Returns:
        the files.

    Raises:
        DataError: no archive or a damaged one; a name that leaves the folder or occurs twice; a link or device;
            encryption; more than `limit` bytes. Nothing is left behind.
    """
    half = out.with_name(f".{out.name}.unpacking")
    shutil.rmtree(half, ignore_errors=True)
    try:
        with _opened(archive) as (members, opener):
            checked = _checked(archive, members, limit)
            _write(archive, checked, opener, half, limit)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        shutil.rmtree(half, ignore_errors=True)
        raise DataError(f"{archive}: the archive is damaged or of an unknown kind: {error}") from None
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    inside = list(half.iterdir())
    top = inside[0] if len(inside) == 1 and inside[0].is_dir() else half
    if out.is_dir() and not any(out.iterdir()):
        out.rmdir()
    os.replace(top, out)
    shutil.rmtree(half, ignore_errors=True)
    return sorted(p for p in out.rglob("*") if p.is_file())


@contextmanager
def _opened(archive: Path) -> Iterator[tuple[list[_Member], Any]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            if len(packed.filelist) > MAX_MEMBERS:
                raise DataError(f"{archive}: {len(packed.filelist):,} members, more than {MAX_MEMBERS:,}")
            yield [_zip_member(archive, entry) for entry in packed.filelist], packed.open
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar:
            members = []
            for found in tar:
                members.append(_tar_member(archive, found))
                if len(members) > MAX_MEMBERS:
                    raise DataError(f"{archive}: more than {MAX_MEMBERS:,} members")
            yield members, tar.extractfile
    else:
        raise DataError(f"{archive}: expected a ZIP or tar archive, got something else")


def _zip_member(archive: Path, entry: zipfile.ZipInfo) -> _Member:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(f"{archive}: {entry.filename!r} is a link or a device; only files and folders are unpacked")
    if entry.flag_bits & 1:
        raise DataError(f"{archive}: {entry.filename!r} is encrypted")
    return _Member(entry.orig_filename, entry.file_size, entry.is_dir(), entry)


def _tar_member(archive: Path, entry: tarfile.TarInfo) -> _Member:
    if not (entry.isreg() or entry.isdir()):
        raise DataError(f"{archive}: {entry.name!r} is a link or a device; only files and folders are unpacked")
    return _Member(entry.name, entry.size, entry.isdir(), entry)


def _checked(archive: Path, members: list[_Member], limit: int) -> list[tuple[PurePosixPath, _Member]]:
    """Members with their place inside the folder."""
    places: dict[PurePosixPath, _Member] = {}
    for member in members:
        place = PurePosixPath(member.name)
        odd = "\\" in member.name or ":" in member.name or any(ord(c) < 32 for c in member.name)
        if odd or not member.name or place.is_absolute() or ".." in place.parts:
            raise DataError(f"{archive}: the name {member.name!r} leaves the folder; nothing was unpacked")
        if place in places and not member.folder:
            raise DataError(f"{archive}: the name {member.name!r} occurs twice; nothing was unpacked")
        if place.parts:
            places[place] = member
    total = sum(member.size for member in members)
    if total > limit:
        raise DataError(
            f"{archive}: unpacks to {total:,} bytes, more than the limit of {limit:,}; nothing was unpacked"
        )
    if not any(not member.folder for member in members):
        raise DataError(f"{archive}: the archive holds no files")
    return list(places.items())


def _write(archive: Path, members: list[tuple[PurePosixPath, _Member]], opener: Any, folder: Path, limit: int) -> None:
    folder.mkdir(parents=True)
    written = 0
    for place, member in members:
        path = folder.joinpath(*place.parts)
        if member.folder:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        source: IO[bytes]
        with opener(member.entry) as source, path.open("xb") as target:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                if written > limit:
                    raise DataError(f"{archive}: unpacks to more than the limit of {limit:,} bytes; nothing was kept")
                target.write(chunk)
