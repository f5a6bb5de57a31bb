"""Options that lay a graph over words, for every command that swaps words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from torchsse.cli.language import SSE

if TYPE_CHECKING:
    from torchsse.nlp.word_graph import WordGraph

__all__ = ["GraphOption", "Neighbours", "Rho", "WordNet", "word_graph"]

GraphOption = Annotated[
    str | None,
    typer.Option(
        "--graph",
        metavar="wordnet|nearest|FILE",
        help="SSE-Graph: words that WordNet relates, the nearest rows of the checkpoint, or FILE: a saved Graph, or "
        "two words a line. Default: SSE-SE.",
        rich_help_panel=SSE,
        show_default=False,
    ),
]
Rho = Annotated[
    float | None,
    typer.Option(
        "--rho", help="Weight of a neighbour against any other word; inf: neighbours only.", rich_help_panel=SSE
    ),
]
WordNet = Annotated[
    Path | None,
    typer.Option(
        "--wordnet", metavar="DIR", help="WordNet's files. Default: where packages put them.", rich_help_panel=SSE,
        show_default=False,
    ),
]  # fmt: skip
Neighbours = Annotated[
    int | None,
    typer.Option(
        "--neighbours", metavar="K", help="--graph nearest: of each word. Default: 10.", rich_help_panel=SSE, min=1,
        show_default=False,
    ),
]  # fmt: skip


def word_graph(graph: str | None, rho: float | None, wordnet: Path | None, neighbours: int | None) -> WordGraph | None:
    """What the four options ask for; None without a graph.

    Raises:
        ConfigError: one of them without what it belongs to.
    """
    from torchsse.errors import ConfigError

    if graph is None:
        for name, value in (("--rho", rho), ("--wordnet", wordnet), ("--neighbours", neighbours)):
            if value is not None:
                raise ConfigError(f"{name} belongs to a graph, but there is no --graph")
        return None
    if rho is None:
        raise ConfigError("--graph needs --rho, the weight of a neighbour against any other word: 1 or more, or inf")
    if wordnet is not None and graph != "wordnet":
        raise ConfigError(f"--wordnet belongs to --graph wordnet, got --graph {graph}")
    if neighbours is not None and graph != "nearest":
        raise ConfigError(f"--neighbours belongs to --graph nearest, got --graph {graph}")
    from torchsse.nlp.word_graph import WordGraph

    return WordGraph(graph, rho, wordnet, neighbours)
