"""A saved model of whatever kind, from its directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torchsse.recsys.base import Recommender

__all__ = ["load_model"]


def load_model(directory: Path) -> Recommender:
    """Read the model in `directory`, whichever estimator of `torchsse.recsys` wrote it.

    Raises:
        CorruptFileError: no model, a damaged or foreign one, or one of another version.
    """
    from torchsse import recsys
    from torchsse.recsys.base import Recommender
    from torchsse.recsys.storage import MANIFEST

    try:
        name = json.loads((directory / MANIFEST).read_bytes())["estimator"]
    except (OSError, ValueError, KeyError, TypeError):
        name = None
    kind = getattr(recsys, name, None) if isinstance(name, str) and name in recsys.__all__ else None
    if not (isinstance(kind, type) and issubclass(kind, Recommender)):
        kind = recsys.MatrixFactorization  # whose `load` says what is wrong
    return kind.load(directory)
