"""The plot of a language table: what each arm changes on each test set, with intervals, ours and the paper's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchsse.errors import MissingDependencyError
from torchsse.report.document import is_significant
from torchsse.report.metric import label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["chain_figure"]

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Okabe and Ito's, told apart with any colour vision."""


def chain_figure(document: dict[str, Any]) -> Figure | None:
    """A panel per metric, two in a row: a line per test set, a colour per comparison. None where nothing is compared.

    Raises:
        MissingDependencyError: without matplotlib.
    """
    metrics = list(dict.fromkeys(pair["metric"] for pair in document["pairs"]))
    if not metrics:
        return None
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("plots need matplotlib: pip install 'torchsse[report]'") from error
    kinds = list(dict.fromkeys((pair["arm"], pair["against"]) for pair in document["pairs"]))
    blocks = document["blocks"]
    columns = min(len(metrics), 2)
    rows = -(-len(metrics) // columns)
    height = 0.9 + len(blocks) * (0.12 + 0.13 * len(kinds))
    figure = Figure(figsize=(4.2 * columns + 1, height * rows + 0.6), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes in panels[len(metrics) :]:
        axes.set_visible(False)
    for axes, metric in zip(panels, metrics, strict=False):
        axes.axvline(0, color="#666666", lw=0.8)
        for number, (arm, against) in enumerate(kinds):
            colour = _COLOURS[number % len(_COLOURS)]
            shift = (number - (len(kinds) - 1) / 2) * 0.8 / len(kinds)
            axes.plot([], [], "o-", color=colour, ms=4, label=f"{arm} − {against}")
            for place, block in enumerate(blocks):
                paper = _paper(document, block, metric, arm, against)
                if paper is not None:
                    axes.plot(paper, place + shift, "x", ms=5, color=colour)
                for pair in document["pairs"]:
                    if (pair["block"], pair["metric"], pair["arm"], pair["against"]) != (
                        block["name"], metric, arm, against,
                    ):  # fmt: skip
                        continue
                    axes.plot(pair["difference_ci95"], [place + shift] * 2, color=colour, lw=1.4)
                    face = colour if is_significant(pair) else "white"
                    axes.plot(pair["difference"], place + shift, "o", ms=4, color=colour, markerfacecolor=face)
        axes.set_yticks(range(len(blocks)), [block["title"] for block in blocks], fontsize=8)
        axes.set_ylim(len(blocks) - 0.4, -0.6)
        axes.set_xlabel(f"difference in {label(metric)}; right of 0 is better", fontsize=8)
        axes.tick_params(axis="x", labelsize=8)
        axes.locator_params(axis="x", nbins=6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="#e6e6e6", lw=0.6)
        axes.set_axisbelow(True)
    figure.legend(*panels[0].get_legend_handles_labels(), fontsize=8, frameon=False, loc="outside upper center",
                  ncols=min(len(kinds), 4))  # fmt: skip
    figure.supxlabel("95 % bootstrap intervals over test examples; filled: significant; ×: the paper", fontsize=8)
    return figure


def _paper(document: dict[str, Any], block: dict[str, Any], metric: str, arm: str, against: str) -> float | None:
    """The paper's difference between the two rows, where it has both."""
    about = document["table"]
    values = {f["model"]: f["value"] for f in about["paper"] if (f["data"], f["metric"]) == (block["paper"], metric)}
    rows = [values.get(about["models"].get(name)) for name in (arm, against)]
    return None if rows[0] is None or rows[1] is None else float(rows[0] - rows[1])
