"""A data set of the catalogue, or a file at an https address, into a folder of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import urllib.parse
import warnings
from pathlib import Path

from torchsse.data.archive import extract, is_archive
from torchsse.data.catalog import DataSet, data_set
from torchsse.data.transfer import Checks, Progress, check_address, fetch
from torchsse.errors import ConfigError, DataError, TorchsseWarning

__all__ = ["download"]

NOTE = "torchsse-download.json"
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def download(
    name: str,
    out: str | Path,
    *,
    sha256: str | None = None,
    record: bool = False,
    max_size: int = 8 << 30,
    overwrite: bool = False,
    keep_archive: bool = False,
    retries: int = 5,
    progress: Progress | None = None,
) -> Path:
    """Fetch, check and unpack a data set; returns its folder ``out/name``, which `read_ratings` takes.

    Args:
        name: of the catalogue (`torchsse.data.catalog.CATALOG`), or an https address.
        out: the folder that gets a folder for it.
        sha256: what the file must have. Without a checksum in the catalogue either this or `record` is needed.
        record: trust the file that comes now, with a warning, and write its sha256 beside it; later downloads are
            checked against that.
        max_size: the most bytes of the file, and of everything in it once unpacked.
        overwrite: replace a folder that is there.
        keep_archive: keep the file that was unpacked.
        retries: see `torchsse.data.transfer.fetch`.
        progress: called with bytes so far and in all.

    Raises:
        ConfigError: an unknown name, no https, no checksum; a folder is there already, from something else.
        DataError: the transfer, the checks or the unpacking failed.
    """
    entry, url = _find(name)
    if Path(out).is_file():
        raise ConfigError(f"{out}: expected a directory, found a file")
    folder = Path(out) / entry.name
    recorded = Path(out) / f"{entry.name}.sha256"
    expected = _expected(entry, sha256, record, recorded, url)
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        if _note(folder).get("url") == url and expected.sha256 in (None, _note(folder).get("sha256")):
            return folder
        raise ConfigError(f"{folder} is there already and not from {url}; choose another --out, or --overwrite")
    checks = Checks(expected.sha256, expected.md5, entry.size if entry.size and entry.exact_size else None, max_size)
    file = Path(out) / (Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).name or "download")
    found = fetch(url, file, checks, retries=retries, progress=progress)
    if expected.sha256 is None and expected.md5 is None:
        _write(recorded, f"{found}  {file.name}\n")
        warnings.warn(
            f"{url}: no checksum was known; the file was taken as it came (sha256 {found}), and {recorded} holds that "
            "from now on: compare it with another source",
            TorchsseWarning,
            stacklevel=2,
        )
    _place(file, folder, max_size, keep_archive)
    _write(folder / NOTE, json.dumps({"url": url, "sha256": found, "licence": entry.licence}, indent=1) + "\n")
    return folder


def _find(name: str) -> tuple[DataSet, str]:
    if "://" in name:
        check_address(name)
        file = Path(urllib.parse.unquote(urllib.parse.urlsplit(name).path)).name
        stem = re.sub(r"\.(zip|tar|tgz|tar\.\w+|txt|csv|tsv|dat|gz|txt\.gz|csv\.gz)$", "", file)
        if not re.fullmatch(r"[\w][\w.+-]*", stem):
            raise ConfigError(f"expected an address that ends in the name of a file, got {name!r}")
        return DataSet(stem, name, "", name, "", url=name), name
    entry = data_set(name)
    if entry.url is None:
        raise ConfigError(
            f"{name} cannot be downloaded: {entry.why_not}; get it from {entry.page} ({entry.licence}) and read it "
            f"with format {entry.format}"
        )
    return entry, entry.url


def _expected(entry: DataSet, sha256: str | None, record: bool, recorded: Path, url: str) -> Checks:
    """The digests that count: given, of the catalogue, or recorded at an earlier download."""
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise ConfigError(f"sha256: expected 64 hexadecimal digits, got {sha256!r}")
    if sha256 is not None and entry.sha256 is not None and sha256.lower() != entry.sha256:
        raise ConfigError(f"sha256: the catalogue has {entry.sha256} for {entry.name}, got {sha256}")
    known = sha256 or entry.sha256
    if known is None and entry.md5 is None and recorded.exists():
        known = recorded.read_text().split()[0] if recorded.read_text().strip() else ""
        if not _SHA256.fullmatch(known):
            raise DataError(f"{recorded}: expected a sha256, got {known[:80]!r}")
    if known is None and entry.md5 is None and not record:
        raise ConfigError(
            f"no checksum is known for {url}: give --sha256 from a source you trust, or --record to take the file as "
            "it comes and check later downloads against it"
        )
    return Checks(sha256=known, md5=entry.md5)


def _place(file: Path, folder: Path, max_size: int, keep_archive: bool) -> None:
    aside = folder.with_name(f".{folder.name}.replaced")
    shutil.rmtree(aside, ignore_errors=True)
    if folder.exists():
        os.replace(folder, aside)
    try:
        if is_archive(file):
            extract(file, folder, limit=max_size)
            if not keep_archive:
                file.unlink()
        else:
            half = folder.with_name(f".{folder.name}.unpacking")
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir(parents=True)
            os.replace(file, half / file.name)
            os.replace(half, folder)
    except BaseException:
        if aside.exists() and not folder.exists():
            os.replace(aside, folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _note(folder: Path) -> dict[str, str]:
    try:
        note = json.loads((folder / NOTE).read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _write(path: Path, text: str) -> None:
    beside = path.with_name(path.name + ".new")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
