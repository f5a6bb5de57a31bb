"""Ratings per second of matrix factorisation, and the time to an equal validation error.

Contenders, rank 100, ML-1M sizes (6,040 x 3,706, a million ratings), interleaved round by round: the fused kernel
without SSE, with SSE-SE, with SSE-Graph, on one thread and on two; Cornac's MF (its SGD loop alone, without set-up;
ratings sorted by user, as files are, and shuffled: the faster of the two counts); the same model through torch with
sparse gradients. Every rate is a median over rounds, every ratio a median of the ratios within a round. Beside the wall
clock stands the processor time of the process, which other work on the machine disturbs less; on several threads it is
divided by their number, as if each had a core to itself.

Then one fit each with equal learning rate and decay: how long until the validation RMSE that Cornac ends at.

python -m benchmarks.mf_speed [--ratings FILE] [--rounds 9] [--out FILE]        # pip install cornac for the peer
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.common import parser, write_result
from torchsse.data import Ratings, read_ratings, split
from torchsse.graph import Graph
from torchsse.recsys.factors import Factors
from torchsse.recsys.kernels.draw import swaps
from torchsse.recsys.sgd import KernelTrainer, Rates, examples_of
from torchsse.recsys.torch_mf import TorchTrainer
from torchsse.transition import build_law

RANK, P0, RHO = 100, 0.01, 200.0
RATE, DECAY, PEER_EPOCHS = 0.01, 0.02, 20
LIMITS = {"one_thread_over_cornac": 1.5, "two_threads_over_cornac": 2.5, "one_thread_over_torch": 50.0}  # the issue's
TORCH_EXAMPLES = 65_536
TORCH_BATCHES = (256, 1024, 4096)  # 256: what Cornac's own torch backend takes by default


def made_up(users: int = 6040, items: int = 3706, n: int = 1_000_000, seed: int = 0) -> Ratings:
    """Ratings 1 to 5 of rank eight with noise; popularity falls off as in ML-1M. Repeated pairs are dropped."""
    g = np.random.default_rng(seed)
    user_share = g.zipf(1.4, users).clip(1, 100) + 4.0
    item_share = 1.0 / (np.arange(items) + 60.0)
    draws = int(n * 1.45)
    u = g.choice(users, draws, p=user_share / user_share.sum())
    i = g.choice(items, draws, p=item_share / item_share.sum())
    pairs = np.unique(u.astype(np.int64) * items + i)
    pairs = g.permutation(pairs)[:n]
    u, i = pairs // items, pairs % items
    a, b = g.normal(size=(users, 8)), g.normal(size=(items, 8))
    bias = 0.4 * g.normal(size=users)[u] + 0.5 * g.normal(size=items)[i]
    ratings = 3.5 + bias + 0.2 * np.einsum("nf,nf->n", a[u], b[i]) + 0.8 * g.normal(size=len(u))
    return Ratings.from_arrays(u, i, np.clip(np.rint(ratings), 1, 5))


def settings(p0: float, rate: float = RATE, mean: float = 3.5) -> Rates:
    return Rates(lambda epoch: rate, p0, p0, lambda epoch: 1.0, DECAY, DECAY, 0.0, mean, True, 0)


def graph(num_nodes: int, degree: int = 20) -> Graph:
    g = np.random.default_rng(1)
    return Graph.from_edges(*g.integers(0, num_nodes, (2, num_nodes * degree // 2)), num_nodes=num_nodes)


def kernel(data: Ratings, p0: float, with_graph: bool, threads: int) -> KernelTrainer:
    sizes = data.num_users, data.num_items
    words = [{"graph": graph(n), "rho": RHO} if with_graph else {} for n in sizes]
    laws = [swaps(build_law(n, **w), p0) for n, w in zip(sizes, words, strict=True)]
    order = np.lexsort((data.items, data.users))
    examples = examples_of(data.users[order], data.items[order], data.values[order])
    start = Factors.initial(*sizes, RANK, 0.01, 0)
    return KernelTrainer(start, examples, laws[0], laws[1], settings(p0, mean=float(data.values.mean())), threads)


def timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def both_clocks(action: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    start, busy = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - start, time.process_time() - busy


class Cornac:
    """Cornac's SGD loop on its own arrays."""

    def __init__(self, data: Ratings, order: Any, threads: int) -> None:
        from cornac.models.mf import backend_cpu

        g = np.random.default_rng(0)
        sizes = data.num_users, data.num_items
        self.fit, self.threads = backend_cpu.fit_sgd, threads
        ids = (np.ascontiguousarray(x[order], dtype=np.int64) for x in (data.users, data.items))
        self.columns = [*ids, np.ascontiguousarray(data.values[order])]
        self.factors = [g.normal(0, 0.01, (n, RANK)).astype(np.float32) for n in sizes]
        self.biases = [np.zeros(n, np.float32) for n in sizes]
        self.mean = np.float32(data.values.mean())

    def run(self, epochs: int) -> None:
        self.fit(
            *self.columns, *self.factors, *self.biases, RATE, DECAY, self.mean, epochs, self.threads, True, False, False
        )

    def rmse(self, data: Ratings) -> float:
        (P, Q), (bu, bi) = self.factors, self.biases
        u, i = data.users, data.items
        found = self.mean + bu[u] + bi[i] + np.einsum("nf,nf->n", P[u], Q[i])
        return math.sqrt(float(np.mean((np.clip(found, *data.rating_range) - data.values) ** 2)))


