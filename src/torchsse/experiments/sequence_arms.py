"""The arms of `torchsse compare` for histories: the same rules as in `arms.py`, ranges for SASRec.

The paper fixes dropout .1, weight decay 1e-5 (printed as "1e5") and p = .1: `published_arms`. SSE slows the start and
does a part of what dropout does, so elsewhere dropout and p are searched together, and the first trial has half the
paper's p.
"""

from __future__ import annotations

import math

from torchsse.experiments.arms import Arm, GraphSource, arm_of, with_prefix
from torchsse.experiments.kinds import SASREC, SSEPT_KIND, ModelKind
from torchsse.experiments.space import Range
from torchsse.experiments.swap_ranges import (
    SEQUENCE_COOCCURRENCE,
    SEQUENCE_NEAR,
    SEQUENCE_RHO,
    SEQUENCE_SWAP,
    SEQUENCE_USER,
    Setting,
)

__all__ = ["SHARED_NEGATIVES", "deeper_arms", "few", "published_arms", "sequence_arms", "strong_arms"]

SHARED_NEGATIVES = {"num_negatives": 256, "shared_negatives": True}
"""Of the losses that live on many."""
_DECAY = (Range(1e-6, 3e-4, log=True), 1e-5)


def sequence_arms(
    *,
    item_graph: bool = False,
    tune_learning_rate: bool = False,
    sparse: bool = False,
    model: ModelKind = SASREC,
    fixed: dict[str, float | str] | None = None,
) -> tuple[Arm, ...]:
    """The arms over SASRec or SSE-PT; `sse-graph` is among them if items have a graph.

    `none` tunes dropout and weight decay, as every arm with SSE does; `dropout` and `weight-decay` have one of them
    alone. `sse-pt`, an arm of SASRec, is SSE-PT of the same width: a table of users beside that of items, with large p
    on it. A neighbour is a milder replacement than any other item, so along a graph larger p are in range. In
    `sse-cooccurrence` neighbours are the items that most of the same users have, in what the fit learns from. Over
    SSE-PT `sse-se`, `sse-graph` and `sse-cooccurrence` swap users too, and `sse-se-user` them alone.

    Args:
        item_graph: whether items have a graph.
        tune_learning_rate: search it too, in every arm.
        sparse: few actions a user: dropout is searched higher.
        model: `SASREC` or `SSEPT_KIND`.
        fixed: settings of all arms, such as the loss or the number of blocks.

    >>> [arm.name for arm in sequence_arms()]
    ['none', 'dropout', 'weight-decay', 'sse-se-input', 'sse-se-output', 'sse-se', 'sse-cooccurrence', 'sse-pt']
    >>> sequence_arms(fixed={"loss": "softmax"})[1].fixed
    {'loss': 'softmax', 'weight_decay': 0.0}
    """
    rate = (Range(0.1, 0.7), 0.5) if sparse else (Range(0.1, 0.6), 0.2)
    common: dict[str, Setting] = {"learning_rate": (Range(3e-4, 3e-3, log=True), 1e-3)} if tune_learning_rate else {}
    dropout, decay = {**common, "dropout": rate}, {**common, "weight_decay": _DECAY}
    plain = {**decay, **dropout}
    user: dict[str, Setting] = {"p0_user": SEQUENCE_USER}
    users = user if model is SSEPT_KIND else {}
    both = {"p0_input": SEQUENCE_SWAP, "p0_output": SEQUENCE_SWAP}
    near = {"p0_input": SEQUENCE_NEAR, "p0_output": SEQUENCE_NEAR, "rho_item": SEQUENCE_RHO}

    def arm(name: str, settings: dict[str, Setting], of: ModelKind = model, **more: float | str) -> Arm:
        # SSE-PT swaps unless it is told not to
        off = {side: 0.0 for side in ("p0_user", "p0_input", "p0_output") if of is SSEPT_KIND and side not in settings}
        nearest: GraphSource = "cooccurrence" if "neighbours" in settings else "none"
        graphs: GraphSource = "given" if "rho_item" in settings else nearest
        return arm_of(name, settings, fixed={**(fixed or {}), **off, **more}, graphs=graphs, model=of)

    arms = [
        arm("none", plain),
        arm("dropout", dropout, weight_decay=0.0),
        arm("weight-decay", decay, dropout=0.0),
        *([arm("sse-se-user", {**plain, **users})] if users else []),
        arm("sse-se-input", {**plain, "p0_input": SEQUENCE_SWAP}),
        arm("sse-se-output", {**plain, "p0_output": SEQUENCE_SWAP}),
        arm("sse-se", {**plain, **both, **users}),
    ]
    if item_graph:
        arms.append(arm("sse-graph", {**plain, **near, **users}))
    arms.append(arm("sse-cooccurrence", {**plain, **SEQUENCE_COOCCURRENCE, **users}, rho_item=math.inf))
    if not users:
        arms.append(arm("sse-pt", {**plain, **both, **user}, SSEPT_KIND))
    return tuple(arms)


