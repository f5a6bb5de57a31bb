"""Ratings and edges from files and tables; raw ids and codes; splits; a generated data set with planted clusters."""

from __future__ import annotations

from torchsse.data import split
from torchsse.data.describe import describe
from torchsse.data.edges import AttributeTable, EdgeTable, as_edges, read_attributes, read_edges
from torchsse.data.idmap import IdMap
from torchsse.data.ratings import Ratings
from torchsse.data.read import as_ratings, read_ratings
from torchsse.data.side import ItemTable, UserTable, read_items, read_users, user_groups
from torchsse.data.synthetic import planted_clusters

__all__ = [
    "AttributeTable",
    "EdgeTable",
    "IdMap",
    "ItemTable",
    "Ratings",
    "UserTable",
    "as_edges",
    "as_ratings",
    "describe",
    "planted_clusters",
    "read_attributes",
    "read_edges",
    "read_items",
    "read_ratings",
    "read_users",
    "split",
    "user_groups",
]
