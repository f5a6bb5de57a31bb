"""What is said of the time that a table still takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from torchsse.cli.progress import duration
from torchsse.cli.reproducing_progress import Watch
from torchsse.experiments.reproduce import Block, Overrides, table


def unit(arm: str, kind: str) -> dict[str, object]:
    return {"arm": arm, "kind": kind}


@pytest.fixture
def block() -> Block:
    found = table("table4", Overrides(size="small")).blocks[0]
    return replace(found, arms=tuple(arm for arm in found.arms if arm.space))  # two trials each


def test_work_is_what_units_take(block: Block, tmp_path: Path) -> None:
    watch = Watch([block], tmp_path)
    assert watch.reached == 0
    watch.block(block).start(block.fits, 0, 2)
    watch.progress("none, trial 1", 0.5)
    half = watch.reached
    watch.finished("none, trial 1", unit("none", "trial"))
    assert watch.reached == pytest.approx(2 * half)
    for arm in block.arms[1:]:
        watch.finished(f"{arm.name}, trial 1", unit(arm.name, "trial"))
    # 10 of 31 units, but the others are 10 trials, and final fits and a model that take next to nothing
    assert watch.reached / watch.work == pytest.approx(0.5, abs=0.01)
    for arm in block.arms:
        watch.finished(f"{arm.name}, trial 2", unit(arm.name, "trial"))
        watch.finished(f"{arm.name}, seed 0", unit(arm.name, "final"))
    watch.progress("none, model", 0.5)
    watch.finished("none, model", unit("none", "model"))
    assert watch.reached == pytest.approx(watch.work)
    assert watch.done == block.fits
    assert watch.left == "done but for the results"


def test_fits_made_again_are_no_more_work(block: Block, tmp_path: Path) -> None:
    watch = Watch([block], tmp_path)
    watch.block(block).start(block.fits, 0, 1)
    for _ in range(100):
        watch.finished("none, trial 1", unit("none", "trial"))
    watch.finished("none, seed 0", unit("none", "diverged"))
    assert watch.reached <= watch.work


@pytest.mark.parametrize("resumed", [0.01, 0.8])
def test_what_an_earlier_process_did_is_no_pace(
    resumed: float, block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten seconds for a hundredth of a trial, whether or not the second fit had begun before."""
    now = [0.0]
    monkeypatch.setattr("torchsse.cli.reproducing_progress.time.monotonic", lambda: now[0])
    watch = Watch([block], tmp_path)
    watch.block(block).start(block.fits, 0, 2)
    watch.progress("none, trial 1", 0.01)
    watch.progress("sse-se, trial 1", resumed)
    now[0] += 10
    watch.progress("none, trial 1", 0.02)
    seconds = (watch.work - watch.reached) / (0.01 * watch._cost("none, trial 1")) * 10
    assert watch.left == f"about {duration(seconds)} left"


def test_control_a_costlier_arm_is_more_work(tmp_path: Path) -> None:
    block = table("table4", Overrides(size="medium")).blocks[0]
    reached = {}
    for arm in ("none", "b6"):
        watch = Watch([block], tmp_path)
        watch.block(block).start(block.fits, 0, 1)
        watch.finished(f"{arm}, trial 1", unit(arm, "trial"))
        reached[arm] = watch.reached
    assert reached["b6"] == pytest.approx(3 * reached["none"])
