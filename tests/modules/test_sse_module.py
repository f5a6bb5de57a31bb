"""The module: modes, p0, copies, dtypes, checkpointing, compilation."""

from __future__ import annotations

import copy
import io
import math
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from torchsse.errors import ConfigError
from torchsse.graph import Graph
from torchsse.modules.sse import SSE
from torchsse.swap import swap
from torchsse.transition import GraphLaw, Walk

SIZE = 50


def graph(weighted: bool = True) -> Graph:
    rng = np.random.default_rng(0)
    source, target = rng.integers(0, SIZE, (2, 200))
    weight = rng.random(200, dtype=np.float32) * 0.9 + 0.1 if weighted else None
    return Graph.from_edges(source, target, num_nodes=SIZE, weight=weight)


def kinds(p0: float = 0.5) -> dict[str, SSE]:
    return {
        "complete": SSE(SIZE, p0),
        "graph": SSE(SIZE, p0, graph=graph(False), rho=20.0, exclude=[0]),
        "weights": SSE(SIZE, p0, graph=graph(), rho=math.inf),
        "walk": SSE(SIZE, p0, graph=graph(), walk=Walk(2, 0.2, 0.1), exclude=[3]),
        "matrix": SSE(SIZE, p0, transition=np.full((SIZE, SIZE), 1 / SIZE)),
    }


KINDS = list(kinds())
IDS = torch.arange(SIZE).repeat(20)


