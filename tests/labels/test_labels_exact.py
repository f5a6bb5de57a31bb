"""The exact form against a dense float64 reference, and against torch's label smoothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from torchsse.errors import ConfigError, IdRangeError, IdTypeError
from torchsse.graph import Graph
from torchsse.labels import SSECrossEntropyLoss, expected_targets
from torchsse.modules import SSE
from torchsse.transition import Walk

C = 12


def ring(weighted: bool = False, directed: bool = False) -> Graph:
    """A ring with chords; node 11 has no edge."""
    src = np.r_[np.arange(10), 0, 3, 5]
    dst = np.r_[np.arange(1, 11), 5, 8, 9]
    weight = np.linspace(0.1, 1.0, len(src)) if weighted else None
    return Graph.from_edges(src, dst, num_nodes=C, weight=weight, directed=directed)


def laws() -> dict[str, SSE]:
    rng = np.random.default_rng(0)
    matrix = rng.random((C, C))
    matrix /= matrix.sum(axis=1, keepdims=True)
    return {
        "complete": SSE(C, p0=0.3),
        "complete, excluded": SSE(C, p0=0.3, exclude=[0, 7]),
        "complete, one active": SSE(C, p0=0.3, exclude=list(range(1, C))),
        "graph": SSE(C, p0=0.3, graph=ring(), rho=20),
        "graph, weights": SSE(C, p0=0.3, graph=ring(weighted=True), rho=20),
        "graph, directed": SSE(C, p0=0.9, graph=ring(weighted=True, directed=True), rho=5),
        "graph, inf": SSE(C, p0=0.3, graph=ring(), rho=float("inf")),
        "graph, excluded": SSE(C, p0=0.3, graph=ring(weighted=True), rho=20, exclude=[2, 4]),
        "graph, inf, excluded": SSE(C, p0=0.3, graph=ring(), rho=float("inf"), exclude=[2, 4]),
        "walk": SSE(C, p0=0.3, graph=ring(weighted=True), walk=Walk(hops=2, restart=0.2)),
        "matrix": SSE(C, p0=0.8, transition=matrix),
    }


def reference(sse: SSE, logits: Tensor, y: Tensor, weight: Tensor | None, ignore_index: int, reduction: str) -> Tensor:
    """The formula of the contract with the whole matrix: -sum_k p(y, k) w_k log q_k over sum w_y."""
    p = sse.transition_matrix()
    rows = logits.unsqueeze(0) if logits.dim() == 1 else logits.movedim(1, -1).reshape(-1, C)
    w = torch.ones(C, dtype=torch.float64) if weight is None else weight
    flat = y.reshape(-1)
    kept = flat != ignore_index
    safe = flat.where(kept, 0)
    each = -(p[safe] * w * rows.log_softmax(-1)).sum(-1) * kept
    if reduction == "none":
        return each.view(y.shape)
    return each.sum() if reduction == "sum" else each.sum() / (w[safe] * kept).sum()


def case(shape: tuple[int, ...], seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    batch = shape[:1] if len(shape) > 0 else ()
    logits = torch.randn(*batch, C, *shape[1:], generator=g, dtype=torch.float64, requires_grad=True)
    y = torch.randint(C, shape, generator=g)
    weight = torch.rand(C, generator=g, dtype=torch.float64) + 0.1
    return logits, y, weight


@pytest.mark.parametrize("name", laws())
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_exact_is_the_dense_formula_with_its_gradient(name: str, weighted: bool, reduction: str) -> None:
    sse = laws()[name]
    for shape in [(), (64,), (5, 3), (4, 3, 2), (0,)]:
        logits, y, weight = case(shape)
        if y.numel() > 3:
            y.view(-1)[1::4] = -100
        w = weight if weighted else None
        loss = SSECrossEntropyLoss(sse, weight=w, reduction=reduction, exact=True)  # type: ignore[arg-type]
        got, expected = loss(logits, y), reference(sse, logits, y, w, -100, reduction)
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12, equal_nan=True)
        (gradient,) = torch.autograd.grad(got.sum(), logits)
        (wanted,) = torch.autograd.grad(expected.sum(), logits)
        torch.testing.assert_close(gradient, wanted, rtol=1e-12, atol=1e-12, equal_nan=True)


def test_control_the_laws_differ() -> None:
    """A loss that ignored the graph, the weights, the direction or the exclusions would give equal values here."""
    logits, y, _ = case((64,))
    values = [SSECrossEntropyLoss(sse, exact=True)(logits, y).item() for sse in laws().values()]
    assert len({round(value, 9) for value in values}) == len(values)


@pytest.mark.parametrize("smoothing", [0.01, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(), (50,), (6, 4)])
def test_sse_se_is_torch_label_smoothing(
    smoothing: float, weighted: bool, reduction: str, shape: tuple[int, ...]
) -> None:
    logits, y, weight = case(shape, seed=1)
    if y.numel() > 1:
        y.view(-1)[::5] = -100
    w = weight if weighted else None
    sse = SSE(C, p0=smoothing * (C - 1) / C)
    ours = SSECrossEntropyLoss(sse, weight=w, reduction=reduction, exact=True)(logits, y)  # type: ignore[arg-type]
    torchs = F.cross_entropy(logits, y, weight=w, reduction=reduction, label_smoothing=smoothing)
    torch.testing.assert_close(ours, torchs, rtol=1e-12, atol=1e-12)
    (a,), (b,) = torch.autograd.grad(ours.sum(), logits), torch.autograd.grad(torchs.sum(), logits)
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_control_another_smoothing_is_told_apart() -> None:
    logits, y, _ = case((50,))
    ours = SSECrossEntropyLoss(SSE(C, p0=0.1), exact=True)(logits, y)
    assert abs((ours - F.cross_entropy(logits, y, label_smoothing=0.1)).item()) > 1e-4  # p0 is not the smoothing
    excluded = SSECrossEntropyLoss(SSE(C, p0=0.1 * (C - 1) / C, exclude=[3]), exact=True)(logits, y)
    assert abs((excluded - F.cross_entropy(logits, y, label_smoothing=0.1)).item()) > 1e-4


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_eval_and_p0_zero_are_plain_cross_entropy(exact: bool, weighted: bool) -> None:
    logits, y, weight = case((30,))
    y[::3] = -100
    w = weight if weighted else None
    plain = F.cross_entropy(logits, y, weight=w)
    loss = SSECrossEntropyLoss(SSE(C, p0=0.9), weight=w, exact=exact)
    assert not torch.allclose(loss(logits, y), plain)  # control: in training it is another loss
    torch.testing.assert_close(loss.eval()(logits, y), plain)
    loss.train()
    loss.sse.p0 = 0.0
    torch.testing.assert_close(loss(logits, y), plain)


@pytest.mark.parametrize("exact", [False, True])
def test_an_ignored_class_is_neither_swapped_nor_drawn(exact: bool) -> None:
    sse = SSE(C, p0=1.0)
    loss = SSECrossEntropyLoss(sse, ignore_index=4, exact=exact, reduction="none")
    logits = torch.zeros(2000, C, dtype=torch.float64)
    logits[:, 4] = -50.0  # whoever draws class 4 pays 50
    y = torch.arange(2000) % C
    each = loss(logits, y)
    assert (each[y == 4] == 0).all()
    assert (each[y != 4] > 0).all()
    assert each.max() < 5
    # control: the same class drawn, when another one is ignored
    assert SSECrossEntropyLoss(sse, ignore_index=5, exact=exact, reduction="none")(logits, y).max() > 5


def test_the_ignored_class_follows_p0() -> None:
    """It runs on a law of its own but on the p0 of the SSE it was given."""
    sse = SSE(C, p0=0.0)
    loss = SSECrossEntropyLoss(sse, ignore_index=0)
    logits, y, _ = case((400,))
    plain = F.cross_entropy(logits, y, ignore_index=0)
    torch.testing.assert_close(loss(logits, y), plain)
    sse.p0 = 1.0
    assert not torch.allclose(loss(logits, y), plain)


def test_masked_logits_cost_nothing_where_they_are_not_drawn() -> None:
    logits, y, _ = case((40,))
    y[y == 3] = 4
    masked = logits.detach().clone()
    masked[:, 3] = -torch.inf
    for sse in (SSE(C, p0=0.3, exclude=[3]), SSE(C, p0=0.3, graph=ring(), rho=float("inf"), exclude=[3])):
        masked.requires_grad_(True).grad = None
        loss = SSECrossEntropyLoss(sse, exact=True)(masked, y)
        loss.backward()
        assert torch.isfinite(loss)
        assert masked.grad is not None
        assert torch.isfinite(masked.grad).all()
    assert torch.isinf(SSECrossEntropyLoss(SSE(C, p0=0.3), exact=True)(masked, y))  # control: drawn, it costs all


def test_all_ignored_is_nan_as_in_torch() -> None:
    logits, y, _ = case((5,))
    y[:] = -100
    for exact in (False, True):
        assert torch.isnan(SSECrossEntropyLoss(SSE(C, p0=0.5), exact=exact)(logits, y))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_low_precision_logits(dtype: torch.dtype, exact: bool, weighted: bool) -> None:
    logits, y, weight = case((30000,))
    w = weight if weighted else None
    sse = SSE(C, p0=0.2)
    want = reference(sse, logits, y, w, -100, "mean")
    got = SSECrossEntropyLoss(sse, weight=None if w is None else w.to(dtype), exact=exact)(logits.to(dtype), y)
    assert got.dtype == dtype
    torch.testing.assert_close(got.double(), want, rtol=0.02, atol=0)  # the drawn form is within 2 % too, at 30,000


def test_int32_and_odd_shapes() -> None:
    logits, y, _ = case((6, 4, 3))
    loss = SSECrossEntropyLoss(SSE(C, p0=0.2), reduction="none", exact=True)
    torch.testing.assert_close(loss(logits, y.int()), loss(logits, y))
    torch.testing.assert_close(loss(logits.transpose(2, 3), y.transpose(1, 2)), loss(logits, y).transpose(1, 2))


def test_bad_inputs_say_what_was_expected() -> None:
    sse = SSE(C, p0=0.1)
    loss = SSECrossEntropyLoss(sse, exact=True)
    logits, y, _ = case((5,))
    with pytest.raises(ConfigError, match="12 classes in dimension 1"):
        loss(torch.zeros(5, C + 1), y)
    with pytest.raises(ConfigError, match="targets of shape"):
        loss(logits, y[:3])
    with pytest.raises(IdTypeError, match="float"):
        loss(logits, logits.softmax(1))
    for exact in (False, True):
        for wrong in (C, -1):
            with pytest.raises(IdRangeError, match=str(wrong)):
                SSECrossEntropyLoss(sse, exact=exact)(logits, torch.full((5,), wrong))
    with pytest.raises(ConfigError, match="reduction"):
        SSECrossEntropyLoss(sse, reduction="average")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="class weights"):
        SSECrossEntropyLoss(sse, weight=torch.ones(C - 1))


def test_state_dict_is_that_of_torch() -> None:
    weight = torch.rand(C)
    loss = SSECrossEntropyLoss(SSE(C, p0=0.1), weight=weight, ignore_index=3)
    assert list(loss.state_dict()) == list(torch.nn.CrossEntropyLoss(weight=weight).state_dict())
    assert not list(loss.parameters())


@pytest.mark.parametrize("name", laws())
def test_expected_targets_are_the_rows(name: str) -> None:
    sse = laws()[name]
    y = torch.randint(C, (4, 3))
    got = expected_targets(y, sse, dtype=torch.float64)
    torch.testing.assert_close(got, sse.transition_matrix()[y], rtol=1e-12, atol=1e-15)
    logits = torch.randn(4, C, 3, dtype=torch.float64)
    soft = F.cross_entropy(logits, got.movedim(-1, 1))
    torch.testing.assert_close(SSECrossEntropyLoss(sse, exact=True)(logits, y), soft, rtol=1e-12, atol=1e-12)


def test_expected_targets_edges() -> None:
    sse = SSE(C, p0=0.1)
    assert expected_targets(torch.zeros(0, 2, dtype=torch.int64), sse).shape == (0, 2, C)
    assert expected_targets(torch.tensor(3), sse).dtype == torch.get_default_dtype()
    with pytest.raises(IdTypeError):
        expected_targets(torch.zeros(2), sse)
    with pytest.raises(IdRangeError):
        expected_targets(torch.tensor([C]), sse)
