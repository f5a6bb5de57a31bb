"""Table 4: SSE for SASRec, in three sizes."""

from __future__ import annotations

from dataclasses import dataclass

from torchsse.errors import ConfigError
from torchsse.experiments.arms import Arm
from torchsse.experiments.reproduce.dataset import DataSet
from torchsse.experiments.reproduce.paper import TABLE4
from torchsse.experiments.reproduce.sequence_datasets import BEAUTY, ML1M_HISTORIES, SPORTS, VIDEO
from torchsse.experiments.reproduce.table import Block, Overrides, Table
from torchsse.experiments.reproduce.table4_words import MODELS, labels
from torchsse.experiments.sequence_arms import deeper_arms, published_arms, sequence_arms, strong_arms
from torchsse.experiments.sequence_settings import METRICS, SequenceSettings
from torchsse.experiments.today_arms import SMALL_STEPS, modern_arms, several_arms

__all__ = ["SIZES", "Size", "table4"]


@dataclass(frozen=True)
class Size:
    """What one size runs.

    Attributes:
        hidden: d.
        trials, seeds, epochs, patience: for every arm alike.
        deeper: with the rows of 6 blocks, and those with two heads and wide feed-forward parts.
        loss: the strong one that SSE is judged on too.
        remark: of every block.
    """

    hidden: int
    trials: int
    seeds: int
    epochs: int
    patience: int
    deeper: bool
    loss: str
    remark: str


SIZES = {
    "small": Size(
        50, 2, 1, 120, 20, False, "sampled-softmax",
        "Size small, for two cores: no rows with 6 blocks; a fit that reaches the last epoch allowed may not have "
        "converged.",
    ),
    "medium": Size(
        100, 4, 3, 300, 40, True, "softmax",
        "Size medium, for a GPU.",
    ),
    "full": Size(
        100, 12, 3, 800, 80, True, "softmax",
        "Size full, for a GPU.",
    ),
}  # fmt: skip
_ONE_SEED = "One final fit of each arm gives no interval over seeds, and differences do not cover the luck of its seed."
SETS = (ML1M_HISTORIES, VIDEO, BEAUTY, SPORTS)
LENGTH = {"ml1m": 200}
"""Actions of a history that count; elsewhere 50."""
BATCH, AVERAGE = 64, 0.998
"""Histories in a step, and the decay of averaged parameters: fits need fewer epochs and end higher on validation."""
_LAST = ("dropout", "weight-decay", "sse-graph", "sse-cooccurrence", "sse-pt")


def table4(wanted: Overrides) -> Table:
    """The paper's rows, each regulariser alone, SSE-Graph, SSE-PT, and plain and SSE over a loss of today."""
    size = SIZES[wanted.size or "small"]
    if wanted.ranks is not None and any(rank < 2 or rank % 2 for rank in wanted.ranks):
        raise ConfigError("--ranks of table4 are widths: expected even numbers, at least 2")
    widths = wanted.ranks or (size.hidden,)
    blocks = []
    for data in SETS:
        for hidden in widths:
            budget = SequenceSettings(
                hidden=hidden,
                max_length=LENGTH.get(data.name, 50),
                batch_size=BATCH,
                ema_decay=AVERAGE,
                epochs=size.epochs,
                patience=size.patience,
                trials=size.trials,
                seeds=size.seeds,
            )
            column = f"d = {hidden}"
            settings = wanted.applied(budget)
            remark = " ".join((size.remark, *([_ONE_SEED] if settings.seeds == 1 else [])))
            blocks.append(Block(f"{data.name}-d{hidden}", column, data, settings, _arms(data, size, hidden), remark))
    searched = wanted.trials is None or wanted.trials > 1
    return Table(
        name="table4",
        title="SSE in sequential recommendation, test NDCG and hit rate",
        blocks=tuple(blocks),
        paper=TABLE4,
        models=MODELS,
        labels=labels(size.loss),
        differs=(
            "The paper's protocol ranks the last item among 100 random ones (sampled); ranks among all items stand "
            f"beside it. What decides on validation: {_in_words(wanted.metric or METRICS[0])}.",
            "Every arm is tuned alike on validation, dropout, weight decay and p together; the paper, and the arms "
            "named paper, fix dropout .1, weight decay 1e-5 (printed as 1e5) and p .1."
            if searched
            else "Nothing is searched: every arm has the settings that a search tries first; the paper, and the arms "
            "named paper, have dropout .1, weight decay 1e-5 (printed as 1e5) and p .1.",
            "A fit learns from all but each user's last two actions and stops by the one before the last, as in the "
            "code of SASRec.",
            f"Every fit takes {BATCH} histories a step and keeps a moving average of its parameters (decay "
            f"{AVERAGE:g}); the paper takes 128 and keeps the parameters themselves.",
            *(
                [f"Arms bce-32-b6-wide: {SMALL_STEPS['batch_size']} a step, decay {SMALL_STEPS['ema_decay']}."]
                if size.deeper
                else []
            ),
            *([f"d = {', '.join(map(str, widths))}; the paper has d = 100."] if widths != (100,) else []),
        ),
        arm_differs={
            "none": "Dropout and weight decay searched.",
            "sse-se-input": "p searched.",
            "sse-se-output": "p searched.",
            "sse-se": "Both p searched.",
        }
        if searched
        else {},
    )


def _in_words(metric: str) -> str:
    """
    >>> _in_words("sampled_hr@10")
    'HR@10 among the random ones'
    """
    sampled = metric.startswith("sampled_")
    name = metric.removeprefix("sampled_").upper()
    return f"{name} among {'the random ones' if sampled else 'all items'}"


def _arms(data: DataSet, size: Size, hidden: int) -> tuple[Arm, ...]:
    graph, sparse = "item" in data.graphs, data is not ML1M_HISTORIES
    deeper, wide = size.deeper and not sparse, 4 * hidden
    larger = (
        *several_arms(wide=wide), *several_arms(blocks=6), *several_arms(blocks=6, wide=wide),
        *several_arms(wide=wide, negatives=32), *several_arms(blocks=6, wide=wide, negatives=32, small_steps=True),
    )  # fmt: skip
    arms = (
        *sequence_arms(item_graph=graph, sparse=sparse),
        *(() if sparse else published_arms(deeper=deeper)),
        *(deeper_arms(sparse=sparse) if deeper else ()),
        *strong_arms(item_graph=graph and size.deeper, sparse=sparse, loss=size.loss),
        *modern_arms(item_graph=graph and size.deeper, sparse=sparse),
        *(modern_arms(sparse=sparse, blocks=6) if deeper else ()),
        *(() if sparse else several_arms(item_graph=graph and size.deeper)),
        *(larger if deeper else ()),
    )
    # arms run in this order and take hours, so a run that is stopped should have the paper's rows and the strong loss
    return tuple(sorted(arms, key=lambda arm: arm.name in _LAST))
