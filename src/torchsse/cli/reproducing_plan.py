"""`torchsse reproduce TABLE --dry-run`: what would be run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torchsse.cli.progress import duration
from torchsse.cli.shell import stdout

if TYPE_CHECKING:
    from torchsse.experiments.reproduce import Block, Table

__all__ = ["show_plan"]


def show_plan(table: Table, blocks: tuple[Block, ...], data: Path) -> None:
    """Blocks, arms, budget, fits, rough times and the files that are missing."""
    from rich.table import Table as Rows

    from torchsse.experiments.reproduce.cost import block_seconds
    from torchsse.experiments.reproduce.dataset import missing_files

    rows = Rows("block", "arms", "trials", "seeds", "epochs", "fits", "one core", "files", box=None, pad_edge=False)
    for block in blocks:
        settings, missing = block.settings, missing_files([block.data], data)
        rows.add_row(
            block.name,
            str(len(block.arms)),
            str(settings.trials),
            str(settings.seeds),
            str(settings.epochs),
            str(block.fits),
            duration(block_seconds(block)),
            f"missing: {', '.join(missing)}" if missing else "there",
        )
    console = stdout(160)
    console.print(f"{table.name}: {table.title}\n")
    console.print(rows)
    for arms in dict.fromkeys(tuple(arm.name for arm in block.arms) for block in blocks):
        names = [block.name for block in blocks if tuple(arm.name for arm in block.arms) == arms]
        console.print(f"\n{', '.join(names)}: {', '.join(arms)}", soft_wrap=True)
    total = sum(map(block_seconds, blocks))
    console.print(
        f"\n{sum(block.fits for block in blocks)} fits, very roughly {duration(total)} on one core.", soft_wrap=True
    )
