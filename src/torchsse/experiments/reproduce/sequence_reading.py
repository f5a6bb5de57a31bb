"""From files of histories to what a comparison needs: the last action is test, the one before validation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from torchsse.data.text import load_bytes
from torchsse.errors import DataError
from torchsse.experiments.reproduce.dataset import Files
from torchsse.experiments.sequence_loading import held_out_words
from torchsse.experiments.settings import CompareData

if TYPE_CHECKING:
    from torchsse.data import Sequences

__all__ = ["in_rows", "ml1m_histories", "user_lines"]


def in_rows(files: Files) -> CompareData:
    """Rows ``user item`` in the order of time."""
    from torchsse.data import read_sequences

    return _held_out(read_sequences(files["actions"], order="file", header=False))


def user_lines(files: Files) -> CompareData:
    """Lines ``user item item ...``."""
    from torchsse.data import read_sequences

    return _held_out(read_sequences(files["actions"], order="file", format="user-lines"))


def ml1m_histories(files: Files) -> CompareData:
    """Rows ``user item``; films have numbers of their own, which a map takes to those of the graph."""
    from torchsse.data import EdgeTable, read_edges
    from torchsse.graph import Graph

    data = in_rows(files)
    own, ids = _map(files["item_map"]), data.train.item_ids
    raw = read_edges(files["item_graph"])
    ends = [np.array([own.get(int(film), -1) for film in column]) for column in (raw.src_raw, raw.dst_raw)]
    source, target, _, dropped = EdgeTable(*ends).resolve(ids)
    graph = Graph.from_edges(source, target, num_nodes=len(ids))
    linked = int(np.count_nonzero(graph.degree()))
    note = f"Item graph: {linked:,} of {len(ids):,} films have a neighbour, {dropped:,} edges dropped."
    return replace(data, item_graph=graph, notes=(*data.notes, note))


def _held_out(whole: Sequences) -> CompareData:
    from torchsse.data.sequence_split import leave_last_out

    parts = leave_last_out(whole)
    note = held_out_words(whole, parts, "last")
    return CompareData(parts.train, parts.test, notes=(note,), validation=parts.validation)


def _map(path: Path) -> dict[int, int]:
    """Lines ``own original``, as original -> own."""
    try:
        pairs = np.array(load_bytes(path).split(), dtype=np.int64).reshape(-1, 2)
    except ValueError as error:
        raise DataError(f"{path}: expected two numbers in a line: {error}") from None
    return dict(zip(pairs[:, 1].tolist(), pairs[:, 0].tolist()))