def contenders(data: Ratings) -> dict[str, tuple[int, Callable[[], object]]]:
    """Examples per call, and the call, by name."""
    found: dict[str, tuple[int, Callable[[], object]]] = {}
    for name, p0, with_graph in (("plain", 0.0, False), ("sse-se", P0, False), ("sse-graph", P0, True)):
        for threads in (1, 2):
            trainer = kernel(data, p0, with_graph, threads)
            count = iter(range(10**6))
            found[f"{name}, {threads} thread{'s' * (threads > 1)}"] = (
                len(data),
                lambda trainer=trainer, count=count: trainer.epoch(next(count)),
            )
    by_user = np.lexsort((data.items, data.users))
    mixed = np.random.default_rng(0).permutation(len(data))
    try:
        for name, order, threads in (
            ("cornac by user, 1 thread", by_user, 1),
            ("cornac shuffled, 1 thread", mixed, 1),
            ("cornac by user, 2 threads", by_user, 2),
        ):
            peer = Cornac(data, order, threads)
            found[name] = len(data), lambda peer=peer: peer.run(1)
    except ImportError:
        print("cornac is not installed: no peer (pip install cornac)", flush=True)
    part = mixed[:TORCH_EXAMPLES]
    laws = build_law(data.num_users), build_law(data.num_items)
    start = Factors.initial(data.num_users, data.num_items, RANK, 0.01, 0)
    columns = data.users[part], data.items[part], data.values[part]
    for batch in TORCH_BATCHES:
        through = TorchTrainer(start, *columns, laws, settings(P0), RANK, batch, "cpu")
        found[f"torch sparse, batch {batch}, sse-se, 1 thread"] = len(part), lambda through=through: through.epoch(0)
    return found


