"""The graph over the ids of one embedding table."""

from __future__ import annotations

import operator
import os
from pathlib import Path
from typing import Any

import numpy as np

from torchsse.errors import CorruptFileError, GraphError, IdRangeError, IdTypeError
from torchsse.graph import arrays, attributes, checks, convert, cooccurrence, edge_file, knn, store
from torchsse.graph.arrays import Array
from torchsse.graph.build import edges_to_csr
from torchsse.graph.restrict import drop_inactive

__all__ = ["Graph"]


class Graph:
    """A frozen graph over the nodes 0 .. num_nodes-1, stored as compressed sparse rows.

    Row j holds the edges out of j: `indices[indptr[j]:indptr[j+1]]`, sorted, without duplicates, self-loops or edges of
    weight 0 (an edge of weight 0 is no edge under any law). An undirected graph stores each edge in both directions.

    Build one with a `from_*` constructor; this one takes finished arrays, copies and checks them.

    Args:
        indptr: (num_nodes + 1,) int, row pointers.
        indices: (num_edges,) int, columns, rising strictly within a row.
        weights: (num_edges,) float32 or float64 in (0, 1], or None if every weight is 1.
        directed: whether an edge may exist in one direction only. False demands that both are there.

    Attributes:
        indptr: int32 if num_edges fits, else int64. Read-only, like all arrays of the graph.
        indices: int32 if num_nodes <= 2**31, else int64.
        weights: float32 or float64 as given; None if every weight is 1.
        num_nodes: number of rows.
        num_edges: number of stored entries: an undirected edge counts twice.
        directed: see above.
        is_weighted: whether `weights` is not None.

    Raises:
        GraphError: arrays that are no such graph; the message names the first node at fault.

    A graph equals itself only, is hashable, can be pickled (its arrays are copied, also from a memory map) and is its
    own deep copy, since nothing can change it.

    Example:
        >>> import numpy as np
        >>> g = Graph(np.array([0, 1, 3, 4]), np.array([1, 0, 2, 1]), directed=False)
        >>> g
        Graph(num_nodes=3, num_edges=4, undirected, unweighted)
        >>> g.neighbors(1)
        (array([0, 2], dtype=int32), None)
    """

    __slots__ = ("__weakref__", "_directed", "_indices", "_indptr", "_source", "_weights")

    _indptr: Array
    _indices: Array
    _weights: Array | None
    _directed: bool
    _source: tuple[Path, dict[str, str]] | None  # of a memory-mapped graph: its directory, sha256 by file name

    def __init__(self, indptr: Any, indices: Any, weights: Any = None, *, directed: bool) -> None:
        pointers, columns = arrays.as_ids(indptr, "indptr"), arrays.as_ids(indices, "indices")
        values = None if weights is None else arrays.as_weights(weights, len(columns), "weights").copy()
        if len(pointers) == 0:
            raise GraphError("indptr must have num_nodes + 1 entries, got none")
        pointers = pointers.astype(np.int64)
        columns = columns.astype(np.int64)
        checks.check_shape(pointers, columns, values)
        checks.check_entries(pointers, columns, values)
        if not directed:
            checks.check_symmetry(pointers, columns, values)
        if values is not None and bool((values == 1).all()):
            values = None
        pointers = pointers.astype(arrays.index_dtype(len(columns) + 1), copy=False)
        columns = columns.astype(arrays.index_dtype(len(pointers) - 1), copy=False)
        self._fill(pointers, columns, values, directed=bool(directed))

    def _fill(
        self,
        indptr: Array,
        indices: Array,
        weights: Array | None,
        *,
        directed: bool,
        source: tuple[Path, dict[str, str]] | None = None,
    ) -> None:
        for array in (indptr, indices, weights):
            if array is not None:
                array.flags.writeable = False
        for name, value in (
            ("_indptr", indptr),
            ("_indices", indices),
            ("_weights", weights),
            ("_directed", directed),
            ("_source", source),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def _wrap(
        cls,
        indptr: Array,
        indices: Array,
        weights: Array | None,
        directed: bool,
        source: tuple[Path, dict[str, str]] | None = None,
    ) -> Graph:
        """A graph around arrays that are known to be good and that nobody else writes to."""
        graph = object.__new__(cls)
        graph._fill(indptr, indices, weights, directed=directed, source=source)
        return graph

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Graph is frozen; {name!r} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Graph is frozen; {name!r} cannot be deleted")

    def __copy__(self) -> Graph:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Graph:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Graph._wrap, (self._indptr, self._indices, self._weights, self._directed)

    def __repr__(self) -> str:
        kind = "directed" if self._directed else "undirected"
        weights = "unweighted" if self._weights is None else f"{self._weights.dtype} weights"
        mapped = f", memory-mapped from {str(self._source[0])!r}" if self._source else ""
        return f"Graph(num_nodes={self.num_nodes}, num_edges={self.num_edges}, {kind}, {weights}{mapped})"

    @property
    def indptr(self) -> Array:
        return self._indptr

    @property
    def indices(self) -> Array:
        return self._indices

    @property
    def weights(self) -> Array | None:
        return self._weights

    @property
    def num_nodes(self) -> int:
        return len(self._indptr) - 1

    @property
    def num_edges(self) -> int:
        return len(self._indices)

    @property
    def directed(self) -> bool:
        return self._directed

    @property
    def is_weighted(self) -> bool:
        return self._weights is not None

    def neighbors(self, node: int) -> tuple[Array, Array | None]:
        """Where the edges out of `node` go, and their weights (None if every weight is 1); read-only views.

        Raises:
            IdTypeError: `node` is no integer.
            IdRangeError: `node` is outside 0 .. num_nodes-1; negative numbers do not count from the end.

        Example:
            >>> Graph.from_edges([0, 0], [2, 1], num_nodes=3, weight=[0.5, 1.0], directed=True).neighbors(0)
            (array([1, 2], dtype=int32), array([1. , 0.5]))
        """
        try:
            node = operator.index(node)
        except TypeError:
            raise IdTypeError(f"node must be an integer, got {node!r}") from None
        if not 0 <= node < self.num_nodes:
            raise IdRangeError(f"node must be in 0 .. {self.num_nodes - 1}, got {node}")
        row = slice(int(self._indptr[node]), int(self._indptr[node + 1]))
        return self._indices[row], None if self._weights is None else self._weights[row]

    def degree(self) -> Array:
        """(num_nodes,) int64: the number of edges out of each node.

        Example:
            >>> Graph.from_edges([0, 1], [1, 2], num_nodes=4).degree()
            array([1, 2, 1, 0])
        """
        return np.diff(self._indptr).astype(np.int64, copy=False)

    def edges(self) -> tuple[Array, Array, Array | None]:
        """All stored entries by row: (src, dst, weights or None), each (num_edges,).

        Example:
            >>> src, dst, _ = Graph.from_edges([2], [0], num_nodes=3).edges()
            >>> src.tolist(), dst.tolist()
            ([0, 2], [2, 0])
        """
        src = np.repeat(np.arange(self.num_nodes, dtype=self._indices.dtype), np.diff(self._indptr))
        return src, self._indices, self._weights

    def to_scipy(self) -> Any:
        """The adjacency as a scipy.sparse.csr_array of shape (num_nodes, num_nodes).

        Values are the weights (float32 ones without weights). Weights, and index arrays where their dtypes agree, are
        shared and read-only: copy before changing them.

        Raises:
            MissingDependencyError: scipy is not installed.

        Example:
            >>> Graph.from_edges([0], [1], num_nodes=2).to_scipy().toarray()
            array([[0., 1.],
                   [1., 0.]], dtype=float32)
        """
        return convert.to_scipy(self)

    def subgraph_of_active(self, mask: Any) -> Graph:
        """The graph with the same nodes, without the edges that touch an inactive one.

        Args:
            mask: (num_nodes,) bool, True for active nodes.

        Returns:
            A graph of the same num_nodes; this very graph if no edge goes.

        Raises:
            GraphError: the mask has another shape or is not boolean.

        Example:
            >>> g = Graph.from_edges([0, 1], [1, 2], num_nodes=3)
            >>> g.subgraph_of_active([True, True, False]).degree()
            array([1, 1, 0])
            >>> g.subgraph_of_active([True, True, True]) is g
            True
        """
        active = arrays.as_numpy(mask)
        if active.shape != (self.num_nodes,) or (active.dtype != np.bool_ and active.size):
            raise GraphError(
                f"mask must be boolean of shape ({self.num_nodes},), got {active.dtype} of shape {active.shape}"
            )
        if bool(active.all()):
            return self
        rows = drop_inactive(self._indptr, self._indices, self._weights, active)
        return self if rows is None else Graph._wrap(*rows, self._directed)

    @classmethod
    def from_edges(cls, src: Any, dst: Any, num_nodes: int, weight: Any = None, *, directed: bool = False) -> Graph:
        """A graph from two lists of endpoints.

        Args:
            src: (E,) int, lists, NumPy arrays or torch tensors.
            dst: (E,) int.
            num_nodes: rows of the embedding table; ids are 0 .. num_nodes-1.
            weight: (E,) in [0, 1], or None: every weight is 1. Float32 and float64 are kept, other dtypes become
                float32 (those wider than 32 bits float64).
            directed: True: row j has the edges out of j only. False: each edge counts in both directions.

        Duplicates keep the largest weight (of an undirected edge: over both directions), self-loops and edges of weight
        0 are dropped. If every weight that remains is 1, `weights` is None.

        Raises:
            GraphError: an endpoint outside 0 .. num_nodes-1, a weight that is NaN or outside [0, 1] (the message names
                the first such edge), lengths that differ.
            IdTypeError: endpoints that are no integers.

        Example:
            >>> g = Graph.from_edges([0, 0, 1, 2], [1, 1, 0, 2], num_nodes=3, directed=True)
            >>> g
            Graph(num_nodes=3, num_edges=2, directed, unweighted)
        """
        num_nodes = arrays.check_count(num_nodes, "num_nodes")
        source, target = arrays.as_ids(src, "src"), arrays.as_ids(dst, "dst")
        if len(source) != len(target):
            raise GraphError(f"src and dst must have one length, got {len(source)} and {len(target)}")
        values = None if weight is None else arrays.as_weights(weight, len(source))
        return cls._wrap(*edges_to_csr(source, target, num_nodes, values, directed=directed), directed=bool(directed))

    from_scipy = classmethod(convert.from_scipy)
    from_networkx = classmethod(convert.from_networkx)
    from_pyg = classmethod(convert.from_pyg)
    from_attributes = classmethod(attributes.from_attributes)
    from_cooccurrence = classmethod(cooccurrence.from_cooccurrence)
    from_knn = classmethod(knn.from_knn)
    from_edge_file = classmethod(edge_file.from_edge_file)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the graph as a directory: .npy files and a manifest.json with their sha256.

        Under `path` there is always a whole graph or none: it is written beside and renamed. A graph saved there before
        is replaced (graphs mapped from it stay valid on POSIX systems); a directory that holds anything else is not
        touched.

        Raises:
            GraphError: something else than a saved graph is in the way.
            OSError: the system refuses to write; what was there before is there still.

        Example:
            >>> import tempfile
            >>> place = tempfile.mkdtemp() + "/graph"
            >>> Graph.from_edges([0], [1], num_nodes=2).save(place)
            >>> Graph.load(place)
            Graph(num_nodes=2, num_edges=2, undirected, unweighted)
        """
        store.write(path, self._indptr, self._indices, self._weights, directed=self._directed)

    @classmethod
    def load(cls, path: str | os.PathLike[str], mmap: bool = False) -> Graph:
        """Read a saved graph.

        Args:
            path: the directory that `save` wrote.
            mmap: True: map the arrays from disk instead of reading them. Then the manifest, dtypes, lengths and row
                pointers are checked, but neither sha256 nor the edges; `verify` does that. False: all of it is checked.

        Raises:
            CorruptFileError: no such directory, a foreign or changed file, another schema; the message names the file
                and what is wrong. Nothing that is read is ever unpickled.
        """
        indptr, indices, weights, directed, directory, shas = store.read(path, mmap=mmap)
        return cls._wrap(indptr, indices, weights, directed, (directory, shas) if mmap else None)

    def verify(self) -> None:
        """Check all there is to check: every edge, both directions if undirected, sha256 of the files if memory-mapped.

        Raises:
            CorruptFileError: a memory-mapped graph whose files are damaged, or were replaced since.
            GraphError: arrays in memory that are no graph.

        Example:
            >>> Graph.from_edges([0], [1], num_nodes=2).verify()
        """
        if self._source is not None:
            store.check_files(*self._source)
        try:
            checks.check_shape(self._indptr, self._indices, self._weights)
            checks.check_entries(self._indptr, self._indices, self._weights)
            if not self._directed:
                checks.check_symmetry(self._indptr, self._indices, self._weights)
        except GraphError as error:
            if self._source is None:
                raise
            raise CorruptFileError(f"{self._source[0]}: this is no graph: {error}") from None