def strong_arms(*, item_graph: bool = False, sparse: bool = False, loss: str = "softmax") -> tuple[Arm, ...]:
    """Plain, SSE-SE and SSE-Graph over a loss that the field uses today, to stand beside the paper's.

    Args:
        item_graph: whether items have a graph.
        sparse: few actions a user.
        loss: "softmax", "sampled-softmax" or "gbce"; the last two with 256 negatives that a batch shares.

    >>> [arm.name for arm in strong_arms()]
    ['softmax', 'softmax sse-se']
    """
    fixed: dict[str, float | str] = {"loss": loss, **({} if loss == "softmax" else SHARED_NEGATIVES)}
    return few(sequence_arms(item_graph=item_graph, sparse=sparse, fixed=fixed), loss)


def deeper_arms(blocks: int = 6, *, sparse: bool = False) -> tuple[Arm, ...]:
    """The paper's rows with more blocks: plain, and SSE-SE on inputs and outputs.

    >>> [arm.name for arm in deeper_arms()], deeper_arms()[0].fixed
    (['b6', 'b6 sse-se'], {'blocks': 6})
    """
    return few(sequence_arms(sparse=sparse, fixed={"blocks": blocks}), f"b{blocks}")


def published_arms(*, deeper: bool = False) -> tuple[Arm, ...]:
    """The paper's rows with the paper's own settings, nothing searched: those of `recsys.sequence.SETTINGS`.

    Args:
        deeper: the two rows with 6 blocks too.

    >>> [arm.name for arm in published_arms()]
    ['paper', 'paper sse-se-input', 'paper sse-se-output', 'paper sse-se']
    >>> published_arms(deeper=True)[-1].name, published_arms()[1].space
    ('paper-b6 sse-se', {})
    """
    from torchsse.recsys.sequence import setting

    rows = {"paper": "b2-none", "paper sse-se-input": "b2-input", "paper sse-se-output": "b2-output"}
    rows["paper sse-se"] = "b2-both"
    if deeper:
        rows |= {"paper-b6": "b6-none", "paper-b6 sse-se": "b6-both"}
    words = {name: setting(f"table4-{row}") for name, row in rows.items()}
    # width, length and batch are the budget's; the loss is the default
    own = ("blocks", "dropout", "weight_decay", "learning_rate", "p0_input", "p0_output")
    return tuple(
        arm_of(name, {}, fixed={word: row[word] for word in own if word in row}, model=SASREC)
        for name, row in words.items()
    )


def few(arms: tuple[Arm, ...], prefix: str) -> tuple[Arm, ...]:
    """Of arms the plain one, SSE-SE and SSE-Graph, under names with a prefix."""
    return with_prefix(tuple(arm for arm in arms if arm.name in ("none", "sse-se", "sse-graph")), prefix)
