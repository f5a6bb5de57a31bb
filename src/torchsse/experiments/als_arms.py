"""The arms of `torchsse compare --model als`: weighted least squares of implicit feedback, SSE taken in expectation."""

from __future__ import annotations

from torchsse.experiments.arms import Arm, Settings
from torchsse.experiments.kinds import ALS
from torchsse.experiments.space import Range
from torchsse.experiments.swap_ranges import Swaps

__all__ = ["als_arms"]


def als_arms(
    *, user_graph: bool = False, item_graph: bool = False, tune_learning_rate: bool = False
) -> tuple[Arm, ...]:
    """`none` is plain weighted ALS; the weight of an observation and the L2 are searched in every arm.

    The good settings lie on a narrow ridge, L2 about ten times alpha, so their ratio is searched instead of the L2.

    Args:
        user_graph: whether users have a graph.
        item_graph: whether items have one.
        tune_learning_rate: there is none.

    Raises:
        ConfigError: a learning rate to search.

    >>> [arm.name for arm in als_arms(item_graph=True)]
    ['none', 'sse-se', 'sse-graph', 'sse-cooccurrence']
    """
    if tune_learning_rate:
        ALS.refuse(["tune_learning_rate"])
    p0 = (Range(0.005, 0.5, log=True), 0.05)
    return Settings(
        {
            "alpha": (Range(2.0, 60.0, log=True), 10.0),
            "regularization_per_alpha": (Range(3.0, 30.0, log=True), 10.0),
        },
        dropout=None,
        swaps=Swaps(
            user=p0, item=p0, near=(Range(0.005, 0.5, log=True), 0.1), rho=(Range(10.0, 3000.0, log=True), 500.0)
        ),
        cooccurrence={
            "p0_user": p0,
            "p0_item": (Range(0.005, 0.8, log=True), 0.1),
            "neighbours": (Range(2, 50, log=True, integer=True), 10.0),
        },
        model=ALS,
    ).arms(user_graph=user_graph, item_graph=item_graph)
