"""What SSE refuses, and that the message says what was expected."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch

from torchsse.errors import ConfigError, TorchsseError
from torchsse.graph import Graph
from torchsse.modules.sse import SSE
from torchsse.transition import Walk

GRAPH = Graph.from_edges([0, 1], [1, 2], num_nodes=4)
STOCHASTIC = np.full((4, 4), 0.25)


def off(row: int, column: int, value: Any, dtype: Any = float) -> np.ndarray:
    matrix = STOCHASTIC.astype(dtype)
    matrix[row, column] = value
    return matrix


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("p0 missing", {}, "needs p0"),
    ("p0 above 1", {"p0": 1.5}, r"\[0, 1\], got 1.5"),
    ("p0 below 0", {"p0": -0.1}, "p0"),
    ("p0 NaN", {"p0": math.nan}, "p0"),
    ("p0 text", {"p0": "0.1"}, "p0"),
    ("p0 bool", {"p0": True}, "p0"),
    ("p0 list", {"p0": [0.1]}, "p0"),
    ("p0 tensor of two", {"p0": torch.tensor([0.1, 0.2])}, "p0"),
    ("rho below 1", {"p0": 0.1, "graph": GRAPH, "rho": 0.5}, "at least 1"),
    ("rho negative inf", {"p0": 0.1, "graph": GRAPH, "rho": -math.inf}, "at least 1"),
    ("rho NaN", {"p0": 0.1, "graph": GRAPH, "rho": math.nan}, "rho"),
    ("rho text", {"p0": 0.1, "graph": GRAPH, "rho": "inf"}, "rho"),
    ("rho bool", {"p0": 0.1, "graph": GRAPH, "rho": True}, "rho"),
    ("rho without graph", {"p0": 0.1, "rho": 5}, "needs a graph"),
    ("walk without graph", {"p0": 0.1, "walk": Walk(1)}, "needs a graph"),
    ("graph alone", {"p0": 0.1, "graph": GRAPH}, "needs rho"),
    ("rho with walk", {"p0": 0.1, "graph": GRAPH, "rho": 5, "walk": Walk(1)}, "not both"),
    ("rho with walk, no graph", {"p0": 0.1, "rho": 5, "walk": Walk(1)}, "not both"),
    ("walk as a tuple", {"p0": 0.1, "graph": GRAPH, "walk": (2, 0.1)}, "torchsse.Walk"),
    ("graph of another size", {"p0": 0.1, "graph": GRAPH, "rho": 5, "num_embeddings": 5}, "4 nodes"),
    ("graph of another size, rho 1", {"p0": 0.1, "graph": GRAPH, "rho": 1, "num_embeddings": 5}, "4 nodes"),
    ("graph as a matrix", {"p0": 0.1, "graph": scipy.sparse.eye_array(4), "rho": 5}, "torchsse.Graph"),
    ("no rows", {"p0": 0.1, "num_embeddings": 0}, "at least 1"),
    ("negative rows", {"p0": 0.1, "num_embeddings": -3}, "at least 1"),
    ("rows as float", {"p0": 0.1, "num_embeddings": 4.0}, "integer"),
    ("rows as bool", {"p0": 0.1, "num_embeddings": True}, "integer"),
    ("rows as text", {"p0": 0.1, "num_embeddings": "4"}, "integer"),
    ("rows None", {"p0": 0.1, "num_embeddings": None}, "integer"),
    ("exclude beyond", {"p0": 0.1, "exclude": [4]}, r"id 4 is outside 0 \.\. 3"),
    ("exclude negative", {"p0": 0.1, "exclude": [-1]}, "outside"),
    ("exclude one int", {"p0": 0.1, "exclude": 0}, "sequence"),
    ("exclude text", {"p0": 0.1, "exclude": "0"}, "sequence"),
    ("exclude floats", {"p0": 0.1, "exclude": [0.0]}, "integer"),
    ("exclude a mask", {"p0": 0.1, "exclude": np.array([True, False, False, False])}, "flatnonzero"),
    ("exclude a mask tensor", {"p0": 0.1, "exclude": torch.zeros(4, dtype=torch.bool)}, "flatnonzero"),
    ("exclude nested", {"p0": 0.1, "exclude": [[0, 1]]}, "flat"),
    ("exclude ragged", {"p0": 0.1, "exclude": [[0], [1, 2]]}, "sequence"),
    ("exclude None inside", {"p0": 0.1, "exclude": [None]}, "integer"),
    ("exclude huge", {"p0": 0.1, "exclude": [2**70]}, "exclude"),
    ("transition with rho", {"transition": STOCHASTIC, "rho": 2}, "cannot be combined with rho"),
    ("transition with graph", {"transition": STOCHASTIC, "graph": GRAPH}, "cannot be combined with graph"),
    ("transition with walk", {"transition": STOCHASTIC, "walk": Walk(1)}, "cannot be combined with walk"),
    ("transition of another size", {"transition": np.eye(3)}, r"4 x 4 .* \(3, 3\)"),
    ("transition not square", {"transition": np.full((4, 2), 0.5)}, "4 x 4"),
    ("transition flat", {"transition": np.full(16, 0.25)}, "4 x 4"),
    ("transition scalar", {"transition": 1.0}, "4 x 4"),
    ("transition sum", {"transition": off(2, 1, 0.5)}, "row 2 sums to 1.25"),
    ("transition sum, slightly", {"transition": off(2, 1, 0.25001)}, "row 2 sums to 1.00001"),
    ("transition empty row", {"transition": scipy.sparse.csr_array((4, 4))}, "row 0 sums to 0"),
    ("transition NaN", {"transition": off(1, 3, math.nan)}, r"nan at \[1, 3\]"),
    ("transition inf", {"transition": off(1, 3, math.inf)}, r"inf at \[1, 3\]"),
    ("transition negative", {"transition": off(0, 0, -0.25)}, r"-0.25 at \[0, 0\]"),
    ("transition NaN, sparse", {"transition": scipy.sparse.csr_array(off(1, 3, math.nan))}, r"nan at \[1, 3\]"),
    ("transition bool", {"transition": np.eye(4, dtype=bool)}, "real numbers"),
    ("transition complex", {"transition": np.eye(4, dtype=complex)}, "real numbers"),
    ("transition text", {"transition": "identity"}, "transition"),
    ("transition ragged", {"transition": [[1.0], [0.5, 0.5]]}, "transition"),
    ("transition objects", {"transition": np.full((4, 4), None)}, "real numbers"),
    ("transition moves excluded", {"transition": STOCHASTIC, "exclude": [1]}, "id 1 is excluded"),
    ("p0 bad beside transition", {"transition": STOCHASTIC, "p0": 2}, "p0"),
]


@pytest.mark.parametrize(("settings", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused(settings: dict[str, Any], message: str) -> None:
    settings = {"num_embeddings": 4, **settings}
    with pytest.raises(ConfigError, match=message) as caught:
        SSE(**settings)
    assert isinstance(caught.value, (ValueError, TorchsseError))


@pytest.mark.parametrize(
    "settings",
    [
        {"hops": 0},
        {"hops": -1},
        {"hops": 1.5},
        {"hops": 2.0},
        {"hops": True},
        {"hops": "2"},
        {"hops": None},
        {"hops": 1, "restart": -0.1},
        {"hops": 1, "restart": 1.1},
        {"hops": 1, "restart": math.nan},
        {"hops": 1, "restart": "0.5"},
        {"hops": 1, "restart": True},
        {"hops": 1, "self_loop": -0.1},
        {"hops": 1, "self_loop": math.inf},
        {"hops": 1, "self_loop": None},
        {"hops": 1, "restart": 0.6, "self_loop": 0.5},
    ],
    ids=str,
)
def test_walk_refuses(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Walk"):
        Walk(**settings)


def test_walk_takes_what_sums_to_one() -> None:
    for restart in np.arange(0, 1.0001, 0.05):
        assert Walk(np.int64(2), float(restart), 1 - float(restart)).move <= 1e-12
    assert Walk(2).hops == 2
    assert hash(Walk(2, 0.1)) == hash(Walk(2, 0.1))


@pytest.mark.parametrize(
    "exclude",
    [[0, 2], (2, 0, 2), {0, 2}, range(0, 3, 2), np.array([0, 2], np.int32), torch.tensor([2, 0]), iter([0, 2])],
    ids=lambda value: type(value).__name__,
)
def test_exclude_takes_any_sequence(exclude: Any) -> None:
    assert SSE(4, 0.1, exclude=exclude).exclude.tolist() == [0, 2]


def test_nothing_excluded() -> None:
    for exclude in (None, [], np.array([]), torch.tensor([])):
        assert SSE(4, 0.1, exclude=exclude).exclude.tolist() == []  # type: ignore[arg-type]


def test_p0_default_is_for_matrices_only() -> None:
    assert SSE(4, transition=STOCHASTIC).p0 == 1.0
    assert SSE(4, 0.5, transition=STOCHASTIC).p0 == 0.5


def test_rho_takes_numbers() -> None:
    for rho in (1, 2, 1.0, math.inf, np.float32(5), np.int64(7)):
        assert SSE(4, 0.1, graph=GRAPH, rho=rho).num_embeddings == 4


def test_float32_rows_may_be_off_by_rounding() -> None:
    matrix = np.random.default_rng(0).random((500, 500)).astype(np.float32)
    matrix /= matrix.sum(axis=1, keepdims=True)
    row = SSE(500, transition=matrix).row(3)
    assert float(row.sum()) == pytest.approx(1.0, abs=1e-14)
