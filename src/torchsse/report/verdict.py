"""The answer in plain words, whatever it is."""

from __future__ import annotations

from typing import Any

from torchsse.report.document import Record, baseline_of, is_significant
from torchsse.report.format import interval, number, p_value, signed

__all__ = ["remarks", "verdict"]


def verdict(document: dict[str, Any]) -> str:
    """One or two sentences: does SSE help on these data, and by how much?

    The best SSE arm is judged against the baseline; significant means p < 0.05 after Holm's correction with a 95%
    interval that excludes 0. A lower RMSE is better.
    """
    records = document["results"]
    baseline = baseline_of(records)
    others = [record for record in records if record is not baseline]
    sse = [record for record in others if record["arm"].startswith("sse")]
    if not sse:
        return "No SSE arm was run, so there is no answer about SSE."
    best = min(sse, key=lambda record: record["difference"])
    name = baseline["arm"]
    if is_significant(best) and best["difference"] < 0:
        share = 100 * -best["difference"] / baseline["mean"]
        text = (
            f"SSE helps here: {best['arm']} lowers the test RMSE by {number(-best['difference'])} ({share:.2g} %), "
            f"from {number(baseline['mean'])} to {number(best['mean'])} ({_evidence(best)}): significant."
        )
    elif all(is_significant(record) and record["difference"] > 0 for record in sse):
        text = (
            f"SSE adds nothing here: {name} does better. Every SSE arm is significantly worse, the closest, "
            f"{best['arm']}, by {number(best['difference'])} RMSE ({_evidence(best)})."
        )
    else:
        text = (
            f"SSE adds nothing here: no SSE arm beats {name} significantly. The best of them, {best['arm']}, differs "
            f"by {signed(best['difference'])} RMSE ({_evidence(best)})."
        )
    rivals = [record for record in others if record not in sse and record["mean"] < min(best["mean"], baseline["mean"])]
    if rivals:
        rival = min(rivals, key=lambda record: record["mean"])
        text += f" {rival['arm']} alone reaches {number(rival['mean'])}."
    return text


def remarks(document: dict[str, Any]) -> list[str]:
    """What a careful reader should know beside the verdict: each a sentence, most important first."""
    records = document["results"]
    baseline = baseline_of(records)
    found = list(document["provenance"].get("notes", []))
    found += [text for record in records if record is not baseline for text in _cold(record, baseline)]
    if len(baseline["seeds"]) < 5:
        found.append(f"{len(baseline['seeds'])} seeds are few: five or more make the intervals trustworthy.")
    found += [
        f"{record['arm']}: the chosen fit stops after epoch {record['best_epoch']}, before the factors have learned "
        "much; another --learning-rate may serve all arms better."
        for record in records
        if record.get("best_epoch") is not None and record["best_epoch"] <= 3
    ]
    arms = document["provenance"].get("config", {}).get("arms", {})
    for record in records:
        found += _at_the_edge(record, arms.get(record["arm"], {}).get("space", {}))
    return found


def _evidence(record: Record) -> str:
    ends = record.get("difference_ci95")
    text = f"95% interval of the difference {interval(ends, signed)}, " if ends else ""
    p = p_value(record["p_value"])
    return f"{text}p {p}" if p.startswith("<") else f"{text}p = {p}"


def _cold(record: Record, baseline: Record) -> list[str]:
    """A gain that comes from pairs with an unseen user or item says little about the embeddings."""
    if not record.get("n_cold") or record.get("warm_rmse") is None or baseline.get("warm_rmse") is None:
        return []
    warm = record["warm_rmse"] - baseline["warm_rmse"]
    if record["difference"] < 0 and is_significant(record) and warm > record["difference"] / 2:
        return [
            f"Most of the gain of {record['arm']} comes from the {record['n_cold']} test ratings of unseen users or "
            f"items; on the others the difference is {signed(warm)}."
        ]
    return []


def _at_the_edge(record: Record, space: dict[str, Any]) -> list[str]:
    """A chosen setting within 2 % of an end of its range: the range may cut off something better."""
    texts = []
    for name, (low, high, scale) in space.items():
        value = record["params"].get(name)
        if not isinstance(value, (int, float)):
            continue
        place = _log_place(value, low, high) if scale == "log" else (value - low) / (high - low)
        if place <= 0.02 or place >= 0.98:
            end = "low" if place <= 0.02 else "high"
            texts.append(
                f"{record['arm']}: {name} = {value:.3g} lies at the {end} end of its range {low:g} .. {high:g}."
            )
    return texts


def _log_place(value: float, low: float, high: float) -> float:
    from math import log

    return log(value / low) / log(high / low) if value > 0 else 0.0
