"""Graphs over the ids of a tokenizer: words that WordNet relates, rows of an embedding table that are close."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torchsse.errors import ConfigError
from torchsse.graph import Graph
from torchsse.integrations.hf.attach import word_sses
from torchsse.integrations.hf.vocabulary import idle_ids, vocabulary_size
from torchsse.integrations.words.pieces import whole_words
from torchsse.integrations.words.wordnet import PARTS, Synset, find_wordnet, read_index, read_pointers

__all__ = ["Coverage", "coverage", "neighbour_graph", "wordnet_graph"]

# relation -> symbols of the pointers that make it; synonyms are the words of one synset
POINTERS = {"hypernym": ("@", "@i"), "similar": ("&",)}
DEFAULT_WEIGHTS = {"synonym": 1.0, "hypernym": 0.5, "similar": 0.5}


def wordnet_graph(
    tokenizer: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    weights: Mapping[str, float] | None = None,
    senses: int | None = None,
    parts: Collection[str] = tuple(PARTS),
    min_length: int = 3,
) -> Graph:
    """A graph over a tokenizer's vocabulary that links words which WordNet relates. Undirected.

    * synonym: two words of one synset; also two pieces of one word ("film", "Film").
    * hypernym: a word of a synset and one of the synset above it ("dog", "animal"): one step, instances too.
    * similar: adjectives of one cluster ("great", "enormous").

    The weight of an edge is that of the closest relation it stands for. Only pieces that are whole words and lemmas of
    WordNet get edges; inflected forms ("dogs") are no lemmas.

    Args:
        tokenizer: a transformers tokenizer; the ids of the graph are its ids.
        path: folder of WordNet's database files; see `find_wordnet` for where it is looked for otherwise.
        weights: relation -> weight in [0, 1]; relations left out are not used. Default: synonym 1, hypernym 0.5,
            similar 0.5.
        senses: only the so many most frequent senses of a word for each part of speech. None: all.
        parts: parts of speech among "n", "v", "a", "r".
        min_length: letters at least. Shorter lemmas are mostly symbols ("in", "as", "he" are chemical elements).

    Raises:
        DataError: no database found, or a file that is none.
        ConfigError: an unknown relation or part of speech, a weight outside [0, 1], senses below 1.

    Example:
        >>> graph = wordnet_graph(tokenizer, senses=2)  # doctest: +SKIP
        >>> attach_sse(model, tokenizer, p0=0.01, graph=graph, rho=1000)  # doctest: +SKIP
    """
    chosen = dict(DEFAULT_WEIGHTS if weights is None else weights)
    _check(chosen, senses, parts)
    folder = find_wordnet(path)
    words = whole_words(tokenizer, min_length)
    ids: dict[Synset, set[int]] = {}
    for part in parts:
        for lemma, synsets in read_index(folder, part, words).items():
            for synset in synsets[:senses]:
                ids.setdefault(synset, set()).update(words[lemma])
    edges: list[tuple[int, int, float]] = []
    if "synonym" in chosen:
        for group in ids.values():
            edges += [(a, b, chosen["synonym"]) for a, b in combinations(sorted(group), 2)]
    weight_of = {symbol: chosen[name] for name, symbols in POINTERS.items() if name in chosen for symbol in symbols}
    for part in parts if weight_of else ():
        for synset, pointers in read_pointers(folder, part, ids).items():
            for pointer in pointers:
                weight, others = weight_of.get(pointer.symbol), ids.get(pointer.to)
                if weight is not None and others is not None:
                    edges += [(a, b, weight) for a, b in product(ids[synset], others)]
    source, target, weight_list = zip(*edges, strict=True) if edges else ((), (), ())
    return Graph.from_edges(source, target, vocabulary_size(tokenizer), weight_list)


def neighbour_graph(
    model: nn.Module | Tensor,
    tokenizer: Any,
    k: int = 10,
    *,
    weighted: bool = False,
    whole: bool = True,
    min_length: int = 1,
) -> Graph:
    """A graph over the rows of a model's word embeddings that links each with its k nearest others by cosine.

    Args:
        model: a transformers model, or its (N, d) table.
        tokenizer: the model's; special tokens and rows that no text reaches get no edges.
        k: neighbours of each; the graph is undirected, so that a row may have more.
        weighted: weights are the cosines (pairs at or below 0 are not linked); else 1.
        whole: among pieces that are whole words only. False: among all.
        min_length: letters of a whole word at least.

    Raises:
        AttachError: the model has no word embeddings. ConfigError: k below 1, more ids than rows.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ConfigError(f"expected k to be an integer of at least 1, got {k!r}")
    table = model if isinstance(model, Tensor) else _table(model, tokenizer)
    rows = len(table)
    if whole:
        idle_ids(tokenizer, rows)  # checks the sizes
        active = sorted(id for ids in whole_words(tokenizer, min_length).values() for id in ids)
    else:
        active = sorted(set(range(rows)) - idle_ids(tokenizer, rows) - set(tokenizer.all_special_ids))
    ids = np.asarray(active, np.int64)
    near = Graph.from_knn(table.detach()[torch.from_numpy(ids).to(table.device)], k, weighted=weighted)
    source, target, weight = near.edges()
    return Graph.from_edges(ids[source], ids[target], rows, weight)


@dataclass(frozen=True)
class Coverage:
    """How much of a vocabulary a graph reaches.

    Attributes:
        pieces: ids of the tokenizer.
        words: pieces that are whole words.
        linked: whole words with a neighbour at least.
        edges: undirected edges.
        mean_degree: neighbours of a linked piece, on average.
    """

    pieces: int
    words: int
    linked: int
    edges: int
    mean_degree: float

    def __str__(self) -> str:
        share = self.linked / self.words if self.words else 0.0
        return (
            f"{self.pieces:,} pieces, {self.words:,} whole words, {self.linked:,} of them linked ({share:.0%}), "
            f"{self.edges:,} edges, {self.mean_degree:.1f} neighbours a linked word"
        )


def coverage(graph: Graph, tokenizer: Any) -> Coverage:
    """What a graph covers of a tokenizer's vocabulary; `print(coverage(graph, tokenizer))` says it in a line."""
    degree = graph.degree()
    words = [id for ids in whole_words(tokenizer).values() for id in ids]
    linked = int((degree[words] > 0).sum()) if words else 0
    reached = degree[degree > 0]
    mean = float(reached.mean()) if len(reached) else 0.0
    return Coverage(len(tokenizer.get_vocab()), len(words), linked, graph.num_edges // 2, mean)


def _table(model: nn.Module, tokenizer: Any) -> Tensor:
    from torchsse.modules.tables import tables_of, weight_of

    name = next(iter(word_sses(model, tokenizer, p0=0.0)))
    weight = weight_of(tables_of(model)[name])
    assert weight is not None
    return weight


def _check(weights: Mapping[str, float], senses: int | None, parts: Iterable[str]) -> None:
    known = ("synonym", *POINTERS)
    for name, weight in weights.items():
        if name not in known:
            raise ConfigError(f"expected relations among {', '.join(known)}, got {name!r}")
        if isinstance(weight, bool) or not 0 <= weight <= 1:
            raise ConfigError(f"expected a weight in [0, 1] for {name}, got {weight!r}")
    if senses is not None and (isinstance(senses, bool) or not isinstance(senses, int) or senses < 1):
        raise ConfigError(f"expected senses to be an integer of at least 1, or None, got {senses!r}")
    wrong = [part for part in parts if part not in PARTS]
    if wrong:
        raise ConfigError(f"expected parts of speech among {', '.join(PARTS)}, got {wrong[0]!r}")
