"""The plot of a table of the paper: what each arm changes against the plain one, with intervals, on every data set."""

from __future__ import annotations

from math import inf
from statistics import median
from typing import TYPE_CHECKING, Any

from torchsse.errors import MissingDependencyError
from torchsse.report.comparison_view import block_document, sections
from torchsse.report.document import Record, is_significant
from torchsse.report.metric import higher_is_better, label, primary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["forest_figure"]

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Okabe and Ito's, told apart with any colour vision."""


_FAR = 8.0
"""Times the median difference of a panel; what lies beyond is told by a number, so as not to squeeze the rest."""


def forest_figure(document: dict[str, Any]) -> Figure | None:
    """A panel per data set: the deciding metric minus that of the plain arm; a colour per block. None without results.

    Raises:
        MissingDependencyError: without matplotlib.
    """
    shown = sections(document)
    if not shown:
        return None
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("plots need matplotlib: pip install 'torchsse[report]'") from error
    columns = 1 if len(shown) == 1 else 2
    lines = -(-len(shown) // columns)
    arms = {section.title: [row[0].text for row in section.rows][1:] for section in shown}
    width = max(len(section.blocks) for section in shown)
    per_arm = 0.12 * width + 0.12
    heights = [
        max(per_arm * len(arms[section.title]) for section in shown[i * columns : (i + 1) * columns]) + 1.0
        for i in range(lines)
    ]
    figure = Figure(figsize=(6.4 * columns, sum(heights)), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False, height_ratios=heights).ravel()
    for axes, section in zip(panels, shown):
        axes.axvline(0, color="#666666", lw=0.8)
        names = arms[section.title]
        metric = ""
        far, edge = _reach([r for b in section.blocks for r in primary(block_document(document, b)["results"])])
        for number, block in enumerate(section.blocks):
            records = {r["arm"]: r for r in primary(block_document(document, block)["results"])}
            metric = next(iter(records.values()))["metric"]
            colour = _COLOURS[number % len(_COLOURS)]
            shift = (number - (len(section.blocks) - 1) / 2) * 0.8 / max(len(section.blocks), 1)
            axes.plot([], [], "o-", color=colour, ms=4, label=block["column"])
            for place, arm in enumerate(names):
                record = records.get(arm)
                if record is None or not record.get("difference_ci95"):
                    continue
                if abs(record["difference"]) > far:
                    _beyond(axes, record["difference"], edge, place + shift, colour)
                    continue
                axes.plot(record["difference_ci95"], [place + shift] * 2, color=colour, lw=1.4, solid_capstyle="butt")
                face = colour if is_significant(record) else "white"
                axes.plot(record["difference"], place + shift, "o", ms=4, color=colour, markerfacecolor=face)
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_title(section.title, loc="left", fontsize=9.5)
        side = "right" if higher_is_better(metric) else "left"
        axes.set_xlabel(f"test {label(metric)} minus the plain arm's; {side} of 0 is better", fontsize=8)
        axes.tick_params(axis="x", labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="#e6e6e6", lw=0.6)
        axes.set_axisbelow(True)
        # above the axes: inside, a marker of the legend passes for a difference
        axes.legend(
            fontsize=7, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(section.blocks),
            borderaxespad=0.2, columnspacing=1.0,
        )  # fmt: skip
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    figure.supxlabel("95 % bootstrap intervals over users; filled: significant after Holm's correction", fontsize=8)
    return figure


def _reach(records: list[Record]) -> tuple[float, float]:
    """The largest difference that is drawn to scale, and where the arrows of larger ones stand."""
    shown = [record for record in records if record.get("difference_ci95")]
    if not shown:
        return inf, 0.0
    far = _FAR * median(abs(record["difference"]) for record in shown)
    ends = [abs(end) for r in shown if abs(r["difference"]) <= far for end in r["difference_ci95"]]
    return far, 1.2 * max(ends)


def _beyond(axes: Axes, difference: float, edge: float, place: float, colour: str) -> None:
    """An arrow at the edge, with the number."""
    side = 1 if difference > 0 else -1
    axes.plot(side * edge, place, marker=">" if side > 0 else "<", ms=5, color=colour)
    words = f"{difference:+.3f}".replace("-", "\N{MINUS SIGN}")
    axes.annotate(
        words, (side * edge, place), (-6 * side, 0), textcoords="offset points", fontsize=7, color=colour,
        ha="right" if side > 0 else "left", va="center",
    )  # fmt: skip
