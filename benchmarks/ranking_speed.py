"""Ranking evaluation over all items: P@10 and NDCG@10 for 6,040 users x 3,706 items at rank 100, scoring included.

Contenders, interleaved round by round, all from the same factors, the same seen items masked, the same positives:

- ours: `rank_all` and `ranking_metrics`, on one thread and on two;
- the same blocks and matrix product with `numpy.argpartition` and with `torch.topk` in place of the fused kernel;
- where they are installed: implicit's `ranking_metrics_at_k` on one thread and on two (start with
  OPENBLAS_NUM_THREADS=1, as it asks for); ranx, given our lists (its run is built each time, its positives once);
  RecBole's full-sort evaluation with its BPR model (`recbole_peer`; `--recbole` names the site-packages of an
  environment of its own); torchmetrics, once (precision alone, on a tenth of the users, times ten). `absent` names
  those that are not.

Every time is a median over rounds, every ratio a median of the ratios within a round. Beside the wall clock stands the
processor time of the process, which other work on the machine disturbs less. Then, in a process of its own,
29,858 users x 40,981 items (the size of Gowalla): seconds and the peak of resident memory, libraries included.

python -m benchmarks.ranking_speed [--rounds 7] [--recbole FOLDER] [--out FILE]
"""

from __future__ import annotations

import importlib.metadata
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
import scipy.sparse
import torch

from benchmarks.common import parser, write_result
from benchmarks.mf_speed import made_up
from benchmarks.recbole_peer import recbole_peer
from torchsse.metrics import ranking_metrics
from torchsse.recsys.blocks import factor_scores, rank_all
from torchsse.recsys.topk import mask_seen

RANK, K = 100, 10
LIMITS = {"implicit_seconds": 0.38, "memory_gib": 2.0}  # what was asked for
PEERS = ("implicit", "ranx", "recbole", "torchmetrics")
LARGE = (29_858, 40_981, 719_081, 217_242)  # users, items, pairs in train, pairs in test


def factors(users: int, items: int) -> tuple[Any, Any]:
    g = np.random.default_rng(1)
    return tuple(g.normal(size=(n, RANK)).astype(np.float32) for n in (users, items))  # type: ignore[return-value]


def with_selection(P: Any, Q: Any, seen: Any, select: Callable[[Any], Any]) -> Any:
    """The blocks of `rank_all`, but mask and top-k by array operations; the largest first, ties in any order."""
    score, out = factor_scores(P, Q), []
    for start in range(0, len(P), 141):
        users = np.arange(start, min(start + 141, len(P)))
        scores = score(users)
        mask_seen(scores, users, seen.indptr, seen.indices)
        out.append(select(scores))
    return np.concatenate(out)


def argpartition(scores: Any) -> Any:
    best = np.argpartition(scores, -K, axis=1)[:, -K:]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1)
    return np.take_along_axis(best, order, axis=1)


def contenders(P: Any, Q: Any, seen: Any, test: Any, recbole: Path | None) -> dict[str, Callable[[], float]]:
    """By name a function that returns the mean precision@10."""
    users = np.arange(len(P))

    def measured(top: Any) -> float:
        return float(np.nanmean(ranking_metrics(top, test, (K,))[f"precision@{K}"]))

    def topk(scores: Any) -> Any:
        return torch.topk(torch.from_numpy(scores), K)[1].numpy()

    found: dict[str, Callable[[], float]] = {
        "ours, 1 thread": lambda: measured(rank_all(factor_scores(P, Q), seen, users, K)),
        "ours, 2 threads": lambda: measured(rank_all(factor_scores(P, Q), seen, users, K, num_threads=2)),
        "argpartition, 1 thread": lambda: measured(with_selection(P, Q, seen, argpartition)),
        "torch.topk, 1 thread": lambda: measured(with_selection(P, Q, seen, topk)),
    }
    for threads in (1, 2):
        peer = implicit_peer(P, Q, seen, test, threads)
        if peer is not None:
            found[f"implicit, {threads} thread{'s' * (threads > 1)}"] = peer
    peer = ranx_peer(P, Q, seen, test)
    if peer is not None:
        found["ranx on our lists"] = peer
    return found | recbole_peer(P, Q, seen, test, K, recbole)


def implicit_peer(P: Any, Q: Any, seen: Any, test: Any, threads: int) -> Callable[[], float] | None:
    try:
        from implicit.cpu.als import AlternatingLeastSquares
        from implicit.evaluation import ranking_metrics_at_k
    except ImportError:
        return None
    model = AlternatingLeastSquares(factors=RANK, num_threads=threads)
    model.user_factors, model.item_factors = P, Q
    wanted = np.minimum(np.diff(test.indptr), K)

    def run() -> float:
        words = {"K": K, "show_progress": False, "num_threads": threads}
        # implicit divides the hits of all users by the sum of min(K, P)
        hits = ranking_metrics_at_k(model, seen, test, **words)["precision"] * wanted.sum()
        return float(hits / K / (wanted > 0).sum())

    return run


