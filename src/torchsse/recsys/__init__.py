"""Estimators: recommenders that train with SSE. Needs the extra ``recsys``."""

from __future__ import annotations

from torchsse.errors import MissingDependencyError

try:
    import numba  # noqa: F401
    import platformdirs  # noqa: F401
    import safetensors  # noqa: F401
    import scipy  # noqa: F401
except ImportError as error:  # pragma: no cover - needs an environment without the extra
    raise MissingDependencyError(
        f"torchsse.recsys needs {error.name}: python -m pip install 'torchsse[recsys]'"
    ) from error

from torchsse.recsys.als.laplacian import GraphALS
from torchsse.recsys.als.marginalized import MarginalizedMF
from torchsse.recsys.als.weighted import WeightedALS
from torchsse.recsys.bpr import BPR
from torchsse.recsys.item_knn import ItemKNN
from torchsse.recsys.mf import MatrixFactorization
from torchsse.recsys.popularity import Popularity
from torchsse.recsys.sequence import SSEPT, SASRec
from torchsse.recsys.sqlrank import SQLRank
from torchsse.recsys.training import DivergedError

__all__ = [
    "BPR",
    "SSEPT",
    "DivergedError",
    "GraphALS",
    "ItemKNN",
    "MarginalizedMF",
    "MatrixFactorization",
    "Popularity",
    "SASRec",
    "SQLRank",
    "WeightedALS",
]