def rates(data: Ratings, rounds: int) -> dict[str, Any]:
    runs = contenders(data)
    for _, run in runs.values():
        run()  # compiles, touches memory
    wall: dict[str, list[float]] = {name: [] for name in runs}
    busy: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds):
        for name in list(runs)[:: 1 if turn % 2 else -1]:
            n, run = runs[name]
            seconds, processor = both_clocks(run)
            wall[name].append(n / seconds / 1e6)
            busy[name].append(n / processor / 1e6 * (2 if "2 threads" in name else 1))
    law = min(("sse-se", "sse-graph"), key=lambda name: statistics.median(busy[f"{name}, 1 thread"]))
    out: dict[str, Any] = {"slower_law": law}
    torch_names = [name for name in runs if name.startswith("torch")]
    for clock, seen in (("wall", wall), ("processor", busy)):

        def ratio(ours: str, *peers: str, seen: dict[str, list[float]] = seen) -> float | None:
            if not all(peer in seen for peer in peers):
                return None
            pairs = zip(seen[ours], *(seen[peer] for peer in peers), strict=True)
            return statistics.median(mine / max(others) for mine, *others in pairs)

        cornac = ("cornac by user, 1 thread", "cornac shuffled, 1 thread")
        out[clock] = {
            "million_ratings_per_second": {name: round(statistics.median(values), 2) for name, values in seen.items()},
            "one_thread_over_cornac": ratio(f"{law}, 1 thread", *cornac),
            "two_threads_over_cornac": ratio(f"{law}, 2 threads", *cornac),
            "one_thread_over_torch": ratio(f"{law}, 1 thread", torch_names[0]),
            "one_thread_over_fastest_torch": ratio(f"{law}, 1 thread", *torch_names),
            "two_threads_over_fastest_torch": ratio(f"{law}, 2 threads", *torch_names),
            "sse_se_over_plain": ratio("sse-se, 1 thread", "plain, 1 thread"),
            "sse_graph_over_plain": ratio("sse-graph, 1 thread", "plain, 1 thread"),
        }
    return out


def time_to_rmse(data: Ratings) -> dict[str, Any]:
    """Cornac's error after `PEER_EPOCHS`, and the training time until each contender reaches it."""
    train, validation = split.random(data, 0.1, seed=0)
    by_user = np.lexsort((train.items, train.users))
    out: dict[str, Any] = {"learning_rate": RATE, "decay": DECAY}
    try:
        peer = Cornac(train, by_user, 1)
    except ImportError:
        return {**out, "peer": None}
    seconds = timed(lambda: peer.run(PEER_EPOCHS))
    target = peer.rmse(validation)
    out["validation_rmse"] = target
    out["cornac, 1 thread"] = {"seconds": seconds, "epochs": PEER_EPOCHS}
    truth = validation.values.astype(np.float64)
    warm = np.ones(train.num_users, bool), np.ones(train.num_items, bool)
    for name, p0, threads in (("plain", 0.0, 1), ("sse-se", P0, 1), ("sse-se", P0, 2)):
        trainer, spent, error = kernel(train, p0, False, threads), 0.0, math.inf
        mean = float(train.values.mean())
        for epoch in range(3 * PEER_EPOCHS):
            spent += timed(lambda trainer=trainer, epoch=epoch: trainer.epoch(epoch))
            scores = trainer.factors.score(validation.users, validation.items, *warm, mean, True)
            error = math.sqrt(float(np.mean((np.clip(scores, *train.rating_range) - truth) ** 2)))
            if error <= target:
                break
        out[f"{name}, {threads} thread{'s' * (threads > 1)}"] = {
            "seconds": spent, "epochs": epoch + 1, "reached": error <= target, "validation_rmse": error,
        }  # fmt: skip
    return out


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--ratings", help="a ratings file instead of made-up data of the same size")
    arguments.add_argument("--rounds", type=int, default=9)
    chosen = arguments.parse_args()
    torch.set_num_threads(1)
    data = read_ratings(chosen.ratings) if chosen.ratings else made_up()
    result = rates(data, chosen.rounds)
    result["limits"] = LIMITS
    wall = result["wall"]
    result["met"] = {name: None if wall[name] is None else wall[name] >= limit for name, limit in LIMITS.items()}
    result["data"] = {
        "source": chosen.ratings or "made up",
        **{k: getattr(data, k) for k in ("num_users", "num_items")},
    }
    result["data"]["ratings"] = len(data)
    result["rank"], result["p0"], result["rounds"] = RANK, P0, chosen.rounds
    result["time_to_rmse"] = time_to_rmse(data)
    write_result("mf_speed", result, chosen.out)


if __name__ == "__main__":
    main()
