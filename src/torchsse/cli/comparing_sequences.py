"""`torchsse compare` over models of histories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torchsse.experiments.arms import Arm
    from torchsse.experiments.loading import Columns
    from torchsse.experiments.sequence_settings import SequenceSettings
    from torchsse.experiments.settings import CompareData

__all__ = ["OF_RATINGS", "OF_SEQUENCES", "prepare_sequences", "refuse"]

OF_RATINGS = ("test", "user_graph", "feedback", "biases", "factors", "hard_negatives")
"""Options that have no meaning for histories."""

OF_SEQUENCES = (
    "hidden", "blocks", "heads", "inner", "max_length", "random_window", "positions", "attention_dropout", "loss",
    "shared_negatives", "unseen_negatives", "temperature", "learning_rate_decay", "p0_schedule", "ema_decay",
    "precision", "metric", "patience", "batch_size", "validate_every", "device", "order", "split",
)  # fmt: skip
"""Options that have a meaning for histories only."""


def refuse(given: dict[str, Any], names: tuple[str, ...], why: str) -> None:
    """`ConfigError` for options that were given and do not apply."""
    from torchsse.errors import ConfigError

    wrong = ["--" + name.replace("_", "-") for name in names if name in given]
    if wrong:
        raise ConfigError(f"{', '.join(wrong)}: {why}")


def prepare_sequences(
    actions: Path,
    model: str,
    given: dict[str, Any],
    names: Sequence[str] | None,
    fixed: Mapping[str, float],
    columns: Columns,
    edge_weight: str | int | None,
) -> tuple[CompareData, tuple[Arm, ...], SequenceSettings]:
    """Data, arms and settings; what is wrong shows before anything is read.

    Args:
        actions: whole histories.
        model: "sasrec" or "ssept".
        given: the options that were given, by name.
        names: of the arms, None for all.
        fixed: settings that are not searched.
        columns: of the file.
        edge_weight: column of the edge file.
    """
    from torchsse.experiments.arms import check_arm_names, select_arms
    from torchsse.experiments.fixed_settings import with_fixed
    from torchsse.experiments.kinds import SASREC
    from torchsse.experiments.sequence_loading import is_sparse, load_sequence_data
    from torchsse.experiments.sequence_settings import SequenceSettings
    from torchsse.experiments.sequence_task import SequenceTask

    refuse(
        given,
        OF_RATINGS,
        f"{model} takes whole histories in one file, whose last actions are the test part, and has no such option",
    )
    words = {name: value for name, value in given.items() if name in SequenceSettings.__dataclass_fields__}
    settings = SequenceSettings(**words)
    graph = given.get("item_graph")
    check_arm_names(names, graph=graph is not None, options="--item-graph")
    order, split = given.get("order"), given.get("split")
    data = load_sequence_data(
        actions,
        order=None if order is None else order.value,
        split="last" if split is None else split.value,
        item_graph=graph,
        edge_weight=edge_weight,
        columns=columns,
    )
    known = {
        "item_graph": graph is not None,
        "tune_learning_rate": bool(given.get("tune_learning_rate")),
        "sparse": is_sparse(data),
    }
    arms = select_arms(SequenceTask().arms(settings, model, **known), names)
    return data, with_fixed(arms, fixed, settings, SASREC), settings
