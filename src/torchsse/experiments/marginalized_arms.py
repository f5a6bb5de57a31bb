"""The arms of `torchsse compare --model marginalized`: ALS on ratings, SSE taken in expectation."""

from __future__ import annotations

from torchsse.experiments.arms import Arm, Settings
from torchsse.experiments.kinds import MARGINALIZED
from torchsse.experiments.space import Range

__all__ = ["marginalized_arms"]


def marginalized_arms(
    *, user_graph: bool = False, item_graph: bool = False, tune_learning_rate: bool = False
) -> tuple[Arm, ...]:
    """The same arms as for SGD, without dropout: `none` is plain alternating least squares.

    Args:
        user_graph: whether users have a graph.
        item_graph: whether items have one.
        tune_learning_rate: there is none; it changes nothing.

    >>> [arm.name for arm in marginalized_arms(item_graph=True)]
    ['none', 'sse-se', 'sse-graph', 'sse-cooccurrence']
    """
    uniform = (Range(0.0005, 0.1, log=True), 0.005)
    return Settings(
        {"regularization": (Range(0.03, 0.2, log=True), 0.09)},
        dropout=None,
        swap={"p0_user": uniform, "p0_item": uniform},
        p0_graph=(Range(0.001, 0.5, log=True), 0.02),
        rho_graph=(Range(10.0, 1000.0, log=True), 200.0),
        cooccurrence={
            "p0_user": (Range(0.0002, 0.2, log=True), 0.001),
            "p0_item": (Range(0.005, 0.8, log=True), 0.2),
            "neighbours": (Range(1, 20, log=True, integer=True), 4.0),
        },
        model=MARGINALIZED,
    ).arms(user_graph=user_graph, item_graph=item_graph)
