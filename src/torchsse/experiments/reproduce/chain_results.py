"""From the records of units to the document of a table: means over seeds, intervals, differences, p-values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torchsse.experiments.files import jsonable, write_json
from torchsse.experiments.journal import Journal
from torchsse.experiments.provenance import now
from torchsse.experiments.reproduce.chain import Chain, ChainBlock, Judge, Unit, Values, stacked
from torchsse.experiments.reproduce.chain_run import (
    JOURNAL,
    Record,
    Watcher,
    config_of_chain,
    data_files,
    run_chain,
    session,
    values_of,
)
from torchsse.metrics import Difference, holm, t_interval

__all__ = ["RESULTS", "reproduce_chain", "results_of"]

RESULTS = "results.json"
_OF_A_UNIT = ("unit", "block", "arm", "seed", "seconds", "facts")

Runs = dict[tuple[str, str], dict[int, Values]]
"""(block, arm) -> seed -> values."""


def reproduce_chain(
    chain: Chain,
    units: Sequence[Unit],
    root: Path,
    out: Path,
    *,
    watcher: Watcher,
    command: Sequence[str],
    restart: bool = False,
    beside: Mapping[str, Path] | None = None,
) -> dict[str, Any]:
    """Run, or resume, units of a table; returns the document over all that `out` holds, also in out/results.json.

    Args:
        chain: the table.
        units: those to run: `Chain.select`.
        root: the data directory.
        out: the table's directory.
        watcher: told of progress.
        command: what provenance records as the command line, without the paths of this machine.
        restart: discard what `out` holds.
        beside: table -> its directory; trainings that all seeds share may have been done there.

    Raises:
        DataError: files that are not there. ConfigError: a directory that holds another run, or something else.
    """
    records = run_chain(chain, units, root, out, watcher=watcher, restart=restart, beside=beside)
    blocks, runs = _runs(chain, records, out)
    results, pairs = results_of(blocks, tuple(chain.arms), chain.comparisons, chain.judge, runs)
    with Journal(out / JOURNAL, config_of_chain(chain, root)) as journal:
        sessions = [record for record in journal.records if record["kind"] == "session"]
    unfinished = _unfinished(chain, records)
    document: dict[str, Any] = {
        "schema": 1,
        "provenance": {
            **session(chain),
            "command": list(command),
            "data": [vars(file) for file in data_files(chain, root)],
            "config": config_of_chain(chain, root),
            "sessions": sessions,
            "commits": sorted({str(each["git_commit"]) for each in sessions}),
            "fit_seconds": round(sum(record["seconds"] for record in records), 1),
            "notes": [],
            "finished": now(),
        },
        "table": {
            "name": chain.name,
            "size": chain.size,
            "title": chain.title,
            "measured": chain.measured,
            "arms": chain.arms,
            "paper": [asdict(fact) for fact in chain.paper],
            "models": chain.models,
            "differs": list(chain.differs),
        },
        "blocks": jsonable([asdict(block) for block in blocks]),
        "unfinished": unfinished,
        "units": [{key: record[key] for key in _OF_A_UNIT} for record in records],
        "results": results,
        "pairs": pairs,
    }
    write_json(out / RESULTS, document)
    return document


def results_of(
    blocks: Sequence[ChainBlock],
    arms: Sequence[str],
    comparisons: Sequence[tuple[str, str]],
    judge: Judge,
    runs: Runs,
) -> tuple[list[Record], list[Record]]:
    """A record for each block, metric and arm; and one for each comparison.

    The difference is 0 for an arm that others are compared with, and None for one without a comparison.

    p-values are corrected by Holm over all comparisons on all blocks, for each metric; blocks that pool others tell
    the same story at once and are a family of their own.
    """
    records, pairs = [], []
    for block in blocks:
        for metric in judge.metrics:
            for arm in arms:
                mine = runs.get((block.name, arm))
                if not mine:
                    continue
                per_seed = [judge.score(metric, values) for values in mine.values()]
                n_test = _examples(next(iter(mine.values())))
                about = {"block": block.name, "arm": arm, "metric": metric, "params": {}, "trials": 0, "n_test": n_test}
                records.append({**about, **_summary(per_seed, list(mine))})
            for arm, against in comparisons:
                mine, other = runs.get((block.name, arm)), runs.get((block.name, against))
                if mine and other:
                    found = judge.differ(metric, list(mine.values()), list(other.values()))
                    pairs.append(_pair(block, metric, arm, against, found))
    for family in {(pair["metric"], pair["pooled"]) for pair in pairs}:
        own = [pair for pair in pairs if (pair["metric"], pair["pooled"]) == family]
        for pair, p in zip(own, holm([pair["p_unadjusted"] for pair in own]), strict=True):
            pair["p_value"] = float(p)
    first = {(pair["block"], pair["metric"], pair["arm"]): pair for pair in reversed(pairs)}
    for record in records:
        pair = first.get((record["block"], record["metric"], record["arm"]), {})
        for key in ("against", "difference_ci95", "p_value"):
            record[key] = pair.get(key)
        plain = record["arm"] in {against for _, against in comparisons} - {arm for arm, _ in comparisons}
        record["difference"] = pair.get("difference", 0.0 if plain else None)
    return records, pairs


def _runs(chain: Chain, records: Sequence[Record], out: Path) -> tuple[list[ChainBlock], Runs]:
    """The blocks that were measured, and the values of each; those of pooled blocks put together.

    Arms that are compared keep the seeds that both hold, so that means and differences are of the same runs: of a block
    that an earlier call left in the middle, one arm may have more.
    """
    runs: Runs = {}
    for record in records:
        if record["block"] is not None:
            runs.setdefault((record["block"], record["arm"]), {})[record["seed"]] = values_of(record, out)
    for block in chain.blocks:
        if not block.pooled:
            _pair_seeds(runs, block.name, chain.comparisons)
    for block in chain.blocks:
        for arm in chain.arms if block.pooled else ():
            parts = [runs.get((name, arm), {}) for name in block.pooled]
            seeds = [seed for seed in parts[0] if all(seed in part for part in parts)]
            if seeds:
                runs[block.name, arm] = {seed: stacked([part[seed] for part in parts]) for seed in seeds}
    there = {block for (block, _), found in runs.items() if found}
    return [block for block in chain.blocks if block.name in there], runs


def _pair_seeds(runs: Runs, block: str, comparisons: Sequence[tuple[str, str]]) -> None:
    """Drop seeds of a block that only one arm of a comparison holds; an arm without any seed takes no part."""
    begun = [pair for pair in comparisons if all((block, arm) in runs for arm in pair)]
    for _ in begun:  # what one comparison drops may be another's
        for pair in begun:
            shared = set.intersection(*(set(runs[block, arm]) for arm in pair))
            for arm in pair:
                runs[block, arm] = {seed: values for seed, values in runs[block, arm].items() if seed in shared}


def _unfinished(chain: Chain, records: Sequence[Record]) -> list[str]:
    """Blocks that lack a measurement, or pool one that does."""
    held = {record["unit"] for record in records}
    open_ = {unit.block for unit in chain.units if unit.name not in held}
    return [block.name for block in chain.blocks if open_.intersection((block.name, *block.pooled))]


def _summary(per_seed: list[float], seeds: list[int]) -> Record:
    mean, std, low, high, n = t_interval(per_seed)
    several = n > 1 and not math.isnan(std)
    return {
        "mean": mean,
        "std": std if several else None,
        "ci95": [low, high] if several else None,
        "per_seed": per_seed,
        "seeds": seeds,
    }


def _pair(block: ChainBlock, metric: str, arm: str, against: str, found: Difference) -> Record:
    return {
        "block": block.name,
        "pooled": bool(block.pooled),
        "metric": metric,
        "arm": arm,
        "against": against,
        "difference": found.difference,
        "difference_ci95": [found.low, found.high],
        "p_unadjusted": found.p_value,
        "n_test": found.units,
    }


def _examples(values: Values) -> int:
    return len(next(iter(values.values())))
