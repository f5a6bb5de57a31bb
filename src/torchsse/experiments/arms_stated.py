"""Which records of a journal count for the arms that are asked for now.

A fit of an arm depends on the run's settings and data, which never change within a journal, and on the arm's own
declaration: space, defaults, fixed settings, graphs, model. So each arm is judged on its own. The header of a journal
states the first arms; whenever other arms are asked for, a record {"kind": "arms", "config": {...}} states them anew,
and what follows was fitted under these. Nothing is rewritten: an arm that is left out and asked for again, or changed
and changed back, finds its fits where they were.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["ARMS", "Record", "counting", "in_force"]

ARMS = "arms"
"""Where the arms are in a config; the kind of the records that state others."""

Record = dict[str, Any]


def in_force(first: Record, records: Iterable[Record]) -> Record:
    """The arms stated last, name to declaration.

    >>> in_force({"none": {}}, [{"kind": "trial"}, {"kind": "arms", "config": {"sse-se": {}}}])
    {'sse-se': {}}
    """
    stated = first
    for record in records:
        if record.get("kind") == ARMS:
            stated = record["config"]
    return stated


def counting(first: Record, records: Iterable[Record], wanted: Record) -> list[Record]:
    """The records of an arm of `wanted` that were written when it was declared as in `wanted`, in order.

    Args:
        first: the arms that the journal's header states.
        records: all others.
        wanted: the arms asked for, name to declaration.

    >>> before, after = ({"kind": "trial", "arm": "a", "number": n} for n in (0, 1))
    >>> one, two = {"a": {"fixed": 1}}, {"a": {"fixed": 2}}
    >>> [record["number"] for record in counting(one, [before, {"kind": "arms", "config": two}, after], one)]
    [0]
    """
    stated, found = first, []
    for record in records:
        if record.get("kind") == ARMS:
            stated = record["config"]
        elif (arm := record.get("arm")) in wanted and stated.get(arm) == wanted[arm]:
            found.append(record)
    return found
