"""Draws against the oracle: chi-square over the full support at ALPHA, on the CPU, the plain and the compiled path.

The controls feed the same checker samplers that are wrong in one way each; it must fail every one of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from law_oracle import (
    ALPHA,
    Setting,
    cases,
    chi_square_p,
    dense_law,
    draw_counts,
    given_the_coin,
    random_edges,
    random_matrix,
)
from torch import Tensor

from torchsse.modules.sse import SSE
from torchsse.swap import swap
from torchsse.swap.plain import swap_plain
from torchsse.transition import Walk, build_law

DRAWS = 10**7
Swapper = Callable[[Tensor], Tensor]


def eager(sse: SSE) -> Swapper:
    return lambda ids: swap(ids, sse, torch.Generator().manual_seed(int(torch.randint(2**31, ()))))


def plain(sse: SSE) -> Swapper:
    return lambda ids: swap_plain(ids, sse.law, sse.coin(ids.device), None)


def p_value(swap_ids: Swapper, law: np.ndarray, draws: int = DRAWS, seed: int = 7, block: int = 1 << 20) -> float:
    torch.manual_seed(seed)
    return chi_square_p(draw_counts(swap_ids, len(law), draws, block), law)


@pytest.mark.slow
@pytest.mark.parametrize("path", [eager, plain], ids=["eager", "plain"])
@pytest.mark.parametrize("name", cases())
def test_ten_million_draws(name: str, path: Callable[[SSE], Swapper]) -> None:
    setting = cases()[name]
    assert p_value(path(setting.sse()), dense_law(setting)) > ALPHA


@pytest.mark.parametrize("p0", [0.02, 1.0])
@pytest.mark.parametrize("name", ["graph, weights, excluded", "walk, weights, excluded", "matrix"])
def test_other_p0(name: str, p0: float) -> None:
    setting = cases()[name].but(p0=p0)
    for path in (eager, plain):
        assert p_value(path(setting.sse()), dense_law(setting), 10**6) > ALPHA


@pytest.mark.parametrize("name", cases())
def test_many_short_inputs(name: str) -> None:
    """A batch of ids a call, as in training: a coin for every id, and few replaced at once."""
    setting = cases()[name]
    sse = setting.sse()
    assert p_value(lambda ids: swap(ids, sse), dense_law(setting), 10**6, block=2000) > ALPHA


@pytest.mark.parametrize("name", ["complete, excluded", "graph, weights, excluded", "graph", "walk"])
def test_control_many_short_inputs(name: str) -> None:
    """A p0 off by 5 % is seen, also in pieces."""
    setting = cases()[name]
    sse = setting.but(p0=1.05 * setting.p0).sse()
    assert p_value(lambda ids: swap(ids, sse), dense_law(setting), 10**6, block=2000) <= ALPHA


@pytest.mark.parametrize("name", cases())
def test_law_draw_is_the_law_given_the_coin(name: str) -> None:
    setting = cases()[name]
    law = setting.sse().law
    assert p_value(law.draw, given_the_coin(setting), 4 * 10**5) > ALPHA


@pytest.mark.parametrize("name", cases())
def test_arrays_and_tensors_draw_alike(name: str) -> None:
    law, ids = cases()[name].sse().law, torch.arange(40).repeat(250)
    want = law.jump(ids, torch.Generator().manual_seed(3))
    found = law.jump(ids.numpy(), torch.Generator().manual_seed(3))
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, want.numpy())
    assert (found != law.jump(ids.numpy(), torch.Generator().manual_seed(4))).any()
    torch.manual_seed(3)
    np.testing.assert_array_equal(law.jump(ids.numpy()), found)  # the default generator, which checkpointing replays


@pytest.mark.parametrize(("rho", "seed"), [(1 + 1e-4, 1), (3.0, 2), (2e3, 3), (1e7, 4)])
def test_one_integer_serves_the_coin_and_the_pick(rho: float, seed: int) -> None:
    """Few links, many links, and rows of very different degrees: the joint law of both parts of the mixture."""
    setting = Setting(40, 1.0, edges=random_edges(40, 150, seed, weighted=False), rho=rho, exclude=(4,))
    assert p_value(setting.sse().law.draw, dense_law(setting), 10**6) > ALPHA


def test_control_one_integer() -> None:
    setting = Setting(40, 1.0, edges=random_edges(40, 150, 2, weighted=False), rho=3.0, exclude=(4,))
    assert fails(setting.but(rho=3.5).sse().law.draw, setting)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["complete, excluded", "graph, weights, excluded", "walk", "matrix"])
def test_compiled_draws(name: str) -> None:
    setting = cases()[name]
    torch._dynamo.reset()
    compiled = torch.compile(setting.sse(), fullgraph=True)
    assert p_value(compiled, dense_law(setting), 2 * 10**6) > ALPHA


@pytest.mark.slow
def test_one_row_of_two_thousand() -> None:
    size, hub = 2000, 1
    setting = Setting(size, 1.0, edges=random_edges(size, 20000, 2), rho=50.0, directed=True, exclude=(0, 10))
    law, sse = dense_law(setting, [hub]), setting.sse()
    assert (law > 0).sum() == size - 3
    for path in (eager, plain):
        torch.manual_seed(1)
        new = torch.cat([path(sse)(torch.full((10**6,), hub)) for _ in range(10)])
        assert chi_square_p(torch.bincount(new, minlength=size).numpy()[None], law) > ALPHA


# --- controls: each is wrong in one way, and the checker above must say so ---

CONTROL = 10**6


def fails(swap_ids: Swapper, setting: Setting) -> bool:
    return p_value(swap_ids, dense_law(setting), CONTROL) <= ALPHA


@pytest.mark.parametrize("name", cases())
def test_control_no_op(name: str) -> None:
    assert fails(lambda ids: ids, cases()[name])


@pytest.mark.parametrize("path", [eager, plain], ids=["eager", "plain"])
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        pytest.param("complete, excluded", {"exclude": ()}, id="excluded id drawn"),
        pytest.param("graph, directed, excluded", {"exclude": ()}, id="excluded id drawn along the graph"),
        pytest.param("walk, weights, excluded", {"exclude": ()}, id="walk through an excluded id"),
        pytest.param("complete", {"p0": 0.315}, id="p0 off by 5 %"),
        pytest.param("graph", {"rho": 1.0}, id="rho ignored"),
        pytest.param("graph", {"rho": 40.0}, id="rho off"),
        pytest.param("graph", {"rho": math.inf}, id="rho taken as inf"),
        pytest.param("graph, rho inf", {"rho": 1e3}, id="inf taken as large"),
        pytest.param("graph, equal weights of 0.5", {"rho": 59.0}, id="a common weight ignored"),
        pytest.param("walk", {"walk": Walk(2, restart=0.0, self_loop=0.15)}, id="restart ignored"),
        pytest.param("walk", {"walk": Walk(2, restart=0.25)}, id="self-loop ignored"),
        pytest.param("walk", {"walk": Walk(2, restart=0.15, self_loop=0.25)}, id="restart and self-loop exchanged"),
        pytest.param("walk", {"walk": Walk(3, restart=0.25, self_loop=0.15)}, id="a hop too many"),
        pytest.param("walk", {"walk": None, "rho": math.inf}, id="walk taken as one step"),
        pytest.param("matrix", {"p0": 0.9}, id="matrix under a coin"),
    ],
)
def test_control(right: str, wrong: dict[str, object], path: Callable[[SSE], Swapper]) -> None:
    setting = cases()[right]
    assert fails(path(setting.but(**wrong).sse()), setting)


@pytest.mark.parametrize("name", ["graph, directed, excluded", "graph, weights", "graph, rho inf", "walk"])
def test_control_transposed_graph(name: str) -> None:
    setting = cases()[name]
    assert setting.edges is not None
    assert fails(eager(setting.but(edges=[(k, j, w) for j, k, w in setting.edges]).sse()), setting)


@pytest.mark.parametrize("name", ["graph, weights", "graph, rho inf, weights, excluded", "walk, weights, excluded"])
def test_control_weights_ignored(name: str) -> None:
    setting = cases()[name]
    assert setting.edges is not None
    assert fails(eager(setting.but(edges=[(j, k, 1.0) for j, k, _ in setting.edges]).sse()), setting)


def test_control_transposed_matrix() -> None:
    setting = cases()["matrix"]
    symmetric_sums = (setting.matrix + setting.matrix.T) / 2
    symmetric_sums += np.diag(1 - symmetric_sums.sum(axis=1)).clip(min=0)
    assert fails(eager(setting.but(matrix=symmetric_sums / symmetric_sums.sum(axis=1, keepdims=True)).sse()), setting)


def test_control_self_drawn() -> None:
    def with_itself(ids: Tensor) -> Tensor:
        return torch.where(torch.rand(len(ids)) < 0.3, torch.randint(40, ids.shape), ids)

    assert fails(with_itself, Setting(40))


def test_control_diagonal_of_a_matrix_forgotten() -> None:
    """Without the staying part, drawing at the rate of the row that leaves most moves the others too often."""
    matrix = random_matrix(40, 5, stay=0.2)
    matrix[7] = 0.9 * np.eye(40)[7] + 0.1 * np.eye(40)[8]
    setting = Setting(40, 1.0, matrix=matrix)
    off = matrix - np.diag(matrix.diagonal())
    assert fails(eager(setting.but(p0=0.8, matrix=off / off.sum(axis=1, keepdims=True)).sse()), setting)
    assert p_value(eager(setting.sse()), dense_law(setting), CONTROL) > ALPHA


def test_checker_passes_numpys_own_sampler() -> None:
    """The checker must not fail everything: draws by numpy from the oracle's law pass."""
    rng, law = np.random.default_rng(0), dense_law(cases()["walk, weights, excluded"])
    counts = np.stack([rng.multinomial(25_000, row / row.sum()) for row in law])
    assert chi_square_p(counts, law) > ALPHA


