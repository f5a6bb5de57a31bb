"""The arms of `torchsse compare` for implicit feedback: the same names and rules as in `arms.py`, ranges for BPR.

BPR gains from far larger p0 than a factorisation of ratings: its loss knows only which of two items comes first, and a
user or item that was swapped in still says much about that. Defaults and ranges were chosen on a validation part of
ML-1M (50 positives a user).
"""

from __future__ import annotations

from torchsse.experiments.arms import Arm, Settings
from torchsse.experiments.space import Range

__all__ = ["ranking_arms"]


def ranking_arms(
    *, user_graph: bool = False, item_graph: bool = False, tune_learning_rate: bool = False
) -> tuple[Arm, ...]:
    """The arms for implicit feedback; `sse-graph` is among them if a graph is given.

    Args:
        user_graph: whether users have a graph.
        item_graph: whether items have one.
        tune_learning_rate: search it too, in every arm.

    >>> [arm.name for arm in ranking_arms(item_graph=True)]
    ['none', 'dropout', 'sse-se', 'sse-se+dropout', 'sse-graph', 'sse-cooccurrence']
    """
    plain = {"weight_decay": (Range(0.003, 0.1, log=True), 0.02)}
    if tune_learning_rate:
        plain["learning_rate"] = (Range(0.01, 0.2, log=True), 0.05)
    uniform = Range(0.002, 0.5, log=True)
    near = Range(0.005, 0.8, log=True)
    return Settings(
        plain,
        dropout={"dropout": (Range(0.02, 0.5), 0.1)},
        swap={"p0_user": (uniform, 0.1), "p0_item": (uniform, 0.05)},
        p0_graph=(near, 0.2),
        rho_graph=(Range(10.0, 2000.0, log=True), 500.0),
        cooccurrence={
            "p0_user": (near, 0.2),
            "p0_item": (near, 0.2),
            "neighbours": (Range(2, 80, log=True, integer=True), 25.0),
        },
    ).arms(user_graph=user_graph, item_graph=item_graph)
