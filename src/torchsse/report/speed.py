"""Figure 4: the test metric by epoch and by second of training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchsse.errors import MissingDependencyError
from torchsse.report.format import number
from torchsse.report.metric import higher_is_better, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["speed_figure", "speed_table"]

_STYLE = {"none": ("#000000", "-"), "sse-se": ("#0072B2", "-"), "sse-graph": ("#D55E00", (0, (5, 1.5)))}
_NAMES = {"none": "without SSE", "sse-graph": "SSE-Graph", "sse-se": "SSE-SE"}


def speed_figure(document: dict[str, Any]) -> Figure:
    """A row per model: by epoch on the left, by seconds on the right.

    Raises:
        MissingDependencyError: without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("plots need matplotlib: pip install 'torchsse[report]'") from error
    studies = document["figure"]["studies"]
    figure = Figure(figsize=(8.6, 3.1 * len(studies)), layout="constrained")
    panels = figure.subplots(len(studies), 2, squeeze=False, sharey="row")
    for row, study in zip(panels, studies):
        records = [record for record in document["results"] if record["study"] == study["name"]]
        for axes, clock in zip(row, ("epoch", "seconds")):
            for record in records:
                colour, dashes = _STYLE.get(record["arm"], ("#009E73", "-"))
                name = _NAMES.get(record["arm"], record["arm"])
                axes.plot(record[clock], record["value"], color=colour, ls=dashes, lw=1.4, label=name)
                axes.fill_between(record[clock], record["low"], record["high"], color=colour, alpha=0.15, lw=0)
            axes.axhline(records[0]["plain_best"], color="#888888", lw=0.7, ls=":")
            axes.set_xlabel("epoch" if clock == "epoch" else "seconds of training, one core", fontsize=8.5)
            _clean(axes)
        row[0].set_ylabel(f"test {label(records[0]['metric'])}", fontsize=8.5)
        row[0].set_title(study["title"], loc="left", fontsize=9.5)
        _limits(row[0], records)
        row[0].legend(fontsize=8, frameon=False)
    seeds = len(document["results"][0]["seeds"])
    figure.supxlabel(
        f"Mean of {seeds} seed{'s' if seeds > 1 else ''}, band: lowest to highest; dotted: the best value without SSE",
        fontsize=8,
    )
    return figure


def speed_table(document: dict[str, Any], study: str) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: the best value, and when the best value without SSE is passed."""
    records = [record for record in document["results"] if record["study"] == study]
    heads = ["", f"best test {label(records[0]['metric'])}", "epochs to the best without SSE", "seconds to it",
             "seconds per epoch", "settings"]  # fmt: skip
    rows = []
    for record in records:
        settings = ", ".join(f"{name} {value:g}" for name, value in record["params"].items())
        epochs = record["epochs_to_plain_best"]
        rows.append(
            [_NAMES.get(record["arm"], record["arm"]), number(record["best"]),
             "never" if epochs is None else str(epochs), number(record["seconds_to_plain_best"], 2) or "never",
             number(record["seconds_per_epoch"], 3), settings]
        )  # fmt: skip
    return heads, rows


def _clean(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e6e6e6", lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)
    axes.set_xlim(left=0)


def _limits(axes: Axes, records: list[dict[str, Any]]) -> None:
    """From the best value to where the curves are after a twentieth of the epochs: the start would squeeze the rest."""
    values = [value for record in records for value in record["value"]]
    early = [record["value"][len(record["value"]) // 20] for record in records]
    if higher_is_better(records[0]["metric"]):
        top, bottom = max(values), min(early)
        axes.set_ylim(bottom, top + 0.05 * (top - bottom))
    else:
        bottom, top = min(values), max(early)
        axes.set_ylim(bottom - 0.05 * (top - bottom), top)