# --- tables larger than float32 or int32 can count ---


def bins(new: Tensor, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts by the high and by the low part of the id."""
    high = torch.bincount((new.double() * (64 / size)).long(), minlength=64)[:64].numpy()
    return high, torch.bincount(new % 64, minlength=64).numpy()


def large_passes(new: Tensor, size: int) -> bool:
    uniform = np.full((1, 64), 1 / 64)
    return all(chi_square_p(counts[None], uniform) > ALPHA for counts in bins(new, size))


@pytest.mark.parametrize("size", [2**24 + 64, 2**31 - 64, 2**31 + 64, 3 * 2**30, 2**33 + 64, 2**40])
def test_large_tables_draw_uniformly(size: int) -> None:
    torch.manual_seed(0)
    sse = SSE(size, 1.0)
    ids = torch.full((10**6,), size - 3)
    for path in (eager, plain):
        new = path(sse)(ids)
        assert large_passes(new, size)
        assert not (new == size - 3).any()
        assert int(new.min()) >= 0
        assert size * 0.999 < int(new.max()) < size


def test_control_large_tables() -> None:
    """float32 products, and a modulus of 32 random bits, are far from uniform."""
    torch.manual_seed(0)
    size = 2**28
    assert not large_passes((torch.rand(10**6) * size).long(), size)
    assert not large_passes(torch.randint(2**32, (10**6,)) % (3 * 2**30), 3 * 2**30)


def test_excluded_ids_of_a_large_table() -> None:
    size = 2**20
    law = build_law(size, exclude=np.arange(0, size, 2))
    new = law.draw(torch.full((10**6,), 5))
    assert bool((new % 2 == 1).all())
    assert large_passes(new // 2, size // 2)
