"""The drawn form: its mean is the exact form, gradient included; compiled forms agree."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from torchsse.graph import Graph
from torchsse.labels import SSECrossEntropyLoss
from torchsse.modules import SSE
from torchsse.transition import Walk

C = 7
ALPHA = 1e-6  # chance that a right implementation fails any of the comparisons of one test
DRAWS = 40_000


def graph() -> Graph:
    return Graph.from_edges(
        np.array([0, 1, 2, 3, 0]), np.array([1, 2, 3, 4, 5]), num_nodes=C, weight=np.array([1.0, 0.5, 0.2, 1.0, 0.3])
    )


def sse_of(name: str, p0: float = 0.4) -> SSE:
    return {
        "complete": lambda: SSE(C, p0=p0, exclude=[6]),
        "graph": lambda: SSE(C, p0=p0, graph=graph(), rho=10),
        "inf": lambda: SSE(C, p0=p0, graph=graph(), rho=math.inf),
        "walk": lambda: SSE(C, p0=p0, graph=graph(), walk=Walk(2, restart=0.1)),
    }[name]()


def batch(weighted: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    g = torch.Generator().manual_seed(3)
    logits = torch.randn(6, C, generator=g, dtype=torch.float64)
    weight = torch.rand(C, generator=g, dtype=torch.float64) + 0.2 if weighted else None
    return logits, torch.tensor([0, 1, 2, -100, 4, 3]), weight


def largest_z(sse: SSE, weighted: bool, target_sse: SSE) -> tuple[float, int]:
    """Largest |z| between the mean of DRAWS drawn losses and gradients and the exact ones of `target_sse`.

    One call draws for DRAWS copies of the batch at once: with reduction="none" each copy gives its own loss. The second
    value is the number of comparisons.
    """
    logits, y, weight = batch(weighted)
    torch.manual_seed(0)
    many = logits.repeat(DRAWS, 1).requires_grad_(True)
    loss = SSECrossEntropyLoss(sse, weight=weight, reduction="none")(many, y.repeat(DRAWS))
    (gradient,) = torch.autograd.grad(loss.sum(), many)
    samples = torch.cat([loss.detach().view(DRAWS, -1), gradient.view(DRAWS, -1)], dim=1)
    one = logits.clone().requires_grad_(True)
    exact = SSECrossEntropyLoss(target_sse, weight=weight, reduction="none", exact=True)(one, y)
    (expected,) = torch.autograd.grad(exact.sum(), one)
    means = torch.cat([exact.detach(), expected.reshape(-1)])
    error = samples.std(dim=0) / DRAWS**0.5
    still = error < 1e-12
    if not torch.allclose(samples.mean(dim=0)[still], means[still]):  # ignored targets, classes beyond reach
        return math.inf, 1
    z = ((samples.mean(dim=0) - means) / error)[~still]
    return z.abs().max().item(), len(z)


def bound(comparisons: int) -> float:
    """|z| that a right implementation exceeds in one of `comparisons` with chance ALPHA."""
    return float(
        torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(1 - ALPHA / comparisons / 2, dtype=torch.double))
    )


@pytest.mark.parametrize("name", ["complete", "graph", "inf", "walk"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_mean_of_the_draws_is_the_exact_form(name: str, weighted: bool) -> None:
    z, comparisons = largest_z(sse_of(name), weighted, sse_of(name))
    assert z < bound(comparisons)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("complete", SSE(C, p0=0.4)),
        ("graph", SSE(C, p0=0.4)),
        ("graph", sse_of("graph", 0.42)),
        ("inf", sse_of("graph")),
    ],
    ids=["exclusion forgotten", "graph forgotten", "p0 off by 0.02", "another rho"],
)
def test_control_another_law_is_told_apart(name: str, other: SSE) -> None:
    logits, _, _ = batch(False)
    assert logits.shape == (6, C)
    z, comparisons = largest_z(sse_of(name), False, other)
    assert z > bound(comparisons)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_divisor_belongs_to_the_given_targets(reduction: str, weighted: bool) -> None:
    """Else the mean over draws would be a mean of ratios, and differ from the exact form."""
    logits, y, weight = batch(weighted)
    sse = sse_of("complete", p0=1.0)
    torch.manual_seed(1)
    each = SSECrossEntropyLoss(sse, weight=weight, reduction="none")(logits, y)
    torch.manual_seed(1)
    got = SSECrossEntropyLoss(sse, weight=weight, reduction=reduction)(logits, y)  # type: ignore[arg-type]
    kept = y != -100
    divisor = 1.0 if reduction == "sum" else (kept.sum() if weight is None else weight[y[kept]].sum())
    torch.testing.assert_close(got, each.sum() / divisor)


def test_a_copy_of_the_loss_has_a_p0_of_its_own() -> None:
    logits, y, _ = batch(False)
    loss = SSECrossEntropyLoss(sse_of("graph"), exact=True)
    twin = copy.deepcopy(loss)
    loss.sse.p0 = 0.0
    torch.testing.assert_close(loss(logits, y), F.cross_entropy(logits, y))
    torch.testing.assert_close(twin(logits, y), SSECrossEntropyLoss(sse_of("graph"), exact=True)(logits, y))


def test_swapped_targets_are_those_of_swap() -> None:
    logits, y, _ = batch(False)
    sse = SSE(C, p0=1.0)
    torch.manual_seed(2)
    loss = SSECrossEntropyLoss(sse, reduction="none")(logits, y)
    torch.manual_seed(2)
    safe = y.where(y >= 0, 0)
    swapped = sse(safe)
    assert (swapped != safe).all()
    torch.testing.assert_close(loss, F.cross_entropy(logits, swapped.where(y >= 0, -100), reduction="none"))


@pytest.mark.slow
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_compiled_whole_and_follows_p0(exact: bool, weighted: bool) -> None:
    torch.compiler.reset()
    counts: list[int] = []

    def backend(module: torch.fx.GraphModule, _: list[Tensor]) -> Any:
        counts.append(1)
        return module.forward

    sse = SSE(C, p0=0.3)
    weight = torch.rand(C, dtype=torch.float64) + 0.1 if weighted else None
    loss = SSECrossEntropyLoss(sse, weight=weight, exact=exact)
    logits, y = torch.randn(4000, C, dtype=torch.float64), torch.randint(C, (4000,))
    compiled = torch.compile(loss, fullgraph=True, backend=backend)
    reference = SSECrossEntropyLoss(sse, weight=weight, exact=True)
    for p0 in (0.3, 0.9, 0.0):
        sse.p0 = p0
        tolerance = {"rtol": 1e-12, "atol": 1e-12} if exact or p0 == 0 else {"rtol": 0.1, "atol": 0.0}
        torch.testing.assert_close(compiled(logits, y), reference(logits, y), **tolerance)  # type: ignore[arg-type]
    assert len(counts) == 1
