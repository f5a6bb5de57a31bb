"""What Figures 3 and 4 share: fits with declared settings, each kept in a journal, so that none is made twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torchsse.errors import DataError
from torchsse.experiments.arms import Arm
from torchsse.experiments.files import claim_directory, jsonable
from torchsse.experiments.journal import Journal
from torchsse.experiments.provenance import now, provenance
from torchsse.experiments.reproduce.dataset import DataSet, files_not_found, missing_files
from torchsse.experiments.settings import CompareData, CompareSettings
from torchsse.experiments.task import Task, task_of

__all__ = ["Report", "Study", "arms_named", "check_study_files", "config_of_studies", "fitted", "origin_of"]
__all__ += ["run_studies"]

JOURNAL = "journal.jsonl"

Record = dict[str, Any]


Report = Callable[[float, int, str], None]
"""Told of every fit: how many are done, the last one in part; of how many; which one it is."""


@dataclass(frozen=True)
class Study:
    """One model on one data set: each arm is fitted with its defaults, once per seed.

    Attributes:
        name: in the journal and in titles.
        title: as people write it.
    """

    name: str
    title: str
    data: DataSet
    settings: CompareSettings
    arms: tuple[Arm, ...]

    def load(self, root: Path) -> CompareData:
        """The data, without a graph that no arm uses."""
        data = self.data.load(root)
        used = {name for arm in self.arms for name in arm.params(arm.defaults)}
        return replace(
            data,
            user_graph=data.user_graph if "rho_user" in used else None,
            item_graph=data.item_graph if "rho_item" in used else None,
        )


def arms_named(arms: Sequence[Arm], names: Sequence[str]) -> tuple[Arm, ...]:
    """Some of the arms, in the order of the names."""
    by_name = {arm.name: arm for arm in arms}
    return tuple(by_name[name] for name in names)


def check_study_files(studies: Sequence[Study], root: Path) -> None:
    """Raise `DataError` that names every file the studies need and that is not under root."""
    missing = missing_files([study.data for study in studies], root)
    if missing:
        raise DataError(files_not_found(root, missing))


def fitted(
    study: Study, data: CompareData, arm: Arm, seed: int, *, watched: bool, report: Callable[[float], None]
) -> Any:
    """The arm's estimator, fitted on train for all epochs of the settings.

    With `watched` the test part is measured after each epoch, into `history_`; nothing is chosen by it.
    """
    task: Task = task_of(data.train, study.settings)
    kind = arm.model or next(iter(task.kinds.values()))
    words: dict[str, Any] = {**arm.params(arm.defaults), "epochs": study.settings.epochs, "patience": None}
    if arm.graphs == "given":
        words |= {"user_graph": data.user_graph, "item_graph": data.item_graph}
    model: Any = kind.build(study.settings, {**words, "seed": seed})

    def after_epoch(epoch: int, info: dict[str, Any]) -> bool:
        report(epoch / study.settings.epochs)
        return False

    model.fit(data.train, validation=data.test if watched else None, callback=after_epoch)
    return model


def config_of_studies(figure: str, studies: Sequence[Study], root: Path) -> dict[str, Any]:
    """Everything the fits depend on."""
    import torchsse

    return {
        "task": figure,
        "version": torchsse.__version__,
        "studies": {
            study.name: {
                "settings": asdict(study.settings),
                "arms": {arm.name: jsonable(arm.params(arm.defaults)) for arm in study.arms},
                "data": {file.role: file.sha256 for file in study.data.identity(root)[0]},
            }
            for study in studies
        },
    }


def run_studies(
    figure: str,
    studies: Sequence[Study],
    root: Path,
    out: Path,
    measure: Callable[[Study, CompareData, Arm, int, Callable[[float], None]], Record],
    report: Report,
    *,
    restart: bool,
    intact: Callable[[Record], bool] = lambda record: True,
) -> list[Record]:
    """Measure every arm and seed of every study that the journal in `out` does not hold yet; all records, in order.

    A record that is not `intact`, because a file that it speaks of is gone, is measured again.
    """
    claim_directory(out, JOURNAL)
    with Journal(out / JOURNAL, config_of_studies(figure, studies, root), restart=restart) as journal:
        held = {(r["study"], r["arm"], r["seed"]): r for r in journal.records if r["kind"] == "fit" and intact(r)}
        # arms take turns, so that a busy hour of the machine slows all of them alike
        wanted = [(s, arm, seed) for s in studies for seed in s.settings.final_seeds for arm in s.arms]
        loaded: tuple[Study, CompareData] | None = None
        for number, (study, arm, seed) in enumerate(wanted):
            label = f"{study.name}, {arm.name}, seed {seed}"
            if (study.name, arm.name, seed) not in held:
                if loaded is None or loaded[0] is not study:
                    loaded = study, study.load(root)

                def so_far(share: float, number: int = number, label: str = label) -> None:
                    report(number + share, len(wanted), label)

                record = {"kind": "fit", "study": study.name, "arm": arm.name, "seed": seed}
                record |= measure(study, loaded[1], arm, seed, so_far)
                journal.append(record)
                held[study.name, arm.name, seed] = record
            report(number + 1, len(wanted), label)
    return [held[study.name, arm.name, seed] for study, arm, seed in wanted]


def origin_of(studies: Sequence[Study], root: Path, command: Sequence[str], figure: str) -> dict[str, Any]:
    """The provenance of a figure."""
    files = {file.path: vars(file) for study in studies for file in study.data.identity(root)[0]}
    config = config_of_studies(figure, studies, root)
    return {
        **provenance(),
        "command": list(command),
        "data": list(files.values()),
        "config": config,
        "notes": [],
        "finished": now(),
    }
