"""Rating metrics, and the statistics that compare arms."""

from __future__ import annotations

from torchsse.metrics.rating import mae, rating_metrics, rmse, squared_errors
from torchsse.metrics.stats import Difference, Interval, holm, paired_bootstrap, t_interval

__all__ = [
    "Difference",
    "Interval",
    "holm",
    "mae",
    "paired_bootstrap",
    "rating_metrics",
    "rmse",
    "squared_errors",
    "t_interval",
]
