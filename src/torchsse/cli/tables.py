"""A plain table on stdout."""

from __future__ import annotations

__all__ = ["show_table"]


def show_table(heads: list[str], rows: list[list[str]]) -> None:
    """Heads and rows of text."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*heads, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(highlight=False).print(table)
