"""Our arms against implicit's weighted ALS, the best peer on this kind of data, over the same users and lists.

Takes the directory of a finished comparison of implicit feedback (`torchsse compare`, a block of `torchsse reproduce`),
which keeps the ten items that each final fit ranks first, and its train and test files. implicit's alpha and
regularization are searched on a validation part of train split off as ours is, with as many trials as an arm had, at
the comparison's rank; the best is trained on all of train with each seed of the comparison. Then every arm minus the
peer: paired bootstrap over users of precision averaged over seeds, at 1, 5 and 10, Holm-corrected over the arms.

python -m benchmarks.peer_quality RUN --train FILE --test FILE [--out FILE]    # pip install implicit
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.quasirandom import SobolEngine

from benchmarks.common import parser, write_result
from torchsse.data import Ratings, read_ratings, split
from torchsse.experiments.ranking import K, RankingPart
from torchsse.metrics import holm, paired_bootstrap, ranking_metrics
from torchsse.recsys.blocks import factor_scores, rank_all

METRICS = ("precision@1", "precision@5", "precision@10")
ALPHA, REGULARIZATION, SWEEPS = (1.0, 100.0), (3.0, 1000.0), 15
FIRST = {"alpha": 10.0, "regularization": 100.0}


def peer_lists(train: Ratings, users: Any, rank: int, words: dict[str, float], seed: int, threads: int) -> Any:
    """The K items that implicit's ALS ranks first for each user, seen ones left out; codes, (n, K)."""
    from implicit.cpu.als import AlternatingLeastSquares  # the CPU class: the package's front door picks a GPU if any

    seen = train.to_csr().astype(np.float32)
    seen.data[:] = 1.0
    model = AlternatingLeastSquares(factors=rank, iterations=SWEEPS, random_state=seed, num_threads=threads, **words)
    model.fit(seen, show_progress=False)
    top = np.full((len(users), K), -1, dtype=np.int32)
    known = users < train.num_users
    top[known] = rank_all(
        factor_scores(np.asarray(model.user_factors), np.asarray(model.item_factors)), seen, users[known], K
    )
    return top


def tuned(train: Ratings, rank: int, fraction: float, seed: int, trials: int, threads: int) -> dict[str, float]:
    """The settings with the best precision@10 on a validation part: the known good ones first, then Sobol points."""
    learn, validation = split.per_user(train, fraction, seed=seed)
    part = RankingPart.of(learn, validation)
    points = SobolEngine(2, scramble=True, seed=seed).draw(trials, dtype=torch.float64)[1:]
    tried = [FIRST]
    for a, b in points.tolist():
        (low, high), (least, most) = ALPHA, REGULARIZATION
        tried.append({"alpha": low * (high / low) ** a, "regularization": least * (most / least) ** b})
    scores = []
    for words in tried:
        top = peer_lists(learn, part.users, rank, words, seed, threads)
        scores.append(float(ranking_metrics(top, part.relevant, ks=(K,))["precision@10"].mean()))
    return tried[int(np.argmax(scores))]


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("run", type=Path, help="directory of the comparison")
    arguments.add_argument("--train", type=Path, required=True)
    arguments.add_argument("--test", type=Path, required=True)
    arguments.add_argument("--num-threads", type=int, default=2)
    options = arguments.parse_args()
    document = json.loads((options.run / "results.json").read_text())
    settings = document["provenance"]["config"]["settings"]
    records = [record for record in document["results"] if record["metric"] == "precision@10"]
    train = read_ratings(options.train, feedback="implicit")
    part = RankingPart.of(train, read_ratings(options.test, feedback="implicit", like=train))
    words = tuned(
        train,
        settings["factors"],
        settings["validation_fraction"],
        settings["seed"],
        settings["trials"],
        options.num_threads,
    )
    peer = [
        part.per_user(peer_lists(train, part.users, settings["factors"], words, seed, options.num_threads), METRICS)
        for seed in records[0]["seeds"]
    ]
    result: dict[str, Any] = {
        "peer": {"model": "implicit AlternatingLeastSquares", "sweeps": SWEEPS, **words, "trials": settings["trials"]}
        | {metric: float(np.mean([values[metric] for values in peer])) for metric in METRICS},
        "data": document["provenance"]["data"],
        "arms": {},
    }
    for metric in METRICS:
        theirs = np.mean([values[metric] for values in peer], axis=0)
        found = {}
        for record in records:
            tops = [np.load(options.run / "predictions" / f"{record['arm']}-{s}.npy") for s in record["seeds"]]
            mine = np.mean([part.per_user(top, (metric,))[metric] for top in tops], axis=0)
            found[record["arm"]] = float(mine.mean()), paired_bootstrap(mine, theirs, statistic="mean", seed=0)
        corrected = holm([each.p_value for _, each in found.values()])
        for (arm, (mean, each)), p in zip(found.items(), corrected.tolist()):
            result["arms"].setdefault(arm, {})[metric] = {
                "mean": mean,
                "minus_peer": each.difference,
                "ci95": [each.low, each.high],
                "p_value": p,
            }
    write_result("peer_quality", result, options.out)


if __name__ == "__main__":
    main()
