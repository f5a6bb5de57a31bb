"""Ratings and edges from files and tables; raw ids and codes; splits; a generated data set with planted clusters."""

from __future__ import annotations

from torchsse.data import split
from torchsse.data.describe import describe
from torchsse.data.edges import AttributeTable, EdgeTable, as_edges, read_attributes, read_edges
from torchsse.data.idmap import IdMap
from torchsse.data.ratings import Ratings
from torchsse.data.read import as_ratings, read_ratings
from torchsse.data.sequences import Sequences, as_sequences, read_sequences
from torchsse.data.synthetic import planted_clusters

__all__ = [
    "AttributeTable",
    "EdgeTable",
    "IdMap",
    "Ratings",
    "Sequences",
    "as_edges",
    "as_ratings",
    "as_sequences",
    "describe",
    "planted_clusters",
    "read_attributes",
    "read_edges",
    "read_ratings",
    "read_sequences",
    "split",
]
