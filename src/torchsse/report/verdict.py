"""The answer in plain words, whatever it is."""

from __future__ import annotations

from typing import Any

from torchsse.report.document import Record, baseline_of, is_significant
from torchsse.report.format import interval, number, p_value, signed
from torchsse.report.metric import best, compared, further, gain, higher_is_better, label, primary, significantly_better

__all__ = ["remarks", "sse_records", "verdict"]


def verdict(document: dict[str, Any]) -> str:
    """One or two sentences: does SSE help on these data, and by how much?

    The best SSE arm is judged against the baseline; significant means p < 0.05 after Holm's correction with a 95%
    interval that excludes 0. It speaks of the metric of the first record. An arm of another model than the baseline's
    says nothing about SSE, whatever its name: it differs in more. The test is over users; with one seed of each arm it
    cannot speak of the luck of seeds, and the sentence says so. Where other metrics were taken, the sentence names its
    own, and what is significant by the others follows.
    """
    records = primary(document["results"])
    baseline, others = baseline_of(records), compared(records)
    metric, sse = label(baseline["metric"]), sse_records(document)
    if not sse:
        return "No SSE arm was run, so there is no answer about SSE."
    leader = max(sse, key=gain)
    others_too = further(document["results"])
    here = f"to {metric} here" if others_too else "here"
    over = " over users, with one seed each" if len(baseline["seeds"]) == 1 else ""
    name, moves = baseline["arm"], "raises" if higher_is_better(baseline["metric"]) else "lowers"
    if significantly_better(leader):
        share = f" ({100 * gain(leader) / baseline['mean']:.2g} %)" if baseline["mean"] else ""
        text = (
            f"SSE helps here: {leader['arm']} {moves} the test {metric} by {number(gain(leader))}{share}, "
            f"from {number(baseline['mean'])} to {number(leader['mean'])} ({_evidence(leader)}): "
            f"significant{over}."
        )
    elif all(is_significant(record) and gain(record) < 0 for record in sse):
        text = (
            f"SSE adds nothing {here}: {name} does better. Every SSE arm is significantly worse{over}, the closest, "
            f"{leader['arm']}, by {number(-gain(leader))} {metric} ({_evidence(leader)})."
        )
    else:
        text = (
            f"SSE adds nothing {here}: no SSE arm beats {name} significantly{over}. The best of them, {leader['arm']}, "
            f"differs by {signed(leader['difference'])} {metric} ({_evidence(leader)})."
        )
    rival = best([leader, baseline, *(record for record in others if record not in sse)])
    if rival is not leader and rival is not baseline:
        what = "alone" if _of_one_model(document, rival, baseline) else "(another model)"
        text += f" {rival['arm']} {what} reaches {number(rival['mean'])}."
    arms = {record["arm"] for record in sse}
    return text + "".join(_also(name, [r for r in found if r["arm"] in arms]) for name, found in others_too.items())


def sse_records(document: dict[str, Any]) -> list[Record]:
    """What a verdict is about: the arms of SSE over the baseline's model, by the metric that decides."""
    records = primary(document["results"])
    baseline = baseline_of(records)
    return [r for r in compared(records) if "sse" in r["arm"] and _of_one_model(document, r, baseline)]


def _also(metric: str, records: list[Record]) -> str:
    """What is significant by a metric that does not decide: the best arm if it is better, else how many are worse."""
    told = [record for record in records if is_significant(record)]
    if not told:
        return ""
    leader = max(records, key=gain)
    if significantly_better(leader):
        return f" By {label(metric)} {leader['arm']} is better, by {number(gain(leader))} ({_evidence(leader)})."
    worse = ", ".join(record["arm"] for record in told)
    return f" By {label(metric)} significantly worse: {worse}."


def remarks(document: dict[str, Any]) -> list[str]:
    """What a careful reader should know beside the verdict: each a sentence, most important first."""
    records = primary(document["results"])
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
    arms = _arms(document)
    for record in records:
        found += _at_the_edge(record, arms.get(record["arm"], {}).get("space", {}))
    return found


def _arms(document: dict[str, Any]) -> dict[str, Any]:
    """The declarations of the arms, by name; of a document without them none."""
    found: dict[str, Any] = document["provenance"].get("config", {}).get("arms", {})
    return found


def _of_one_model(document: dict[str, Any], record: Record, baseline: Record) -> bool:
    """Whether two arms are declared over the same estimator."""
    mine, theirs = (_arms(document).get(each["arm"], {}).get("model") for each in (record, baseline))
    return bool(mine == theirs)


def _evidence(record: Record) -> str:
    ends = record.get("difference_ci95")
    text = f"95% interval of the difference {interval(ends, signed)}, " if ends else ""
    p = p_value(record["p_value"])
    return f"{text}p {p}" if p.startswith("<") else f"{text}p = {p}"


def _cold(record: Record, baseline: Record) -> list[str]:
    """A gain that comes from pairs with an unseen user or item says little about the embeddings."""
    name = f"warm_{record['metric']}"
    if not record.get("n_cold") or record.get(name) is None or baseline.get(name) is None:
        return []
    warm = record[name] - baseline[name]
    warm_gain = warm if higher_is_better(record["metric"]) else -warm
    if significantly_better(record) and warm_gain < gain(record) / 2:
        what = "ratings" if record["metric"] == "rmse" else "positives"
        return [
            f"Most of the gain of {record['arm']} comes from the {record['n_cold']} test {what} of unseen users or "
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
