"""SSE-Graph for words: which graph a run of the language tasks uses, built once its tokenizer is there."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from torchsse.data.digest import digest
from torchsse.errors import ConfigError, DataError
from torchsse.graph import Graph
from torchsse.integrations.hf.vocabulary import fit_graph, idle_ids, vocabulary_size
from torchsse.integrations.words import coverage, neighbour_graph, wordnet_graph
from torchsse.integrations.words.wordnet import PARTS, find_wordnet
from torchsse.nlp.word_edges import word_edges

if TYPE_CHECKING:
    from torchsse.nlp.steps import Observer

__all__ = ["NEAREST", "Laid", "WordGraph", "lay"]

WORDNET, NEAREST = "wordnet", "nearest"
NEIGHBOURS = 10


@dataclass(frozen=True)
class WordGraph:
    """A graph over the words of a model, and how strongly SSE follows it.

    It holds wherever words are swapped: those that are read and those that are to be told.

    Args:
        source: "wordnet": pieces whose words WordNet relates. "nearest": each whole word and those whose rows in the
            checkpoint's table are closest. Else a `Graph` over the tokenizer's ids or the rows of the table, the
            directory of a saved one, or an edge table of pieces (see `torchsse.nlp.word_edges`).
        rho: how much likelier a neighbour is drawn than another word, 1 to inf.
        wordnet: with "wordnet", the folder of its files where they are not found by themselves.
        neighbours: with "nearest", of each word; default 10.

    Raises:
        ConfigError: rho out of range; a word that does not go with `source`.

    Example:
        >>> WordGraph("nearest", rho=200.0).origin()
        {'source': 'nearest', 'neighbours': 10, 'rho': 200.0}
    """

    source: Graph | str | os.PathLike[str]
    rho: float
    wordnet: str | os.PathLike[str] | None = None
    neighbours: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.rho, bool) or not isinstance(self.rho, (int, float)) or not self.rho >= 1:
            raise ConfigError(f"expected rho of a graph to be a number from 1 to inf, got {self.rho!r}")
        if self.wordnet is not None and self.source != WORDNET:
            raise ConfigError(f"a folder of WordNet goes with the graph {WORDNET!r}, got {self.source!s}")
        if self.neighbours is not None and self.source != NEAREST:
            raise ConfigError(f"a number of neighbours goes with the graph {NEAREST!r}, got {self.source!s}")
        if self.neighbours is not None and (isinstance(self.neighbours, bool) or self.neighbours < 1):
            raise ConfigError(f"expected neighbours to be at least 1, got {self.neighbours!r}")

    def origin(self) -> dict[str, Any]:
        """What decides the graph of a run beside its tokenizer and checkpoint, as JSON: files by their sha256.

        Raises:
            DataError, CorruptFileError: files that are not there, or no graph.
        """
        rho = "inf" if math.isinf(self.rho) else float(self.rho)
        if isinstance(self.source, Graph):
            return {"source": "graph", "sha256": graph_digest(self.source), "rho": rho}
        if self.source == WORDNET:
            return {"source": WORDNET, "sha256": _wordnet_digest(find_wordnet(self.wordnet)), "rho": rho}
        if self.source == NEAREST:  # of the checkpoint, whose digest every run notes
            return {"source": NEAREST, "neighbours": self.neighbours or NEIGHBOURS, "rho": rho}
        path = Path(self.source)
        if path.is_dir():
            return {"source": "graph", "sha256": graph_digest(Graph.load(path)), "rho": rho}
        return {"source": "edges", "sha256": _sha256(path), "rho": rho}

    def build(self, tokenizer: Any, rows: int, model: Any = None) -> Graph:
        """The graph over the rows of a table.

        Args:
            tokenizer: of the model.
            rows: of the table of words.
            model: for "nearest": trained, else there is nothing to be near to.

        Raises:
            ConfigError: a graph of another size or without an edge; "nearest" without a model.
            DataError, CorruptFileError: files that are not there, or hold something else.
        """
        return self._build(tokenizer, rows, model)[0]

    def _build(self, tokenizer: Any, rows: int, model: Any) -> tuple[Graph, dict[str, int]]:
        """The graph, and of an edge table how many lines it has and how many name no piece."""
        counted: dict[str, int] = {}
        idle_ids(tokenizer, rows)  # checks that the table has a row for every piece
        if isinstance(self.source, Graph):
            graph = self.source
        elif self.source == WORDNET:
            graph = wordnet_graph(tokenizer, self.wordnet)
        elif self.source == NEAREST:
            if model is None:
                raise ConfigError(
                    f"the graph {NEAREST!r} links trained rows, but this model starts from random ones: "
                    f"take {WORDNET!r}, or a file"
                )
            graph = neighbour_graph(model, tokenizer, self.neighbours or NEIGHBOURS)
        elif Path(self.source).is_dir():
            graph = Graph.load(self.source)
        else:
            found = word_edges(Path(self.source), tokenizer)
            graph, counted = found.graph, {"edge_lines": found.lines, "edge_lines_unknown": found.unknown}
        graph = fit_graph(graph, rows, tokenizer)
        if not graph.num_edges:
            raise ConfigError(
                f"the graph has no edge between any of the {vocabulary_size(tokenizer):,} pieces: "
                "with it SSE would be that without a graph"
            )
        return graph, counted


@dataclass(frozen=True)
class Laid:
    """The graph of a run, built.

    Attributes:
        law: words for `attach_sse` and `sse_labels`; empty without a graph.
        facts: for the report of the run.
    """

    law: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def lay(
    graph: WordGraph | None, tokenizer: Any, rows: int, model: Any = None, observer: Observer | None = None
) -> Laid:
    """Build the graph of a run, say what it covers, and note it; see `WordGraph.build`."""
    if graph is None:
        return Laid()
    built, counted = graph._build(tokenizer, rows, model)
    covered = coverage(built, tokenizer)
    if observer is not None:
        if counted.get("edge_lines_unknown"):
            unknown, lines = counted["edge_lines_unknown"], counted["edge_lines"]
            observer.say(f"graph: {unknown:,} of {lines:,} lines name a piece that is not in the vocabulary: left out")
        observer.say(f"graph: {covered}")
    facts = {
        **graph.origin(),
        "graph_sha256": graph_digest(built),
        "words_linked": covered.linked,
        "edges": covered.edges,
        **counted,
    }
    return Laid({"graph": built, "rho": graph.rho}, {"graph": facts})


def graph_digest(graph: Graph) -> str:
    """sha256 of nodes, edges and weights, whatever the width of the integers."""
    found = hashlib.sha256(f"{graph.num_nodes} {graph.directed}".encode())
    for array in (graph.indptr, graph.indices):
        found.update(array.astype(np.int64).tobytes())
    if graph.weights is not None:
        found.update(graph.weights.astype(np.float64).tobytes())
    return found.hexdigest()


def _wordnet_digest(folder: Path) -> str:
    found = hashlib.sha256()
    for kind in ("index", "data"):
        for part in PARTS.values():
            name = f"{kind}.{part}"
            if (folder / name).is_file():
                found.update(f"{name} {_sha256(folder / name)}\n".encode())
    return found.hexdigest()


def _sha256(path: Path) -> str:
    try:
        return digest(path)
    except FileNotFoundError:
        raise DataError(
            f"{path}: expected {WORDNET}, {NEAREST} or a file with a graph; there is no such file"
        ) from None
