"""`evaluate --against`: two saved models of histories, user by user."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from torchsse.cli.tables import show_table
from torchsse.report.format import interval, number, p_value, signed
from torchsse.report.metric import label

if TYPE_CHECKING:
    from torchsse.experiments.sequences import Held, Split

__all__ = ["compared_users", "show_compared", "the_other"]

JUDGED = ("ndcg@10", "hr@10")

Compared = dict[str, dict[str, Any]]
"""Metric -> value of the model, of the other, difference, interval, p and number of users."""


def the_other(directory: Path, held: Held, actions: Any, split: Split | None) -> tuple[Any, Held]:
    """The model to compare with, and its part of the same file.

    Raises:
        ConfigError: it is no model of histories, or it would be measured on other actions.
    """
    import numpy as np

    from torchsse.errors import ConfigError
    from torchsse.experiments.models import load_model
    from torchsse.experiments.sequences import held_part
    from torchsse.recsys.sequence.estimator import SequenceRecommender

    other = load_model(directory)
    if not isinstance(other, SequenceRecommender):
        raise ConfigError(f"--against: expected a model of histories, got a {type(other).__name__} in {directory}")
    part = held_part(other, actions, split)
    if part.what != held.what or not np.array_equal(part.test.items, held.test.items):
        raise ConfigError(
            f"--against: {directory} learned other actions of this file: there the targets are {part.what}; here, "
            f"{held.what}"
        )
    return other, part


def compared_users(mine: dict[str, Any], theirs: dict[str, Any]) -> Compared:
    """Paired bootstrap over the users that both models have a value of, for each of `JUDGED`.

    Args:
        mine: what `evaluate` or `evaluate_sampled` of the model returned.
        theirs: the same of the other.
    """
    import numpy as np

    from torchsse.metrics import paired_bootstrap

    _, here, there = np.intersect1d(mine["users"], theirs["users"], return_indices=True)
    found: Compared = {}
    for name in JUDGED:
        a, b = mine["per_user"][name][here], theirs["per_user"][name][there]
        tested = paired_bootstrap(a, b)
        found[name] = {
            "value": float(np.mean(a)),
            "against": float(np.mean(b)),
            "difference": tested.difference,
            "difference_ci95": [tested.low, tested.high],
            "p_value": tested.p_value,
            "n_users": tested.units,
        }
    return found


def show_compared(found: dict[str, Compared], directory: Path) -> None:
    """One table a protocol."""
    for protocol, metrics in found.items():
        users = next(iter(metrics.values()))["n_users"]
        typer.echo(f"{protocol}, against {directory}: paired bootstrap over {users:,} users, p not corrected")
        rows = [
            [
                label(name),
                number(each["value"]),
                number(each["against"]),
                signed(each["difference"]),
                interval(each["difference_ci95"], signed),
                p_value(each["p_value"]),
            ]
            for name, each in metrics.items()
        ]
        show_table(["metric", "this", "other", "difference", "95 % interval", "p"], rows)
