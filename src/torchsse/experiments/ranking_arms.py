"""The arms of `torchsse compare` for implicit feedback: the same names and rules as in `arms.py`, ranges for BPR.

BPR gains from far larger p0 than a factorisation of ratings (`swap_ranges.py`). Defaults and ranges were chosen on a
validation part of ML-1M (50 positives a user).
"""

from __future__ import annotations

from torchsse.experiments.arms import Arm, Settings, arm_of, with_prefix
from torchsse.experiments.kinds import HARD_BPR, ITEM_KNN, POPULARITY, SQLRANK
from torchsse.experiments.space import Range
from torchsse.experiments.swap_ranges import RANKING_SWAPS, Swaps

__all__ = ["hard_arms", "ranking_arms", "sanity_arms", "sqlrank_arms"]

_NEIGHBOURS = (Range(2, 80, log=True, integer=True), 25.0)
"""By co-occurrence."""


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
    return _settings(tune_learning_rate).arms(user_graph=user_graph, item_graph=item_graph)


def hard_arms(
    *, user_graph: bool = False, item_graph: bool = False, tune_learning_rate: bool = False
) -> tuple[Arm, ...]:
    """The same arms over BPR that trains on the hardest of four negatives, to stand beside those of plain BPR.

    Args:
        user_graph: whether users have a graph.
        item_graph: whether items have one.
        tune_learning_rate: search it too, in every arm.

    >>> [arm.name for arm in hard_arms(item_graph=True)]
    ['hard', 'hard sse-se', 'hard sse-graph']
    """
    arms = _hard_settings(tune_learning_rate).arms(user_graph=user_graph, item_graph=item_graph)
    return with_prefix(tuple(arm for arm in arms if arm.name in ("none", "sse-se", "sse-graph")), "hard")


def sanity_arms() -> tuple[Arm, ...]:
    """What any model should beat: popularity, and the items nearest to those a user has.

    >>> [arm.name for arm in sanity_arms()]
    ['popularity', 'item-knn']
    """
    nearest = {
        "neighbours": (Range(5, 500, log=True, integer=True), 100.0),
        "shrinkage": (Range(0.1, 1000.0, log=True), 10.0),
    }
    return arm_of("popularity", {}, model=POPULARITY), arm_of("item-knn", nearest, model=ITEM_KNN)


def sqlrank_arms(
    *, user_graph: bool = False, item_graph: bool = False, tune_learning_rate: bool = False
) -> tuple[Arm, ...]:
    """The arms over `SQLRank`.

    Args:
        user_graph: whether users have a graph.
        item_graph: whether items have one.
        tune_learning_rate: search it too, in every arm.

    >>> [arm.name for arm in sqlrank_arms()]
    ['none', 'sse-se', 'sse-cooccurrence']
    """
    plain = {"weight_decay": (Range(0.02, 0.15, log=True), 0.05)}
    if tune_learning_rate:
        plain["learning_rate"] = (Range(0.01, 0.1, log=True), 0.02)
    # one coin for a user's whole list: the same p0 acts harder than in BPR
    p0_user, p0_item = (Range(0.002, 0.3, log=True), 0.02), (Range(0.002, 0.3, log=True), 0.05)
    return Settings(
        plain,
        dropout=None,
        swaps=Swaps(p0_user, p0_item, near=(Range(0.005, 0.5, log=True), 0.1), rho=RANKING_SWAPS.rho),
        cooccurrence={
            "p0_user": p0_user,
            "p0_item": (Range(0.005, 0.5, log=True), 0.1),
            "neighbours": _NEIGHBOURS,
        },
        model=SQLRANK,
    ).arms(user_graph=user_graph, item_graph=item_graph)


def _settings(tune_learning_rate: bool) -> Settings:
    plain = {"weight_decay": (Range(0.003, 0.1, log=True), 0.02)}
    if tune_learning_rate:
        plain["learning_rate"] = (Range(0.01, 0.2, log=True), 0.05)
    return Settings(
        plain,
        dropout={"dropout": (Range(0.02, 0.5), 0.1)},
        swaps=RANKING_SWAPS,
        cooccurrence={"p0_user": RANKING_SWAPS.near, "p0_item": RANKING_SWAPS.near, "neighbours": _NEIGHBOURS},
    )


def _hard_settings(tune_learning_rate: bool) -> Settings:
    """Settings of BPR on the hardest negatives, chosen on a validation part of ML-1M.

    A hard negative is nearly always wrong, so its gradient does not fade as that of a random one: below .015 of weight
    decay the model overfits within twenty epochs (precision@10 on validation .070), beyond .08 it shrinks (.066).
    Between, weight decay and p0 stand in for each other: .045 to .05 without swaps (.0737), .04 with p0 of .05 (.0736),
    .03 to .035 with .1 and more (.0732). Swaps of a third of the users cost (.069 and less).
    """
    plain = {"weight_decay": (Range(0.015, 0.08, log=True), 0.04)}
    if tune_learning_rate:
        plain["learning_rate"] = (Range(0.01, 0.2, log=True), 0.05)
    p0, near = (Range(0.002, 0.3, log=True), 0.05), (Range(0.005, 0.5, log=True), 0.1)
    return Settings(
        plain,
        dropout=None,
        swaps=Swaps(p0, p0, near=near, rho=RANKING_SWAPS.rho),
        cooccurrence={"p0_user": near, "p0_item": near, "neighbours": _NEIGHBOURS},
        model=HARD_BPR,
    )
