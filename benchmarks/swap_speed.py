"""What a swap costs over `ids.clone()`: the time of both on the same ids, paired and interleaved, as a ratio.

Both sides make a fresh output; the swap checks the range of every id besides. The floor is the clone: memory has to be
read and written once, and the pages of a fresh tensor faulted in.

python -m benchmarks.swap_speed [--ids 10000000] [--rounds 15] [--p0 0.01] [--crossover] [--out FILE]
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.common import parser, write_result
from torchsse.graph import Graph
from torchsse.modules.sse import SSE
from torchsse.swap import cpu, swap
from torchsse.transition import Walk

NODES, EDGES = 10**6, 10**7
LIMITS = {"sse-se": 1.3, "sse-graph": 1.5}  # the issue's


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    result = action()
    taken = time.perf_counter() - start
    del result  # its memory is handed back outside the clock, on both sides
    return taken


def paired(action: Callable[[], object], reference: Callable[[], object], rounds: int) -> dict[str, float]:
    """Medians of both, and the median of the ratios of neighbours in time; who goes first alternates."""
    seconds(action), seconds(reference)
    ours, theirs = [], []
    for turn in range(rounds):
        pair = (action, reference) if turn % 2 else (reference, action)
        times = [seconds(one) for one in pair]
        ours.append(times[0 if turn % 2 else 1])
        theirs.append(times[1 if turn % 2 else 0])
    ratios = sorted(mine / other for mine, other in zip(ours, theirs, strict=True))
    return {
        "ratio": statistics.median(ratios),
        "ratio_quartile_low": ratios[len(ratios) // 4],
        "ratio_quartile_high": ratios[3 * len(ratios) // 4],
        "milliseconds": statistics.median(ours) * 1e3,
        "clone_milliseconds": statistics.median(theirs) * 1e3,
    }


def modules(p0: float, nodes: int = NODES, edges: int = EDGES) -> dict[str, SSE]:
    """One module for each kind of law over so many ids; the graphs store so many entries."""
    rng = np.random.default_rng(0)
    source, target = rng.integers(0, nodes, (2, edges // 2))
    equal = Graph.from_edges(source, target, num_nodes=nodes)
    weight = rng.random(edges // 2, dtype=np.float32) * 0.9 + 0.1
    weighted = Graph.from_edges(source, target, num_nodes=nodes, weight=weight)
    return {
        "sse-se": SSE(nodes, p0),
        "sse-graph": SSE(nodes, p0, graph=equal, rho=200.0),
        "sse-se, exclusions": SSE(nodes, p0, exclude=[0, 1, 2]),
        "sse-graph, weights": SSE(nodes, p0, graph=weighted, rho=200.0),
        "walk, 2 hops": SSE(nodes, p0, graph=equal, walk=Walk(hops=2, restart=0.15)),
        "walk, 2 hops, weights": SSE(nodes, p0, graph=weighted, walk=Walk(hops=2, restart=0.15)),
    }


def measure(count: int, p0: float, rounds: int) -> dict[str, Any]:
    """Ratios for every law, with torch's default number of threads and with one."""
    ids = torch.randint(NODES, (count,), generator=torch.Generator().manual_seed(0))
    table = modules(p0)
    default = torch.get_num_threads()
    result: dict[str, Any] = {}
    for threads in sorted({default, 1}, reverse=True):
        torch.set_num_threads(threads)
        for name, sse in table.items():
            found = paired(lambda sse=sse: swap(ids, sse), ids.clone, rounds)  # type: ignore[misc]
            found["nanoseconds_per_id"] = found["milliseconds"] * 1e6 / count
            if name in LIMITS:
                found["limit"] = LIMITS[name]
            result[f"{name}, {threads} threads"] = found
    torch.set_num_threads(default)
    return result


def crossover(count: int, rounds: int) -> dict[str, Any]:
    """Gaps against a coin for every id, by p0: where the CPU path should change from one to the other."""
    result = {}
    for p0 in (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9):
        found = paired(
            lambda p0=p0: list(cpu._gaps(count, p0, None)),  # type: ignore[misc]
            lambda p0=p0: list(cpu._dense(count, p0, None)),  # type: ignore[misc]
            rounds,
        )
        result[f"p0 = {p0}"] = {"gaps_over_dense": found["ratio"], "gaps_milliseconds": found["milliseconds"]}
    return result


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--ids", type=int, default=10**7)
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--p0", type=float, default=0.01)
    arguments.add_argument("--crossover", action="store_true", help="also measure where gaps cost as much as coins")
    given = arguments.parse_args()
    result: dict[str, Any] = {"ids": given.ids, "p0": given.p0, "nodes": NODES, "edges": EDGES, "rounds": given.rounds}
    result["over_clone"] = measure(given.ids, given.p0, given.rounds)
    if given.crossover:
        result["crossover"] = crossover(given.ids, given.rounds)
    write_result("swap_speed", result, given.out)


if __name__ == "__main__":
    main()
