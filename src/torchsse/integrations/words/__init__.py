"""Graphs over the words of a tokenizer: from WordNet, and from the nearest neighbours of embedding rows."""

from __future__ import annotations

from torchsse.integrations.words.graph import Coverage, coverage, neighbour_graph, wordnet_graph
from torchsse.integrations.words.pieces import whole_words

__all__ = ["Coverage", "coverage", "neighbour_graph", "whole_words", "wordnet_graph"]
