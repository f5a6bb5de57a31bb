"""The study: trials in SQLite, where any kill leaves whole ones, and proposals that a resumed run repeats.

A trial has a number of our own, from 0 to the budget. What it tries depends on that number, on the seed and on the
trials finished before: trial 0 is the defaults, then come points of a scrambled Sobol sequence, then Optuna's
tree-structured Parzen estimator, made afresh and seeded by the trial's number. So nothing is lost with the process. A
trial that was under way when its process died is marked as failed, and its number is tried again; as long as trials
run one at a time, a run that was killed proposes what one that was not would have proposed.
"""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchsse.errors import ConfigError, CorruptFileError, MissingDependencyError
from torchsse.experiments.space import Range
from torchsse.experiments.tuning.dimensions import Dimension, Value, at, inside
from torchsse.experiments.tuning.space import TuneSpace

if TYPE_CHECKING:
    import optuna

__all__ = ["STARTUP", "Asked", "Study", "Trial", "best_of"]

STARTUP = 10
"""Trials before the estimator takes over; the first of them is the defaults."""

NAME = "torchsse-tune"
_STRIDE = 100_003
_DIVERGED = "diverged"


@dataclass(frozen=True)
class Asked:
    """A trial under way: its number, the searched settings, and Optuna's handle."""

    number: int
    chosen: dict[str, Value]
    handle: Any


@dataclass(frozen=True)
class Trial:
    """A finished trial.

    Attributes:
        number: ours, from 0.
        state: "complete", "pruned" or "diverged".
        value: the metric on validation: of a complete trial its best, of a pruned one its best so far.
        epoch: where that was.
        chosen: the searched settings.
        seconds: that it took.
    """

    number: int
    state: str
    value: float | None
    epoch: int | None
    chosen: dict[str, Value]
    seconds: float


