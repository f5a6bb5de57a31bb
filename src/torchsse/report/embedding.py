"""Figure 3: item embeddings in three dimensions, as a picture and as a page to turn them round in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from torchsse.errors import MissingDependencyError
from torchsse.report.embedding_script import SCRIPT, STYLE
from torchsse.report.format import interval, number
from torchsse.report.html import page, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["embedding_figure", "embedding_page", "embedding_table", "main_genres"]

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B")
OTHER, _GREY = "other", "#9a9a9a"
_NAMES = {"none": "without SSE", "sse-graph": "SSE-Graph", "sse-se": "SSE-SE"}


def main_genres(genres: Sequence[str]) -> tuple[list[str], list[str]]:
    """One genre for each film and the legend: a film counts for the rarest of its genres among the most frequent seven.

    The rarest, because nearly every film has drama or comedy among its genres.

    >>> main_genres(["Drama", "Drama|Horror", "Drama", "Horror", "War"])[0]
    ['Drama', 'Horror', 'Drama', 'Horror', 'War']
    """
    counts = Counter(genre for each in genres for genre in each.split("|"))
    shown = [genre for genre, _ in counts.most_common(len(_COLOURS))]
    mine = [min((g for g in each.split("|") if g in shown), key=counts.__getitem__, default=OTHER) for each in genres]
    return mine, [*shown, OTHER]


def embedding_figure(shown: dict[str, Any]) -> Figure:
    """Three panels with the same limits, equal on all axes; a colour per genre.

    Raises:
        MissingDependencyError: without matplotlib.
    """
    try:
        import numpy as np
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("plots need matplotlib: pip install 'torchsse[report]'") from error
    genres, legend = main_genres(shown["genres"])
    colour = dict(zip(legend, (*_COLOURS[: len(legend) - 1], _GREY)))
    centre, half = frame(shown["points"])
    order = np.random.default_rng(0).permutation(len(genres))  # so that no genre hides another
    figure = Figure(figsize=(13, 4.9))
    for place, (arm, points) in enumerate(zip(shown["arms"], shown["points"])):
        axes: Any = figure.add_subplot(1, 3, place + 1, projection="3d")
        inside = order[(abs(points - centre) <= half).all(axis=1)[order]]
        colours = [colour[genres[film]] for film in inside.tolist()]
        axes.scatter(*points[inside].T, s=5, c=colours, alpha=0.55, linewidths=0, depthshade=False)
        limits = [(low, high) for low, high in zip(centre - half, centre + half)]
        axes.set(xlim=limits[0], ylim=limits[1], zlim=limits[2])
        axes.set_box_aspect((1, 1, 1), zoom=1.05)
        axes.text2D(0.5, 1.0, _NAMES.get(arm, arm), transform=axes.transAxes, ha="center", fontsize=11)
        axes.tick_params(labelsize=7, pad=-2)
        axes.locator_params(nbins=5)
        for axis, name in ((axes.xaxis, "PC 1"), (axes.yaxis, "PC 2"), (axes.zaxis, "PC 3")):
            axis.pane.set_facecolor("white")
            axis.set_label_text(name, fontsize=8)
            axis.labelpad = -6
    marks = [figure.axes[0].plot([], [], "o", ms=5, color=colour[genre], label=genre)[0] for genre in legend]
    figure.legend(handles=marks, ncols=len(legend), loc="lower center", frameon=False, fontsize=9)
    figure.suptitle(f"{shown['title']}: item embeddings along their principal axes, equal scales", fontsize=11, y=0.99)
    figure.subplots_adjust(left=0.01, right=0.97, bottom=0.1, top=0.88, wspace=0.06)
    return figure


def frame(points: Sequence[Any]) -> tuple[Any, float]:
    """Centre (3,) and half width of the cube that every panel shows: nearly all films of all panels lie in it."""
    import numpy as np

    low = np.min([np.quantile(each, 0.002, axis=0) for each in points], axis=0)
    high = np.max([np.quantile(each, 0.998, axis=0) for each in points], axis=0)
    return (low + high) / 2, float((high - low).max()) / 2 * 1.04


def embedding_table(document: dict[str, Any], study: str) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the numbers of one study."""
    heads = ["", "distance, neighbours / shuffled", "95% interval", "cosine, neighbours", "shuffled", "length",
             "variance along PC 1, 2, 3", "settings"]  # fmt: skip
    rows = []
    for record in document["results"]:
        if record["study"] != study:
            continue
        shares = ", ".join(f"{100 * share:.0f} %" for share in record["explained"])
        settings = ", ".join(f"{name} {value:g}" for name, value in record["params"].items())
        rows.append(
            [_NAMES.get(record["arm"], record["arm"]), number(record["distance"]), interval(record["distance_ci95"]),
             number(record["cosine"]), number(record["cosine_shuffled"]), number(record["length"]), shares, settings]
        )  # fmt: skip
    return heads, rows


def embedding_page(shown: dict[str, Any], document: dict[str, Any], study: str) -> str:
    """One HTML file that needs no other: three clouds that turn together, titles under the mouse."""
    genres, legend = main_genres(shown["genres"])
    codes = {genre: place for place, genre in enumerate(legend)}
    centre, half = frame(shown["points"])
    facts = {
        "titles": shown["titles"],
        "genres": shown["genres"],
        "genre": [codes[genre] for genre in genres],
        "legend": legend,
        "colours": [*_COLOURS[: len(legend) - 1], _GREY],
        "names": [_NAMES.get(arm, arm) for arm in shown["arms"]],
        "points": [[round(float(x), 4) for x in ((points - centre) / half).ravel()] for points in shown["points"]],
        "edges": shown["edges"],
    }
    panels = "".join(
        f'<figure><figcaption>{escape(name)}</figcaption><canvas aria-label="{escape(name)}"></canvas></figure>'
        for name in facts["names"]
    )
    heads, rows = embedding_table(document, study)
    body = f"""<h1>Figure 3: item embeddings, {escape(shown["title"])}</h1>
<p>Every film is a point: its embedding along the first three principal axes of its model, in equal scales. Drag turns
all three, the wheel zooms, a click on a genre shows or hides it. A film under the mouse is marked in all panels and
joined to its neighbours in the graph, the films that share an actor with it.</p>
<div id="tools"><input id="find" type="search" placeholder="find a title" aria-label="find a title">
<label><input id="turn" type="checkbox"> turn slowly</label><span id="legend"></span></div>
<div id="panels">{panels}</div><p id="tip" aria-live="polite">&nbsp;</p>
{table(heads, [[(text, "") for text in row] for row in rows])}
<p>{escape(document["figure"]["measured"])}</p>"""
    data = json.dumps(facts, separators=(",", ":")).replace("<", "\\u003c")  # no title may end or begin an element
    return page("Figure 3: item embeddings", body, style=STYLE, script=f"const DATA = {data};\n{SCRIPT}")
