"""Transition laws p(j, .): exact probabilities, and where a replaced id goes. No coin is tossed here."""

from __future__ import annotations

from torchsse.transition.base import Law
from torchsse.transition.build import build_law
from torchsse.transition.complete import CompleteLaw
from torchsse.transition.graph_law import GraphLaw
from torchsse.transition.matrix_law import MatrixLaw
from torchsse.transition.walk import Walk
from torchsse.transition.walk_law import WalkLaw

__all__ = ["CompleteLaw", "GraphLaw", "Law", "MatrixLaw", "Walk", "WalkLaw", "build_law"]
