"""The graphs of `fit` and `tune`: from edge files, or the nearest of each row in what is learned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchsse.cli.models import ModelName, check_words, estimator_of
from torchsse.cli.options import position

if TYPE_CHECKING:
    from torchsse.experiments.arms import Side

__all__ = ["SideOptions", "check_graphs", "nearest_of", "read_graphs"]


@dataclass(frozen=True)
class SideOptions:
    """What was said about the graph of one table."""

    side: Side
    edges: Path | None
    nearest: int | None


def check_graphs(
    model: ModelName, words: dict[str, Any], given: tuple[SideOptions, ...], edge_weight: str | None
) -> None:
    """What can be said before anything is read. With nearest rows `words` get rho, and a stand-in for the graph.

    Raises:
        ConfigError: two graphs for one table, one that the model has no use for, a weight without an edge file.
    """
    from torchsse.experiments.loading import check_edge_weight

    check_edge_weight(edge_weight, *(options.edges for options in given))
    for side, k in nearest_of(given).items():
        check_words(model, {f"{side}_graph": None}, said=f"--{side}-nearest")
        words[f"{side}_graph"] = k  # `read_graphs` makes the graph
        if f"rho_{side}" in estimator_of(model)._defaults():
            words.setdefault(f"rho_{side}", math.inf)


def nearest_of(given: tuple[SideOptions, ...]) -> dict[Side, int]:
    """The tables with a graph of nearest rows, and how many.

    Raises:
        ConfigError: two graphs for one table.
    """
    from torchsse.errors import ConfigError

    for options in given:
        if options.nearest is not None and options.edges is not None:
            side = options.side
            raise ConfigError(f"--{side}-graph and --{side}-nearest are both given; a table has one graph")
    return {options.side: options.nearest for options in given if options.nearest is not None}


def read_graphs(
    train: Any, given: tuple[SideOptions, ...], edge_weight: str | None
) -> tuple[dict[str, Any], list[str]]:
    """The graphs as words of an estimator, and what they cover, in sentences."""
    from torchsse.experiments.loading import load_graph, reach
    from torchsse.experiments.neighbours import cooccurrence_graph

    words, notes = {}, []
    for options in given:
        side, word = options.side, f"{options.side}_graph"
        if options.edges is not None:
            ids = getattr(train, f"{side}_ids")
            words[word], note = load_graph(options.edges, ids, side, position(edge_weight))
        elif options.nearest is not None:
            words[word] = cooccurrence_graph(train, side, options.nearest)
            note = reach(words[word], side)
        else:
            continue
        notes.append(note)
    return words, notes
