"""What `torchsse data describe` prints."""

from __future__ import annotations

from typing import Any

__all__ = ["lines"]


def lines(facts: dict[str, Any]) -> list[str]:
    """The facts of a data set as lines for people, the names in a column of their own."""
    explicit = facts["feedback"] == "explicit"
    what = "ratings" if explicit else "pairs (implicit)"
    rows = [
        (what, f"{facts['ratings']:,} of {facts['active_users']:,} users and {facts['active_items']:,} items"),
        ("density", f"{facts['density']:.4%}"),
    ]
    if facts["rating"] is not None:
        rated = facts["rating"]
        rows.append(
            ("rating", f"mean {rated['mean']:.3f}, std {rated['std']:.3f}, {rated['min']:g} to {rated['max']:g}")
        )
        top = max(rated["counts"].values())
        for value, count in rated["counts"].items():
            bar = "#" * round(24 * count / top)
            rows.append((f"  {value}", f"{count:>12,}  {count / facts['ratings']:6.1%}  {bar}".rstrip()))
    rows += [(f"per {name}", _spread(facts[f"per_{name}"])) for name in ("user", "item")]
    rows += _tail(facts["long_tail"])
    rows.append(("time", _time(facts["timestamps"])))
    for graph in facts["graphs"]:
        rows += _graph(graph)
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {value}" for name, value in rows]


def _spread(numbers: dict[str, Any] | None) -> str:
    if numbers is None:
        return "none"
    points = ", ".join(f"{p} %: {numbers['quantiles'][p]:g}" for p in ("10", "25", "75", "90", "99"))
    ends = f"min {numbers['min']:,}, median {numbers['median']:g}, mean {numbers['mean']:.1f}, max {numbers['max']:,}"
    return f"{ends}; {points}"


def _tail(tail: dict[str, Any] | None) -> list[tuple[str, str]]:
    if tail is None:
        return []
    shares = ", ".join(f"{p} % have {tail[f'share_of_top_{p}_percent']:.1%}" for p in (1, 10, 20))
    return [
        ("long tail", f"of the items the most popular {shares} of the ratings; Gini {tail['gini']:.3f}"),
        ("", f"{tail['items_for_half']:,} items have half of the ratings"),
    ]


def _time(times: dict[str, Any] | None) -> str:
    if times is None:
        return "no timestamps"
    if times["min"] is None:
        return f"all {times['missing']:,} timestamps are missing"
    missing = f"; {times['missing']:,} missing" if times["missing"] else ""
    if times["first"] is not None:
        return f"{times['first']} to {times['last']}{missing}"
    return f"{times['min']:g} to {times['max']:g}, no dates{missing}"


def _graph(graph: dict[str, Any]) -> list[tuple[str, str]]:
    side = graph["side"]
    rows = [
        (
            f"{side} graph",
            f"{graph['rows']:,} edges in the file, {graph['links']:,} links between {side}s of the ratings"
            + (f"; {graph['dropped']:,} edges with another id" if graph["dropped"] else ""),
        ),
        (
            "",
            f"{graph['with_neighbour']:,} of {graph['nodes']:,} {side}s have a neighbour "
            f"({graph['share_of_nodes']:.1%}); {graph['share_of_ratings']:.1%} of the ratings are theirs",
        ),
    ]
    if graph["degree"] is not None:
        rows.append(("", f"neighbours each: {_spread(graph['degree'])}"))
    return rows
