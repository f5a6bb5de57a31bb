"""The journal of a run: one JSON line per finished unit of work, on disk before the unit counts as done.

    {"kind": "header", "schema": 1, "fingerprint": "...", "config": {...}}     first line: what the run is
    {"kind": "session", ...}                                                 one per start or resume
    {"kind": "trial" | "final", ...}                                         one per unit

A kill can tear only the last line; it is cut off when the journal is opened again. A damaged line elsewhere, or a
journal of another run, is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from torchsse.errors import ConfigError, CorruptFileError
from torchsse.nlp.differences import differences

__all__ = ["Journal", "fingerprint"]

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
        config: everything the results depend on. A journal written under another config is refused.
        restart: discard what the file holds, whatever config it was written under.

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
        self.records: list[dict[str, Any]] = []
        self._file = open(path, "a+b")  # noqa: SIM115  (lives as long as the journal)
        try:
            self._lock()
            if restart:
                self._file.truncate(0)
            self._load(config)
        except BaseException:
            self._file.close()
            raise

    def append(self, record: dict[str, Any]) -> None:
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
            return
        header = records[0]
        if header.get("kind") != "header" or header.get("schema") != SCHEMA:
            raise CorruptFileError(
                f"{self.path}: not a journal of this version of torchsse; remove it or choose another --out"
            )
        if header.get("fingerprint") != fingerprint(config):
            changed = ", ".join(differences(header.get("config", {}), config)) or "unknown"
            raise ConfigError(
                f"{self.path.parent} holds a run with other settings or data ({changed}); "
                "choose another --out, or --restart to discard it"
            )
        self.records = records[1:]

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        with contextlib.suppress(ValueError):
            record = json.loads(line)
            if isinstance(record, dict):
                return record
        raise CorruptFileError(f"{self.path}, line {number}: not a JSON record; the journal is damaged")
