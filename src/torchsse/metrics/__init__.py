"""Rating, ranking and text metrics, and the statistics that compare arms."""

from __future__ import annotations

from torchsse.metrics.order import ORDER_METRICS, order_metrics
from torchsse.metrics.ranking import RANKING_METRICS, ranking_metrics
from torchsse.metrics.rating import mae, rating_metrics, rmse, squared_errors
from torchsse.metrics.stats import Difference, Interval, holm, paired_bootstrap, t_interval
from torchsse.metrics.text import (
    TEXT_METRICS,
    TextScore,
    compare_statistics,
    compare_translations,
    score_statistics,
    score_translations,
    text_statistics,
)

__all__ = [
    "ORDER_METRICS",
    "RANKING_METRICS",
    "TEXT_METRICS",
    "Difference",
    "Interval",
    "TextScore",
    "compare_statistics",
    "compare_translations",
    "holm",
    "mae",
    "order_metrics",
    "paired_bootstrap",
    "ranking_metrics",
    "rating_metrics",
    "rmse",
    "score_statistics",
    "score_translations",
    "squared_errors",
    "t_interval",
    "text_statistics",
]
