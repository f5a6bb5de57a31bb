"""Arms of a comparison some of whose settings the user fixes instead of having them searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torchsse.errors import ConfigError
from torchsse.experiments.arms import Arm
from torchsse.experiments.kinds import ModelKind
from torchsse.experiments.settings import CompareSettings
from torchsse.experiments.tuning.dimensions import named_texts, parse_value

__all__ = ["fixed_values", "with_fixed"]

_NEIGHBOURS = "neighbours"
_OF_GRAPHS = (_NEIGHBOURS, "rho_user", "rho_item")
"""An estimator takes these with a graph only; the first fit tries them."""


def fixed_values(words: Sequence[str]) -> dict[str, float]:
    """What ``--fix NAME=VALUE`` says, by name.

    Raises:
        ConfigError: for a word without name or value, a value that is no number, or a name given twice.

    >>> fixed_values(["dropout=0.1", "p0-input=.1"])
    {'dropout': 0.1, 'p0_input': 0.1}
    """
    found: dict[str, float] = {}
    for name, text in named_texts(words, "--fix").items():
        value = parse_value(text)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ConfigError(f"--fix {name}: expected a number, got {text!r}")
        found[name] = float(value)
    return found


def with_fixed(
    arms: Sequence[Arm], fixed: Mapping[str, float], settings: CompareSettings, usual: ModelKind
) -> tuple[Arm, ...]:
    """The same arms, where each that would search one of the settings has the given value of it instead.

    An arm that does not search a setting is left as it is: its absence there is what the arm is about. So with
    ``p0_input`` fixed, `none` still does not swap.

    Args:
        arms: of one comparison.
        fixed: values by name.
        settings: of the comparison; every arm is tried on its estimator before anything runs.
        usual: the estimator of arms that name none.

    Raises:
        ConfigError: for a setting that no arm searches, or a value that the estimator does not take.

    >>> from torchsse.experiments.kinds import SASREC
    >>> from torchsse.experiments.sequence_arms import sequence_arms
    >>> from torchsse.experiments.sequence_settings import SequenceSettings
    >>> arms = with_fixed(sequence_arms()[:1], {"dropout": 0.1}, SequenceSettings(), SASREC)
    >>> arms[0].fixed, list(arms[0].space)
    ({'dropout': 0.1}, ['weight_decay'])
    """
    known = list(dict.fromkeys(name for arm in arms for name in arm.space))
    for name in fixed:
        if name not in known:
            raise ConfigError(f"--fix {name}: no arm here searches it; they search {', '.join(known)}")
    changed = tuple(_fix(arm, fixed) for arm in arms)
    neighbours = fixed.get(_NEIGHBOURS, 1)
    if neighbours < 1 or neighbours % 1:
        raise ConfigError(f"--fix {_NEIGHBOURS}: expected a whole number of at least 1, got {neighbours:g}")
    for arm in changed:
        words = {name: value for name, value in arm.params(arm.defaults).items() if name not in _OF_GRAPHS}
        (arm.model or usual).build(settings, words)
    return changed


def _fix(arm: Arm, fixed: Mapping[str, float]) -> Arm:
    own = {name: value for name, value in fixed.items() if name in arm.space}
    return replace(
        arm,
        space={name: searched for name, searched in arm.space.items() if name not in own},
        defaults={name: value for name, value in arm.defaults.items() if name not in own},
        fixed={**arm.fixed, **own},
    )
