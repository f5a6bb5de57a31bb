"""From the graph words of an estimator to a transition law over the rows that train."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from torchsse.data.edges import as_edges
from torchsse.errors import ConfigError, TorchsseWarning
from torchsse.graph import Graph
from torchsse.transition import Law, build_law

if TYPE_CHECKING:
    from torchsse.data import IdMap

__all__ = ["check_graph_words", "fitted_graphs", "table_graph", "table_law"]

log = logging.getLogger("torchsse.recsys")


def check_graph_words(table: str, graph: object, rho: object) -> None:
    """`ConfigError` for a graph without rho and rho without a graph; `table` is "user" or "item"."""
    if graph is not None and rho is None:
        raise ConfigError(f"{table}_graph needs rho_{table}, how much likelier a neighbour is drawn (1 .. inf)")
    if graph is None and rho is not None:
        raise ConfigError(f"rho_{table} = {rho!r} needs {table}_graph")


def fitted_graphs(model: Any, user_ids: IdMap, item_ids: IdMap) -> dict[str, Graph]:
    """The graphs of an estimator's words over the rows of train, by "user" and "item", to be saved with it."""
    found = {}
    for table, ids in (("user", user_ids), ("item", item_ids)):
        graph, _ = table_graph(table, getattr(model, f"{table}_graph", None), ids, quiet=True)
        if graph is not None:
            found[table] = graph
    return found


def table_graph(table: str, graph: Any, ids: IdMap, *, quiet: bool = False) -> tuple[Graph | None, int]:
    """The graph of one table, and how many edges named unknown ids.

    Args:
        table: "user" or "item", for messages.
        graph: None, a `Graph` over the codes of `ids`, or what `torchsse.data.as_edges` takes: an `EdgeTable` of raw
            ids, a file, a tuple of columns.
        ids: the rows of the table.
        quiet: say nothing about dropped edges.

    Raises:
        ConfigError: a graph of another size. DataError: no edges can be read from it.
    """
    dropped = 0
    if graph is not None and not isinstance(graph, Graph):
        src, dst, weight, dropped = as_edges(graph).resolve(ids)
        if dropped and not quiet:
            log.info("%s_graph: %d edges name ids outside the train set and are dropped", table, dropped)
        if not len(src) and not quiet:
            warnings.warn(
                f"{table}_graph: none of its {dropped} edges joins two {table}s of the train set",
                TorchsseWarning,
                stacklevel=5,
            )
        graph = Graph.from_edges(src, dst, num_nodes=len(ids), weight=weight)
    if graph is not None and graph.num_nodes != len(ids):
        raise ConfigError(
            f"{table}_graph: expected a graph over the {len(ids)} {table}s of train, got {graph.num_nodes} nodes"
        )
    return graph, dropped


def table_law(
    table: str, graph: Any, rho: float | None, ids: IdMap, counts: npt.NDArray[np.int64], swap_unseen: bool
) -> tuple[Law, int]:
    """The law of one table, and how many edges named unknown ids.

    Args:
        table: "user" or "item", for messages.
        graph: as for `table_graph`.
        rho: with a graph, how much likelier a neighbour is drawn.
        ids: the rows of the table.
        counts: training examples of each row; rows without any are excluded from swaps.
        swap_unseen: do not exclude them.

    Raises:
        ConfigError: a graph of another size. DataError: no edges can be read from it.
    """
    graph, dropped = table_graph(table, graph, ids)
    exclude = None if swap_unseen else np.flatnonzero(counts == 0)
    return build_law(len(ids), graph=graph, rho=rho, exclude=exclude), dropped