def ranx_peer(P: Any, Q: Any, seen: Any, test: Any) -> Callable[[], float] | None:
    try:
        from ranx import Qrels, Run, evaluate
    except ImportError:
        return None
    users = np.flatnonzero(np.diff(test.indptr))
    names = [str(item) for item in range(len(Q))]
    qrels = Qrels({str(u): {names[i]: 1 for i in test.indices[test.indptr[u] : test.indptr[u + 1]]} for u in users})

    def run() -> float:
        top = rank_all(factor_scores(P, Q), seen, users, K)
        lists = {str(u): {names[i]: K - rank for rank, i in enumerate(row)} for u, row in zip(users, top.tolist())}
        return float(evaluate(qrels, Run(lists), [f"precision@{K}", f"ndcg@{K}"])[f"precision@{K}"])

    return run


def torchmetrics_seconds(P: Any, Q: Any, seen: Any, test: Any) -> float | None:
    try:
        from torchmetrics.retrieval import RetrievalPrecision
    except ImportError:
        return None
    start = time.perf_counter()
    part = np.arange(0, len(P), 10)
    scores = factor_scores(P, Q)(part)
    mask_seen(scores, part, seen.indptr, seen.indices)
    truth = torch.from_numpy(test[part].toarray() > 0)
    index = torch.arange(len(part))[:, None].expand(truth.shape)
    RetrievalPrecision(top_k=K)(torch.from_numpy(scores).ravel(), truth.ravel(), indexes=index.ravel())
    return 10 * (time.perf_counter() - start)


def versions() -> dict[str, str]:
    """Of the peers that are installed."""
    found = {}
    for name in PEERS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def compare(rounds: int, recbole: Path | None) -> dict[str, Any]:
    data = made_up()
    held = np.random.default_rng(2).random(len(data)) < 0.2
    seen, test = (data.select(mask).to_csr() for mask in (~held, held))
    P, Q = factors(*seen.shape)
    runs = contenders(P, Q, seen, test, recbole)
    values = {name: run() for name, run in runs.items()}  # also the warm-up
    times: dict[str, list[float]] = {name: [] for name in runs}
    busy: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start, begun = time.perf_counter(), time.process_time()
            run()
            times[name].append(time.perf_counter() - start)
            busy[name].append(time.process_time() - begun)
    ratios = {
        name: statistics.median(t / own for t, own in zip(times[name], times["ours, 1 thread"])) for name in times
    }
    seconds = {name: statistics.median(t) for name, t in times.items()}
    slow = torchmetrics_seconds(P, Q, seen, test)
    measured = " ".join([*runs, *(["torchmetrics"] if slow else [])]).lower()
    return {
        "shape": list(seen.shape), "seen": seen.nnz, "positives": test.nnz, "rounds": rounds,
        "peers": versions(), "absent": [name for name in PEERS if name not in measured],
        "seconds": seconds,
        "processor_seconds": {name: statistics.median(t) for name, t in busy.items()},
        "over_ours": ratios, "precision": values, "torchmetrics_seconds": slow,
    }  # fmt: skip


def large(threads: int) -> None:
    """Print seconds and the peak memory of this process, for a size like Gowalla's."""
    users, items, train, held = LARGE
    g = np.random.default_rng(3)
    seen, test = (
        scipy.sparse.csr_matrix(
            (np.ones(n, np.int8), (g.integers(users, size=n), g.integers(items, size=n))), (users, items)
        )
        for n in (train, held)
    )
    P, Q = factors(users, items)
    start, begun = time.perf_counter(), time.process_time()
    top = rank_all(factor_scores(P, Q), seen, np.arange(users), K, num_threads=threads)
    ranking_metrics(top, test, (K,))
    times = {"seconds": time.perf_counter() - start, "processor_seconds": time.process_time() - begun}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux
    print(json.dumps({"shape": [users, items], "threads": threads, **times, "peak_gib": peak}))


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--recbole", type=Path, help="site-packages that hold RecBole")
    arguments.add_argument("--large", type=int, help="only the large case, on so many threads")
    chosen = arguments.parse_args()
    torch.set_num_threads(1)
    if chosen.large:
        large(chosen.large)
        return
    result = compare(chosen.rounds, chosen.recbole)
    command = [sys.executable, "-m", "benchmarks.ranking_speed", "--large"]
    result["large"] = [
        json.loads(subprocess.run([*command, n], check=True, capture_output=True, text=True).stdout) for n in ("1", "2")
    ]
    result["limits"] = LIMITS
    result["met"] = {
        "implicit_seconds": result["seconds"]["ours, 1 thread"] < LIMITS["implicit_seconds"],
        "memory_gib": all(run["peak_gib"] <= LIMITS["memory_gib"] for run in result["large"]),
    }
    write_result("ranking_speed", result, chosen.out)


if __name__ == "__main__":
    main()
