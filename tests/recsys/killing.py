"""Fits that are killed and go on: run as a script by `test_killed`, prints what happened as JSON.

A process of its own imports and compiles once and then forks a child for every death, with one thread throughout.
Data and ranks are so small that writing the checkpoint takes most of the time: moments drawn at random fall into it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from recsys_data import planted

from torchsse.data import Ratings
from torchsse.graph import Graph
from torchsse.recsys import BPR, MatrixFactorization, SQLRank
from torchsse.recsys.als.laplacian import GraphALS
from torchsse.recsys.als.marginalized import MarginalizedMF
from torchsse.recsys.als.weighted import WeightedALS

RING = Graph.from_edges(np.arange(24), (np.arange(24) + 1) % 24, num_nodes=24)
SE = {"p0_user": 0.1, "p0_item": 0.1}
GRAPH = {**SE, "item_graph": RING, "rho_item": 20.0}
EPOCHS, TRIES = 8, 5

#: What trains in epochs and takes `checkpoint`; another one joins by a line.
ESTIMATORS: dict[str, Callable[..., Any]] = {
    "mf": lambda **words: MatrixFactorization(**{**GRAPH, "dropout": 0.1, **words}),
    "mf-torch": lambda **words: MatrixFactorization(**{**SE, "backend": "torch", "batch_size": 64, **words}),
    "bpr": lambda **words: BPR(**{**GRAPH, "swap_negatives": True, **words}),
    "sqlrank": lambda **words: SQLRank(**{**GRAPH, "feedback": "implicit", "list_length": 5, **words}),
    "weighted-cg": lambda **words: WeightedALS(**{**GRAPH, **words}),
    "weighted-cholesky": lambda **words: WeightedALS(**{**SE, "solver": "cholesky", **words}),
    "marginalized": lambda **words: MarginalizedMF(**{**GRAPH, **words}),
    "graph-als": lambda **words: GraphALS(item_graph=RING, **words),
}
#: These give the same bits on any number of threads, and may go on with another.
ANY_THREADS = {"weighted-cg", "weighted-cholesky", "marginalized", "graph-als"}


def parts() -> tuple[Ratings, Ratings]:
    whole = planted()
    kept = np.random.default_rng(0).random(len(whole)) < 0.8
    return whole.select(kept), whole.select(~kept)


def build(name: str, checkpoint: Path | None, **words: Any) -> Any:
    return ESTIMATORS[name](factors=4, epochs=EPOCHS, seed=3, checkpoint=checkpoint, **words)


def result(model: Any) -> dict[str, Any]:
    """All that the run leaves, but for the clock."""
    history = [{k: v for k, v in row.items() if k != "seconds"} for row in model.history_]
    arrays = {k: np.asarray(v).tobytes().hex() for k, v in model._state()[1].items()}
    return {"arrays": arrays, "history": history, "best": model.best_epoch_, "stopped": model.stopped_}


def differences(mine: dict[str, Any], whole: dict[str, Any]) -> list[str]:
    """What to look at where two ends are not the same: arrays by name, epochs of the history by what they held."""
    found = [name for name in whole["arrays"] if mine["arrays"].get(name) != whole["arrays"][name]]
    found += [f"{a} for {b}" for a, b in zip(mine["history"], whole["history"]) if a != b]
    return found + [f"{k}: {mine[k]} for {whole[k]}" for k in ("best", "stopped") if mine[k] != whole[k]]


def child(name: str, directory: Path, pipe: int, at_call: int | None) -> None:
    """Fit; tell the pipe each epoch; with `at_call` die at this call that touches files."""
    if at_call is not None:
        from torchsse.recsys import storage

        left = iter(range(at_call, -1, -1))

        def deadly(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*values: Any, **words: Any) -> Any:
                if next(left) == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*values, **words)

            return call

        storage.os = type("os", (), {**vars(os), "replace": staticmethod(deadly(os.replace))})  # type: ignore[attr-defined]
        storage.open = deadly(open)  # type: ignore[attr-defined]
        Path.unlink = deadly(Path.unlink)  # type: ignore[method-assign]
    build(name, directory).fit(*parts(), callback=lambda epoch, _: os.write(pipe, bytes([epoch])) and None)


def die(name: str, directory: Path, after: int, wait: float, at_call: int | None = None) -> tuple[int, bool]:
    """A fit that is killed `wait` seconds after epoch `after`: the last epoch it told, and whether it was killed."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            child(name, directory, writer, at_call)
        except BaseException:  # a child must not go on as its parent
            os._exit(1)
        os._exit(0)
    os.close(writer)
    told = b""
    while (after == 0 or after not in told) and (read := os.read(reader, 1)):
        told += read
    if at_call is None:
        time.sleep(wait)
        os.kill(pid, signal.SIGKILL)
    while read := os.read(reader, 64):
        told += read
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    return (told[-1] if told else 0), os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def trial(name: str, whole: dict[str, Any], *death: Any) -> dict[str, Any]:
    """Die, then go on in this process: how far it came, where it went on, whether the end is the same."""
    with tempfile.TemporaryDirectory() as folder:
        last, killed = die(name, Path(folder) / "run", *death)
        for _ in range(TRIES):  # on a busy machine a fit may be over before it is killed: nothing was tried then
            if killed:
                break
            shutil.rmtree(Path(folder) / "run")
            last, killed = die(name, Path(folder) / "run", *death)
        epochs: list[int] = []
        words = {"num_threads": 3} if name in ANY_THREADS else {}
        model = build(name, Path(folder) / "run", **words).fit(
            *parts(), callback=lambda e, _: epochs.append(e) and None
        )
        left = [p.name for p in (Path(folder) / "run").iterdir() if p.name.startswith(".")]
        mine = result(model)
        return {
            "killed": killed, "last": last, "resumed": epochs[0] if epochs else EPOCHS + 1,
            "same": mine == whole, "left": left, "differs": differences(mine, whole),
        }  # fmt: skip


def main(seed: int, deaths: int, calls: int) -> None:
    draw = random.Random(seed)
    found: dict[str, Any] = {}
    for name in ESTIMATORS:
        whole = result(build(name, None).fit(*parts()))
        other = result(build(name, None, **{"init_std": 0.2}).fit(*parts()))
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            build(name, Path(folder)).fit(*parts())
            epoch = (time.perf_counter() - began) / EPOCHS
        found[name] = {
            "control_differs": other != whole,
            "moments": [
                trial(name, whole, draw.randrange(1, EPOCHS - 1), draw.uniform(0, 2 * epoch)) for _ in range(deaths)
            ],
            "calls": [trial(name, whole, 0, 0.0, at) for at in range(calls)] if name == "weighted-cg" else [],
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
