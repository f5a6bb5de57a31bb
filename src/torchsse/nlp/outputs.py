"""The directory of a run: claimed for one set of settings and data, and what a finished run reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torchsse.data.differences import differences
from torchsse.errors import ConfigError, CorruptFileError
from torchsse.nlp.steps_state import remove_unfinished, write_json

__all__ = ["REPORT", "STATE", "claim", "finished", "report_of"]

RUN = "run.json"
STATE = "training.safetensors"
REPORT = "torchsse.json"


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
    config = json.loads(json.dumps({"kind": kind, **config}))
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
