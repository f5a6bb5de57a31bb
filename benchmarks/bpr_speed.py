"""Triplets per second of BPR, and the precision at 10 after equal time.

Contenders, rank 100, interleaved round by round: the fused kernel without SSE, with SSE-SE, with SSE-Graph, on one
thread and on two; Cornac's BPR (its SGD loop alone; triplets that it skips since the negative was a positive do not
count). Every rate is a median over rounds, every ratio a median of the ratios within a round. Beside the wall clock
stands the processor time of the process, which other work on the machine disturbs less; on several threads it is
divided by their number, as if each had a core to itself.

Then one fit with the default settings, timed; Cornac trains for as long with each setting of a small grid, and the best
of them on the test part counts.

python -m benchmarks.bpr_speed [--train FILE --test FILE] [--rounds 7] [--out FILE]    # pip install cornac for the peer
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from benchmarks.common import parser, write_result
from benchmarks.mf_speed import both_clocks, graph, made_up
from torchsse.data import Ratings, read_ratings, split
from torchsse.recsys import BPR
from torchsse.recsys.bpr_sgd import BPRKernelTrainer, RankingRates, pairs_of
from torchsse.recsys.factors import Factors
from torchsse.recsys.kernels.draw import swaps
from torchsse.recsys.kernels.negatives import seen_pairs
from torchsse.recsys.ranking import evaluate_ranking
from torchsse.transition import build_law

RANK, NEGATIVES, P0, RHO = 100, 3, 0.1, 500.0
RATE, DECAY = 0.05, 0.02
PEER_GRID = {"learning_rate": (0.02, 0.05), "lambda_reg": (0.005, 0.01, 0.02)}
LIMITS = {"one_thread_over_cornac": 2.5, "two_threads_over_best_peer": 3.0}  # the issue's


def kernel(data: Ratings, p0: float, with_graph: bool, threads: int) -> BPRKernelTrainer:
    sizes = data.num_users, data.num_items
    words = [{"graph": graph(n), "rho": RHO} if with_graph else {} for n in sizes]
    laws = [swaps(build_law(n, **w), p0) for n, w in zip(sizes, words, strict=True)]
    seen = data.to_csr()
    seen.sort_indices()
    rates = RankingRates(lambda epoch: RATE, p0, p0, False, NEGATIVES, False, DECAY, DECAY, 0.0, False, 0)
    start = Factors.initial(*sizes, RANK, 0.01, 0)
    view = seen_pairs(seen.indptr, seen.indices, data.num_items)
    order = np.lexsort((data.items, data.users))
    pairs = pairs_of(data.users[order], data.items[order])
    return BPRKernelTrainer(start, pairs, view, laws[0], laws[1], rates, threads)


class Cornac:
    """Cornac's SGD loop on its own arrays."""

    def __init__(self, data: Ratings, threads: int, **words: Any) -> None:
        from cornac.models.bpr import recom_bpr

        self.peer = recom_bpr.BPR(k=RANK, num_threads=threads, use_bias=False, seed=0, verbose=False, **words)
        seen = data.to_csr()
        seen.sort_indices()
        g = np.random.default_rng(0)
        self.factors = [((g.random((n, RANK)) - 0.5) / RANK).astype(np.float32) for n in seen.shape]
        ids = np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr)), seen.indices
        users, items = (np.ascontiguousarray(x, dtype=np.int32) for x in ids)
        last = len(items) - 1, seen.shape[1] - 1
        self.draws = [recom_bpr.RNGVector(threads, high, seed) for seed, high in enumerate(last)]
        every = np.arange(seen.shape[1], dtype=np.int32)
        self.columns = users, items, every, seen.indptr.astype(np.int32)
        self.bias, self.threads = np.zeros(seen.shape[1], np.float32), threads

    def epoch(self) -> int:
        """The triplets learned from."""
        _, skipped = self.peer._fit_sgd(*self.draws, self.threads, *self.columns, *self.factors, self.bias)
        return len(self.columns[0]) - int(skipped)


def contenders(data: Ratings) -> dict[str, Callable[[], int]]:
    """An epoch, by name; it returns its number of triplets."""
    found: dict[str, Callable[[], int]] = {}
    for name, p0, with_graph in (("plain", 0.0, False), ("sse-se", P0, False), ("sse-graph", P0, True)):
        for threads in (1, 2):
            trainer, count = kernel(data, p0, with_graph, threads), iter(range(10**6))

            def run(trainer: BPRKernelTrainer = trainer, count: Any = count) -> int:
                trainer.epoch(next(count))
                return NEGATIVES * len(data)

            found[f"{name}, {threads} thread{'s' * (threads > 1)}"] = run
    try:
        for threads in (1, 2):
            peer = Cornac(data, threads, learning_rate=RATE, lambda_reg=DECAY)
            found[f"cornac, {threads} thread{'s' * (threads > 1)}"] = peer.epoch
    except ImportError:
        print("cornac is not installed: no peer (pip install cornac)", flush=True)
    return found


