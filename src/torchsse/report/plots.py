"""The two figures of a comparison: learning curves per arm (the paper's Figure 4), and differences with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchsse.errors import MissingDependencyError
from torchsse.report.document import Record, baseline_of, is_significant
from torchsse.report.files import write_figure
from torchsse.report.format import p_value, signed
from torchsse.report.metric import compared, higher_is_better, label, primary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["curves_figure", "differences_figure", "write_figures"]

# Okabe and Ito's palette: told apart with any colour vision, and, with the dashes, without colour.
_STYLE: dict[str, tuple[str, Any]] = {
    "none": ("#000000", "-"),
    "dropout": ("#E69F00", (0, (5, 1.5))),
    "sse-se": ("#0072B2", "-"),
    "sse-se+dropout": ("#56B4E9", (0, (5, 1.5))),
    "sse-graph": ("#D55E00", "-"),
    "sse-cooccurrence": ("#009E73", "-"),
}
_SPARE = ("#CC79A7", "#F0E442")


def write_figures(document: dict[str, Any], out: Path) -> list[Path]:
    """Write learning_curves and differences as PNG (200 dpi) and SVG into `out`; returns the PNG paths.

    Raises:
        MissingDependencyError: without matplotlib.
    """
    written = []
    for name, figure in (("learning_curves", curves_figure(document)), ("differences", differences_figure(document))):
        if figure is None:
            continue
        for suffix in ("svg", "png"):
            path = out / f"{name}.{suffix}"
            write_figure(path, figure, 200)
        written.append(path)
    return written


def curves_figure(document: dict[str, Any]) -> Figure | None:
    """The metric by epoch of each arm's chosen trial: validation (and train, if it has the same unit), then close up.

    None where no record carries a curve.
    """
    records = [record for record in primary(document["results"]) if record.get("curve", {}).get("epoch")]
    if not records:
        return None
    metric = records[0]["metric"]
    figure = _figure(width=7.4, height=3.1)
    # close up, shares need one more digit than RMSE, so the labels of the second axis more room
    gap = 0.36 if higher_is_better(metric) else 0.28
    whole, close = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1, 1.15], "wspace": gap})
    trained = any(f"train_{metric}" in record["curve"] for record in records)
    for record in records:
        (epochs, values), (colour, dashes) = _curve(record), _style(record["arm"])
        # a fit measured once has no line to draw
        whole.plot(epochs, values, color=colour, ls=dashes, lw=1.3, marker="o" if len(values) == 1 else None, ms=3.5)
        if f"train_{metric}" in record["curve"]:
            whole.plot(epochs, record["curve"][f"train_{metric}"], color=colour, ls=":", lw=1.1)
        close.plot(epochs, values, color=colour, ls=dashes, lw=1.5)
        best = values.index(_best(record))
        dot = {"ms": 6, "color": colour, "markeredgecolor": "white", "markeredgewidth": 0.8, "zorder": 5}
        close.plot(epochs[best], values[best], "o", clip_on=False, **dot)
    whole.set_title("(a) Validation; dotted: train" if trained else "(a) Validation", loc="left", fontsize=8.5)
    close.set_title("(b) Validation, close up; dots: epoch chosen", loc="left", fontsize=8.5)
    for axes in (whole, close):
        axes.set_xlabel("Epoch")
        axes.set_ylabel(_quantity(metric))
        _clean(axes)
    if not higher_is_better(metric):
        whole.set_ylim(top=_top(records))
    _zoom(close, records)
    _label_margin(close, records)
    return figure


def differences_figure(document: dict[str, Any]) -> Figure | None:
    """The test metric of each arm minus the baseline's, with 95% intervals; None where nothing was compared."""
    records = primary(document["results"])
    baseline = baseline_of(records)
    shown = [record for record in compared(records) if record.get("difference_ci95")]
    if not shown:
        return None
    figure = _figure(width=6.2, height=0.9 + 0.34 * len(shown))
    axes = figure.subplots()
    axes.axvline(0, color="#666666", lw=0.8)
    for place, record in enumerate(shown):
        (low, high), (colour, _) = record["difference_ci95"], _style(record["arm"])
        axes.plot([low, high], [place, place], color=colour, lw=2, solid_capstyle="butt")
        face = colour if is_significant(record) else "white"
        axes.plot(record["difference"], place, "o", ms=6, color=colour, markerfacecolor=face)
        p = p_value(record["p_value"])
        text = f"{signed(record['difference'])}   p {p if p.startswith('<') else '= ' + p}"
        axes.annotate(text, (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    axes.set_yticks(range(len(shown)), [record["arm"] for record in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.locator_params(axis="x", nbins=6)
    seeds, metric = len(baseline["seeds"]), baseline["metric"]
    side = "above" if higher_is_better(metric) else "below"
    axes.set_xlabel(
        f"Test {label(metric)} minus that of {baseline['arm']} ({baseline['mean']:.4f}); {side} 0 is better\n"
        f"95% bootstrap intervals over users, {seeds} seed{'s' if seeds > 1 else ''}; filled: significant (Holm)"
    )
    _clean(axes)
    axes.tick_params(axis="y", length=0)
    return figure


def _figure(width: float, height: float) -> Figure:
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("the plots need matplotlib: pip install 'torchsse[report]'") from error
    # Text stays text in the SVG; a fixed salt makes equal figures equal files.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "torchsse"})
    return Figure(figsize=(width, height))


def _style(arm: str) -> tuple[str, Any]:
    return _STYLE.get(arm) or (_SPARE[sum(map(ord, arm)) % len(_SPARE)], "-.")


def _clean(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y" if axes.get_ylabel() else "x", color="#e6e6e6", lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)
    axes.xaxis.label.set_fontsize(8.5)
    axes.yaxis.label.set_fontsize(8.5)


def _quantity(metric: str) -> str:
    """The label of an axis: the metric and its unit."""
    return f"{label(metric)} (rating points)" if metric in ("rmse", "mae") else label(metric)


def _curve(record: Record) -> tuple[list[float], list[float]]:
    """Epochs and validation values."""
    return record["curve"]["epoch"], record["curve"][f"validation_{record['metric']}"]


def _best(record: Record) -> float:
    values = _curve(record)[1]
    return max(values) if higher_is_better(record["metric"]) else min(values)


def _top(records: list[Record]) -> float:
    """Above all but the very first validation epochs, which would squeeze the rest."""
    starts = [values[min(1, len(values) - 1)] for _, values in map(_curve, records)]
    return 1.01 * float(max(starts))


def _zoom(axes: Axes, records: list[Record]) -> None:
    """Limits that show how the arms end: a few times the spread of their best values on the side of the worse."""
    sign = -1 if higher_is_better(records[0]["metric"]) else 1
    best = [sign * _best(record) for record in records]
    start = max(sign * _curve(record)[1][0] for record in records)
    spread = max(max(best) - min(best), 0.03 * (start - min(best)), 1e-6)
    worst = max(best) + 1.5 * spread
    axes.set_ylim(*sorted((sign * (min(best) - 0.3 * spread), sign * worst)))
    inside = [epoch for record in records for epoch, value in zip(*_curve(record)) if sign * value <= worst]
    axes.set_xlim(max(0, min(inside) - 1), max(inside) + 1)


def _label_margin(axes: Axes, records: list[Record]) -> None:
    """Each arm's name right of the axes at the height of its best value, moved apart where names would overlap."""
    low, high = axes.get_ylim()
    heights: list[float] = []
    ordered = sorted(records, key=_best)
    for record in ordered:
        wanted = (_best(record) - low) / (high - low)
        heights.append(max(wanted, heights[-1] + 0.085) if heights else wanted)
    surplus = max(0.0, heights[-1] - 0.97)
    for record, height in zip(ordered, heights):
        colour, dashes = _style(record["arm"])
        place = height - surplus
        axes.plot(
            [1.02, 1.09], [place, place], color=colour, ls=dashes, lw=1.5, transform=axes.transAxes, clip_on=False
        )
        axes.text(1.11, place, record["arm"], color=colour, fontsize=8, va="center", transform=axes.transAxes)
