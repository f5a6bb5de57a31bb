"""The paper's tables and Figures 3 and 4 as declared runs: data, arms, budgets, seeds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torchsse.experiments.reproduce.chain import Budget, Chain
from torchsse.experiments.reproduce.figure import Study
from torchsse.experiments.reproduce.table import Block, Overrides, Table

__all__ = ["CHAINS", "FIGURES", "SIZED", "TABLES", "Block", "Budget", "Chain", "Overrides", "Study", "Table", "table"]


def _table1(wanted: Overrides) -> Table:
    from torchsse.experiments.reproduce.table1 import table1

    return table1(wanted)


def _table2(wanted: Overrides) -> Table:
    from torchsse.experiments.reproduce.table2 import table2

    return table2(wanted)


def _table3(wanted: Overrides) -> Table:
    from torchsse.experiments.reproduce.table3 import table3

    return table3(wanted)


def _table4(wanted: Overrides) -> Table:
    from torchsse.experiments.reproduce.table4 import table4

    return table4(wanted)


def _table5(root: Path, size: str, wanted: Budget, device: str, checkpoint: str | None = None) -> Chain:
    from torchsse.errors import ConfigError
    from torchsse.experiments.reproduce.table5 import table5

    if checkpoint is not None:
        raise ConfigError("table5 starts from no checkpoint: its models are trained from scratch")
    return table5(root, size, wanted, device)


def _table6(root: Path, size: str, wanted: Budget, device: str, checkpoint: str | None = None) -> Chain:
    from torchsse.experiments.reproduce.table6 import table6

    return table6(root, size, wanted, device, checkpoint)


def _table7(root: Path, size: str, wanted: Budget, device: str, checkpoint: str | None = None) -> Chain:
    from torchsse.experiments.reproduce.table6 import table7

    return table7(root, size, wanted, device, checkpoint)


def _figure3(wanted: Overrides) -> tuple[Study, ...]:
    from torchsse.experiments.reproduce.figure3 import figure3

    return figure3(wanted)


def _figure4(wanted: Overrides) -> tuple[Study, ...]:
    from torchsse.experiments.reproduce.figure4 import figure4

    return figure4(wanted)


FIGURES: dict[str, Callable[[Overrides], tuple[Study, ...]]] = {"figure3": _figure3, "figure4": _figure4}
CHAINS: dict[str, Callable[[Path, str, Budget, str, str | None], Chain]] = {
    "table5": _table5,
    "table6": _table6,
    "table7": _table7,
}
"""The language tables: made of a data directory, a size, a budget, a device and the checkpoint to start from."""

TABLES: dict[str, Callable[[Overrides], Table]] = {
    "table1": _table1,
    "table2": _table2,
    "table3": _table3,
    "table4": _table4,
}
SIZED = ("table4",)
"""Tables that come in sizes and run on a device."""


def table(name: str, wanted: Overrides | None = None) -> Table:
    """A table by name, with the declared budget or the one asked for."""
    return TABLES[name](wanted or Overrides())
