"""The directory of a run: claimed for one set of settings and data, what a finished run reported, or one elsewhere."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torchsse.data.differences import differences
from torchsse.errors import ConfigError, CorruptFileError
from torchsse.nlp.steps_state import remove_unfinished, write_json

__all__ = ["REPORT", "STATE", "TAKEN_OVER", "claim", "finished", "report_of", "taken_over"]

RUN = "run.json"
STATE = "training.safetensors"
REPORT = "torchsse.json"
TAKEN_OVER = "taken_over_from"


def claim(directory: Path, kind: str, config: dict[str, Any], restart: bool = False) -> None:
    """Make `directory`, or make sure that it belongs to this very run.

    Raises:
        ConfigError: it is a file, holds something else, or a run with other settings or data and not `restart`.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the directory {directory}: {error.strerror}; choose another --out") from None
    path = directory / RUN
    config = _stored(kind, config)
    if path.exists():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CorruptFileError(f"{path}: cannot be read as JSON ({error})") from None
        if before == config and not restart:
            remove_unfinished(directory)
            return
        if not restart:
            changed = ", ".join(differences(before, config)) or "unknown"
            raise ConfigError(
                f"{directory} holds a run with other settings or data ({changed}); choose another --out, or "
                "--restart to discard it"
            )
        for name in (REPORT, STATE, RUN):  # what makes it a run; the rest is written over
            (directory / name).unlink(missing_ok=True)
    elif any(directory.iterdir()):
        raise ConfigError(f"{directory} is not empty and holds no run of torchsse; choose another --out")
    write_json(path, config)


def taken_over(directory: Path, kind: str, config: dict[str, Any], elsewhere: Iterable[Path]) -> dict[str, Any] | None:
    """Copy what a finished run of the very same work left in one of `elsewhere`; its report, or None if none did.

    The report, which names where it came from, is written last: without it, a directory is no finished run.

    Args:
        directory: claimed for this work.
        kind: what it was claimed for.
        config: the same.
        elsewhere: directories of runs; what cannot be read there is passed over.
    """
    for source in elsewhere:
        try:
            same = json.loads((source / RUN).read_text(encoding="utf-8")) == _stored(kind, config)
            report = finished(source) if same else None
        except (OSError, ValueError, CorruptFileError):
            continue
        if report is None:
            continue
        for file in sorted(source.iterdir()):
            if file.is_file() and file.name not in (RUN, REPORT, STATE) and not file.name.startswith("."):
                beside = directory / f".{file.name}.tmp"
                shutil.copyfile(file, beside)
                os.replace(beside, directory / file.name)
        report = {**report, TAKEN_OVER: os.fspath(source)}
        write_json(directory / REPORT, report)
        (directory / STATE).unlink(missing_ok=True)
        return report
    return None


def finished(directory: Path) -> dict[str, Any] | None:
    """The report of a run that came to its end; None before that."""
    return report_of(directory) if (directory / REPORT).exists() else None


def report_of(directory: Path) -> dict[str, Any]:
    """What a run wrote of itself.

    Raises:
        CorruptFileError: no report there, or one that is damaged.
    """
    path = directory / REPORT
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorruptFileError(f"{path}: cannot be read as the report of a run ({error})") from None
    return report


def _stored(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """As it comes back from a file."""
    found: dict[str, Any] = json.loads(json.dumps({"kind": kind, **config}))
    return found
