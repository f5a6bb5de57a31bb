"""Arms of one model, judged against that model's own plain arm: a better model is no evidence for SSE."""

from __future__ import annotations

from typing import Any

from torchsse.report.document import Record, baseline_of
from torchsse.report.metric import further, primary
from torchsse.report.verdict import sse_records, verdict

__all__ = ["family_verdicts", "in_order", "own_pairs"]


def own_pairs(block: dict[str, Any], metric: str) -> dict[str, Record]:
    """Arm -> its comparison with its own model's plain arm, where that is not the plain arm of the block."""
    return {pair["arm"]: pair for pair in block["pairs"] if pair["metric"] == metric}


def family_verdicts(document: dict[str, Any], block: dict[str, Any]) -> list[tuple[str, str]]:
    """For each model the name of its plain arm and the verdict on its arms of SSE; the block's own model first.

    A model without an arm of SSE is left out where another has one: its plain arm is there to compare that with.
    """
    records = primary(document["results"])
    bases = dict.fromkeys(pair["against"] for pair in own_pairs(block, records[0]["metric"]).values())
    known = {record["arm"] for record in records}
    by_metric = [records, *further(document["results"]).values()]
    found = [(baseline_of(records)["arm"], [r for each in by_metric for r in _first(each, block, set(bases))])]
    found += [(base, [r for each in by_metric for r in _family(each, block, base)]) for base in bases if base in known]
    told = [(name, {**document, "results": family}) for name, family in found if family]
    about_sse = [(name, own) for name, own in told if sse_records(own)]
    return [(name, verdict(own)) for name, own in about_sse or told[:1]]


def _first(records: list[Record], block: dict[str, Any], bases: set[str]) -> list[Record]:
    """The records of one metric that are of the block's own model."""
    own = own_pairs(block, records[0]["metric"])
    return [record for record in records if record["arm"] not in own and record["arm"] not in bases]


def _family(records: list[Record], block: dict[str, Any], base: str) -> list[Record]:
    """Those of the plain arm `base` and of the arms that are judged by it, compared with it."""
    own = {arm: pair for arm, pair in own_pairs(block, records[0]["metric"]).items() if pair["against"] == base}
    plain = next(record for record in records if record["arm"] == base)
    others = [{**record, **own[record["arm"]]} for record in records if record["arm"] in own]
    return [{**plain, "difference": 0.0, "p_value": None, "difference_ci95": None}, *others]


def in_order(lists: list[list[str]]) -> list[str]:
    """All names once, in the order of the longest list; what it lacks comes behind what it follows elsewhere.

    >>> in_order([["none", "als"], ["none", "sse", "als", "als sse"], ["none", "als", "new"]])
    ['none', 'sse', 'als', 'new', 'als sse']
    """
    order: list[str] = []
    for names in sorted(lists, key=len, reverse=True):
        for place, name in enumerate(names):
            if name not in order:
                order.insert(order.index(names[place - 1]) + 1 if place else 0, name)
    return order
