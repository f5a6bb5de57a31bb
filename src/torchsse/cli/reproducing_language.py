"""`torchsse reproduce table5 | table6 | table7`: the plan, the run, its progress."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from torchsse.cli.language import set_threads
from torchsse.cli.progress import duration
from torchsse.cli.searching import names_of
from torchsse.cli.shell import say, stderr, stdout

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from torchsse.experiments.reproduce.chain import Budget, Chain, Unit
    from torchsse.nlp.steps import Progress

__all__ = ["run_language"]

INTERVAL = 30.0
"""Seconds between plain lines."""


def run_language(
    name: str,
    size: str,
    wanted: Budget,
    data: Path,
    out: Path,
    only: str | None,
    device: str,
    checkpoint: str | None,
    num_threads: int | None,
    restart: bool,
    dry_run: bool,
) -> None:
    """Run the units that are left and write the pages, to a folder of `out` for table and size."""
    from torchsse.experiments.reproduce import CHAINS
    from torchsse.experiments.reproduce.chain_results import reproduce_chain
    from torchsse.report.chain_pages import write_chain_pages

    set_threads(num_threads)
    places = {table: out / table / size for table in CHAINS}
    place = places.pop(name)
    chain = CHAINS[name](data, size, wanted, device, checkpoint)
    units = chain.select(names_of(only))
    if dry_run:
        show_plan(chain, units, data)
        return
    command = ["torchsse", "reproduce", name, "--data", "DIR", "--size", size]
    command += [word for option, value in wanted.words().items() for word in (f"--{option}", str(value))]
    if checkpoint is not None:  # a directory of this machine is named in the results by what it holds
        command += ["--checkpoint", "CHECKPOINT" if Path(checkpoint).exists() else checkpoint]
    command += ["--only", only] if only is not None else []
    with progress(units) as watcher:
        document = reproduce_chain(
            chain, units, data, place, watcher=watcher, command=command, restart=restart, beside=places
        )
    written = write_chain_pages(document, place)
    left = document["unfinished"]
    say(f"{len(document['blocks'])} test sets measured" + (f", not yet: {', '.join(left)}" if left else ""))
    typer.echo(f"In {place}: results.json, {', '.join(path.name for path in written)}")


def show_plan(chain: Chain, units: Sequence[Unit], data: Path) -> None:
    """Arms, units, rough times and the files that are missing."""
    from rich.table import Table as Rows

    from torchsse.experiments.reproduce.chain_run import missing_of

    console = stdout(160)
    console.print(f"{chain.name}, size {chain.size}: {chain.title}\n")
    for arm, what in chain.arms.items():
        console.print(f"{arm}: {what}", soft_wrap=True)
    rows = Rows("unit", "test set", "needs", "roughly", box=None, pad_edge=False)
    for unit in units:
        rows.add_row(unit.name, unit.block or "", ", ".join(unit.needs), duration(unit.seconds))
    console.print("", rows, sep="\n")
    total = duration(sum(unit.seconds for unit in units))
    console.print(
        f"\n{len(units)} units, one after the other; very roughly {total} on {chain.machine}.", soft_wrap=True
    )
    missing = missing_of(chain, data)
    console.print(f"files: missing: {', '.join(missing)}" if missing else "files: all there", soft_wrap=True)


@contextmanager
def progress(units: Sequence[Unit]) -> Iterator[Lines]:
    """A watcher that suits stderr."""
    console = stderr()
    if not console.is_terminal:
        yield Lines(units)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
    with Progress(*columns, console=console, refresh_per_second=4) as bar:
        yield Bars(units, bar)


class Lines:
    """Plain lines. The time left goes by what units are expected to take, at the pace of those done here."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self._seconds = {unit.name: max(unit.seconds, 1.0) for unit in units}
        self._left = sum(self._seconds.values())
        self._current: Unit | None = None
        self._place = ""
        self._since = time.monotonic()
        self._gained = 0.0
        self._found: float | None = None  # the share of the current unit that earlier processes did
        self._said = float("-inf")

    # the watcher ------------------------------------------------------------------------------------------------

    def unit(self, unit: Unit, number: int, total: int) -> Lines:
        self._current, self._place = unit, f"[{number}/{total}] {unit.name}"
        self._found = None
        self._said = float("-inf")
        return self

    def finished(self, unit: Unit, number: int, total: int) -> None:
        expected = self._seconds[unit.name]
        self._left -= expected
        if self._current is unit:
            if self._found is not None or unit.block is not None:  # a training without a step was done elsewhere
                self._gained += expected * (1 - (self._found or 0.0))
            self._current = None
            self._show(0.0, "done", now=True)

    # of a unit --------------------------------------------------------------------------------------------------

    def say(self, message: str) -> None:
        say(f"{self._place}: {message}")

    def step(self, progress: Progress) -> None:
        if self._found is None:  # the first step of this process
            self._found = (progress.step - 1) / progress.steps
        words = f"step {progress.step:,} of {progress.steps:,}, loss {progress.loss:.3f}"
        rate = f"{progress.tokens_per_second:,.0f} tokens/s"
        self._show(progress.step / progress.steps, f"{words}, {rate}", now=progress.step == progress.steps)

    def part(self, done: int, total: int) -> None:
        self._show(done / max(total, 1), f"{done:,} of {total:,} examples")

    # what is known ----------------------------------------------------------------------------------------------

    def _all_left(self, share: float) -> str:
        expected = self._seconds[self._current.name] if self._current is not None else 0.0
        here = max(share - (self._found or 0.0), 0.0) if self._current is not None else 0.0
        gained, left = self._gained + expected * here, self._left - expected * share
        if gained <= 0 or left <= 0:
            return ""
        return f", about {duration((time.monotonic() - self._since) / gained * left)} left in all"

    def _show(self, share: float, words: str, now: bool = False) -> None:
        if now or time.monotonic() - self._said >= INTERVAL:
            self._said = time.monotonic()
            say(f"{self._place}: {words}{self._all_left(share)}")


class Bars(Lines):
    """A bar over all units and one for the unit under way."""

    def __init__(self, units: Sequence[Unit], bar: RichProgress) -> None:
        super().__init__(units)
        self._bar = bar
        self._all = bar.add_task("all units", total=self._left)
        self._one = bar.add_task("", total=1.0)
        self._work = self._left

    def say(self, message: str) -> None:
        self._bar.console.print(f"{self._place}: {message}", style="dim", highlight=False)

    def _show(self, share: float, words: str, now: bool = False) -> None:
        under_way = self._seconds[self._current.name] * share if self._current is not None else 0.0
        done = self._work - self._left + under_way
        self._bar.update(self._all, completed=done, description=f"all units{self._all_left(share)}")
        self._bar.update(self._one, completed=share, description=f"{self._place}: {words}")