def draw(sse: nn.Module, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return sse(IDS)  # type: ignore[no-any-return]


def test_identity_in_eval_and_at_p0_zero() -> None:
    sse = SSE(SIZE, 1.0)
    assert sse(IDS) is not IDS
    assert sse.eval()(IDS) is IDS
    assert sse.train()(IDS) is not IDS
    sse.p0 = 0.0
    assert sse(IDS) is IDS
    sse.p0 = 1.0
    assert bool((sse(IDS) != IDS).all())


def test_p0_changes_the_law_and_the_draw() -> None:
    sse = SSE(SIZE, 0.0)
    for p0 in (0.01, 0.5, 1.0):
        sse.p0 = p0
        assert sse.p0 == p0
        assert float(sse.probability(1, 1)) == pytest.approx(1 - p0)
        changed = int((swap(torch.zeros(10**5, dtype=torch.int64), sse) != 0).sum())
        assert abs(changed - p0 * 10**5) <= 6 * math.sqrt(10**5 * p0 * (1 - p0))


@pytest.mark.parametrize("name", KINDS)
def test_nothing_to_save_and_nothing_to_cast(name: str) -> None:
    sse = kinds()[name]
    want, row = draw(sse), sse.row(7)
    assert not list(sse.parameters())
    assert not list(sse.buffers())
    assert not sse.state_dict()
    for cast in (lambda m: m.to(torch.bfloat16), lambda m: m.half(), lambda m: m.double(), lambda m: m.to("cpu")):
        model = nn.ModuleDict({"sse": sse, "table": nn.Embedding(SIZE, 4)})
        cast(model)
        assert list(model.state_dict()) == ["table.weight"]
        assert torch.equal(draw(sse), want)
        assert torch.equal(sse.row(7), row)


@pytest.mark.parametrize("name", KINDS)
def test_copies_draw_the_same(name: str) -> None:
    sse = kinds()[name]
    want = draw(sse)
    sse.coin(torch.device("cpu"))
    file = io.BytesIO()
    torch.save(sse, file)
    file.seek(0)
    for other in (
        copy.deepcopy(sse),
        pickle.loads(pickle.dumps(sse)),  # noqa: S301
        torch.load(file, weights_only=False),
    ):
        assert torch.equal(draw(other), want)
        assert torch.equal(other.transition_matrix(), sse.transition_matrix())
        other.p0 = 0.25
        assert sse.p0 == 0.5  # a copy has a coin of its own
        assert int(other.coin(torch.device("cpu"))) != int(sse.coin(torch.device("cpu")))


def test_deepcopy_shares_the_tables() -> None:
    sse = kinds()["graph"]
    assert copy.deepcopy(sse).law is sse.law


def test_pickles_hold_no_device_copies() -> None:
    size = 10**5
    ring = np.arange(size)
    sse = SSE(size, 0.5, graph=Graph.from_edges(ring, (ring + 1) % size, num_nodes=size), rho=5.0)
    before = len(pickle.dumps(sse))
    sse(torch.arange(size))
    sse.coin(torch.device("cpu"))
    assert len(pickle.dumps(sse)) == before


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_activation_checkpointing_replays_the_draw(name: str, reentrant: bool) -> None:
    sse, table = kinds()[name], nn.Embedding(SIZE, 8)
    seen: list[torch.Tensor] = []

    def block(ids: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        swapped = sse(ids)
        seen.append(swapped)
        return (table(swapped) * scale).square()

    torch.manual_seed(0)
    scale = torch.ones((), requires_grad=True)
    checkpoint(block, IDS, scale, use_reentrant=reentrant).sum().backward()
    first, replay = seen
    assert torch.equal(first, replay)
    assert not torch.equal(first, IDS)
    assert table.weight.grad is not None
    want = torch.zeros(SIZE, 8).index_add(0, first, 2 * table.weight[first].detach())
    torch.testing.assert_close(table.weight.grad, want)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_compiles_once_whatever_p0_becomes(name: str) -> None:
    """One graph, no break, no recompilation: the backend counts graphs, and a changed p0 must change the draws."""
    torch._dynamo.reset()
    sse, graphs = kinds(0.0)[name], []
    inductor: Any = torch._dynamo.lookup_backend("inductor")

    def counting(graph_module: Any, inputs: Any) -> Any:
        graphs.append(graph_module)
        return inductor(graph_module, inputs)

    step = torch.compile(sse, fullgraph=True, backend=counting)
    with torch._dynamo.config.patch(error_on_recompile=True):
        assert torch.equal(step(IDS), IDS)
        for p0 in (1.0, 0.5, 1e-9, 1.0, 0.0, 0.123):
            sse.p0 = p0
            moved = float((step(IDS.clone()) != IDS).float().mean())
            assert (moved < 0.01) if p0 < 1e-6 else moved > 0.05 * p0
    assert len(graphs) == 1


@pytest.mark.slow
def test_compiled_model_with_dynamic_shapes() -> None:
    torch._dynamo.reset()

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.users = SSE(SIZE, 0.5)
            self.items = nn.ModuleList(kinds().values())
            self.table = nn.Embedding(SIZE, 4)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            for sse in self.items:
                ids = sse(ids)
            return (self.table(self.users(ids)) * self.table(ids)).sum(dim=-1)

    model = Model()
    compiled = torch.compile(model, fullgraph=True, dynamic=True)
    for shape in ((3, 5), (7, 2), (11, 13)):
        out = compiled(torch.randint(SIZE, shape))
        assert out.shape == shape
        out.sum().backward()
    compiled.eval()
    ids = torch.randint(SIZE, (4, 4))
    torch.testing.assert_close(compiled(ids), model.table(ids).square().sum(dim=-1))


@pytest.mark.slow
def test_compiled_swap_lets_bad_ids_through_and_refuses_a_generator() -> None:
    torch._dynamo.reset()
    sse = SSE(SIZE, 1.0)
    compiled = torch.compile(lambda ids: swap(ids, sse), fullgraph=True)
    assert compiled(torch.tensor([-1, SIZE, 3])).tolist()[:2] == [-1, SIZE]
    generator = torch.Generator()
    with pytest.raises(Exception, match="generator"):
        torch.compile(lambda ids: swap(ids, sse, generator), fullgraph=True)(IDS)


def test_first_used_under_inference_mode() -> None:
    sse = kinds()["graph"]
    with torch.inference_mode():
        sse(IDS)
        sse.coin(torch.device("cpu"))
    sse.p0 = 0.7  # fills the coin in place, which an inference tensor would refuse
    table = nn.Embedding(SIZE, 2)
    table(sse(IDS)).sum().backward()
    assert table.weight.grad is not None
    assert table.weight.grad.sum() == 2 * IDS.numel()


def test_fake_tensors_do_not_poison_the_tables() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    sse = kinds()["graph"]
    with FakeTensorMode() as mode:
        out = sse(mode.from_tensor(IDS))
        assert out.shape == IDS.shape
    assert draw(sse).shape == IDS.shape
    assert int(sse.coin(torch.device("cpu"))) > 0


def test_meta_tensors_and_a_default_device() -> None:
    with torch.device("meta"):
        sse = kinds()["walk"]
        assert sse(torch.zeros(4, 3, dtype=torch.int64)).shape == (4, 3)
        assert torch.equal(sse.eval()(IDS), IDS)
        sse.train()
        out = sse(IDS)  # CPU ids under another default device
    assert out.device.type == "cpu"
    assert sse.transition_matrix().device.type == "cpu"


@pytest.mark.parametrize("weighted", [False, True])
def test_memory_mapped_graph(weighted: bool, tmp_path: Path) -> None:
    kept = graph(weighted)
    kept.save(tmp_path / "graph")
    mapped = Graph.load(tmp_path / "graph", mmap=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sse = SSE(SIZE, 0.5, graph=mapped, rho=9.0)
        got = draw(sse)
    assert torch.equal(got, draw(SSE(SIZE, 0.5, graph=kept, rho=9.0)))
    assert isinstance(sse.law, GraphLaw)
    assert sse.law.graph is mapped  # nothing excluded: the arrays stay where they are


def test_excluding_adds_ids_and_shares_the_coin() -> None:
    sse = SSE(SIZE, 0.5, graph=graph(), rho=10.0, exclude=[3])
    more = sse.excluding([0, 3])
    assert sse.exclude.tolist() == [3]
    assert more.exclude.tolist() == [0, 3]
    want = SSE(SIZE, 0.5, graph=graph(), rho=10.0, exclude=[0, 3]).transition_matrix()
    torch.testing.assert_close(more.transition_matrix(), want, rtol=0, atol=1e-15)
    more.p0 = 0.25
    assert sse.p0 == 0.25
    sse.p0 = 0.0
    assert more(IDS) is IDS
    assert SSE(SIZE, 0.1).eval().excluding([1]).training is False
    with pytest.raises(ConfigError, match="outside"):
        sse.excluding([SIZE])


def test_excluding_an_id_that_a_matrix_moves_is_refused() -> None:
    matrix = np.eye(4)
    matrix[:2, :2] = 0.5
    sse = SSE(4, transition=matrix)
    torch.testing.assert_close(sse.excluding([3]).transition_matrix(), sse.transition_matrix())
    with pytest.raises(ConfigError, match="excluded"):
        sse.excluding([1])


def test_sequential_and_train_flag() -> None:
    model = nn.Sequential(SSE(SIZE, 1.0), nn.Embedding(SIZE, 3))
    assert model(IDS).shape == (len(IDS), 3)
    model.eval()
    torch.testing.assert_close(model(IDS), model[1](IDS))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("name", KINDS)
def test_cuda_draws_the_law_without_synchronising(name: str) -> None:
    sse = kinds(0.3)[name]
    ids = torch.arange(SIZE, device="cuda").repeat(20_000)
    sse(ids)
    torch.cuda.set_sync_debug_mode("error")
    try:
        out = sse(ids)
        sse.p0 = 0.4
        out = sse(ids)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    law = sse.transition_matrix().numpy()
    counts = torch.bincount(ids * SIZE + out, minlength=SIZE * SIZE).view(SIZE, SIZE).cpu().numpy()
    assert not counts[law == 0].any()
    from scipy import stats

    inside = law > 0
    statistic = ((counts - 20_000 * law) ** 2 / np.where(inside, 20_000 * law, 1))[inside].sum()
    assert stats.chi2.sf(statistic, int(inside.sum()) - SIZE) > 1e-6
    bad = torch.tensor([-1, SIZE], device="cuda")
    assert torch.equal(swap(bad, sse), bad)
