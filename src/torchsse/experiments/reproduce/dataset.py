"""A data set as the tables use it: its files, how they become train, test and graphs, what differs from the paper."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from torchsse.errors import DataError
from torchsse.experiments.arms import Side
from torchsse.experiments.settings import CompareData, DataFile

__all__ = ["DataSet", "Files", "files_not_found", "find_file", "missing_files"]

Files = Mapping[str, Path]
"""Role -> file."""


@dataclass(frozen=True)
class DataSet:
    """Files under one directory, and how they are read.

    Attributes:
        name: of the blocks that use it, and of their directories.
        title: as people write it.
        feedback: the kind.
        files: role -> path under the data directory. A file may also lie there without its last ``.gz``.
        read: files by role -> train, test, graphs and notes.
        positives: train ratings, roughly: how long a fit takes in relation to those on other sets.
        graphs: the sides that have a graph of their own.
        reading: what is done with the files where it changes the data; part of a run's identity.
        scale: the width of the ratings' scale over that of 1 to 5. Squared errors grow with its square, so learning
            rates are divided and weight decay is multiplied by it.
        paper: the data set of the paper's table that it stands for; None where the paper has none.
        differs: how data and split differ from the paper's.
    """

    name: str
    title: str
    feedback: Literal["explicit", "implicit", "sequences"]
    files: dict[str, str]
    read: Callable[[Files], CompareData]
    positives: int
    graphs: tuple[Side, ...] = ()
    reading: dict[str, str] = field(default_factory=dict)
    scale: float = 1.0
    paper: str | None = None
    differs: str = ""

    def located(self, root: Path) -> Files:
        """Role -> the file that is there.

        Raises:
            DataError: naming every file that is not.
        """
        missing = missing_files([self], root)
        if missing:
            raise DataError(files_not_found(root, missing))
        return {role: found for role, path in self.files.items() if (found := find_file(root, path))}

    def identity(self, root: Path) -> tuple[tuple[DataFile, ...], tuple[tuple[str, str], ...]]:
        """Files with their sha256 and paths relative to `root`, and the reading."""
        files = (DataFile.of(role, path) for role, path in self.located(root).items())
        relative = (replace(file, path=Path(file.path).relative_to(root).as_posix()) for file in files)
        return tuple(relative), tuple(sorted(self.reading.items()))

    def load(self, root: Path) -> CompareData:
        """Everything read; files are named relative to `root`, so that no result holds a machine's paths."""
        files, reading = self.identity(root)
        return replace(self.read(self.located(root)), files=files, reading=reading)


def find_file(root: Path, path: str) -> Path | None:
    """The file under root, gzipped or not; None if there is neither."""
    return next((file for file in (root / path, root / path.removesuffix(".gz")) if file.is_file()), None)


def missing_files(sets: Iterable[DataSet], root: Path) -> list[str]:
    """Paths under root that data sets need and that are not there, each once, in order."""
    wanted = dict.fromkeys(path for each in sets for path in each.files.values())
    return [path for path in wanted if find_file(root, path) is None]


def files_not_found(root: Path, missing: list[str]) -> str:
    """The one message about them."""
    return (
        f"{root}: {len(missing)} file{'s' if len(missing) > 1 else ''} not found: {', '.join(missing)} (each may also "
        "lie there without .gz; docs/reproduce.md says what they are)."
    )
