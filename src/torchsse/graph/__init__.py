"""Graphs over the ids of one table: build, check, save, memory-map. No randomness here."""

from torchsse.graph.csr import Graph

__all__ = ["Graph"]
