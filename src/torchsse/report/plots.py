"""The two figures of a comparison: learning curves per arm (the paper's Figure 4), and differences with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchsse.errors import MissingDependencyError
from torchsse.report.document import Record, baseline_of, is_significant
from torchsse.report.format import p_value, signed

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
            metadata = {"Date": None} if suffix == "svg" else None
            figure.savefig(path, dpi=200, bbox_inches="tight", metadata=metadata)
        written.append(path)
    return written


def curves_figure(document: dict[str, Any]) -> Figure | None:
    """RMSE by epoch of each arm's chosen trial: train and validation, and the end of validation close up.

    None where no record carries a curve.
    """
    records = [record for record in document["results"] if record.get("curve", {}).get("epoch")]
    if not records:
        return None
    figure = _figure(width=7.4, height=3.1)
    whole, close = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1, 1.15], "wspace": 0.28})
    for record in records:
        curve, (colour, dashes) = record["curve"], _style(record["arm"])
        whole.plot(curve["epoch"], curve["validation_rmse"], color=colour, ls=dashes, lw=1.3)
        whole.plot(curve["epoch"], curve["train_rmse"], color=colour, ls=":", lw=1.1)
        close.plot(curve["epoch"], curve["validation_rmse"], color=colour, ls=dashes, lw=1.5)
        best = min(range(len(curve["epoch"])), key=lambda place: curve["validation_rmse"][place])
        dot = {"ms": 6, "color": colour, "markeredgecolor": "white", "markeredgewidth": 0.8, "zorder": 5}
        close.plot(curve["epoch"][best], curve["validation_rmse"][best], "o", clip_on=False, **dot)
    whole.set_title("(a) Validation; dotted: train", loc="left", fontsize=8.5)
    close.set_title("(b) Validation, close up; dots: epoch chosen", loc="left", fontsize=8.5)
    for axes in (whole, close):
        axes.set_xlabel("Epoch")
        axes.set_ylabel("RMSE (rating points)")
        _clean(axes)
    whole.set_ylim(top=_top(records))
    _zoom(close, records)
    _label_margin(close, records)
    return figure


def differences_figure(document: dict[str, Any]) -> Figure | None:
    """Test RMSE of each arm minus the baseline's, with 95% intervals; None where nothing was compared."""
    records = document["results"]
    baseline = baseline_of(records)
    compared = [record for record in records if record is not baseline and record.get("difference_ci95")]
    if not compared:
        return None
    figure = _figure(width=6.2, height=0.9 + 0.34 * len(compared))
    axes = figure.subplots()
    axes.axvline(0, color="#666666", lw=0.8)
    for place, record in enumerate(compared):
        (low, high), (colour, _) = record["difference_ci95"], _style(record["arm"])
        axes.plot([low, high], [place, place], color=colour, lw=2, solid_capstyle="butt")
        face = colour if is_significant(record) else "white"
        axes.plot(record["difference"], place, "o", ms=6, color=colour, markerfacecolor=face)
        p = p_value(record["p_value"])
        text = f"{signed(record['difference'])}   p {p if p.startswith('<') else '= ' + p}"
        axes.annotate(text, (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    axes.set_yticks(range(len(compared)), [record["arm"] for record in compared])
    axes.set_ylim(len(compared) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.locator_params(axis="x", nbins=6)
    seeds = len(baseline["seeds"])
    axes.set_xlabel(
        f"Test RMSE minus that of {baseline['arm']} ({baseline['mean']:.4f}); below 0 is better\n"
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


def _top(records: list[Record]) -> float:
    """Above all but the very first validation epochs, which would squeeze the rest."""
    starts = [record["curve"]["validation_rmse"][min(1, len(record["curve"]["epoch"]) - 1)] for record in records]
    return 1.01 * float(max(starts))


def _zoom(axes: Axes, records: list[Record]) -> None:
    """Limits that show how the arms end: a few times the spread of their best values above the lowest."""
    curves = [record["curve"] for record in records]
    best = [min(curve["validation_rmse"]) for curve in curves]
    start = max(curve["validation_rmse"][0] for curve in curves)
    spread = max(max(best) - min(best), 0.03 * (start - min(best)), 1e-6)
    top = max(best) + 1.5 * spread
    axes.set_ylim(min(best) - 0.3 * spread, top)
    inside = [
        epoch for curve in curves for epoch, value in zip(curve["epoch"], curve["validation_rmse"]) if value <= top
    ]
    axes.set_xlim(max(0, min(inside) - 1), max(inside) + 1)


def _label_margin(axes: Axes, records: list[Record]) -> None:
    """Each arm's name right of the axes at the height of its best value, moved apart where names would overlap."""
    low, high = axes.get_ylim()
    heights: list[float] = []
    ordered = sorted(records, key=lambda record: float(min(record["curve"]["validation_rmse"])))
    for record in ordered:
        wanted = (min(record["curve"]["validation_rmse"]) - low) / (high - low)
        heights.append(max(wanted, heights[-1] + 0.085) if heights else wanted)
    surplus = max(0.0, heights[-1] - 0.97)
    for record, height in zip(ordered, heights):
        colour, dashes = _style(record["arm"])
        place = height - surplus
        axes.plot(
            [1.02, 1.09], [place, place], color=colour, ls=dashes, lw=1.5, transform=axes.transAxes, clip_on=False
        )
        axes.text(1.11, place, record["arm"], color=colour, fontsize=8, va="center", transform=axes.transAxes)
