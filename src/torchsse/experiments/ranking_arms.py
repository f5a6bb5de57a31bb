"""The arms of `torchsse compare` for implicit feedback: the same names and rules as in `arms.py`, ranges for BPR.

BPR gains from far larger p0 than a factorisation of ratings: its loss knows only which of two items comes first, and a
user or item that was swapped in still says much about that. Defaults and ranges were chosen on a validation part of
ML-1M (50 positives a user).
"""

from __future__ import annotations

import math

from torchsse.experiments.arms import Arm
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
    plain = {"weight_decay": Range(0.003, 0.1, log=True)}
    plain_at = {"weight_decay": 0.02}
    if tune_learning_rate:
        plain["learning_rate"] = Range(0.01, 0.2, log=True)
        plain_at["learning_rate"] = 0.05
    dropout, dropout_at = {"dropout": Range(0.02, 0.5)}, {"dropout": 0.1}
    swap = {"p0_user": Range(0.002, 0.5, log=True), "p0_item": Range(0.002, 0.5, log=True)}
    swap_at = {"p0_user": 0.1, "p0_item": 0.05}
    arms = [
        Arm("none", plain, plain_at),
        Arm("dropout", plain | dropout, plain_at | dropout_at),
        Arm("sse-se", plain | swap, plain_at | swap_at),
        Arm("sse-se+dropout", plain | swap | dropout, plain_at | swap_at | dropout_at),
    ]
    if user_graph or item_graph:
        graph, graph_at = dict(swap), dict(swap_at)
        for side, given in (("user", user_graph), ("item", item_graph)):
            if given:
                graph |= {f"p0_{side}": Range(0.005, 0.8, log=True), f"rho_{side}": Range(10.0, 2000.0, log=True)}
                graph_at |= {f"p0_{side}": 0.2, f"rho_{side}": 500.0}
        arms.append(Arm("sse-graph", plain | graph, plain_at | graph_at, graphs="given"))
    nearest = Arm(
        "sse-cooccurrence",
        plain
        | {"p0_user": Range(0.005, 0.8, log=True), "p0_item": Range(0.005, 0.8, log=True)}
        | {"neighbours": Range(2, 80, log=True, integer=True)},
        plain_at | {"p0_user": 0.2, "p0_item": 0.2, "neighbours": 25.0},
        fixed={"rho_user": math.inf, "rho_item": math.inf},
        graphs="cooccurrence",
    )
    return (*arms, nearest)
