"""Progress over all blocks of a table: what was done, what runs, when it will be over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchsse.cli.progress import duration
from torchsse.cli.shell import say, stderr

if TYPE_CHECKING:
    from rich.progress import Progress

    from torchsse.experiments.reproduce.table import Block

__all__ = ["Watch", "fits", "watch"]

INTERVAL = 20.0
"""Seconds between plain lines."""
_KINDS = {"trial": "trial", "seed": "final"}
"""A unit's name on the screen -> its kind in the journal."""


@contextmanager
def watch(blocks: Sequence[Block], out: Path) -> Iterator[Watch]:
    """A watcher that suits stderr."""
    console = stderr()
    if not console.is_terminal:
        yield Watch(blocks, out)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
        console=console,
        refresh_per_second=2,
    )
    with bar:
        yield Bars(blocks, out, bar)


@contextmanager
def fits() -> Iterator[Callable[[float, int, str], None]]:
    """What is told of the fits of a figure: how many are done, the last one in part."""
    console = stderr()
    if not console.is_terminal:
        last = time.monotonic() - INTERVAL

        def line(done: float, total: int, label: str) -> None:
            nonlocal last
            if time.monotonic() - last >= INTERVAL or done == total:
                last = time.monotonic()
                say(f"{done:.1f} of {total} fits: {label}")

        yield line
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn(), TextColumn("left"),
        TimeRemainingColumn(), console=console, refresh_per_second=4,
    )  # fmt: skip
    with bar:
        task = bar.add_task("fitting", total=None)
        yield lambda done, total, label: bar.update(task, description=label, completed=done, total=total)


class Watch:
    """Plain lines. Work is counted in expected seconds of fits, since fits of one table differ a hundredfold.

    It is the observer of every block too: units of a block are fits.
    """

    def __init__(self, blocks: Sequence[Block], out: Path) -> None:
        from torchsse.experiments.reproduce.cost import block_seconds, unit_seconds
        from torchsse.experiments.reproduce.run import finished_units

        self._blocks, self._seconds = list(blocks), unit_seconds
        self._work = {block.name: block_seconds(block) for block in blocks}
        self._reached = {
            block.name: sum(unit_seconds(block, *unit) for unit in finished_units(block, out / block.name))
            for block in blocks
        }
        self._lock = threading.Lock()
        self._under_way: dict[str, float] = {}
        self._current: Block | None = None
        self._since: tuple[float, float] | None = None
        self._last = 0.0
        self.total = self.done = 0

    # the watcher ------------------------------------------------------------------------------------------------

    def block(self, block: Block) -> Watch:
        self._current = block
        with self._lock:
            self._under_way.clear()
        return self

    def skipped(self, block: Block) -> None:
        self._reached[block.name] = self._work[block.name]
        self._tell(f"{block.name}: finished before")

    # the observer of a block ------------------------------------------------------------------------------------

    def start(self, total: int, done: int, jobs: int) -> None:
        self.total, self.done = total, done
        resumed = f", {done} of them done before" if done else ""
        self._tell(f"{self.place}: {total} fits{resumed}, {jobs} at a time")
        self._last = time.monotonic()

    def progress(self, label: str, fraction: float) -> None:
        with self._lock:
            resumed = 0.0 if label in self._under_way else fraction * self._cost(label)
            self._under_way[label] = fraction
            if self._since is None:
                # the clock starts with the first epoch done: what came before may be a compilation
                self._since = time.monotonic(), self.reached
            else:
                # what a fit has done when it is first heard of, an earlier process may have done
                began, before = self._since
                self._since = began, before + resumed
        self._show()

    def finished(self, label: str, record: dict[str, Any]) -> None:
        with self._lock:
            self._under_way.pop(label, None)
            self.done = min(self.done + 1, self.total)  # settings that diverge at last are fitted anew
            if (block := self._current) is not None:
                took = self._reached[block.name] + self._seconds(block, record["arm"], record["kind"])
                self._reached[block.name] = min(took, self._work[block.name])
        self._show()

    # what is known ----------------------------------------------------------------------------------------------

    @property
    def place(self) -> str:
        """Which block, of how many."""
        block = self._current
        return "" if block is None else f"[{self._blocks.index(block) + 1}/{len(self._blocks)}] {block.name}"

    @property
    def fits(self) -> str:
        """Fits done of the block under way."""
        return f"{self.done}/{self.total} fits"

    @property
    def reached(self) -> float:
        """Work done, in the unit of `work`."""
        under_way = sum(fraction * self._cost(label) for label, fraction in self._under_way.copy().items())
        return sum(self._reached.values()) + under_way

    @property
    def work(self) -> float:
        """All of it."""
        return sum(self._work.values())

    @property
    def left(self) -> str:
        """Time left at the pace so far, in all blocks."""
        if self.reached >= self.work * (1 - 1e-6):
            return "done but for the results"
        if self._since is None:
            return "estimating the time left"
        began, before = self._since
        elapsed, gained = time.monotonic() - began, self.reached - before
        if gained <= 0 or elapsed < 1:
            return "estimating the time left"
        return f"about {duration(elapsed * max(self.work - self.reached, 0) / gained)} left"

    def _cost(self, label: str) -> float:
        """What the unit of that name takes, in the unit of `work`."""
        arm, _, unit = label.rpartition(", ")
        kind = _KINDS.get(unit.partition(" ")[0], "model")
        return 0.0 if self._current is None else self._seconds(self._current, arm, kind)

    def _show(self) -> None:
        if time.monotonic() - self._last >= INTERVAL or self.done == self.total:
            self._last = time.monotonic()
            self._tell(f"{self.place}: {self.fits}; all blocks: {100 * self.reached / self.work:.0f} %, {self.left}")

    def _tell(self, line: str) -> None:
        say(line)


class Bars(Watch):
    """A bar for all blocks and one for the block under way."""

    def __init__(self, blocks: Sequence[Block], out: Path, bar: Progress) -> None:
        super().__init__(blocks, out)
        self._bar = bar
        self._all = bar.add_task("all blocks", total=self.work, text="")
        self._one = bar.add_task("", total=None, text="")

    def _show(self) -> None:
        self._bar.update(self._all, completed=self.reached, text=self.left)
        running = min(self.done + sum(self._under_way.copy().values()), float(self.total))
        self._bar.update(self._one, description=self.place, total=self.total, completed=running, text=self.fits)

    def _tell(self, line: str) -> None:
        self._bar.console.print(line, style="dim", highlight=False)
