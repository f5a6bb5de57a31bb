"""The arms of `torchsse compare --model marginalized`: ALS on ratings, SSE taken in expectation."""

from __future__ import annotations

from torchsse.experiments.arms import Arm, Settings
from torchsse.experiments.kinds import MARGINALIZED
from torchsse.experiments.space import Range
from torchsse.experiments.swap_ranges import RATING_COOCCURRENCE, RATING_SWAPS

__all__ = ["marginalized_arms"]


def marginalized_arms(
    *, user_graph: bool = False, item_graph: bool = False, tune_learning_rate: bool = False
) -> tuple[Arm, ...]:
    """The same arms as for SGD, without dropout: `none` is plain alternating least squares.

    Args:
        user_graph: whether users have a graph.
        item_graph: whether items have one.
        tune_learning_rate: there is none.

    Raises:
        ConfigError: a learning rate to search.

    >>> [arm.name for arm in marginalized_arms(item_graph=True)]
    ['none', 'sse-se', 'sse-graph', 'sse-cooccurrence']
    """
    if tune_learning_rate:
        MARGINALIZED.refuse(["tune_learning_rate"])
    return Settings(
        {"regularization": (Range(0.03, 0.2, log=True), 0.09)},
        dropout=None,
        swaps=RATING_SWAPS,
        cooccurrence=RATING_COOCCURRENCE,
        model=MARGINALIZED,
    ).arms(user_graph=user_graph, item_graph=item_graph)
