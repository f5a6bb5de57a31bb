"""A data set at a glance: its ratings and its long tail, from what `torchsse.data.describe` returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torchsse.errors import MissingDependencyError
from torchsse.report.files import write_figure

__all__ = ["write_description"]


def write_description(facts: dict[str, Any], path: Path) -> None:
    """Draw the counts of the ratings (where there are any) and the share of ratings that falls on the popular items.

    Args:
        facts: from `describe`.
        path: PNG, SVG or PDF, by its name.

    Raises:
        MissingDependencyError: without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:  # pragma: no cover - needs an environment without matplotlib
        raise MissingDependencyError("plots need matplotlib: pip install 'torchsse[report]'") from error

    rated = facts["rating"] is not None
    figure = Figure(figsize=(6.8 if rated else 3.4, 2.8), layout="constrained")
    axes = figure.subplots(1, 2 if rated else 1, squeeze=False)[0]
    if rated:
        counts = facts["rating"]["counts"]
        axes[0].bar(range(len(counts)), list(counts.values()), color="#0072B2", width=0.8)
        turned = 45 if max(map(len, counts)) > 4 else 0
        axes[0].set_xticks(range(len(counts)), list(counts), rotation=turned, ha="right" if turned else "center")
        axes[0].set_xlabel("Rating")
        axes[0].set_ylabel("Number of ratings")
        axes[0].yaxis.set_major_formatter(lambda value, _: _count(value))
    tail = facts["long_tail"]
    if tail is not None:
        x, y = zip(*tail["curve"])
        last = axes[-1]
        last.plot([100 * v for v in x], [100 * v for v in y], color="#D55E00", lw=1.6)
        last.plot([0, 100], [0, 100], color="0.7", lw=0.8, ls="--")
        last.set_xlabel("Items, the most popular first (%)")
        last.set_ylabel("Ratings (%)")
        last.set_title(f"Gini {tail['gini']:.2f}", loc="left", fontsize=8.5)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_figure(path, figure, 160, tight=False)


def _count(value: float) -> str:
    """Round numbers of an axis, short.

    >>> _count(0), _count(2500), _count(300000), _count(1.5e7)
    ('0', '2.5k', '300k', '15M')
    """
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"
