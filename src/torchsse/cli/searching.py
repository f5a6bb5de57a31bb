"""What the commands that search (compare, tune, reproduce) share: names, cores, resuming, plots, the last lines."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchsse.cli.progress import duration
from torchsse.cli.shell import say

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["RESUME", "cores", "names_of", "show_written", "try_figures"]

RESUME = "run the same command again to go on where it stopped"


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def names_of(text: str | None) -> tuple[str, ...] | None:
    """The names of an option such as --arms or --only, each once; None where it is not given.

    >>> names_of("none, sse-se,none"), names_of(None)
    (('none', 'sse-se'), None)
    """
    return None if text is None else tuple(dict.fromkeys(part.strip() for part in text.split(",")))


def try_figures(
    write: Callable[[dict[str, Any], Path], Sequence[Path]], document: dict[str, Any], out: Path
) -> list[Path]:
    """The plots that `write` draws; none and a warning where matplotlib is not there."""
    from torchsse.errors import MissingDependencyError

    try:
        return list(write(document, out))
    except MissingDependencyError as error:
        say(f"warning: no plots: {error}")
        return []


def show_written(console: Console, document: dict[str, Any], out: Path, names: Sequence[str]) -> None:
    """How long it took, and which files lie where."""
    took = duration(document["provenance"]["wall_seconds"])
    console.print(f"\n{took}. In {out}: {', '.join(names)}", soft_wrap=True)
