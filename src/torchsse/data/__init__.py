"""Ratings and edges from files and tables; raw ids and codes; splits; a generated data set with planted clusters."""

from __future__ import annotations

from torchsse.data import split
from torchsse.data.coverage import graph_coverage
from torchsse.data.describe import describe
from torchsse.data.download import download
from torchsse.data.edges import AttributeTable, EdgeTable, as_edges, read_attributes, read_edges
from torchsse.data.idmap import IdMap
from torchsse.data.ratings import Ratings
from torchsse.data.read import as_ratings, read_ratings
from torchsse.data.sequences import Sequences, as_sequences, read_sequences
from torchsse.data.shared import SharedEdges, read_pairs, shared_attribute_edges
from torchsse.data.side import ItemTable, UserTable, read_items, read_users, user_groups
from torchsse.data.synthetic import planted_clusters
from torchsse.data.write import write_ratings

__all__ = [
    "AttributeTable",
    "EdgeTable",
    "IdMap",
    "ItemTable",
    "Ratings",
    "Sequences",
    "SharedEdges",
    "UserTable",
    "as_edges",
    "as_ratings",
    "as_sequences",
    "describe",
    "download",
    "graph_coverage",
    "planted_clusters",
    "read_attributes",
    "read_edges",
    "read_items",
    "read_pairs",
    "read_ratings",
    "read_sequences",
    "read_users",
    "shared_attribute_edges",
    "split",
    "user_groups",
    "write_ratings",
]
