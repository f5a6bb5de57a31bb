"""Running the units of a table: finished ones stay as they are, one that was killed goes on from its checkpoint."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from torchsse.errors import ConfigError, DataError
from torchsse.experiments.files import claim_directory, jsonable, write_array, write_text
from torchsse.experiments.journal import Journal
from torchsse.experiments.provenance import language_versions, now, provenance
from torchsse.experiments.reproduce.chain import Chain, Place, Unit, UnitWatch, Values
from torchsse.experiments.reproduce.dataset import files_not_found, find_file
from torchsse.experiments.settings import DataFile

__all__ = ["JOURNAL", "Record", "Watcher", "data_files", "missing_of", "run_chain", "session", "values_of"]

JOURNAL = "journal.jsonl"
WORK, VALUES = "work", "values"
_DONE, _GONE = ".done", ".gone"

Record = dict[str, Any]


class Watcher(Protocol):
    """Told how the run proceeds."""

    def unit(self, unit: Unit, number: int, total: int) -> UnitWatch:
        """A unit begins, number from 1; who watches it."""

    def finished(self, unit: Unit, number: int, total: int) -> None:
        """A unit is done, now or before."""


def missing_of(chain: Chain, root: Path) -> list[str]:
    """Files that the chain needs and that are not under root."""
    return [path for path in dict.fromkeys(chain.files.values()) if find_file(root, path) is None]


def data_files(chain: Chain, root: Path) -> list[DataFile]:
    """The chain's files with their sha256, named relative to `root`.

    Raises:
        DataError: naming every file that is not there.
    """
    missing = missing_of(chain, root)
    if missing:
        raise DataError(files_not_found(root, missing))
    found = []
    for role, path in chain.files.items():
        there = find_file(root, path)
        assert there is not None
        file = DataFile.of(role, there)
        found.append(DataFile(role, there.relative_to(root).as_posix(), file.sha256))
    return found


def config_of_chain(chain: Chain, root: Path) -> dict[str, Any]:
    """Everything the units depend on, beside their names: further seeds may be added to a run."""
    import torchsse

    config: dict[str, Any] = jsonable(
        {
            "task": chain.name,
            "size": chain.size,
            "version": torchsse.__version__,
            "device": chain.device.partition(":")[0],
            "data": {file.role: file.sha256 for file in data_files(chain, root)},
            **chain.config,
        }
    )
    return config


def run_chain(
    chain: Chain,
    units: Sequence[Unit],
    root: Path,
    out: Path,
    *,
    watcher: Watcher,
    restart: bool,
    beside: Mapping[str, Path] | None = None,
) -> list[Record]:
    """Run the units that the journal in `out` does not hold yet; the records of all that it holds now, in order.

    Those of units that were not asked for this time are among them: some blocks today do not undo those of yesterday.

    A record whose values are gone or damaged does not count. A unit whose checkpoint was removed is run again if a
    unit that needs it is not done, and its record takes the place of the earlier one.

    `beside` has the directories of other tables, whose shared trainings may be this one's too: `Place.elsewhere`.
    """
    language_versions(chain.packages)  # without them nothing is made, least of all a directory
    config = config_of_chain(chain, root)
    claim_directory(out, JOURNAL)
    with Journal(out / JOURNAL, config, restart=restart) as journal:
        run = _Run(chain, units, out, journal, watcher, restart, beside or {})
        for unit in units:
            run.finish(unit)
        return [run.held[unit.name] for unit in chain.units if unit.name in run.held]


class _Run:
    """What is done, and what is left of it on disk."""

    def __init__(
        self,
        chain: Chain,
        units: Sequence[Unit],
        out: Path,
        journal: Journal,
        watcher: Watcher,
        restart: bool,
        beside: Mapping[str, Path],
    ) -> None:
        self.chain, self.out, self.journal, self.watcher, self.beside = chain, out, journal, watcher, beside
        self.by_name = {unit.name: unit for unit in chain.units}
        self.numbers = {unit.name: number for number, unit in enumerate(units, 1)}
        self.work, self.values = out / WORK, out / VALUES
        if restart:
            for folder in (self.work, self.values):
                shutil.rmtree(folder, ignore_errors=True)
        for folder in (self.work, self.values):
            folder.mkdir(exist_ok=True)
        for left in (*self.work.glob(f"*{_GONE}"), *self.values.glob(".*.tmp")):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        self.held = {r["unit"]: r for r in journal.records if r["kind"] == "unit" and _intact(r, out)}
        self.told = False
        self._tidy()

    def finish(self, unit: Unit) -> None:
        """Have it done, and its checkpoint there if a unit still needs it."""
        number, total = self.numbers[unit.name], len(self.numbers)
        left = (other for other in self._left() if other.name in self.numbers)
        if unit.name not in self.held or (unit.name in self._needed(left) and not self._there(unit.name)):
            if not self.told:
                self.journal.append({"kind": "session", **session(self.chain)})
                self.told = True
            self._marker(unit.name).unlink(missing_ok=True)  # of a folder that is gone
            record = self._run(unit, self.watcher.unit(unit, number, total))
            self._check(record)
            write_text(self._marker(unit.name), "")
            self.journal.append(record)
            self.held[unit.name] = record
            self._tidy()
        self.watcher.finished(unit, number, total)

    def _run(self, unit: Unit, watch: UnitWatch) -> Record:
        values: dict[str, dict[str, str]] = {}

        def keep(key: str, array: npt.NDArray[Any]) -> None:
            path = self.values / f"{unit.name}.{key}.npy"
            write_array(path, array)
            values[key] = {"file": path.relative_to(self.out).as_posix(), "sha256": _sha256(path)}

        started = time.monotonic()
        needs = {need: self.work / need for need in unit.needs}
        elsewhere = {table: out / WORK / unit.name for table, out in self.beside.items()} if unit.shared else {}
        place = Place(self.work / unit.name, needs, watch, keep, elsewhere)
        facts = jsonable(unit.run(place))
        seconds = facts.pop("seconds", round(time.monotonic() - started, 1))
        about = {"unit": unit.name, "block": unit.block, "arm": unit.arm, "seed": unit.seed, "seconds": seconds}
        return {"kind": "unit", **about, "facts": facts, "values": values, "finished": now()}

    def _check(self, record: Record) -> None:
        """That it agrees with the others in what must be the same."""
        for name in self.chain.constant:
            mine = record["facts"].get(name)
            for other in self.held.values():
                theirs = other["facts"].get(name)
                if other["unit"] != record["unit"] and None not in (mine, theirs) and mine != theirs:
                    raise ConfigError(
                        f"{record['unit']} has another {name} ({mine}) than {other['unit']} ({theirs}), which an "
                        "earlier session ran: it has changed since; --restart to run all with it"
                    )

    def _tidy(self) -> None:
        """Remove the directories of finished units that none needs which is left, of all units of the table.

        Those that all seeds share stay: seeds may be added later.
        """
        needed = self._needed(self._left())
        for unit in self.chain.units:
            marker, folder = self._marker(unit.name), self.work / unit.name
            if unit.name in self.held and unit.name not in needed and not unit.shared:
                marker.unlink(missing_ok=True)
                if folder.exists():  # renamed first: half a checkpoint must not look like one
                    gone = folder.with_name(f"{folder.name}{_GONE}")
                    os.replace(folder, gone)
                    shutil.rmtree(gone)

    def _needed(self, left: Iterable[Unit]) -> set[str]:
        """Whose directories these units need, and what must be there to make those again that are gone."""
        needed: set[str] = set()
        waiting = list(left)
        while waiting:
            for need in waiting.pop().needs:
                if need not in needed:
                    needed.add(need)
                    if not self._there(need):
                        waiting.append(self.by_name[need])
        return needed

    def _left(self) -> list[Unit]:
        return [unit for unit in self.chain.units if unit.name not in self.held]

    def _there(self, name: str) -> bool:
        """Whether a whole checkpoint is there: a marker may be left of a folder that somebody deleted."""
        return self._marker(name).exists() and (self.work / name).is_dir()

    def _marker(self, name: str) -> Path:
        return self.work / f"{name}{_DONE}"


def values_of(record: Record, out: Path) -> Values:
    """The values that a unit kept."""
    return {key: np.load(out / kept["file"], allow_pickle=False) for key, kept in record["values"].items()}


def session(chain: Chain) -> dict[str, Any]:
    """Where results come from; threads matter, since sums in another order give other bits."""
    import torch

    versions = language_versions(chain.packages)
    about = provenance(_device_name(chain.device))
    del about["command"]
    return {**about, **versions, "threads": torch.get_num_threads(), "started": now()}


def _device_name(device: str) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def _intact(record: Record, out: Path) -> bool:
    return all(
        (out / kept["file"]).is_file() and _sha256(out / kept["file"]) == kept["sha256"]
        for kept in record["values"].values()
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
