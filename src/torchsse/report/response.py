"""How the metric answers to one setting: every trial of a study against it, and the best that was reached along it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchsse.report.files import write_figure
from torchsse.report.format import number
from torchsse.report.metric import higher_is_better, label
from torchsse.report.plots import _clean, _figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["envelope", "response_figure", "write_response"]

_WORDS = {
    "p0_user": "SSE probability of users, $p_0$",
    "p0_item": "SSE probability of items, $p_0$",
    "graph_weight": "Weight of the graph penalty",
}
_BEST, _LINE, _WITHOUT, _PRUNED = "#D55E00", "#6aaed6", "#000000", "#b3b3b3"


def write_response(document: dict[str, Any], out: Path) -> list[Path]:
    """Write response as PNG (200 dpi) and SVG into `out`; returns the PNG path, or nothing if there is nothing to show.

    Raises:
        MissingDependencyError: without matplotlib.
    """
    figure = response_figure(document)
    if figure is None:
        return []
    for suffix in ("svg", "png"):
        write_figure(out / f"response.{suffix}", figure, 200)
    return [out / "response.png"]


def response_figure(document: dict[str, Any]) -> Figure | None:
    """One panel for each setting of `document["response"]`: validation metric against the setting, on a log axis.

    Blue dots: complete trials, darker the later; hollow: pruned ones, at their best value so far; thin line: the convex
    envelope of the complete ones. Red line: the best trial with this one varied and the others held. None without
    such a setting or without complete trials.
    """
    names = [name for name in document["response"] if _is_range(document, name)]
    complete = [trial for trial in document["trials"] if trial["state"] == "complete"]
    if not names or not complete:
        return None
    figure = _figure(width=1.2 + 3.4 * len(names), height=3.1)
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    figure.subplots_adjust(wspace=0.08)
    for place, (axes, name) in enumerate(zip(panels, names)):
        _panel(axes, document, name, first=place == 0)
    _limits(panels[0], document, complete)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=min(3, len(names) + 1), fontsize=7.5,
        frameon=False, handletextpad=0.4, columnspacing=1.4,
    )  # fmt: skip
    return figure


def _panel(axes: Axes, document: dict[str, Any], name: str, *, first: bool) -> None:
    trials, metric = document["trials"], document["metric"]
    complete = [trial for trial in trials if trial["state"] == "complete"]
    pruned = [trial for trial in trials if trial["state"] == "pruned"]
    log = str(document["space"]["searched"][name][2]).startswith("log")
    axes.set_xscale("log" if log else "linear")
    axes.set_xlim(*_margins(document["space"]["searched"][name]))
    if pruned:
        axes.plot(
            [t["params"][name] for t in pruned], [t["value"] for t in pruned], "o", ms=3.5, mfc="none", mec=_PRUNED,
            mew=0.8, zorder=2, label="pruned, at its best so far",
        )  # fmt: skip
    axes.scatter(
        [t["params"][name] for t in complete],
        [t["value"] for t in complete],
        c=[t["number"] for t in complete],
        cmap="Blues",
        vmin=-0.8 * len(trials),
        vmax=1.1 * len(trials),
        s=20,
        edgecolors="white",
        linewidths=0.4,
        zorder=3,
        label="trial, darker the later",
    )
    line = envelope([(t["params"][name], t["value"]) for t in complete], log=log, higher=higher_is_better(metric))
    axes.plot(*zip(*line), color=_LINE, lw=0.9, zorder=2.5, label="envelope of the trials")
    profile = [(x, value) for x, value in document["response"][name] if value is not None]
    if profile:
        axes.plot(*zip(*profile), color=_BEST, lw=1.5, zorder=4, label="best trial, only this varied")
        axes.plot(*zip(*profile), "s", color=_BEST, ms=3.6, mec="white", mew=0.5, zorder=5)
    axes.plot(
        [document["params"][name]], [document["value"]], "*", ms=11, color=_BEST, mec="white", mew=0.7, zorder=6,
        label=f"best, {number(document['value'])}",
    )  # fmt: skip
    without = (document.get("without_sse") or {}).get("value")
    if without is not None:
        axes.axhline(
            without, color=_WITHOUT, lw=1.0, ls=(0, (5, 2)), zorder=1,
            label=f"best trial with $p_0 = 0$, {number(without)}",
        )  # fmt: skip
    axes.set_xlabel(_WORDS.get(name, name))
    if first:
        axes.set_ylabel(f"Validation {label(metric)}")
    _clean(axes)
    axes.grid(axis="both", color="#e6e6e6", lw=0.6)
    if not first:
        axes.tick_params(axis="y", length=0)


def envelope(points: list[tuple[float, float]], *, log: bool, higher: bool) -> list[tuple[float, float]]:
    """The corners, from left to right, of the convex line that no point is better than: what the search reached.

    Args:
        points: (setting, value).
        log: convex where settings are on a log axis.
        higher: larger values are better, so the line lies above the points.

    >>> envelope([(0.001, 0.9), (0.01, 0.7), (0.02, 0.9), (0.1, 0.8)], log=True, higher=False)
    [(0.001, 0.9), (0.01, 0.7), (0.1, 0.8)]
    """
    sign = -1.0 if higher else 1.0
    corners: list[tuple[float, float, tuple[float, float]]] = []
    for x, y, point in sorted((math.log(x) if log else x, sign * y, (x, y)) for x, y in points):
        if corners and corners[-1][0] == x:
            continue  # the same setting with a worse value
        while len(corners) > 1:
            (x0, y0, _), (x1, y1, _) = corners[-2:]
            if (x1 - x0) * (y - y0) > (y1 - y0) * (x - x0):
                break
            corners.pop()
        corners.append((x, y, point))
    return [point for _, _, point in corners]


def _is_range(document: dict[str, Any], name: str) -> bool:
    dimension = document["space"]["searched"].get(name)
    return dimension is not None and len(dimension) == 3 and str(dimension[2]).startswith(("log", "linear"))


def _margins(dimension: list[Any]) -> tuple[float, float]:
    low, high, scale = dimension
    if scale.startswith("log"):
        room = (high / low) ** 0.04
        return low / room, high * room
    return low - 0.04 * (high - low), high + 0.04 * (high - low)


def _limits(axes: Axes, document: dict[str, Any], complete: list[dict[str, Any]]) -> None:
    """From the best value to the worst quarter: a few hopeless trials would squeeze the rest; they are left outside."""
    sign = -1.0 if higher_is_better(document["metric"]) else 1.0
    values = sorted(sign * trial["value"] for trial in complete)
    without = (document.get("without_sse") or {}).get("value")
    shown = [*values[: max(2, math.ceil(0.75 * len(values)))], sign * document["value"]]
    shown += [] if without is None else [sign * without]
    for profile in document["response"].values():
        along = sorted(sign * value for _, value in profile if value is not None)
        shown += along[: math.ceil(0.75 * len(along))]
    room = max(max(shown) - min(shown), 1e-4)
    outside = sum(value > max(shown) + 0.25 * room for value in values)
    if outside == 0:
        shown, room = values + shown, max(values[-1] - min(shown), room)
    ends = sign * (min(shown) - 0.08 * room), sign * (max(shown) + 0.25 * room * (outside > 0) + 0.08 * room)
    axes.set_ylim(*sorted(ends))
    if outside:
        axes.annotate(
            f"{outside} worse trial{'s' if outside > 1 else ''} outside",
            (0.02, 0.03 if higher_is_better(document["metric"]) else 0.95),
            xycoords="axes fraction",
            fontsize=7,
            color="#666666",
        )
