"""Graphs from other libraries' graphs: scipy sparse, networkx, PyG. None of them is imported before it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from torchsse.errors import GraphError
from torchsse.graph import arrays

if TYPE_CHECKING:
    from torchsse.graph.csr import Graph

__all__ = ["from_networkx", "from_pyg", "from_scipy", "to_scipy"]


def from_scipy(cls: type[Graph], matrix: Any, *, weighted: bool = False, directed: bool = False) -> Graph:  # noqa: D417
    """A graph from an adjacency matrix: row j holds the edges out of j.

    Args:
        matrix: (N, N) scipy sparse matrix or array of any format, or a dense array. Stored zeros are no edges, the
            diagonal is dropped.
        weighted: True: the entries are the weights, in [0, 1], and duplicates in COO format keep the largest. False:
            every weight is 1, whatever the entries.
        directed: False: each entry counts in both directions, also where the matrix holds one only.

    Raises:
        GraphError: a matrix that is not square; NaN entries; weights outside [0, 1].

    Example:
        >>> import scipy.sparse
        >>> from torchsse.graph import Graph
        >>> matrix = scipy.sparse.csr_array(([3.0], ([0], [2])), shape=(3, 3))
        >>> Graph.from_scipy(matrix, directed=True).degree()
        array([1, 0, 0])
        >>> Graph.from_scipy(matrix).degree()
        array([1, 0, 1])
    """
    shape = tuple(getattr(matrix, "shape", ()))
    if len(shape) != 2 or shape[0] != shape[1]:
        raise GraphError(f"an adjacency matrix must be square, got {type(matrix).__name__} of shape {shape}")
    if hasattr(matrix, "tocoo"):
        coo = matrix.tocoo()
        src, dst, values = np.asarray(coo.row), np.asarray(coo.col), np.asarray(coo.data)
    else:
        dense = arrays.as_numpy(matrix)
        src, dst = np.nonzero(dense)
        values = dense[src, dst]
    if weighted:
        return cls.from_edges(src, dst, shape[0], values, directed=directed)
    _refuse_nan(src, dst, values)
    present = values != 0
    if not present.all():
        src, dst = src[present], dst[present]
    return cls.from_edges(src, dst, shape[0], directed=directed)


def _refuse_nan(src: arrays.Array, dst: arrays.Array, values: arrays.Array) -> None:
    bad = values != values
    if bad.any():
        at = int(bad.argmax())
        raise GraphError(f"entry ({src[at]}, {dst[at]}) of the adjacency matrix is NaN; an edge is there or is not")


def from_networkx(  # noqa: D417  (cls: bound in csr.py)
    cls: type[Graph],
    graph: Any,
    *,
    nodes: Any = None,
    num_nodes: int | None = None,
    weighted: bool = False,
    weight: str = "weight",
    directed: bool | None = None,
) -> Graph:
    """A graph from a networkx graph; of a multigraph's parallel edges the largest weight counts.

    Args:
        graph: any networkx graph.
        nodes: the node of each id: nodes[i] becomes id i. None: the nodes themselves are the ids 0 .. num_nodes-1.
        num_nodes: rows of the table; the default is len(nodes), or the largest node + 1 without `nodes`.
        weighted: True: the edge attribute named `weight` holds the weight, in [0, 1]. False: every weight is 1.
        weight: that attribute's name.
        directed: default: as the networkx graph is. False on a directed one: each edge counts in both directions.

    Raises:
        GraphError: a node that is no id in range or not in `nodes`; an edge without the attribute; bad weights.

    Example:
        >>> import networkx
        >>> from torchsse.graph import Graph
        >>> Graph.from_networkx(networkx.path_graph(3)).degree()
        array([1, 2, 1])
        >>> films = networkx.Graph([("Heat", "Ronin"), ("Ronin", "Spy")])
        >>> Graph.from_networkx(films, nodes=["Ronin", "Heat", "Spy"]).neighbors(0)[0].tolist()
        [1, 2]
    """
    if directed is None:
        directed = bool(graph.is_directed())
    if nodes is not None:
        listed = list(nodes)
        ids = {node: i for i, node in enumerate(listed)}
        if len(ids) != len(listed):
            raise GraphError(f"nodes must not repeat; got {len(listed)} nodes, {len(ids)} of them different")
        size = len(listed) if num_nodes is None else arrays.check_count(num_nodes, "num_nodes", len(listed))
    else:
        ids = {node: _node_id(node) for node in graph.nodes}
        size = max(ids.values(), default=-1) + 1 if num_nodes is None else arrays.check_count(num_nodes, "num_nodes")
    src, dst, values = [], [], []
    for s, d, attributes in graph.edges(data=True):
        for node in (s, d):
            if node not in ids:
                raise GraphError(f"edge {s!r} -> {d!r}: node {node!r} is not in `nodes`")
        src.append(ids[s])
        dst.append(ids[d])
        if weighted:
            if weight not in attributes:
                raise GraphError(f"edge {s!r} -> {d!r} has no attribute {weight!r} for its weight")
            values.append(attributes[weight])
    return cls.from_edges(src, dst, size, values if weighted else None, directed=directed)


def _node_id(node: Any) -> int:
    if isinstance(node, (bool, np.bool_)) or not isinstance(node, (int, np.integer)) or node < 0:
        raise GraphError(
            f"node {node!r} is no id; without `nodes` the nodes must be integers from 0. "
            "Pass nodes=[...] to say which node each id is"
        )
    return int(node)


def from_pyg(  # noqa: D417  (cls: bound in csr.py)
    cls: type[Graph],
    data: Any,
    num_nodes: int | None = None,
    *,
    weight: Any = None,
    weighted: bool = False,
    directed: bool = False,
) -> Graph:
    """A graph from a PyG edge_index, or an object that carries one (torch_geometric itself is not needed).

    Args:
        data: (2, E) int tensor or array, row 0 the sources; or an object with `.edge_index`.
        num_nodes: rows of the table. Needed for a plain edge_index; the default for an object is its `num_nodes`.
        weight: (E,) in [0, 1]; None: every weight is 1.
        weighted: True: take the object's `edge_weight`, or its `edge_attr` of shape (E,) or (E, 1), as weights.
        directed: PyG lists an undirected edge twice; the default False merges the two, and adds a missing one.

    Raises:
        GraphError: no edge_index of shape (2, E), no num_nodes, weights asked for that are not there, bad edges.

    Example:
        >>> import torch
        >>> from torchsse.graph import Graph
        >>> Graph.from_pyg(torch.tensor([[0, 1, 1], [1, 0, 2]]), num_nodes=3)
        Graph(num_nodes=3, num_edges=4, undirected, unweighted)
    """
    edge_index = getattr(data, "edge_index", data)
    if edge_index is None:
        raise GraphError("the PyG object has edge_index None; it has no edges to take")
    pairs = arrays.as_numpy(edge_index)
    if pairs.ndim != 2 or pairs.shape[0] != 2:
        raise GraphError(f"edge_index must have shape (2, E), got {pairs.shape}")
    if num_nodes is None:
        num_nodes = None if edge_index is data else getattr(data, "num_nodes", None)
        if num_nodes is None:
            raise GraphError("a plain edge_index does not say how many nodes there are; pass num_nodes")
    if weighted and weight is None:
        weight = _pyg_weight(data)
    return cls.from_edges(pairs[0], pairs[1], num_nodes, weight, directed=directed)


def _pyg_weight(data: Any) -> Any:
    for name in ("edge_weight", "edge_attr"):
        found = getattr(data, name, None)
        if found is not None:
            values = arrays.as_numpy(found)
            return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    raise GraphError("weighted=True, but there is no edge_weight or edge_attr; pass weight=")


def to_scipy(graph: Graph) -> Any:
    """The adjacency as a csr_array; see `Graph.to_scipy`."""
    sparse = arrays.import_scipy_sparse()
    data = np.ones(graph.num_edges, dtype=np.float32) if graph.weights is None else graph.weights
    shape = (graph.num_nodes, graph.num_nodes)
    matrix = sparse.csr_array((data, graph.indices, graph.indptr), shape=shape, copy=False)
    matrix.has_canonical_format = True
    return matrix
