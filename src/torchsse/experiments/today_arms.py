"""Arms of SASRec as it would be trained today: plain, and with SSE over it."""

from __future__ import annotations

from torchsse.experiments.arms import Arm
from torchsse.experiments.sequence_arms import SHARED_NEGATIVES, few, sequence_arms

__all__ = ["SMALL_STEPS", "modern_arms", "several_arms"]

_TODAY: dict[str, float | str] = {"positions": "rotary", "random_window": 0.5, "learning_rate": 0.002}
SMALL_STEPS: dict[str, float | str] = {"batch_size": 32, "ema_decay": 0.999, "learning_rate_decay": 0.975}
"""Of deep networks with many negatives: see `several_arms`."""


def modern_arms(*, item_graph: bool = False, sparse: bool = False, blocks: int | None = None) -> tuple[Arm, ...]:
    """Plain, SSE-SE and SSE-Graph over the plain SASRec that ranks best among all items here.

    A softmax over cosines of 256 shared negatives (Zhai et al. 2024) which the user has not, rotary positions, half of
    the long histories from any stretch of them, twice the learning rate. Each was chosen on the validation part of
    MovieLens-1M, by the sampled NDCG@10 of single fits at the same epoch. d = 50, epoch 25: rotary .607, learned
    positions .599; rotary at the double rate .611. d = 100, epoch 15: negatives that the user has not .620, any .610;
    epoch 20: temperature .05 .630, .1 .626. Stretches changed nothing by epoch 25 at d = 50. With 6 blocks the double
    rate stalls the start: epoch 5 .225, at the usual rate .536; they keep that one.

    Args:
        item_graph: whether items have a graph.
        sparse: few actions a user.
        blocks: None: as the settings say; else this many, at the usual learning rate, and it is in the names.

    >>> [arm.name for arm in modern_arms()], modern_arms(blocks=6)[0].name, modern_arms()[0].fixed["temperature"]
    (['modern', 'modern sse-se'], 'modern-b6', 0.05)
    """
    fixed: dict[str, float | str] = {
        "loss": "sampled-softmax", **SHARED_NEGATIVES, "unseen_negatives": True, "temperature": 0.05,
    }  # fmt: skip
    return _as_today("modern", fixed, blocks, item_graph=item_graph, sparse=sparse)


def several_arms(
    *,
    item_graph: bool = False,
    blocks: int | None = None,
    wide: int | None = None,
    negatives: int = 8,
    small_steps: bool = False,
) -> tuple[Arm, ...]:
    """The same over the paper's loss with several negatives for each target, trained as `modern` is.

    On MovieLens-1M at d = 100 and 2 blocks it has after 20 epochs, on validation, what the softmax of `modern` has
    after 50 (sampled NDCG@10 .648), and ends as high; with one negative it ends at .632. The loss learns most where
    the odds of a target against its negatives are even: with eight near the tenth place among 100 random items. Each
    target has its own negatives.

    Args:
        item_graph: whether items have a graph.
        blocks: as for `modern_arms`.
        wide: None: one head, and feed-forward parts of the network's width, as in the paper; else two heads, and parts
            that are so wide within. On the same data, dropout .2: four times the width .657 after 25 epochs, two heads
            .648, neither .647.
        negatives: for each target. With the wide parts 32 of them start behind eight and are ahead from epoch 20 on.
        small_steps: 32 histories a step, averages over as many histories (decay .999), a learning rate that falls by
            2.5 % each epoch. With 6 blocks and 32 negatives, on the same data, .656 after 15 epochs and .673 after 45;
            with 64 histories .638 and .668 (the rate fell by 2 %).

    >>> [arm.name for arm in several_arms()], several_arms(blocks=6)[0].name, several_arms()[0].fixed["num_negatives"]
    (['bce-8', 'bce-8 sse-se'], 'bce-8-b6', 8)
    >>> several_arms(blocks=6, wide=400)[0].name, several_arms(negatives=32)[0].name
    ('bce-8-b6-wide', 'bce-32')
    """
    fixed: dict[str, float | str] = {"loss": "bce", "num_negatives": negatives, "shared_negatives": False}
    if small_steps:
        fixed |= SMALL_STEPS
    return _as_today(f"bce-{negatives}", fixed, blocks, item_graph=item_graph, wide=wide)


def _as_today(
    name: str,
    loss: dict[str, float | str],
    blocks: int | None,
    *,
    item_graph: bool,
    sparse: bool = False,
    wide: int | None = None,
) -> tuple[Arm, ...]:
    """A loss, with what else SASRec has today; more blocks are named, and need the usual learning rate."""
    size: dict[str, float | str] = {} if blocks is None else {"blocks": blocks, "learning_rate": 0.001}
    if wide is not None:
        size |= {"heads": 2, "inner": wide}
    arms = sequence_arms(item_graph=item_graph, sparse=sparse, fixed={**loss, **_TODAY, **size})
    return few(arms, name + ("" if blocks is None else f"-b{blocks}") + ("" if wide is None else "-wide"))