def rates(data: Ratings, rounds: int) -> dict[str, Any]:
    runs = contenders(data)
    for run in runs.values():
        run()  # compiles, touches memory
    wall: dict[str, list[float]] = {name: [] for name in runs}
    busy: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds):
        for name in list(runs)[:: 1 if turn % 2 else -1]:
            n = 0

            def call(name: str = name) -> None:
                nonlocal n
                n = runs[name]()

            seconds, processor = both_clocks(call)
            wall[name].append(n / seconds / 1e6)
            busy[name].append(n / processor / 1e6 * (2 if "2 threads" in name else 1))
    law = min(("sse-se", "sse-graph"), key=lambda name: statistics.median(busy[f"{name}, 1 thread"]))
    out: dict[str, Any] = {"slower_law": law}
    for clock, seen in (("wall", wall), ("processor", busy)):

        def ratio(ours: str, *peers: str, seen: dict[str, list[float]] = seen) -> float | None:
            if not all(peer in seen for peer in peers):
                return None
            pairs = zip(seen[ours], *(seen[peer] for peer in peers), strict=True)
            return statistics.median(mine / max(others) for mine, *others in pairs)

        out[clock] = {
            "million_triplets_per_second": {name: round(statistics.median(values), 2) for name, values in seen.items()},
            "one_thread_over_cornac": ratio(f"{law}, 1 thread", "cornac, 1 thread"),
            "two_threads_over_best_peer": ratio(f"{law}, 2 threads", "cornac, 1 thread", "cornac, 2 threads"),
            "sse_se_over_plain": ratio("sse-se, 1 thread", "plain, 1 thread"),
            "sse_graph_over_plain": ratio("sse-graph, 1 thread", "plain, 1 thread"),
        }
    return out


def equal_time(train: Ratings, test: Ratings) -> dict[str, Any]:
    """Precision at 10 of `BPR()` and, after as much training time, of Cornac at its best on the test part."""
    model = BPR().fit(train)
    seconds = sum(row["seconds"] for row in model.history_)
    out: dict[str, Any] = {"seconds": seconds, "torchsse": {"epochs": model.epochs, **precision(model, test)}}
    peers: list[dict[str, Any]] = []
    for values in product(*PEER_GRID.values()):
        words = dict(zip(PEER_GRID, values, strict=True))
        try:
            peer = Cornac(train, 1, **words)
        except ImportError:
            return {**out, "cornac": None}
        start, epochs = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            peer.epoch()
            epochs += 1
        tables = model._factors
        tables.P[:, :RANK], tables.Q[:, :RANK] = peer.factors  # measured by the same code
        peers.append({**words, "epochs": epochs, **precision(model, test)})
    out["cornac"] = max(peers, key=lambda row: row["precision@10"])
    out["cornac_settings_tried"] = len(peers)
    return out


def precision(model: BPR, test: Ratings) -> dict[str, float]:
    means = evaluate_ranking(model, test)["means"]
    return {f"precision@{k}": round(means[f"precision@{k}"], 4) for k in (1, 5, 10)}


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--train", help="a file of pairs instead of made-up data of ML-1M's size")
    arguments.add_argument("--test", help="its test part; without, a fifth of each user's pairs is held out")
    arguments.add_argument("--rounds", type=int, default=7)
    chosen = arguments.parse_args()
    data = read_ratings(chosen.train, feedback="implicit") if chosen.train else made_up()
    result = rates(data, chosen.rounds)
    wall = result["wall"]
    result["limits"] = LIMITS
    result["met"] = {name: None if wall[name] is None else wall[name] >= limit for name, limit in LIMITS.items()}
    sizes = {"num_users": data.num_users, "num_items": data.num_items, "pairs": len(data)}
    result["data"] = {"source": chosen.train or "made up", **sizes}
    result |= {"rank": RANK, "p0": P0, "negatives": NEGATIVES, "rounds": chosen.rounds}
    if chosen.test:
        test = read_ratings(chosen.test, like=data, feedback="implicit")
        parts = data.with_ids(test.user_ids, test.item_ids), test
    else:
        parts = split.per_user(data, 0.2, seed=0)
    result["equal_time"] = equal_time(*parts)
    write_result("bpr_speed", result, chosen.out)


if __name__ == "__main__":
    main()
