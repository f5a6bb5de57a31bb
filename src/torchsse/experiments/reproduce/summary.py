"""One document over all finished blocks of a table: their records, the paper's numbers, what differs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torchsse.experiments.compare import RESULTS
from torchsse.experiments.provenance import now, provenance
from torchsse.experiments.reproduce.table import Block, Table

__all__ = ["combined"]

_LEFT_OUT = ("curve", "search")
"""Of a record: they are in the results.json of its block."""

_OF_THE_RUN = ("torchsse", "git_commit", "git_dirty", "started", "finished", "fit_seconds", "sessions", "commits")


def combined(table: Table, out: Path, command: Sequence[str]) -> dict[str, Any]:
    """Schema 1, as `compare` writes it; every record says which block it is of.

    Beside `results`: `table` (title, the paper's numbers, what differs), `blocks` (data, settings and provenance of
    each), `unfinished` (declared blocks without results). Provenance sums up: files, seconds, commits.
    """
    blocks: list[dict[str, Any]] = []
    records: list[dict[str, Any]] = []
    files: dict[str, dict[str, Any]] = {}
    unfinished = []
    for block in table.blocks:
        document = _read(out / block.name)
        if document is None:
            unfinished.append(block.name)
            continue
        blocks.append(_described(block, document))
        files |= {file["path"]: file for file in document["provenance"]["data"]}
        records += [
            {"block": block.name, **{k: v for k, v in record.items() if k not in _LEFT_OUT}}
            for record in document["results"]
        ]
    origin = provenance() | {
        "command": list(command),
        "data": list(files.values()),
        "notes": [],
        "finished": now(),
        "fit_seconds": round(sum(block["provenance"]["fit_seconds"] for block in blocks), 1),
        "commits": sorted({commit for block in blocks for commit in _commits(block["provenance"])}),
    }
    about = {
        "name": table.name,
        "title": table.title,
        "paper": [asdict(fact) for fact in table.paper],
        "models": table.models,
        "labels": table.labels,
        "differs": list(table.differs),
        "arm_differs": table.arm_differs,
    }
    return {
        "schema": 1,
        "provenance": origin,
        "table": about,
        "blocks": blocks,
        "unfinished": unfinished,
        "results": records,
    }


def _described(block: Block, document: dict[str, Any]) -> dict[str, Any]:
    """Settings are those of the run, which a smaller budget may have changed since."""
    origin = document["provenance"]
    return {
        "name": block.name,
        "column": block.column,
        "data": block.data.title,
        "feedback": block.data.feedback,
        "paper_data": block.data.paper,
        "differs": block.data.differs,
        "remark": block.remark,
        "notes": origin["notes"],
        "settings": origin["config"]["settings"],
        "arms": origin["config"]["arms"],
        "arms_left": [arm.name for arm in block.arms if arm.name not in origin["config"]["arms"]],
        "model": origin["model"],
        "provenance": {name: origin.get(name) for name in _OF_THE_RUN},
        "pairs": document["pairs"],
    }


def _commits(origin: dict[str, Any]) -> list[str]:
    """Those of a block's fits; results of a version that noted the last one only have that."""
    last = origin.get("git_commit")
    return list(origin.get("commits") or ([last] if last else []))


def _read(place: Path) -> dict[str, Any] | None:
    """The finished results of a block."""
    try:
        document = json.loads((place / RESULTS).read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return document if isinstance(document, dict) and "pairs" in document else None
