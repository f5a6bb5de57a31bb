"""The arms of `torchsse compare` for histories: the same rules as in `arms.py`, ranges for SASRec.

The paper fixes dropout .1, weight decay 1e-5 (printed as "1e5") and p = .1: `published_arms`. SSE slows the start and
does a part of what dropout does, so elsewhere dropout and p are searched together, and the first trial has half the
paper's p.
"""

from __future__ import annotations

from torchsse.experiments.arms import Arm, GraphSource, arm_of, with_prefix
from torchsse.experiments.kinds import SASREC, SSEPT_KIND, ModelKind
from torchsse.experiments.space import Range
from torchsse.experiments.swap_ranges import SEQUENCE_NEAR, SEQUENCE_RHO, SEQUENCE_SWAP, SEQUENCE_USER, Setting

__all__ = ["deeper_arms", "modern_arms", "published_arms", "sequence_arms", "several_arms", "strong_arms"]

_NEGATIVES = {"num_negatives": 256, "shared_negatives": True}
_TODAY: dict[str, float | str] = {"positions": "rotary", "random_window": 0.5, "learning_rate": 0.002}
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
    on it. A neighbour is a milder replacement than any other item, so along a graph larger p are in range. Over SSE-PT
    `sse-se` and `sse-graph` swap users too, and `sse-se-user` them alone.

    Args:
        item_graph: whether items have a graph.
        tune_learning_rate: search it too, in every arm.
        sparse: few actions a user: dropout is searched higher.
        model: `SASREC` or `SSEPT_KIND`.
        fixed: settings of all arms, such as the loss or the number of blocks.

    >>> [arm.name for arm in sequence_arms()]
    ['none', 'dropout', 'weight-decay', 'sse-se-input', 'sse-se-output', 'sse-se', 'sse-pt']
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
        graphs: GraphSource = "given" if "rho_item" in settings else "none"
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
    fixed: dict[str, float | str] = {"loss": loss, **({} if loss == "softmax" else _NEGATIVES)}
    return _few(sequence_arms(item_graph=item_graph, sparse=sparse, fixed=fixed), loss)


def modern_arms(*, item_graph: bool = False, sparse: bool = False, blocks: int | None = None) -> tuple[Arm, ...]:
    """The same over the strongest plain SASRec here: as it would be trained today, not as in 2018.

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
        "loss": "sampled-softmax", **_NEGATIVES, "unseen_negatives": True, "temperature": 0.05,
    }  # fmt: skip
    return _as_today("modern", fixed, blocks, item_graph=item_graph, sparse=sparse)


def several_arms(*, item_graph: bool = False, blocks: int | None = None) -> tuple[Arm, ...]:
    """The same over the paper's loss with eight negatives for each target, trained as `modern` is.

    On MovieLens-1M at d = 100 and 2 blocks it has after 20 epochs, on validation, what the softmax of `modern` has
    after 50 (sampled NDCG@10 .648), and ends as high; with one negative it ends at .632. The loss learns most where
    the odds of a target against its negatives are even: with eight near the tenth place among 100 random items. Each
    target has its own negatives.

    Args:
        item_graph: whether items have a graph.
        blocks: as for `modern_arms`.

    >>> [arm.name for arm in several_arms()], several_arms(blocks=6)[0].name, several_arms()[0].fixed["num_negatives"]
    (['bce-8', 'bce-8 sse-se'], 'bce-8-b6', 8)
    """
    fixed: dict[str, float | str] = {"loss": "bce", "num_negatives": 8, "shared_negatives": False}
    return _as_today("bce-8", fixed, blocks, item_graph=item_graph)


def deeper_arms(blocks: int = 6, *, sparse: bool = False) -> tuple[Arm, ...]:
    """The paper's rows with more blocks: plain, and SSE-SE on inputs and outputs.

    >>> [arm.name for arm in deeper_arms()], deeper_arms()[0].fixed
    (['b6', 'b6 sse-se'], {'blocks': 6})
    """
    return _few(sequence_arms(sparse=sparse, fixed={"blocks": blocks}), f"b{blocks}")


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


def _as_today(
    name: str, loss: dict[str, float | str], blocks: int | None, *, item_graph: bool, sparse: bool = False
) -> tuple[Arm, ...]:
    """A loss, with what else SASRec has today; more blocks are named, and need the usual learning rate."""
    deeper: dict[str, float | str] = {} if blocks is None else {"blocks": blocks, "learning_rate": 0.001}
    arms = sequence_arms(item_graph=item_graph, sparse=sparse, fixed={**loss, **_TODAY, **deeper})
    return _few(arms, name if blocks is None else f"{name}-b{blocks}")


def _few(arms: tuple[Arm, ...], prefix: str) -> tuple[Arm, ...]:
    return with_prefix(tuple(arm for arm in arms if arm.name in ("none", "sse-se", "sse-graph")), prefix)
