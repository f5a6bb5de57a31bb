"""Running the blocks of a table: finished ones stay as they are, an unfinished one goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol, cast

from torchsse.errors import ConfigError, DataError
from torchsse.experiments.arms_stated import ARMS, counting, in_force
from torchsse.experiments.compare import JOURNAL, RESULTS, compare
from torchsse.experiments.files import write_json
from torchsse.experiments.journal import glance
from torchsse.experiments.pool import Observer
from torchsse.experiments.reproduce.dataset import DataSet, files_not_found, missing_files
from torchsse.experiments.reproduce.pairs import paired
from torchsse.experiments.reproduce.summary import combined
from torchsse.experiments.reproduce.table import Block, Table
from torchsse.experiments.settings import CompareData, config_of, declarations
from torchsse.experiments.task import task_for

__all__ = ["MARKER", "Watcher", "check_files", "finished_units", "is_finished", "reproduce"]

MARKER = "results.json"
"""The combined document, in the table's directory."""


class Watcher(Protocol):
    """Told how the run proceeds."""

    def block(self, block: Block) -> Observer:
        """A block begins; its observer."""

    def skipped(self, block: Block) -> None:
        """A block was finished before."""


def reproduce(
    table: Table,
    blocks: Sequence[Block],
    root: Path,
    out: Path,
    *,
    jobs: int,
    watcher: Watcher,
    command: Sequence[str],
    restart: bool = False,
    after: Callable[[Block, dict[str, Any]], None] = lambda block, document: None,
) -> dict[str, Any]:
    """Run, or resume, blocks of a table; returns the document over all finished blocks, written to out/results.json.

    Args:
        table: what the blocks are of.
        blocks: those to run, in order.
        root: the data directory.
        out: the table's directory; each block has one of its own in it.
        jobs: fits at a time.
        watcher: told of progress.
        command: what provenance records as the command line, without the paths of this machine.
        restart: discard earlier runs of these blocks.
        after: called with each block that was run and its document.

    Raises:
        DataError: files that are not there.
        ConfigError: a directory that holds another run, or something else.
    """
    check_files(blocks, root)
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is not a directory; choose another --out")
    loaded = _Loaded(root)
    for block in blocks:
        if not restart and is_finished(block, root, out / block.name):
            watcher.skipped(block)
            continue
        observer = watcher.block(block)
        data, place = loaded.data(block.data), out / block.name
        document = compare(data, block.arms, block.settings, place, jobs=jobs, observer=observer, restart=restart)
        document["provenance"]["command"] = list(command)
        document["pairs"] = paired(data, document, block.settings, place)
        write_json(place / RESULTS, document)
        after(block, document)
        write_json(out / MARKER, combined(table, out, command))
    document = combined(table, out, command)
    write_json(out / MARKER, document)
    return document


def check_files(blocks: Sequence[Block], root: Path) -> None:
    """Raise `DataError` that names every file the blocks need and that is not under root."""
    missing = missing_files([block.data for block in blocks], root)
    if not missing:
        return
    without = [block.name for block in blocks if not missing_files([block.data], root)]
    hint = f" With what is there --only {','.join(without)} runs." if without else ""
    raise DataError(files_not_found(root, missing) + hint)


def is_finished(block: Block, root: Path, place: Path) -> bool:
    """Whether the block's directory holds the results of just these settings, data and arms."""
    held = glance(place / JOURNAL)
    try:
        document = json.loads((place / RESULTS).read_text())
        described, whole = document["provenance"]["config"], "pairs" in document
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return False
    if held is None or not whole:
        return False
    config = _config(block, root)
    # other arms may have been begun since the results were written: their predictions lie where those of these did
    stated = in_force(held[0].get(ARMS, {}), held[1])
    return stated == config[ARMS] and all(described.get(key) == value for key, value in config.items())


def finished_units(block: Block, place: Path) -> list[tuple[str, str]]:
    """Units that the block's journal holds, at a glance, as (arm, kind): for an estimate of what is left."""
    held = glance(place / JOURNAL)
    if held is None:
        return []
    found = counting(held[0].get(ARMS, {}), held[1], declarations(block.arms))
    # trials by number, final fits by seed, one model
    place_of = {"trial": "number", "final": "seed"}
    units = sorted({(r["arm"], r["kind"], r[place_of[r["kind"]]]) for r in found if r["kind"] in place_of})
    saved = [(r["arm"], r["kind"]) for r in found if r["kind"] == "model"][-1:]
    return [*((arm, kind) for arm, kind, _ in units), *saved][: block.fits]


def _config(block: Block, root: Path) -> dict[str, Any]:
    """The identity that `compare` gives the block's journal, from files that need not be parsed for it."""
    files, reading = block.data.identity(root)
    sketch = cast(CompareData, SimpleNamespace(files=files, reading=reading))
    return config_of(task_for(block.data.feedback, block.settings), block.settings, block.arms, sketch)


class _Loaded:
    """The data set read last: blocks that differ in rank only share it."""

    def __init__(self, root: Path) -> None:
        self._root, self._last = root, cast("tuple[DataSet, CompareData] | None", None)

    def data(self, wanted: DataSet) -> CompareData:
        if self._last is None or self._last[0] is not wanted:
            self._last = None
            self._last = wanted, wanted.load(self._root)
        return self._last[1]
