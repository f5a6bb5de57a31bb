"""From settings to a law: every check in one place."""

from __future__ import annotations

import math
from numbers import Real

from torchsse.errors import ConfigError
from torchsse.graph import Graph
from torchsse.transition.active import ActiveSet, Exclude, checked_size
from torchsse.transition.base import Law
from torchsse.transition.complete import CompleteLaw
from torchsse.transition.graph_law import GraphLaw
from torchsse.transition.matrix_law import MatrixLaw
from torchsse.transition.walk import Walk
from torchsse.transition.walk_law import WalkLaw

__all__ = ["build_law"]


def build_law(
    num_embeddings: int,
    graph: Graph | None = None,
    rho: float | None = None,
    walk: Walk | None = None,
    transition: object = None,
    exclude: Exclude = None,
) -> Law:
    """The law that the settings of `SSE` describe.

    Nothing but `num_embeddings` is SSE-SE; `graph` and `rho` SSE-Graph, which at rho = 1 is SSE-SE exactly; `graph`
    and `walk` a random walk; `transition` any matrix.

    Raises:
        ConfigError: settings that contradict each other or leave their range; see `SSE`.

    Example:
        >>> build_law(4, exclude=[0]).row(1)
        array([0. , 0. , 0.5, 0.5])
    """
    active = ActiveSet(checked_size(num_embeddings), exclude)
    if transition is not None:
        for name, value in (("graph", graph), ("rho", rho), ("walk", walk)):
            if value is not None:
                raise ConfigError(f"transition says where every id goes; it cannot be combined with {name}")
        return MatrixLaw(active, transition)
    if rho is not None:
        rho = _checked_rho(rho)
    if walk is not None and not isinstance(walk, Walk):
        raise ConfigError(f"walk must be a torchsse.Walk, got {type(walk).__name__}")
    if rho is not None and walk is not None:
        raise ConfigError("rho does not apply to a random walk: give rho or walk, not both")
    if graph is None:
        if rho is not None:
            raise ConfigError(f"rho = {rho:g} needs a graph")
        if walk is not None:
            raise ConfigError("walk needs a graph")
        return CompleteLaw(active)
    if not isinstance(graph, Graph):
        raise ConfigError(f"graph must be a torchsse.Graph, got {type(graph).__name__}; see Graph.from_edges")
    if graph.num_nodes != active.size:
        raise ConfigError(f"graph has {graph.num_nodes} nodes, but num_embeddings = {active.size}")
    if walk is not None:
        return WalkLaw(active, graph, walk)
    if rho is None:
        raise ConfigError("a graph needs rho (how much likelier a neighbour is drawn, 1 .. inf) or walk")
    # at rho = 1, and for a graph without edges at a finite rho, every other id is as likely
    if rho == 1.0 or (graph.num_edges == 0 and math.isfinite(rho)):
        return CompleteLaw(active)
    return GraphLaw(active, graph, rho)


def _checked_rho(rho: object) -> float:
    if isinstance(rho, bool) or not isinstance(rho, Real):
        raise ConfigError(f"rho must be a number of at least 1, or inf, got {rho!r}")
    rho = float(rho)
    if math.isnan(rho) or rho < 1.0:
        raise ConfigError(f"rho must be at least 1 (1: all ids alike, inf: neighbours only), got {rho}")
    return rho
