"""Which settings to try next: a pure function of the trials already measured.

A killed search must propose, when resumed, exactly what it would have proposed without the interruption, on any number
of cores. So proposals come in batches of fixed size, each batch sees all earlier batches and nothing else, and the
sampler is seeded afresh for every trial number. The first trial is the arm's defaults, then come points of a scrambled
Sobol sequence, then Optuna's tree-structured Parzen estimator.

The seed does not depend on the arm: arms that share a dimension start from the same points in it, which takes noise out
of their difference, and two equal arms get equal results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torchsse.errors import MissingDependencyError
from torchsse.experiments.arms import Arm
from torchsse.experiments.space import space_from_unit

__all__ = ["BATCH", "STARTUP", "Trial", "best_trial", "propose"]

BATCH = 4
"""Trials proposed together. Fixed: if it followed the number of cores, so would the result."""

STARTUP = 8
"""Trials before the estimator takes over; one of them is the defaults."""

_SAMPLER_STRIDE = 100_003
_NAMES = ("weight_decay", "learning_rate", "p0_user", "p0_item", "dropout", "rho_user", "rho_item", "neighbours")


@dataclass(frozen=True)
class Trial:
    """A measured trial: its number within the arm, the searched settings, and its loss on validation (lower wins)."""

    number: int
    params: Mapping[str, float]
    value: float


def propose(arm: Arm, batch: int, earlier: Sequence[Trial], trials: int, seed: int) -> list[dict[str, float]]:
    """Settings of the trials in one batch.

    Args:
        arm: gives the space and the defaults.
        batch: 0, 1, 2, ...; batch b holds the trials b * BATCH .. (b + 1) * BATCH - 1.
        earlier: all trials of the batches before this one, in any order.
        trials: the arm's budget; the last batch is cut short by it.
        seed: of the whole search.

    >>> from torchsse.experiments.arms import standard_arms
    >>> none = standard_arms(biases=True)[0]
    >>> propose(none, 0, [], trials=2, seed=0)[0]
    {'weight_decay': 0.08}
    """
    numbers = range(batch * BATCH, min((batch + 1) * BATCH, trials))
    if numbers.start >= STARTUP:
        return _estimate(arm, numbers, sorted(earlier, key=lambda trial: trial.number), seed)
    return [dict(arm.defaults) if number == 0 else _sobol(arm, number, seed) for number in numbers]


def best_trial(trials: Sequence[Trial]) -> Trial:
    """The lowest value; of equals the first."""
    return min(trials, key=lambda trial: (trial.value, trial.number))


def _sobol(arm: Arm, number: int, seed: int) -> dict[str, float]:
    """Point `number` of the scrambled Sobol sequence; dimension d is the same whatever the arm's other dimensions."""
    import torch
    from torch.quasirandom import SobolEngine

    # One engine over all names an arm may use, so that a shared dimension has the same points in every arm.
    names = list(_NAMES if arm.model is None else arm.model.dimensions or _NAMES)
    names += sorted(set(arm.space) - set(names))
    engine = SobolEngine(len(names), scramble=True, seed=seed)  # type: ignore[no-untyped-call]
    points = engine.draw(number + 1, dtype=torch.float64)
    return space_from_unit(arm.space, dict(zip(names, points[number].tolist())))


def _estimate(arm: Arm, numbers: range, earlier: Sequence[Trial], seed: int) -> list[dict[str, float]]:
    try:
        import optuna
    except ImportError as error:
        raise MissingDependencyError("the search needs optuna: pip install 'torchsse[recsys]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions: dict[str, Any] = {
        name: optuna.distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.log)
        for name, dimension in arm.space.items()
    }
    study = optuna.create_study(direction="minimize")
    for trial in earlier:
        study.add_trial(
            optuna.trial.create_trial(params=dict(trial.params), distributions=distributions, value=trial.value)
        )
    proposals = []
    for number in numbers:
        # The constant liar keeps the trials of one batch apart: those asked for and not yet told count as bad.
        study.sampler = optuna.samplers.TPESampler(
            seed=seed * _SAMPLER_STRIDE + number, n_startup_trials=0, multivariate=True, constant_liar=True
        )
        asked = study.ask(distributions)
        proposals.append({name: arm.space[name].clip(float(asked.params[name])) for name in arm.space})
    return proposals
