"""What a metric is called, which way is better, and which records speak of the metric that decides."""

from __future__ import annotations

from torchsse.report.document import Record, baseline_of, is_significant

__all__ = ["best", "compared", "further", "gain", "higher_is_better", "label", "primary", "significantly_better"]

ERRORS = ("rmse", "mae")
"""Metrics that are errors; all others are larger where a model is better."""


def higher_is_better(metric: str) -> bool:
    """
    >>> higher_is_better("rmse"), higher_is_better("precision@10")
    (False, True)
    """
    return metric not in ERRORS


def label(metric: str) -> str:
    """As people write it.

    >>> label("rmse"), label("ndcg@10"), label("precision@5"), label("sampled_hr@10")
    ('RMSE', 'NDCG@10', 'precision@5', 'sampled HR@10')
    """
    sampled = "sampled " if metric.startswith("sampled_") else ""
    name, at, k = metric.removeprefix("sampled_").partition("@")
    name = name.replace("_", " ")
    known = name in ("rmse", "mae", "ndcg", "map", "mrr", "hr", "bleu", "auc", "f1")
    return f"{sampled}{name.upper() if known else 'chrF' if name == 'chrf' else name}{at}{k}"


def primary(records: list[Record]) -> list[Record]:
    """The records of the metric that decides: that of the first record."""
    return [record for record in records if record["metric"] == records[0]["metric"]]


def further(records: list[Record]) -> dict[str, list[Record]]:
    """The records of every other metric, in the order of the document."""
    found: dict[str, list[Record]] = {}
    for record in records:
        if record["metric"] != records[0]["metric"]:
            found.setdefault(record["metric"], []).append(record)
    return found


def gain(record: Record) -> float:
    """By how much a record beats the baseline; below 0 where it is worse, 0 where it is compared with none."""
    difference = float(record["difference"] or 0.0)
    return difference if higher_is_better(record["metric"]) else -difference


def best(records: list[Record]) -> Record:
    """The one with the best mean; of equals the first."""
    return max(records, key=lambda record: record["mean"] if higher_is_better(record["metric"]) else -record["mean"])


def significantly_better(record: Record) -> bool:
    return is_significant(record) and gain(record) > 0


def compared(records: list[Record]) -> list[Record]:
    """All but the baseline."""
    baseline = baseline_of(records)
    return [record for record in records if record is not baseline]
