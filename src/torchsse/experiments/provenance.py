"""Where a result comes from: code, versions, machine, data, times."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from torchsse.errors import MissingDependencyError

__all__ = ["commits_of", "git_state", "language_versions", "now", "provenance", "sessions_of"]

PACKAGES = ("torch", "numpy", "numba", "scipy", "optuna")


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def provenance(device: str = "cpu") -> dict[str, Any]:
    """What can be said before anything runs. Data, config and times are added by the caller.

    >>> sorted(provenance())[:4]
    ['command', 'cpu', 'cpu_count', 'device']
    """
    import torchsse

    return {
        "torchsse": torchsse.__version__,
        **git_state(Path(torchsse.__file__).parent),
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cpu_count": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "device": device,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def language_versions(names: Iterable[str] = ("transformers", "tokenizers")) -> dict[str, str]:
    """Versions of the libraries that work on text stands on.

    Raises:
        MissingDependencyError: one is not installed.
    """
    found = {name: _version(name) for name in names}
    missing = [name for name, version in found.items() if version is None]
    if missing:
        raise MissingDependencyError(f"this needs {' and '.join(missing)}: python -m pip install 'torchsse[nlp]'")
    return {name: version for name, version in found.items() if version is not None}


def sessions_of(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """When a run was started and gone on with, and at which commit, from the records of its journal."""
    return [
        {"started": record["started"], "git_commit": record.get("git_commit")}
        for record in records
        if record["kind"] == "session"
    ]


def commits_of(records: Sequence[dict[str, Any]]) -> list[str]:
    """The commits that a run's fits are of, and that of its last session, which made the results of them.

    >>> start, fit = {"kind": "session", "started": ""}, {"kind": "trial"}
    >>> first, idle, last = ({**start, "git_commit": name} for name in ("b", "c", "a"))
    >>> commits_of([first, fit, idle, last])
    ['a', 'b']
    """
    found, current = set(), None
    for record in records:
        if record["kind"] == "session":
            current = record.get("git_commit")
        elif record["kind"] in ("trial", "final", "model"):
            found.add(current)
    return sorted(str(commit) for commit in found | {current} if commit is not None)


def git_state(package: Path) -> dict[str, Any]:
    """Commit and dirty flag of the checkout that holds the package; both None outside one.

    An installed copy inside somebody else's repository (a virtual environment in a project) is not a checkout.
    """
    unknown: dict[str, Any] = {"git_commit": None, "git_dirty": None}
    root = _git(package, "rev-parse", "--show-toplevel")
    if root is None or not package.is_relative_to(Path(root.strip()) / "src"):
        return unknown
    commit = _git(package, "rev-parse", "HEAD")
    status = _git(package, "status", "--porcelain")
    if commit is None or status is None:
        return unknown
    return {"git_commit": commit.strip(), "git_dirty": bool(status.strip())}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
