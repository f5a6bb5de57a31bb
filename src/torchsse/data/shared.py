"""Edges between what shares attributes: movies with a common actor, users of one group."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from torchsse.data.columns import is_number
from torchsse.data.edges import AttributeTable, EdgeTable, read_attributes, read_edges
from torchsse.data.idmap import factorize
from torchsse.data.ids import IdColumn
from torchsse.errors import ConfigError, DataError, TorchsseWarning

__all__ = ["MAX_GROUP", "SharedEdges", "read_pairs", "shared_attribute_edges"]

MAX_GROUP = 1000


@dataclass(frozen=True, eq=False, repr=False)
class SharedEdges:
    """Pairs of raw ids, each pair once, and how many attributes they share.

    Args:
        src_raw: raw ids, shape (E,); the smaller id of a pair.
        dst_raw: raw ids, shape (E,).
        shared: int64, shape (E,), at least 1.
    """

    src_raw: IdColumn
    dst_raw: IdColumn
    shared: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.src_raw)

    def __repr__(self) -> str:
        return f"SharedEdges({len(self)} pairs)"

    def edge_table(self, *, weighted: bool = False) -> EdgeTable:
        """The pairs as an `EdgeTable`; `weighted`: by the number of shared attributes over the largest."""
        weights = self.shared / max(1, self.shared.max(initial=1)) if weighted else None
        return EdgeTable(self.src_raw, self.dst_raw, weights)


def shared_attribute_edges(
    table: AttributeTable, *, min_shared: int = 1, max_group: int | None = MAX_GROUP
) -> SharedEdges:
    """Link any two ids that have attributes in common: the rule of `Graph.from_attributes`, on raw ids, as a table.

    Args:
        table: from `read_attributes` (movie, actor), `user_groups` (user, group) or `ItemTable.genre_table`. An id that
            has an attribute twice has it once.
        min_shared: how many attributes two ids must share.
        max_group: an attribute of more ids than this links none of them: g ids make g (g - 1) / 2 pairs, and what
            thousands share says little about any two. Dropped attributes are told by a `TorchsseWarning`. None: no cap.

    Returns:
        pairs in the order of their ids.

    Raises:
        ConfigError: min_shared below 1 or max_group below 2.

    >>> table = AttributeTable([1, 1, 2, 2, 3], ["Allen", "Hanks", "Hanks", "Allen", "Hanks"])
    >>> edges = shared_attribute_edges(table)
    >>> edges.src_raw.tolist(), edges.dst_raw.tolist(), edges.shared.tolist()
    ([1, 1, 2], [2, 3, 3], [2, 1, 1])
    >>> shared_attribute_edges(table, min_shared=2)
    SharedEdges(1 pairs)
    """
    import scipy.sparse

    for name, value, least in (("min_shared", min_shared, 1), ("max_group", max_group, 2)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise ConfigError(f"{name}: expected an integer of at least {least}, got {value!r}")
    ids, rows = factorize(table.ids_raw)
    attributes, columns = factorize(table.attributes_raw)
    has = scipy.sparse.csr_array(
        (np.ones(len(rows), dtype=np.int64), (columns, rows)), shape=(len(attributes), len(ids))
    )
    has.sum_duplicates()
    has.data[:] = 1
    sizes = np.diff(has.indptr)
    if max_group is not None and bool((sizes > max_group).any()):
        largest = int(sizes.argmax())
        warnings.warn(
            f"{int((sizes > max_group).sum()):,} of {len(sizes):,} attributes belong to more than {max_group:,} ids "
            f"and link none of them; the largest is {attributes.ids[largest]!r} with {int(sizes[largest]):,}",
            TorchsseWarning,
            stacklevel=2,
        )
        has = has[np.flatnonzero(sizes <= max_group)]
    both = scipy.sparse.triu((has.T @ has), k=1, format="csr")
    both.sort_indices()
    pairs = both.tocoo()
    keep = pairs.data >= min_shared
    return SharedEdges(ids.decode(pairs.row[keep]), ids.decode(pairs.col[keep]), pairs.data[keep].astype(np.int64))


def read_pairs(path: str | Path, count: str | int, *, min_shared: int = 1) -> SharedEdges:
    """Read pairs of ids with the number of attributes they share, each pair once.

    Args:
        path: the first two columns are raw ids, as for `read_edges`.
        count: the column of numbers, by name or 0-based position; 0: the pair shares nothing.
        min_shared: pairs that share fewer are left out. Of a pair that comes twice, the larger number counts.

    Raises:
        DataError: as for `read_edges`.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "pairs.csv")
    ...     _ = file.write_text("a,b,shared\\n1,16,2\\n150,1,1\\n7,9,0\\n")
    ...     edges = read_pairs(file, "shared")
    >>> edges.src_raw.tolist(), edges.dst_raw.tolist(), edges.shared.tolist()
    ([1, 1], [16, 150], [2, 1])
    """
    # a weight is a count over the largest: read the column itself to know that
    edges = read_edges(path)
    table = read_attributes(path, id=0, attribute=count)
    ids, both = factorize(np.concatenate([edges.src_raw, edges.dst_raw]))
    texts = table.attributes_raw.tolist()
    try:
        shared = np.array([int(float(v)) for v in texts], dtype=np.int64)
    except ValueError:
        wrong = next(v for v in texts if not is_number(str(v)))
        raise DataError(f"{path}: column {count!r}: expected numbers, got {wrong!r}") from None
    first, second = both[: len(edges)].astype(np.int64), both[len(edges) :].astype(np.int64)
    low, high = np.minimum(first, second), np.maximum(first, second)
    keep = (shared >= min_shared) & (low != high)
    order = np.lexsort((-shared[keep], high[keep], low[keep]))
    low, high, shared = low[keep][order], high[keep][order], shared[keep][order]
    new = np.ones(len(low), dtype=bool)
    new[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    return SharedEdges(ids.decode(low[new]), ids.decode(high[new]), shared[new])
