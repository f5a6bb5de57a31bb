"""How fast torchsse is on this machine: what SSE adds to a training step, and examples per second."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from torchsse.modules import SSE
from torchsse.swap import swap

if TYPE_CHECKING:
    from torchsse.data import Ratings
    from torchsse.graph import Graph

__all__ = ["Size", "Timing", "bench"]

P0, RHO = 0.05, 200.0


@dataclass(frozen=True)
class Size:
    """What is measured on; the defaults are those of MovieLens-1M and the paper's rank.

    Attributes:
        users, items, pairs: of the generated ratings.
        factors: the rank.
        ids: in one swap.
        rounds: of which the median counts.
    """

    users: int = 6_040
    items: int = 3_706
    pairs: int = 1_000_000
    factors: int = 100
    ids: int = 10_000_000
    rounds: int = 5


@dataclass(frozen=True)
class Timing:
    """One line of the table.

    Attributes:
        what: the work.
        law: "none", "sse-se" or "sse-graph".
        threads: it ran on.
        seconds: median over rounds of one round.
        rate: units of work per second; `unit` says which.
        ratio: seconds over those of the same work without SSE; for the swap, over copying the ids.
    """

    what: str
    law: str
    threads: int
    seconds: float
    rate: float
    unit: str
    ratio: float


def bench(size: Size, threads: tuple[int, ...]) -> Iterator[Timing]:
    """Measure one thing after another, each as soon as it is known.

    Compilation is not counted: every piece of work is done once before the clock starts. Times without and with SSE
    come from one process and are medians, but not interleaved: on a busy machine believe large differences only.

    >>> small = Size(users=30, items=20, pairs=200, factors=8, ids=1000, rounds=1)
    >>> [line.what for line in bench(small, (1,))][:3]
    ['swap', 'swap', 'matrix factorisation']
    """
    from torchsse.graph import Graph

    rng = np.random.default_rng(0)
    train = _ratings(size, rng)
    source, target = rng.integers(0, train.num_items, (2, 10 * train.num_items))
    graph = Graph.from_edges(source, target, num_nodes=train.num_items)
    yield from _swaps(size, graph)
    for count in threads:
        yield from _fits(size, train, graph, count)
        yield _ranking(size, count)


def _ratings(size: Size, rng: np.random.Generator) -> Ratings:
    from torchsse.data import Ratings

    # popularity falls off as in real data
    share = 1.0 / (np.arange(size.items) + 0.02 * size.items)
    items = rng.choice(size.items, 2 * size.pairs, p=share / share.sum())
    pairs = np.unique(rng.integers(0, size.users, 2 * size.pairs) * size.items + items)
    users, items = np.divmod(rng.permutation(pairs)[: size.pairs], size.items)
    return Ratings.from_arrays(users, items, rng.integers(1, 6, len(users)))


def _swaps(size: Size, graph: Graph) -> Iterator[Timing]:
    ids = torch.randint(graph.num_nodes, (size.ids,))
    copying = _median(ids.clone, size.rounds)
    laws = {"sse-se": SSE(graph.num_nodes, P0), "sse-graph": SSE(graph.num_nodes, P0, graph=graph, rho=RHO)}
    for law, sse in laws.items():
        taken = _median(lambda sse=sse: swap(ids, sse), size.rounds)  # type: ignore[misc]
        yield Timing("swap", law, torch.get_num_threads(), taken, size.ids / taken, "ids", taken / copying)


def _fits(size: Size, train: Ratings, graph: Graph, threads: int) -> Iterator[Timing]:
    from torchsse.recsys import BPR, MatrixFactorization, WeightedALS

    models: tuple[tuple[str, type[Any], int, str], ...] = (
        ("matrix factorisation", MatrixFactorization, 1, "ratings"),
        ("BPR", BPR, 3, "triplets"),
        ("weighted ALS", WeightedALS, 1, "pairs"),
    )
    for what, kind, per_pair, unit in models:
        plain = 0.0
        for law in ("none", "sse-se", *(("sse-graph",) if kind is not WeightedALS else ())):
            words: dict[str, Any] = {"p0_user": P0, "p0_item": P0} if law != "none" else {}
            if law == "sse-graph":
                words |= {"item_graph": graph, "rho_item": RHO}
            model = kind(factors=size.factors, epochs=size.rounds + 1, num_threads=threads, **words)
            taken = statistics.median([row["seconds"] for row in model.fit(train).history_[1:]])
            plain = plain or taken
            yield Timing(what, law, threads, taken, per_pair * len(train) / taken, unit, taken / plain)


def _ranking(size: Size, threads: int) -> Timing:
    from torchsse.recsys.blocks import factor_scores, rank_all

    rng = np.random.default_rng(1)
    P, Q = (rng.normal(size=(n, size.factors)).astype(np.float32) for n in (size.users, size.items))
    users = np.arange(size.users)
    taken = _median(lambda: rank_all(factor_scores(P, Q), None, users, 10, num_threads=threads), size.rounds)
    return Timing("top 10 of all items", "none", threads, taken, size.users / taken, "users", 1.0)


def _median(action: Callable[[], object], rounds: int) -> float:
    action()
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)
