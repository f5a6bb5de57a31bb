"""The journal of a run: one JSON line per finished unit of work, on disk before the unit counts as done.

    {"kind": "header", "schema": 1, "fingerprint": "...", "config": {...}}     first line: what the run is
    {"kind": "arms", "config": {...}}                                        other arms are asked for from here on
    {"kind": "session", ...}                                                 one per start or resume
    {"kind": "trial" | "final", "arm": "...", ...}                           one per unit

A kill can tear only the last line; it is cut off when the journal is opened again. A damaged line elsewhere, or a
journal of another run, is refused. Arms are judged one by one (`arms_stated.py`): a run with other arms, or an arm
declared otherwise, is the same run, of which some arms are not done yet. So is one with more seeds, or fewer.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from torchsse.data.differences import differences
from torchsse.errors import ConfigError, CorruptFileError
from torchsse.experiments.arms_stated import ARMS, Record, counting, in_force

__all__ = ["Journal", "fingerprint", "glance"]

SCHEMA = 1


def fingerprint(config: dict[str, Any]) -> str:
    """sha256 of the canonical JSON of a config.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(config, sort_keys=True, allow_nan=False).encode()).hexdigest()


class Journal:
    """An append-only file of JSON records, locked by one process at a time.

    Args:
        path: the file; made if it does not exist.
        config: everything the results depend on. A journal written under another config is refused, unless the arms
            and the number of seeds (`settings.seeds`) are all that differs.
        restart: discard what the file holds, whatever config it was written under.

    Attributes:
        records: all but the header, whatever arms they are of.

    Raises:
        ConfigError: if the journal belongs to another config or is in use by another process.
        CorruptFileError: if a line other than the last cannot be read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "journal.jsonl"
    >>> with Journal(path, {"trials": 2}) as journal:
    ...     journal.append({"kind": "trial", "number": 0})
    >>> with Journal(path, {"trials": 2}) as journal:
    ...     journal.records
    [{'kind': 'trial', 'number': 0}]
    """

    def __init__(self, path: Path, config: dict[str, Any], restart: bool = False) -> None:
        self.path = path
        self.records: list[Record] = []
        self._first: Record = {}
        self._arms: Record = config.get(ARMS, {})
        self._file = open(path, "a+b")  # noqa: SIM115  (lives as long as the journal)
        try:
            self._lock()
            if restart:
                self._file.truncate(0)
            self._load(config)
        except BaseException:
            self._file.close()
            raise

    @property
    def counting(self) -> list[Record]:
        """The records of the arms that are asked for now, written when these were declared as they are now."""
        return counting(self._first, self.records, self._arms)

    def append(self, record: Record) -> None:
        """Write one record and force it to disk."""
        self._file.write(json.dumps(record, sort_keys=True, allow_nan=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.records.append(record)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # Windows: no advisory lock, two runs in one directory are the user's to avoid
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                f"{self.path.parent} is in use by another run; wait for it or choose another --out"
            ) from error

    def _load(self, config: dict[str, Any]) -> None:
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            self._file.truncate(whole)
        lines = content[:whole].splitlines()
        records = [self._parse(line, number) for number, line in enumerate(lines, 1)]
        if not records:
            self.append({"kind": "header", "schema": SCHEMA, "fingerprint": fingerprint(config), "config": config})
            self.records.clear()
            self._first = self._arms
            return
        header = records[0]
        if header.get("kind") != "header" or header.get("schema") != SCHEMA:
            raise CorruptFileError(
                f"{self.path}: not a journal of this version of torchsse; remove it or choose another --out"
            )
        held = header.get("config", {})
        as_held = _with_what_may_differ(config, held)
        if header.get("fingerprint") != fingerprint(as_held):
            changed = ", ".join(differences(held, as_held)) or "unknown"
            raise ConfigError(
                f"{self.path.parent} holds a run with other settings or data ({changed}); "
                "choose another --out, or --restart to discard it"
            )
        self.records, self._first = records[1:], held.get(ARMS, {})
        if in_force(self._first, self.records) != self._arms:
            self.append({"kind": ARMS, "config": self._arms})

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        with contextlib.suppress(ValueError):
            record = json.loads(line)
            if isinstance(record, dict):
                return record
        raise CorruptFileError(f"{self.path}, line {number}: not a JSON record; the journal is damaged")


def glance(path: Path) -> tuple[dict[str, Any], list[Record]] | None:
    """The config of a journal's first line and the other records, without opening it as a run does.

    None where there is no journal, or none that can be read to its last whole line.
    """
    try:
        header, *records = [json.loads(line) for line in path.read_bytes().splitlines(keepends=True) if b"\n" in line]
        config = header["config"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = isinstance(config, dict) and all(isinstance(record, dict) and "kind" in record for record in records)
    return (config, records) if whole else None


def _with_what_may_differ(config: dict[str, Any], held: dict[str, Any]) -> dict[str, Any]:
    """The config with the arms and the number of seeds that a journal was begun with: no fit depends on these."""
    same = {**config, **{key: held[key] for key in (ARMS,) if key in held}}
    if "seeds" in held.get("settings", {}) and "seeds" in config.get("settings", {}):
        same["settings"] = {**config["settings"], "seeds": held["settings"]["seeds"]}
    return same
