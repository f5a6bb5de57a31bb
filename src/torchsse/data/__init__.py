"""Ratings and edges from files and tables; raw ids and codes; splits; a generated data set with planted clusters."""

from __future__ import annotations

from torchsse.data import split
from torchsse.data.describe import describe
from torchsse.data.idmap import IdMap
from torchsse.data.ratings import Ratings
from torchsse.data.read import as_ratings, read_ratings

__all__ = ["IdMap", "Ratings", "as_ratings", "describe", "read_ratings", "split"]
