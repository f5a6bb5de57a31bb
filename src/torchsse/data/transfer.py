"""One file over https: resumed after a kill, bounded in size, checked, and put in place in one step."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any

from torchsse.data.digest import digest
from torchsse.errors import ConfigError, DataError

__all__ = ["Checks", "check_address", "fetch"]

CHUNK = 1 << 18
TIMEOUT = 30.0
PAUSE = 1.0  # seconds before the first retry, doubled each time
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_LOCAL = ("127.0.0.1", "::1", "localhost")

#: Called with bytes so far and bytes in all (None: unknown).
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Checks:
    """What a file must be: its digests (all that are given count), its exact size, and the most bytes it may have."""

    sha256: str | None = None
    md5: str | None = None
    size: int | None = None
    limit: int = 8 << 30


def fetch(
    url: str, target: Path, checks: Checks, *, retries: int = 5, progress: Progress | None = None, fresh: bool = False
) -> str:
    """Download a file and return its sha256. `target` appears when everything is there and right, not before.

    What a killed or broken transfer has brought stays in ``target.part`` and is taken up by a Range request, if the
    server still has the same file and answers such requests; otherwise it starts over.

    Args:
        url: https; plain http from this machine only. Redirections keep to that.
        target: the file. An existing one is checked and kept.
        checks: digests and sizes.
        retries: how often to try again without getting any further. Refusals (404, 403, ...) are not tried again.
        progress: called after each chunk.
        fresh: drop what an earlier transfer left.

    Raises:
        ConfigError: the address is not https.
        DataError: refused, given up, too large, truncated or of another digest. A wrong file is removed.
    """
    check_address(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    if target.exists():
        return _verified(target, checks, url, remove=False)
    if fresh:
        _forget(part)
    resumed = _transfer(url, part, checks, retries, progress)
    try:
        found = _verified(part, checks, url, remove=True)
    except DataError:
        if not resumed:
            raise
        # the half that lay here may have been of another file: once more, from the start
        _forget(part)
        _transfer(url, part, checks, retries, progress)
        found = _verified(part, checks, url, remove=True)
    os.replace(part, target)
    _forget(part)
    return found


def check_address(url: str) -> None:
    """https, or http on this machine; `ConfigError` for anything else."""
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port  # a wrong one shows when it is asked for
    except ValueError as error:
        raise ConfigError(f"expected an https address, got {url!r}: {error}") from None
    secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL)
    if not secure or not parts.hostname:
        raise ConfigError(f"expected an https address, got {url!r}")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to secure addresses only."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        try:
            check_address(newurl)
        except ConfigError:
            raise DataError(f"{req.full_url}: redirects to {newurl}, which is not https") from None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _transfer(url: str, part: Path, checks: Checks, retries: int, progress: Progress | None) -> bool:
    """Bring the part file to its full length; True if it began with bytes of an earlier transfer."""
    opener = urllib.request.build_opener(_Redirects)
    resumed = part.exists() and part.stat().st_size > 0
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _attempt(opener, url, part, checks, progress)
            return resumed
        except urllib.error.HTTPError as error:
            problem = f"the server answers {error.code} {error.reason}"
            if error.code not in _AGAIN:
                raise DataError(f"{url}: {problem}") from None
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.filename is not None:
                raise  # the disk, not the net
            problem = str(getattr(error, "reason", error)) or type(error).__name__
        after = part.stat().st_size if part.exists() else 0
        failures = 1 if after > before else failures + 1
        if failures > retries:
            raise DataError(
                f"{url}: given up after {failures} attempts in a row: {problem}; {after:,} bytes are kept in {part}, "
                "the same command goes on from there"
            )
        time.sleep(min(PAUSE * 2 ** (failures - 1), 30.0))


def _attempt(opener: Any, url: str, part: Path, checks: Checks, progress: Progress | None) -> None:
    have = part.stat().st_size if part.exists() else 0
    state = _state(part)
    validator = state.get("validator") if state.get("url") == url else None
    if have and (state.get("url") != url or have > checks.limit):
        _forget(part)
        have = 0
    headers = {"User-Agent": "torchsse", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if validator:
            headers["If-Range"] = validator
    try:
        response = opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:
            if _range(error.headers)[1] == have:
                return  # everything was there already
            _forget(part)
            raise ConnectionError("the server has another file than before") from None
        raise
    with response:
        start, total = 0, _length(response.headers)
        if response.status == 206:
            start, whole = _range(response.headers)
            if start != have or (whole is not None and state.get("total") not in (None, whole)):
                _forget(part)
                raise ConnectionError("the server sent another part than it was asked for")
            total = whole if whole is not None else None if total is None else start + total
        _check_size(url, total, checks)
        if total is not None and shutil.disk_usage(part.parent).free < total - start:
            raise DataError(f"{part.parent}: {total - start:,} bytes are needed, fewer are free")
        _remember(part, url, response.headers, total)
        got = _copy(response, part, start, url, checks, total, progress)
    if total is not None and got < total:
        raise ConnectionError(f"the connection ended after {got:,} of {total:,} bytes")


def _copy(
    response: Any, part: Path, start: int, url: str, checks: Checks, total: int | None, progress: Progress | None
) -> int:
    got = start
    with part.open("r+b" if start else "wb") as stream:
        stream.seek(start)
        stream.truncate()
        while chunk := response.read(CHUNK):
            got += len(chunk)
            if got > checks.limit or (checks.size is not None and got > checks.size):
                most = checks.limit if checks.size is None else checks.size
                stream.close()
                _forget(part)
                raise DataError(f"{url}: more than the expected {most:,} bytes came; nothing was kept")
            stream.write(chunk)
            if progress is not None:
                progress(got, total)
    return got


def _check_size(url: str, total: int | None, checks: Checks) -> None:
    if total is None:
        return
    if checks.size is not None and total != checks.size:
        raise DataError(f"{url}: expected {checks.size:,} bytes, the server has {total:,}: it is another file")
    if total > checks.limit:
        raise DataError(f"{url}: {total:,} bytes, which is more than the limit of {checks.limit:,}")


def _verified(path: Path, checks: Checks, url: str, *, remove: bool) -> str:
    """The sha256 of a file that passes all checks."""
    problems = []
    if checks.size is not None and path.stat().st_size != checks.size:
        problems.append(f"expected {checks.size:,} bytes, got {path.stat().st_size:,}")
    found = digest(path)
    for name, expected, got in (
        ("sha256", checks.sha256, found),
        ("md5", checks.md5, digest(path, "md5") if checks.md5 else None),
    ):
        if expected is not None and got != expected.lower():
            problems.append(f"expected {name} {expected.lower()}, got {got}")
    if problems:
        if remove:
            _forget(path)
        told = "it was removed" if remove else f"remove {path} to download it again"
        raise DataError(f"{url}: the file is not what it should be: {', '.join(problems)}; {told}")
    return found


def _length(headers: Message) -> int | None:
    text = headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _range(headers: Message) -> tuple[int, int | None]:
    """Start and total of a Content-Range such as ``bytes 100-199/200`` or ``bytes */200``."""
    span, _, total = headers.get("Content-Range", "").removeprefix("bytes").strip().partition("/")
    start = span.partition("-")[0]
    return int(start) if start.isdecimal() else -1, int(total) if total.isdecimal() else None


def _notes(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _state(part: Path) -> dict[str, Any]:
    try:
        state = json.loads(_notes(part).read_text())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _remember(part: Path, url: str, headers: Message, total: int | None) -> None:
    """What the half file belongs to; a weak ETag cannot serve a Range request."""
    tag = headers.get("ETag", "")
    validator = tag if tag.startswith('"') else headers.get("Last-Modified")
    text = json.dumps({"url": url, "validator": validator, "total": total})
    beside = _notes(part).with_name(_notes(part).name + ".new")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, _notes(part))


def _forget(part: Path) -> None:
    for path in (part, _notes(part)):
        path.unlink(missing_ok=True)
