"""`evaluate` and `recommend` for models that read histories."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from torchsse.cli import options as o
from torchsse.cli.shell import say
from torchsse.cli.tables import show_table
from torchsse.report.metric import label

if TYPE_CHECKING:
    from torchsse.experiments.loading import Columns
    from torchsse.experiments.sequences import Held
    from torchsse.experiments.sequences import Split as SplitName

__all__ = ["SEQUENCES", "Protocol", "Split", "evaluate_sequences", "observe", "recommend_next"]

SEQUENCES = "Sequences: sasrec, ssept"
CUTS = (1, 5, 10)
SHOWN = ("ndcg", "hr")


class Protocol(StrEnum):
    """What a target is ranked among."""

    full = "full"
    sampled = "sampled"
    both = "both"


class Split(StrEnum):
    """Which actions of a file are the test part."""

    last = "last"
    time = "time"
    none = "none"


def evaluate_sequences(
    model: Any,
    columns: Columns,
    test: Path,
    as_json: bool,
    *,
    order: o.Order | None = None,
    protocol: Protocol = Protocol.full,
    split: Split | None = None,
    negatives: int | None = None,
    seed: int | None = None,
    candidates: Path | None = None,
    against: Path | None = None,
) -> None:
    """Measure by one protocol or both; each is named beside its numbers."""
    from torchsse.cli.against import compared_users, show_compared, the_other
    from torchsse.errors import ConfigError
    from torchsse.experiments.sequences import held_part, stored_candidates

    if protocol is Protocol.full:
        for name, value in (("negatives", negatives), ("seed", seed), ("candidates", candidates)):
            if value is not None:
                raise ConfigError(f"--{name} is for --protocol sampled or both")
    actions = columns.sequences(test, None if order is None else order.value)
    by: SplitName | None = None if split is None else split.value
    held = held_part(model, actions, by)
    rival = None if against is None else the_other(against, held, actions, by)
    found: dict[str, Any] = {}
    compared: dict[str, Any] = {}
    if protocol is not Protocol.sampled:
        found["full"] = model.evaluate(held.test, CUTS, history=held.history)
        if rival is not None:
            other, part = rival
            compared["full"] = compared_users(found["full"], other.evaluate(part.test, CUTS, history=part.history))
    if protocol is not Protocol.full:
        drawn = stored_candidates(
            model, held, 100 if negatives is None else negatives, 0 if seed is None else seed, candidates
        )
        found["sampled"] = model.evaluate_sampled(drawn, CUTS, history=held.history)
        if rival is not None:
            other, part = rival
            theirs = other.evaluate_sampled(drawn, CUTS, history=part.history)
            compared["sampled"] = compared_users(found["sampled"], theirs)
    if as_json:
        plain = {name: _plain(result) for name, result in found.items()}
        beside = {"against": {"directory": str(against), **compared}} if compared else {}
        typer.echo(json.dumps({"targets": held.what, **plain, **beside}))
        return
    _show(held, found)
    if against is not None:
        show_compared(compared, against)


def observe(model: Any, actions: Path, columns: Columns, order: o.Order | None) -> None:
    """Lengthen the histories of a model by a file, and say by what of it."""
    from torchsse.experiments.sequences import held_part, is_train

    _check(model, "actions")
    read = columns.sequences(actions, None if order is None else order.value)
    if is_train(model, read):
        say(f"{actions} is what the model learned from: nothing follows it")
        return
    held = held_part(model, read)
    parts = [part for part in (held.history, held.test) if part is not None]
    unknown = sum(model.observe(part) for part in parts)
    left = f"; {unknown:,} of users or items that are not in train are left out" if unknown else ""
    what = "all of the file" if held.history is None else "what the model did not learn of the file"
    say(f"histories go on with {sum(map(len, parts)):,} actions, {what}{left}")


def recommend_next(model: Any, history: str, users: list[Any], k: int, include_seen: bool) -> Any:
    """Items and scores, (1, k), to follow a history typed as raw ids with commas."""
    from torchsse.errors import ConfigError
    from torchsse.recsys import SSEPT

    _check(model, "history")
    if len(users) > 1:
        raise ConfigError(f"--history: expected at most one --user, got {len(users)}")
    if users and not isinstance(model, SSEPT):
        raise ConfigError(f"--history: this {type(model).__name__} has no table of users; leave --user out")
    words = [word.strip() for word in history.split(",") if word.strip()]
    raw = o.typed_ids(words, model.item_ids, "item")
    items, scores = model.recommend_next(raw, k, not include_seen, users[0] if users else None)
    return items[None], scores[None]


def _check(model: Any, option: str) -> None:
    from torchsse.errors import ConfigError
    from torchsse.recsys.sequence.estimator import SequenceRecommender

    if not isinstance(model, SequenceRecommender):
        raise ConfigError(f"--{option} is for models of histories; this is a {type(model).__name__}")


def _plain(result: dict[str, Any]) -> dict[str, Any]:
    counts = {name: value for name, value in result.items() if name.startswith("n_")}
    return {"protocol": result["protocol"], **result["means"], **counts}


def _show(held: Held, found: dict[str, Any]) -> None:
    for name, result in found.items():
        typer.echo(f"{name}: {result['protocol']}")
        rows = [[str(k), *(f"{result['means'][f'{metric}@{k}']:.4f}" for metric in SHOWN)] for k in CUTS]
        show_table(["k", *map(label, SHOWN)], rows)
    counts = {name: result["n_users"] for name, result in found.items()}
    users = (
        f"{next(iter(counts.values())):,} users"
        if len(set(counts.values())) == 1
        else " and ".join(f"{count:,} users ({name})" for name, count in counts.items())
    )
    typer.echo(f"{users}; targets: {held.what}")
    result = next(iter(found.values()))
    if result.get("n_seen"):
        typer.echo(f"{result['n_seen']:,} more targets are in the history too and left out")
    if result.get("n_cold"):
        typer.echo(f"{result['n_cold']:,} of the targets are cold (user or item not in train)")
