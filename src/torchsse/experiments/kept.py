"""Files that a comparison's journal speaks of, and whether they are still what was written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torchsse.data.digest import digest
from torchsse.experiments.arms_stated import ARMS, Record

__all__ = ["MANIFEST", "MODEL", "intact", "saved_model"]

MODEL = "model"
"""The directory, within that of the results, of the model to use."""

MANIFEST = "model.json"
"""The file in it that is written last, and names the others by their sha256."""


def intact(out: Path, final: Record) -> bool:
    """Whether the predictions that a final fit left are still there; if not, the fit is done again."""
    path = out / str(final["predictions"])
    return path.is_file() and digest(path) == final["sha256"]


def saved_model(out: Path, records: Sequence[Record], counting: Sequence[Record]) -> Record | None:
    """The record of the saved model, if it counts and the model in `out` is the one it speaks of.

    Args:
        out: the directory of the results.
        records: all of the journal.
        counting: those that count for the arms asked for.
    """
    path, last, since = out / MODEL / MANIFEST, None, False
    for record in records:
        if record["kind"] == "model":
            last, since = record, False
        since = since or record["kind"] == ARMS
    if last is None or not any(record is last for record in counting) or not path.is_file():
        return None
    if "sha256" in last:
        return last if last["sha256"] == digest(path) else None
    # of a version that noted no sha256: other arms asked for since may have left a model of theirs
    return None if since else last
