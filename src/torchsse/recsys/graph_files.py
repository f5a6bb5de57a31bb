"""The graphs of a saved model: `Graph.save` in directories named after their content, beside the model's own files."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np

from torchsse.errors import CorruptFileError
from torchsse.graph import Graph

__all__ = ["NAME", "read_graph", "write_graph"]

#: What their directories are called, also those that a killed writer leaves.
NAME = r"\.?(user|item)_graph-[0-9a-f]{16}(\.[0-9]+-[0-9a-f]{8}\.tmp|\.previous)?"
_MANIFEST = "manifest.json"


def write_graph(root: Path, role: str, graph: Graph) -> dict[str, Any]:
    """Write `graph` beneath `root` unless it is there; what `read_graph` needs.

    The name holds a hash of the content, so that nothing an earlier model refers to is written over.
    """
    digest = hashlib.sha256(repr((graph.num_nodes, graph.directed)).encode())
    for array in (graph.indptr, graph.indices, graph.weights):
        digest.update(b"-" if array is None else array.dtype.str.encode() + np.ascontiguousarray(array).tobytes())
    name = f"{role}-{digest.hexdigest()[:16]}"
    if not _whole(root / name):
        graph.save(root / name)
    manifest = (root / name / _MANIFEST).read_bytes()
    return {"name": name, "sha256": hashlib.sha256(manifest).hexdigest(), "bytes": len(manifest)}


def read_graph(root: Path, entry: dict[str, Any]) -> Graph:
    """The graph of an entry that `write_graph` made; every byte is checked.

    Raises:
        CorruptFileError: it is missing, damaged, or not the one that was saved.
    """
    if not re.fullmatch(NAME, entry["name"]):
        raise CorruptFileError(f"{root}: {entry['name']!r} is no name of a graph")
    path = root / entry["name"]
    graph = Graph.load(path)
    try:
        manifest = (path / _MANIFEST).read_bytes()
    except OSError as error:
        raise CorruptFileError(f"{path / _MANIFEST}: cannot be read: {error.strerror or error}") from None
    if hashlib.sha256(manifest).hexdigest() != entry["sha256"]:
        raise CorruptFileError(f"{path}: is not the graph that was saved with this model")
    return graph


def _whole(path: Path) -> bool:
    if not path.is_dir():
        return False
    try:
        Graph.load(path)
    except CorruptFileError:
        return False
    return True
