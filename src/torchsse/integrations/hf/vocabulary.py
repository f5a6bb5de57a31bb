"""Which rows of a table a tokenizer's ordinary words own, and a graph over them brought to the table's size."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from torchsse.errors import ConfigError
from torchsse.graph import Graph

__all__ = ["fit_graph", "idle_ids", "special_ids", "vocabulary_size"]

# Attributes of a configuration that name a token with a job: pad_token_id, eos_token_id, decoder_start_token_id, ...
SPECIAL = re.compile(r"(?:^|_)(?:pad|bos|eos|unk|sep|cls|mask|decoder_start|forced_bos|forced_eos)_token_id$")

# Pieces kept free for later use: no text contains them, so their rows are never trained.
RESERVED = re.compile(r"\[unused\d+\]|<unused\d+>|<\|reserved_special_token_\d+\|>|<madeupword\d+>|madeupword\d+")


def special_ids(model: Any, tokenizer: Any = None) -> set[int]:
    """Ids of the special tokens: those of the tokenizer, and those that the model's configuration names."""
    found = set(_named_in(getattr(model, "config", None)))
    if tokenizer is not None:
        found.update(tokenizer.all_special_ids)
        added = getattr(tokenizer, "added_tokens_decoder", {})
        found.update(id for id, token in added.items() if getattr(token, "special", False))
    return {int(id) for id in found if id is not None and id >= 0}


def idle_ids(tokenizer: Any, rows: int) -> set[int]:
    """Rows of the table that no text reaches: those beyond or between the tokenizer's ids, and its reserved pieces.

    Raises:
        ConfigError: the tokenizer has an id that the table has no row for.
    """
    vocabulary = tokenizer.get_vocab()
    largest = max(vocabulary.values(), default=-1)
    if largest >= rows:
        raise ConfigError(
            f"expected a tokenizer for the {rows} rows of the embedding table, this one has id {largest}: is it this "
            "model's? If tokens were added, call model.resize_token_embeddings(len(tokenizer)) first"
        )
    idle = set(range(rows)) - set(vocabulary.values())
    idle.update(id for piece, id in vocabulary.items() if RESERVED.fullmatch(piece))
    return idle


def vocabulary_size(tokenizer: Any) -> int:
    """One more than the largest id of the tokenizer: the nodes of a graph over its vocabulary."""
    return max(tokenizer.get_vocab().values(), default=-1) + 1


def fit_graph(graph: Graph, rows: int, tokenizer: Any = None) -> Graph:
    """A graph over the tokenizer's vocabulary as one over the table's rows: tables are often padded.

    Raises:
        ConfigError: the graph has neither size.
    """
    if not isinstance(graph, Graph):
        raise ConfigError(f"graph must be a torchsse.Graph, got {type(graph).__name__}; see Graph.from_edges")
    if graph.num_nodes == rows:
        return graph
    size = None if tokenizer is None else vocabulary_size(tokenizer)
    if size is None or graph.num_nodes != size or size > rows:
        ids = "" if size is None else f" or the {size} ids of the tokenizer"
        raise ConfigError(
            f"expected a graph over the {rows} rows of the embedding table{ids}, got one of {graph.num_nodes} nodes"
        )
    indptr = np.concatenate([graph.indptr, np.full(rows - size, graph.indptr[-1], graph.indptr.dtype)])
    return Graph(indptr, graph.indices, graph.weights, directed=graph.directed)


def _named_in(config: Any, depth: int = 0) -> Iterator[int]:
    """Special ids in a configuration and in those inside it (encoder, decoder, text_config)."""
    if config is None or depth > 2:
        return
    for name, value in vars(config).items():
        if SPECIAL.search(name):
            yield from value if isinstance(value, Iterable) else (value,)
        elif hasattr(value, "model_type"):
            yield from _named_in(value, depth + 1)
