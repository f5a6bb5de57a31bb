"""Some arms of a table: those that are asked for now, and those that are there already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torchsse.errors import ConfigError
from torchsse.experiments.arms import BASELINE, Arm
from torchsse.experiments.arms_stated import ARMS, counting
from torchsse.experiments.compare import JOURNAL
from torchsse.experiments.journal import glance
from torchsse.experiments.reproduce.pairs import plain_of
from torchsse.experiments.reproduce.table import Block
from torchsse.experiments.settings import declarations

__all__ = ["with_arms"]


def with_arms(blocks: Sequence[Block], names: Sequence[str], out: Path | None) -> tuple[Block, ...]:
    """The blocks with the named arms only; blocks that have none of them are left out.

    Plain arms come along where others are measured against them: that of the block, and that of an arm's own model.
    So does an arm that an earlier run finished with as many seeds: what is asked for adds to the results of a block.

    Args:
        blocks: as the table declares them.
        names: of arms.
        out: the table's directory, with a directory for each block; None: earlier runs are to be discarded.

    Raises:
        ConfigError: for a name that is no arm of any of the blocks.
    """
    known = list(dict.fromkeys(arm.name for block in blocks for arm in block.arms))
    for name in names:
        if name not in known:
            where = ", ".join(block.name for block in blocks)
            raise ConfigError(f"no arm {name!r} in {where}: expected some of {', '.join(known)}")
    chosen = []
    for block in blocks:
        if not any(arm.name in names for arm in block.arms):
            continue
        declared = [arm.name for arm in block.arms]
        plain = {plain_of(name, declared) for name in names}
        there = _finished(block, out / block.name) if out is not None else set()
        wanted = {BASELINE, *names, *plain, *there}
        arms = tuple(arm for arm in block.arms if arm.name in wanted)
        chosen.append(replace(block, arms=arms))
    return tuple(chosen)


def _finished(block: Block, place: Path) -> set[str]:
    """Arms all of whose units the block's journal holds, as they are declared now."""
    held = glance(place / JOURNAL)
    if held is None:
        return set()
    records = counting(held[0].get(ARMS, {}), held[1], declarations(block.arms))

    def over(arm: Arm) -> bool:
        own = [record for record in records if record["arm"] == arm.name]
        trials = {record["number"] for record in own if record["kind"] == "trial"}
        seeds = {record["seed"] for record in own if record["kind"] == "final"}
        return len(trials) >= arm.trials(block.settings.trials) and seeds >= set(block.settings.final_seeds)

    return {arm.name for arm in block.arms if over(arm)}
