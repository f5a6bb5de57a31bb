"""Peak memory and time of Graph.from_edges, each case in a fresh process: peak above the input over the finished graph.

python -m benchmarks.graph_build --edges 100000000 --case directed --case undirected
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import parser, write_result
from torchsse.graph import Graph

CASES = {
    "directed": (True, False),
    "undirected": (False, False),
    "directed-weighted": (True, True),
    "undirected-weighted": (False, True),
}
LIMIT = 3.0  # peak memory over the finished graph
PIECE = 1 << 22  # edges generated at once, so that making the input leaves no peak behind


def status_bytes(field: str) -> int:
    """A memory figure of this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}; this benchmark needs Linux")


def reset_peak() -> bool:
    """Let the kernel forget the peak so far; False where it does not allow that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def random_edges(edges: int, nodes: int, *, weighted: bool) -> tuple[Any, Any, Any]:
    """Uniform endpoints (int64) and weights (float32), in no order."""
    rng = np.random.default_rng(0)
    src, dst = np.empty(edges, dtype=np.int64), np.empty(edges, dtype=np.int64)
    weight = np.empty(edges, dtype=np.float32) if weighted else None
    for start in range(0, edges, PIECE):
        count = min(PIECE, edges - start)
        src[start : start + count] = rng.integers(0, nodes, count)
        dst[start : start + count] = rng.integers(0, nodes, count)
        if weight is not None:
            weight[start : start + count] = 1 - rng.random(count, dtype=np.float32)
    return src, dst, weight


def measure(case: str, edges: int, nodes: int) -> dict[str, Any]:
    """Build one graph in this process."""
    directed, weighted = CASES[case]
    Graph.from_edges([0, 1], [1, 0], num_nodes=2, weight=[0.5, 0.25])  # first-call costs
    src, dst, weight = random_edges(edges, nodes, weighted=weighted)
    exact = reset_peak()
    before, start = status_bytes("VmRSS"), time.perf_counter()
    graph = Graph.from_edges(src, dst, num_nodes=nodes, weight=weight, directed=directed)
    seconds = time.perf_counter() - start
    peak = status_bytes("VmHWM") if exact else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    arrays = [graph.indptr, graph.indices, *([] if graph.weights is None else [graph.weights])]
    finished = sum(array.nbytes for array in arrays)
    return {
        "case": case,
        "edges": edges,
        "nodes": nodes,
        "stored_entries": graph.num_edges,
        "input_bytes": src.nbytes + dst.nbytes + (0 if weight is None else weight.nbytes),
        "finished_bytes": finished,
        "peak_above_input_bytes": peak - before,
        "peak_ratio": (peak - before) / finished,
        "resident_after_ratio": (status_bytes("VmRSS") - before) / finished,
        "seconds": seconds,
        "entries_per_second": graph.num_edges / seconds,
    }


def add_arguments(arguments: argparse.ArgumentParser) -> None:
    """The command line of this benchmark."""
    arguments.add_argument("--edges", type=int, default=10_000_000)
    arguments.add_argument("--nodes", type=int, help="default: one per ten edges")
    arguments.add_argument("--case", action="append", choices=list(CASES), help="default: all")
    arguments.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)


def main() -> int:
    """Measure each case in a process of its own and print; exit code 1 if a peak is above the limit."""
    arguments = parser(__doc__)
    add_arguments(arguments)
    args = arguments.parse_args()
    nodes = args.nodes or max(1, args.edges // 10)
    cases = args.case or list(CASES)
    if args.in_process:
        print(json.dumps(measure(cases[0], args.edges, nodes)))
        return 0
    results = []
    for case in cases:
        command = [sys.executable, "-m", "benchmarks.graph_build", "--in-process", "--case", case]
        command += ["--edges", str(args.edges), "--nodes", str(nodes)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        results.append(json.loads(done.stdout))
    worst = max(result["peak_ratio"] for result in results)
    write_result("graph_build", {"cases": results, "worst_peak_ratio": worst, "limit": LIMIT}, args.out)
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
