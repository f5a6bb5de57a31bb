"""A directory that is there as a whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torchsse.data.digest import digest
from torchsse.errors import ConfigError, CorruptFileError

__all__ = ["check_target", "read_manifest", "whole_directory"]


@contextmanager
def whole_directory(target: Path, name: str, facts: dict[str, Any]) -> Iterator[Path]:
    """A fresh directory to write files to; it becomes `target` at the end, with a manifest of their sha256.

    An earlier one there is replaced. Whoever reads sees the old one, the new one, or for a moment none.

    Args:
        target: where it goes.
        name: the manifest's file name.
        facts: what the manifest says beside ``files``: JSON values, among them ``format``.

    Raises:
        ConfigError: `target` is a file or holds something else.
    """
    check_target(target, name, facts["format"])
    target.parent.mkdir(parents=True, exist_ok=True)
    unique = f"{os.getpid()}-{secrets.token_hex(4)}"
    fresh, previous = (target.with_name(f".{target.name}.{unique}.{what}") for what in ("tmp", "previous"))
    fresh.mkdir()
    try:
        yield fresh
        files = {path.name: {"bytes": path.stat().st_size, "sha256": digest(path)} for path in sorted(fresh.iterdir())}
        text = json.dumps({**facts, "files": files}, indent=2, sort_keys=True, allow_nan=False) + "\n"
        (fresh / name).write_text(text, encoding="utf-8")
        for path in fresh.iterdir():
            with open(path, "rb+") as file:
                os.fsync(file.fileno())
        if target.exists():
            os.rename(target, previous)
        os.rename(fresh, target)
    except BaseException:
        if previous.exists() and not target.exists():
            os.rename(previous, target)
        raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if target.exists():
            shutil.rmtree(previous, ignore_errors=True)


def check_target(target: Path, name: str, form: str) -> None:
    """`ConfigError` unless `target` is absent, empty, or a directory of the same form."""
    if target.exists() and not target.is_dir():
        raise ConfigError(f"{target}: expected a directory, found a file")
    if target.is_dir() and any(target.iterdir()):
        try:
            found = json.loads((target / name).read_bytes())["format"]
        except (OSError, ValueError, KeyError, TypeError):
            found = None
        if found != form:
            raise ConfigError(f"{target}: is not empty and holds no earlier {form}; choose another directory")


def read_manifest(directory: Path, name: str, form: str) -> dict[str, Any]:
    """The manifest of a directory that `whole_directory` made; every file is checked against it.

    Raises:
        CorruptFileError: none there, another form, or a file that is missing or was changed.
    """
    try:
        manifest = json.loads((directory / name).read_bytes())
    except (OSError, ValueError) as error:
        raise CorruptFileError(f"{directory / name}: cannot be read: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != form or not isinstance(manifest.get("files"), dict):
        raise CorruptFileError(f"{directory / name}: is no manifest of a {form}")
    for file, entry in manifest["files"].items():
        path = directory / Path(file).name
        if not path.is_file() or digest(path) != entry["sha256"]:
            raise CorruptFileError(f"{path}: is missing or was changed since it was written")
    return manifest
