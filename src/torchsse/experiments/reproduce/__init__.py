"""The paper's Tables 1 to 3 and Figures 3 and 4 as declared runs: data, arms, budgets, seeds."""

from __future__ import annotations

from collections.abc import Callable

from torchsse.experiments.reproduce.table import Block, Overrides, Table

__all__ = ["TABLES", "Block", "Overrides", "Table", "table"]


def _table1(wanted: Overrides) -> Table:
    from torchsse.experiments.reproduce.table1 import table1

    return table1(wanted)


def _table2(wanted: Overrides) -> Table:
    from torchsse.experiments.reproduce.table2 import table2

    return table2(wanted)


def _table3(wanted: Overrides) -> Table:
    from torchsse.experiments.reproduce.table3 import table3

    return table3(wanted)


TABLES: dict[str, Callable[[Overrides], Table]] = {"table1": _table1, "table2": _table2, "table3": _table3}


def table(name: str, wanted: Overrides | None = None) -> Table:
    """A table by name, with the declared budget or the one asked for."""
    return TABLES[name](wanted or Overrides())
