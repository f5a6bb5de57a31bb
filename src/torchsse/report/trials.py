"""The tables of a study: its best trials, and which settings mattered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchsse.report.format import number
from torchsse.report.metric import higher_is_better, label

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["best_trials", "importance_table", "study_words", "trials_table"]


def best_trials(document: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The complete trials with the best values, best first; of equals the first."""
    sign = -1 if higher_is_better(document["metric"]) else 1
    complete = [trial for trial in document["trials"] if trial["state"] == "complete"]
    return sorted(complete, key=lambda trial: (sign * trial["value"], trial["number"]))[:count]


def trials_table(document: dict[str, Any], count: int = 5) -> Table:
    """The best trials, one column for each searched setting."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    names = list(document["space"]["searched"])
    for head in ("trial", f"validation {label(document['metric'])}", "epoch", *names):
        table.add_column(head, justify="right", overflow="fold")
    for trial in best_trials(document, count):
        settings = [_short(trial["params"][name]) for name in names]
        table.add_row(str(trial["number"]), number(trial["value"]), str(trial["epoch"]), *settings)
    return table


def importance_table(document: dict[str, Any]) -> Table | None:
    """Settings by what they explain, with bars; None where that could not be told."""
    from rich import box
    from rich.table import Table

    if not document["importances"]:
        return None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("setting")
    table.add_column("importance", justify="right")
    table.add_column("")
    for name, share in sorted(document["importances"].items(), key=lambda pair: -pair[1]):
        table.add_row(name, f"{share:.0%}", "━" * round(24 * share))
    return table


def study_words(document: dict[str, Any]) -> list[str]:
    """What a reader should know beside the tables, one sentence each."""
    counts, metric = document["counts"], label(document["metric"])
    ended = [f"{counts[state]} {state}" for state in ("complete", "pruned", "diverged") if counts[state]]
    words = [f"{len(document['trials'])} trials: {', '.join(ended)}; judged on {document['validation']}."]
    if document["changed"]:
        what = ", ".join(f"{name} {_short(value)}" for name, value in document["changed"].items())
        words.append(
            f"Best of all: trial {document['trial']} with {what}, validation {metric} {number(document['value'])}; "
            "found beside the search, so more --trials may find better still."
        )
    without = document["without_sse"]
    swapping = any(document["params"].get(name) for name in ("p0_user", "p0_item"))
    if without is not None and without["value"] is not None and swapping:
        gain = document["value"] - without["value"]
        better = gain > 0 if higher_is_better(document["metric"]) else gain < 0
        apart = f"{number(abs(gain))} {'worse' if better else 'better'} than the best" if gain else "the same"
        words.append(
            f"Trial {document['trial']} with p0 = 0: validation {metric} {number(without['value'])}, {apart}. The "
            "other settings were tuned for SSE; `torchsse compare` measures on test what SSE adds when both sides are "
            "tuned."
        )
    if not document["importances"] and len(document["space"]["searched"]) > 1:
        words.append("Too few complete trials to tell which settings matter.")
    return words


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
