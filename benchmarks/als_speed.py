"""Seconds per sweep of weighted alternating least squares, against implicit's, and what SSE-Graph's fill-in costs.

Contenders, rank 100, float32, alpha 10, regularization 100, ML-1M sizes (6,040 x 3,706, a million pairs), interleaved
round by round, on one thread and on two: `WeightedALS` plain, with SSE-SE, with SSE-Graph over a graph like that of
shared actors and over the 10 nearest items by co-occurrence (swaps of items), and implicit's AlternatingLeastSquares
with the same solver: three steps of conjugate gradients, or Cholesky (SSE-Graph: the nearest on one thread only). Ours
also computes the objective after each sweep, implicit's does not.

Every time is a median over rounds, every ratio a median of the ratios within a round. Beside the wall clock stands the
processor time of the process, which other work on the machine disturbs less. For each SSE-Graph: entries of the
propagated examples over the examples (`fill_in`), the time over plain's, that over the fill-in, the bytes that the
propagated examples take, and the peak of resident memory of a process of its own that fits two sweeps (libraries and
data included). With `--large` the latter at Gowalla's size too (29,858 x 40,981, 810,000 pairs, 10 nearest), with the
propagated examples kept and computed anew.

python -m benchmarks.als_speed [--train FILE] [--edges FILE] [--solver cg|cholesky] [--rounds 7] [--large] [--out FILE]
    # OPENBLAS_NUM_THREADS=1, as implicit asks for; pip install implicit for the peer
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import parser, write_result
from benchmarks.mf_speed import both_clocks, made_up
from torchsse.data import Ratings, read_edges, read_ratings
from torchsse.graph import Graph
from torchsse.recsys.als.propagate import MAX_ENTRIES
from torchsse.recsys.als.weighted import WeightedALS, WeightedSweeper

RANK, ALPHA, PENALTY, STEPS, P0, RHO = 100, 10.0, 100.0, 3, 0.1, 500.0
LIMITS = {"plain_over_implicit": 1.0, "sse_se_over_implicit": 1.3}  # the issue's
GOWALLA = (29_858, 40_981, 810_000)  # users, items, pairs
SOLVERS = {"cg": 7, "cholesky": 3}  # and rounds


def like_actors(items: int, seed: int = 0) -> Graph:
    """Items that share one of four names each, of names as unevenly used as actors are: 25 neighbours on average."""
    g = np.random.default_rng(seed)
    share = 1.0 / (np.arange(2 * items) + 40.0)
    names = g.choice(len(share), 4 * items, p=share / share.sum())
    return Graph.from_attributes(np.repeat(np.arange(items), 4), names, num_nodes=items)


def nearest(data: Ratings) -> Graph:
    return Graph.from_cooccurrence(data.to_csr(), k=10, similarity="jaccard")


def words(arm: str, data: Ratings, edges: str | None) -> dict[str, Any]:
    """The constructor words of an arm."""
    if arm == "plain":
        return {}
    if arm == "sse-se":
        return {"p0_user": P0, "p0_item": P0}
    if arm == "sse-graph, nearest":
        graph: Any = nearest(data)
    else:
        graph = read_edges(edges) if edges else like_actors(data.num_items)
    return {"p0_item": P0, "item_graph": graph, "rho_item": RHO}


ARMS = ("plain", "sse-se", "sse-graph, nearest", "sse-graph, actors")


def prepared(data: Ratings, solver: str, threads: int, **more: Any) -> tuple[WeightedALS, WeightedSweeper]:
    model = WeightedALS(RANK, alpha=ALPHA, regularization=PENALTY, solver=solver, num_threads=threads, **more)
    return model, model._prepare(data)[0]


def implicit_sweep(data: Ratings, solver: str, threads: int) -> Callable[[], None] | None:
    """What implicit's `fit` does in an iteration."""
    try:
        from implicit.cpu.als import AlternatingLeastSquares
    except ImportError:
        return None
    peer = AlternatingLeastSquares(RANK, PENALTY, use_cg=solver == "cg", num_threads=threads, iterations=0)
    confidence = data.to_csr().astype(np.float32)
    confidence.data[:] = 1.0 + ALPHA
    peer.cg_steps = STEPS
    peer.random_state = 0
    peer.fit(confidence, show_progress=False)  # no iteration: the tables
    turned = confidence.T.tocsr()

    def sweep() -> None:
        for examples, rows, others in (
            (confidence, peer.user_factors, peer.item_factors),
            (turned, peer.item_factors, peer.user_factors),
        ):
            peer.solver(examples, rows, others, PENALTY, num_threads=threads)

    return sweep


def contenders(data: Ratings, solver: str, edges: str | None) -> tuple[dict[str, Callable[[], Any]], dict[str, Any]]:
    """A sweep by name, and facts of the arms with a graph."""
    found: dict[str, Callable[[], Any]] = {}
    facts: dict[str, Any] = {}
    for arm in ARMS:
        chosen = words(arm, data, edges)
        for threads in (1, 2):
            if solver == "cholesky" and "graph" in arm and (threads > 1 or "actors" in arm):
                continue
            model, sweeper = prepared(data, solver, threads, **chosen)
            found[named(arm, threads)] = sweeper.sweep
            if "graph" in arm:
                facts[arm] = {"fill_in": model.fill_in_, "propagated_mib": sweeper.nbytes / 2**20}
    for threads in (1, 2):
        peer = implicit_sweep(data, solver, threads)
        if peer is not None:
            found[named("implicit", threads)] = peer
    return found, facts


