"""RecBole's evaluation over all items as a peer of `ranking_speed`, run by its own classes.

Its BPR model (given the factors), `FullSortEvalDataLoader`, `Trainer.evaluate`, collector and metrics do the work. Its
configuration and data set, which want files on disk, are stood in for by the values that those classes ask for. The
lists of seen and positive items, which the loader's constructor makes, are outside the clock.

Its ids start at 1: row and column 0 are its padding.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

PER_BATCH = {"RecBole's default batch": 4096, "RecBole": 256 * 3707}
"""By name its `eval_batch_size`, in scores: its default holds one user, the other 256 (near its best here)."""


def recbole_peer(P: Any, Q: Any, seen: Any, test: Any, k: int, where: Path | None) -> dict[str, Callable[[], float]]:
    """By name a function that returns the mean precision@k; none where RecBole cannot be imported."""
    if where is not None:
        sys.path.append(str(where))  # at the end: torch and numpy stay those of this environment
    try:
        Trainer = importlib.import_module("recbole.trainer.trainer").Trainer
        BPR = importlib.import_module("recbole.model.general_recommender.bpr").BPR
        parts = importlib.import_module("recbole.evaluator")
        words = importlib.import_module("recbole.utils")
        loaders = importlib.import_module("recbole.data.dataloader.general_dataloader")
        Interaction = importlib.import_module("recbole.data.interaction").Interaction
    except ImportError:
        return {}
    vars(np)["float"] = float  # its metrics ask for the old name, which its configuration sets
    num_users, num_items = (1 + len(one) for one in (P, Q))
    cpu = torch.device("cpu")
    rows, columns = (torch.from_numpy(one.astype(np.int64) + 1) for one in test.nonzero())
    seen_items = np.split(seen.indices + 1, seen.indptr[1:-1])
    used = np.array([set(), *(set(items.tolist()) for items in seen_items)], dtype=object)
    for user, item in zip(rows.tolist(), columns.tolist(), strict=True):
        used[user].add(item)
    dataset = SimpleNamespace(
        uid_field="user", iid_field="item", user_num=num_users, item_num=num_items,
        inter_feat={"user": rows, "item": columns}, join=lambda users: users, sort=lambda by, ascending: None,
        num=lambda field: num_users if field == "user" else num_items,
        get_item_feature=lambda: Interaction({"item": torch.arange(num_items)}),
    )  # fmt: skip
    config = {
        "USER_ID_FIELD": "user", "ITEM_ID_FIELD": "item", "NEG_PREFIX": "neg_", "LABEL_FIELD": "label",
        "MODEL_TYPE": words.ModelType.GENERAL, "MODEL_INPUT_TYPE": words.InputType.PAIRWISE,
        "eval_type": words.EvaluatorType.RANKING, "eval_args": {"mode": "full"}, "embedding_size": P.shape[1],
        "device": cpu, "seed": 0, "worker": 0, "single_spec": True, "transform": None,
        "metrics": ["Precision", "NDCG"], "topk": [k], "metric_decimal_place": 12,
    }  # fmt: skip
    model = BPR(config, dataset)
    model.user_embedding.weight.data[1:] = torch.from_numpy(P)
    model.item_embedding.weight.data[1:] = torch.from_numpy(Q)

    def runner(eval_batch_size: int, threads: int) -> Callable[[], float]:
        own = config | {"eval_batch_size": eval_batch_size}
        loader = loaders.FullSortEvalDataLoader(own, dataset, SimpleNamespace(used_ids=used))
        trainer = SimpleNamespace(
            model=model, config=own, device=cpu, item_tensor=None, gpu_available=False,
            eval_collector=parts.Collector(own), evaluator=parts.Evaluator(own),
            wandblogger=SimpleNamespace(log_eval_metrics=lambda result, head: None),
        )  # fmt: skip
        trainer._full_sort_batch_eval = lambda batch: Trainer._full_sort_batch_eval(trainer, batch)

        def run() -> float:
            before = torch.get_num_threads()
            torch.set_num_threads(threads)
            found = Trainer.evaluate(trainer, loader, load_best_model=False)
            torch.set_num_threads(before)
            return float(found[f"precision@{k}"])

        return run

    return {
        f"{name}, {threads} thread{'s' * (threads > 1)}": runner(size, threads)
        for name, size in PER_BATCH.items()
        for threads in (1, 2)[: 1 if size == 4096 else 2]
    }