class Study:
    """Trials of one search, in a SQLite file with Optuna's schema (`optuna-dashboard` can read it while it grows).

    Args:
        path: the file; made if it does not exist.
        mark: fingerprint of everything that trials depend on.
        space: searched settings.
        higher: larger values are better.
        seed: of all proposals.
        warmup: epochs before a trial may be pruned; None: no pruning.
        parallel: several trials at a time: the estimator then keeps away from those under way.

    Raises:
        ConfigError: the file holds a study with another mark.
        CorruptFileError: it is no study at all.
        MissingDependencyError: without Optuna.
    """

    def __init__(
        self, path: Path, mark: str, space: TuneSpace, *, higher: bool, seed: int, warmup: int | None, parallel: bool
    ) -> None:
        self._optuna = _optuna()
        self._space, self._seed, self._parallel = space, seed, parallel
        pruners = self._optuna.pruners
        pruner: Any = pruners.NopPruner()
        if warmup is not None:
            pruner = pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=warmup, n_min_trials=3)
        self._study = self._open(path, mark, "maximize" if higher else "minimize", pruner)
        self._open_numbers: set[int] = set()
        self.lost = self._fail_orphans()
        self.trials: dict[int, Trial] = {}
        for frozen in self._study.get_trials(deepcopy=False):
            self._take(frozen)

    def ask(self) -> Asked:
        """The next trial: the lowest number that is neither finished nor under way."""
        number = 0
        while number in self.trials or number in self._open_numbers:
            number += 1
        with _quiet():
            self._study.sampler = self._sampler(number)
            handle = self._study.ask({name: self._distribution(dim) for name, dim in self._space.searched.items()})
            handle.set_user_attr("number", number)
        chosen = {name: inside(dim, handle.params[name]) for name, dim in self._space.searched.items()}
        self._open_numbers.add(number)
        return Asked(number, chosen, handle)

    def worth_going_on(self, asked: Asked, epoch: int, value: float) -> bool:
        """Note the value of an epoch; False if the trial should be pruned. Safe to call from the trial's thread."""
        asked.handle.report(value, epoch)
        return not asked.handle.should_prune()

    def tell(self, asked: Asked, trial: Trial) -> None:
        """Note a finished trial; what was noted survives any kill."""
        state = self._optuna.trial.TrialState
        facts = {"value": trial.value, "epoch": trial.epoch, "seconds": trial.seconds, "chosen": trial.chosen}
        asked.handle.set_user_attr("facts", {**facts, "state": trial.state})
        with _quiet():
            if trial.state == "complete":
                self._study.tell(asked.handle, trial.value)
            else:
                ended = state.PRUNED if trial.state == "pruned" else state.FAIL
                self._study.tell(asked.handle, state=ended)
        self._open_numbers.discard(trial.number)
        self.trials[trial.number] = trial

    def close(self) -> None:
        """Let go of the file; what SQLite kept beside it is folded in."""
        self._engine.dispose()

    def __enter__(self) -> Study:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def importances(self) -> dict[str, float]:
        """How much of the difference between good and other trials each setting explains (PED-ANOVA); sums to 1.

        Empty where there is too little to tell: fewer than `STARTUP` complete trials, or one searched setting.
        """
        complete = [trial for trial in self.trials.values() if trial.state == "complete"]
        if len(complete) < STARTUP or len(self._space.searched) < 2:
            return {}
        importance = self._optuna.importance
        with _quiet():
            evaluator = importance.PedAnovaImportanceEvaluator(target_quantile=max(0.1, min(0.5, 5 / len(complete))))
            found = importance.get_param_importances(self._study, evaluator=evaluator)
        return {name: round(float(share), 4) for name, share in found.items()}

    def _open(self, path: Path, mark: str, direction: str, pruner: Any) -> optuna.Study:
        import sqlalchemy.exc

        optuna = self._optuna
        fresh = not path.exists()
        try:
            with _quiet():
                storage = optuna.storages.RDBStorage(
                    f"sqlite:///{path.absolute()}", engine_kwargs={"creator": partial(_connect, path)}
                )
                self._engine = storage.engine
                study = optuna.create_study(
                    storage=storage, study_name=NAME, direction=direction, pruner=pruner, load_if_exists=True
                )
                found = study.user_attrs.get("fingerprint")
                if found is None and not study.get_trials(deepcopy=False):
                    study.set_user_attr("fingerprint", mark)
                    found = mark
        except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError) as error:
            if fresh:
                raise
            raise CorruptFileError(
                f"{path}: no study of torchsse tune, or a damaged one ({type(error).__name__}); --restart discards it"
            ) from None
        if found != mark:
            raise ConfigError(
                f"{path} holds a study with other settings or data; choose another --out, or --restart to discard it"
            )
        return study

    def _fail_orphans(self) -> int:
        """Trials of a process that died are under way forever; mark them failed, so that they are done again."""
        states = self._optuna.trial.TrialState
        orphans = self._study.get_trials(deepcopy=False, states=(states.RUNNING, states.WAITING))
        for orphan in orphans:
            with _quiet():
                self._study.tell(orphan.number, state=states.FAIL)
        return len(orphans)

    def _take(self, frozen: Any) -> None:
        """A finished trial of the file; those that failed because their process died do not count."""
        states = self._optuna.trial.TrialState
        facts, number = frozen.user_attrs.get("facts"), frozen.user_attrs.get("number")
        if facts is None or number is None:
            return
        if {"complete": states.COMPLETE, "pruned": states.PRUNED, _DIVERGED: states.FAIL}[
            facts["state"]
        ] is not frozen.state:
            return  # killed between the facts and the state
        self.trials[number] = Trial(
            number, facts["state"], facts["value"], facts["epoch"], facts["chosen"], facts["seconds"]
        )

    def _sampler(self, number: int) -> Any:
        samplers, seed = self._optuna.samplers, (self._seed * _STRIDE + number) % (1 << 32)
        if number >= STARTUP:
            return samplers.TPESampler(seed=seed, n_startup_trials=0, multivariate=True, constant_liar=self._parallel)
        chosen = dict(self._space.defaults) if number == 0 else _sobol(self._space.searched, number, self._seed)
        return samplers.PartialFixedSampler(chosen, samplers.RandomSampler(seed=seed))

    def _distribution(self, dimension: Dimension) -> Any:
        kinds = self._optuna.distributions
        if not isinstance(dimension, Range):
            return kinds.CategoricalDistribution(dimension.values)
        if dimension.integer:
            return kinds.IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
        return kinds.FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _connect(path: Path) -> sqlite3.Connection:
    """A connection that does not wait for the disk at every epoch; nothing is torn by a kill or a power cut."""
    connection = sqlite3.connect(path, timeout=60, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def best_of(trials: Sequence[Trial], higher: bool) -> Trial | None:
    """The complete trial with the best value; of equals the first. None if every trial diverged or was pruned."""
    complete = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
    sign = -1.0 if higher else 1.0
    return min(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None)


def _sobol(searched: Any, number: int, seed: int) -> dict[str, Value]:
    """Point `number` of a scrambled Sobol sequence over the dimensions in the order of their names."""
    import torch
    from torch.quasirandom import SobolEngine

    names = sorted(searched)
    engine = SobolEngine(len(names), scramble=True, seed=seed)  # type: ignore[no-untyped-call]
    point = engine.draw(number + 1, dtype=torch.float64)[number].tolist()
    return {name: at(searched[name], u) for name, u in zip(names, point)}


def _optuna() -> Any:
    try:
        import optuna
        import sqlalchemy  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(f"tune needs {error.name}: pip install 'torchsse[recsys]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's warnings that parts of it may change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