def named(arm: str, threads: int) -> str:
    return f"{arm}, {threads} thread{'s' * (threads > 1)}"


def sweeps(data: Ratings, solver: str, edges: str | None, rounds: int) -> dict[str, Any]:
    runs, facts = contenders(data, solver, edges)
    for run in runs.values():
        run()  # compiles, touches memory
    clocks: dict[str, dict[str, list[float]]] = {c: {name: [] for name in runs} for c in ("wall", "processor")}
    for turn in range(rounds):
        for name in list(runs)[:: 1 if turn % 2 else -1]:
            for clock, seconds in zip(clocks, both_clocks(runs[name]), strict=True):
                clocks[clock][name].append(seconds)
    out: dict[str, Any] = {"rounds": rounds}
    for clock, seen in clocks.items():

        def ratio(ours: str, other: str, seen: dict[str, list[float]] = seen) -> float | None:
            if ours not in seen or other not in seen:
                return None
            return round(statistics.median(a / b for a, b in zip(seen[ours], seen[other], strict=True)), 3)

        out[clock] = {
            "seconds": {name: round(statistics.median(values), 4) for name, values in seen.items()},
            "over_implicit": {
                named(arm, n): ratio(named(arm, n), named("implicit", n)) for arm in ARMS[:2] for n in (1, 2)
            },
            "over_plain": {arm: ratio(named(arm, 1), named("plain", 1)) for arm in ARMS[1:]},
        }
    for arm, fact in facts.items():
        over = out["processor"]["over_plain"][arm]
        fact |= {"over_plain": over, "over_plain_per_fill_in": round(over / fact["fill_in"], 3)}
    return {**out, "sse_graph": facts}


def peak_gib() -> float:
    """Of this process alone: what getrusage says begins at its parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux


def memory(arm: str, solver: str, large: bool, train: str | None, edges: str | None, most: int) -> dict[str, Any]:
    """Peak of this process, and what it is made of."""
    data = read_ratings(train, feedback="implicit") if train else made_up(*GOWALLA) if large else made_up()
    chosen = words(arm, data, edges)
    before = peak_gib()
    start = time.perf_counter()
    model, sweeper = prepared(data, solver, 1, max_entries=most, **chosen)
    ready = time.perf_counter()
    busy = [both_clocks(sweeper.sweep)[1] for _ in range(2)]
    return {
        "shape": [data.num_users, data.num_items], "pairs": len(data), "arm": arm, "fill_in": model.fill_in_,
        "entries": round(model.fill_in_ * len(data)), "max_entries": most, "propagated_gib": sweeper.nbytes / 2**30,
        "seconds_to_propagate": ready - start, "processor_seconds_a_sweep": min(busy),
        "peak_gib_before": before, "peak_gib": peak_gib(),
    }  # fmt: skip


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--train", help="a file of pairs instead of made-up data of ML-1M's size")
    arguments.add_argument("--edges", help="its item graph, raw ids, instead of one like that of shared actors")
    arguments.add_argument("--solver", choices=tuple(SOLVERS), help="only this one")
    arguments.add_argument("--rounds", type=int, help="7 with conjugate gradients, 3 with Cholesky")
    arguments.add_argument("--large", action="store_true", help="memory at Gowalla's size too")
    arguments.add_argument("--memory", nargs=2, metavar=("ARM", "MAX_ENTRIES"), help="only the memory of one arm")
    chosen = arguments.parse_args()
    torch.set_num_threads(1)
    if chosen.memory:
        arm, most = chosen.memory
        found = memory(arm, chosen.solver or "cg", chosen.large, chosen.train, chosen.edges, int(most))
        print(json.dumps(found))
        return
    data = read_ratings(chosen.train, feedback="implicit") if chosen.train else made_up()
    data = Ratings.from_arrays(data.raw_users, data.raw_items)
    result: dict[str, Any] = {
        "data": {"source": chosen.train or "made up", "shape": [data.num_users, data.num_items], "pairs": len(data)},
        "rank": RANK, "alpha": ALPHA, "regularization": PENALTY, "cg_steps": STEPS, "p0": P0, "rho": RHO,
    }  # fmt: skip
    for solver in [chosen.solver] if chosen.solver else SOLVERS:
        result[solver] = sweeps(data, solver, chosen.edges, chosen.rounds or SOLVERS[solver])
        ratios = result[solver]["wall"]["over_implicit"]
        result[solver]["met"] = {
            name: None if value is None else value <= LIMITS[f"{name.split(',')[0].replace('-', '_')}_over_implicit"]
            for name, value in ratios.items()
        }
    result["limits"] = LIMITS
    cases = [(arm, MAX_ENTRIES, False) for arm in ("plain", *ARMS[2:])]
    if chosen.large:
        cases += [("plain", MAX_ENTRIES, True), (ARMS[2], MAX_ENTRIES, True), (ARMS[2], 1, True)]
    result["memory"] = []
    for arm, most, large in cases:
        command = [sys.executable, "-m", "benchmarks.als_speed", "--memory", arm, str(most)]
        for name in ("train", "edges"):
            if getattr(chosen, name) and not large:
                command += [f"--{name}", getattr(chosen, name)]
        command += ["--large"] * large
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        result["memory"].append(json.loads(done.stdout))
    write_result("als_speed", result, chosen.out)


if __name__ == "__main__":
    main()
