"""Reading results.json: what every other file of this room works from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torchsse.errors import CorruptFileError, DataError

__all__ = ["ALPHA", "Record", "baseline_of", "check_document", "is_significant", "read_document"]

ALPHA = 0.05
"""Level of the tests, after Holm's correction."""

Record = dict[str, Any]

_FIELDS: dict[str, Any] = {
    "arm": str,
    "metric": str,
    "mean": (int, float),
    "std": (int, float, type(None)),
    "ci95": (list, type(None)),
    "per_seed": list,
    "seeds": list,
    "difference": (int, float, type(None)),
    "p_value": (int, float, type(None)),
    "params": dict,
    "trials": int,
    "n_test": int,
}


def read_document(path: Path) -> dict[str, Any]:
    """A checked results.json; `path` may be the file or the directory that holds it.

    Raises:
        DataError: if there is no such file.
        CorruptFileError: if it is not JSON, of another schema, or a record lacks a field.
    """
    file = path / "results.json" if path.is_dir() else path
    try:
        document = json.loads(file.read_text())
    except FileNotFoundError as error:
        raise DataError(f"{file}: no such file; expected the results.json that `torchsse compare` writes") from error
    except ValueError as error:
        raise CorruptFileError(f"{file}: not JSON ({error})") from error
    return check_document(document, str(file))


def check_document(document: Any, where: str = "results") -> dict[str, Any]:
    """The document itself, if it is what section 'Command line' of the design asks for."""
    if not isinstance(document, dict) or document.get("schema") != 1:
        found = document.get("schema") if isinstance(document, dict) else type(document).__name__
        raise CorruptFileError(f"{where}: expected a results object of schema 1, got {found!r}")
    for part, kind in (("provenance", dict), ("results", list)):
        if not isinstance(document.get(part), kind):
            raise CorruptFileError(f"{where}: expected {part!r} as a JSON {'object' if kind is dict else 'array'}")
    for number, record in enumerate(document["results"]):
        for name, kinds in _FIELDS.items():
            if not isinstance(record, dict) or name not in record or not isinstance(record[name], kinds):
                raise CorruptFileError(f"{where}: record {number}: field {name!r} is missing or of the wrong type")
    if not document["results"]:
        raise CorruptFileError(f"{where}: there are no results")
    return document


def baseline_of(records: list[Record]) -> Record:
    """The record all others are compared with: `none`, or the first where there is none of that name."""
    return next((record for record in records if record["arm"] == "none"), records[0])


def is_significant(record: Record) -> bool:
    """p below 0.05 after Holm's correction, and an interval of the difference that excludes 0."""
    interval = record.get("difference_ci95")
    return (
        record["p_value"] is not None
        and record["p_value"] < ALPHA
        and (interval is None or interval[0] > 0 or interval[1] < 0)
    )
