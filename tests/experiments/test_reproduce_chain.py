"""The runner of units: nothing is done twice, a killed unit goes on, checkpoints go when none needs them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchsse.errors import ConfigError, DataError, MissingDependencyError
from torchsse.experiments.reproduce.chain import Chain, ChainBlock, Judge, Place, Unit, Values
from torchsse.experiments.reproduce.chain_results import reproduce_chain, results_of
from torchsse.metrics import paired_bootstrap
from torchsse.report import check_document, markdown_table
from torchsse.report.chain_pages import write_chain_pages
from torchsse.report.metric import gain

Log = list[str]


class Quiet:
    """Watches nothing."""

    def unit(self, unit: Unit, number: int, total: int) -> Quiet:
        return self

    def finished(self, unit: Unit, number: int, total: int) -> None: ...

    def say(self, message: str) -> None: ...

    def step(self, progress: Any) -> None: ...

    def part(self, done: int, total: int) -> None: ...


def trained(name: str, log: Log, fail_at: int | None = None) -> Callable[[Place], dict[str, Any]]:
    """Counts to 5 in a file, which a killed process leaves as it is."""

    def run(place: Place) -> dict[str, Any]:
        log.append(name)
        place.work.mkdir(exist_ok=True)
        state = place.work / "state"
        before = int(state.read_text()) if state.exists() else 0
        for step in range(before, 5):
            if step == fail_at:
                raise KeyboardInterrupt
            state.write_text(str(step + 1))
        return {"begun": before, "seconds": 7.0}

    return run


def measured(name: str, need: str, log: Log, shift: float) -> Callable[[Place], dict[str, Any]]:
    def run(place: Place) -> dict[str, Any]:
        log.append(name)
        assert (place.needs[need] / "state").read_text() == "5"
        place.keep("right", np.random.default_rng(0).random(50) + shift)
        return {"signature": "x"}

    return run


def judge() -> Judge:
    def score(metric: str, values: Values) -> float:
        return float(values["right"].mean())

    def differ(metric: str, mine: Any, other: Any) -> Any:
        return paired_bootstrap(*(np.mean([v["right"] for v in runs], axis=0) for runs in (mine, other)), n_boot=200)

    return Judge(("accuracy",), score, differ)


def made(root: Path, log: Log, seeds: int = 2, fail_at: int | None = None, shift: float = 0.3) -> Chain:
    root.mkdir(exist_ok=True)
    (root / "pairs.txt").write_text("data\n")
    units = []
    for seed in range(seeds):
        for arm in ("none", "sse"):
            train = f"{arm}-{seed}"
            units.append(Unit(train, arm, seed, trained(train, log, fail_at if arm == "sse" else None)))
            for block in ("dev", "test"):
                name = f"{train}-{block}"
                units.append(Unit(name, arm, seed, measured(name, train, log, shift * (arm == "sse")), block, (train,)))
    blocks = (ChainBlock("dev", "Dev"), ChainBlock("test", "Test"), ChainBlock("all", "Both", pooled=("dev", "test")))
    return Chain(
        "table9", "small", "A made table", "nothing", tuple(units), blocks, {"none": "plain", "sse": "swaps"},
        (("sse", "none"),), judge(), {"pairs": "pairs.txt.gz"}, {"epochs": 5},
    )  # fmt: skip


def run(chain: Chain, root: Path, out: Path, only: list[str] | None = None, restart: bool = False) -> dict[str, Any]:
    watcher = Quiet()
    return reproduce_chain(chain, chain.select(only), root, out, watcher=watcher, command=["torchsse"], restart=restart)


def test_the_document(tmp_path: Path) -> None:
    document = run(made(tmp_path / "data", []), tmp_path / "data", tmp_path / "out")
    records = {(r["block"], r["arm"]): r for r in document["results"]}
    assert set(records) == {(block, arm) for block in ("dev", "test", "all") for arm in ("none", "sse")}
    plain, sse = records["test", "none"], records["test", "sse"]
    assert plain["p_value"] is None
    assert plain["seeds"] == [0, 1]
    assert plain["std"] == 0
    assert sse["difference"] == pytest.approx(0.3)
    assert sse["against"] == "none"
    assert sse["n_test"] == 50
    assert records["all", "sse"]["n_test"] == 100
    assert sse["p_value"] == pytest.approx(2 * 2 / 201), "Holm over the two test sets, not over the pooled one"
    assert records["all", "sse"]["p_value"] == pytest.approx(2 / 201)
    assert document["provenance"]["fit_seconds"] >= 4 * 7
    assert document["unfinished"] == []
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == document
    assert not list((tmp_path / "out" / "work").iterdir()), "no checkpoint is needed any more"


def test_what_must_be_the_same_and_is_not_is_told(tmp_path: Path) -> None:
    """A checkpoint of the hub that changed between two sessions; the control asks for nothing."""
    root = tmp_path / "data"

    def told(chain: Chain, say: str, constant: tuple[str, ...]) -> Chain:
        def run(place: Place, own: Any) -> dict[str, Any]:
            return {**own(place), "checkpoint": say}

        units = [replace(unit, run=partial(run, own=unit.run)) for unit in chain.units]
        return replace(chain, units=tuple(units), constant=constant)

    for constant, fails in ((("checkpoint", "of-no-unit"), True), ((), False)):
        out = tmp_path / str(fails)
        run(told(made(root, Log(), seeds=1), "a", constant), root, out)
        held = (out / "results.json").read_bytes()
        if not fails:
            run(told(made(root, Log()), "b", constant), root, out)
            continue
        with pytest.raises(ConfigError, match=r"none-1 has another checkpoint \(b\) than none-0 \(a\).*--restart"):
            run(told(made(root, Log()), "b", constant), root, out)
        assert (out / "results.json").read_bytes() == held
        assert run(told(made(root, Log()), "a", constant), root, out)["unfinished"] == []


def test_control_arms_that_agree_do_not_differ(tmp_path: Path) -> None:
    document = run(made(tmp_path / "data", [], shift=0.0), tmp_path / "data", tmp_path / "out")
    assert all(pair["difference"] == 0 and pair["p_value"] == 1 for pair in document["pairs"])


def test_finished_units_are_not_run_again_and_seeds_may_be_added(tmp_path: Path) -> None:
    root, out, log = tmp_path / "data", tmp_path / "out", Log()
    first = run(made(root, log, seeds=1), root, out)
    assert len(log) == 6
    journal = (out / "journal.jsonl").read_bytes()
    assert run(made(root, log, seeds=1), root, out)["results"] == first["results"]
    assert len(log) == 6
    assert (out / "journal.jsonl").read_bytes() == journal
    run(made(root, log, seeds=2), root, out)
    assert len(log) == 12
    assert len(set(log)) == 12
    changed = made(root, log)
    (root / "pairs.txt").write_text("other data\n")
    with pytest.raises(ConfigError, match="other settings or data"):
        run(changed, root, out)


def test_a_killed_unit_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    root, out, log = tmp_path / "data", tmp_path / "out", Log()
    whole = run(made(root, Log()), root, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(made(root, log, fail_at=3), root, out)
    assert log == ["none-0", "none-0-dev", "none-0-test", "sse-0"]
    document = run(made(root, log), root, out)
    assert log.count("none-0") == 1
    assert log.count("sse-0") == 2
    begun = {unit["unit"]: unit["facts"]["begun"] for unit in document["units"] if unit["block"] is None}
    assert begun == {"none-0": 0, "sse-0": 3, "none-1": 0, "sse-1": 0}
    assert document["results"] == whole["results"]


def test_some_blocks_first_keep_the_checkpoints_of_the_others(tmp_path: Path) -> None:
    root, out, log = tmp_path / "data", tmp_path / "out", Log()
    document = run(made(root, log), root, out, only=["de*"])
    assert document["unfinished"] == ["test", "all"]
    assert sum("-test" in name for name in log) == 0
    assert (out / "work" / "sse-1" / "state").exists()
    run(made(root, log), root, out)
    assert log.count("none-0") == 1
    assert not list((out / "work").iterdir())


def test_some_blocks_again_leave_the_others_in_the_results(tmp_path: Path) -> None:
    root, out = tmp_path / "data", tmp_path / "out"
    whole = run(made(root, []), root, out)
    again = run(made(root, []), root, out, only=["dev"])
    assert again["unfinished"] == []
    assert again["results"] == whole["results"]
    assert again["pairs"] == whole["pairs"], "Holm's family is still that of the whole table"
    assert again["units"] == whole["units"]


def test_arms_are_compared_on_the_seeds_that_both_hold(tmp_path: Path) -> None:
    root, out, log = tmp_path / "data", tmp_path / "out", Log()
    run(made(root, log, seeds=1), root, out)
    with pytest.raises(KeyboardInterrupt):
        run(made(root, log, fail_at=3), root, out)
    assert log[-4:] == ["none-1", "none-1-dev", "none-1-test", "sse-1"]
    document = run(made(root, log), root, out, only=["dev"])
    seeds = {(r["block"], r["arm"]): r["seeds"] for r in document["results"]}
    assert seeds == {(block, arm): [0, 1] if block == "dev" else [0]
                     for block in ("dev", "test", "all") for arm in ("none", "sse")}  # fmt: skip
    assert document["unfinished"] == ["test", "all"], "a seed of theirs is missing"
    assert "Not measured yet: test (in part), all (in part)." in write_chain_pages(document, out)[0].read_text()


def shared(chain: Chain, log: Log) -> Chain:
    """The same with a training that all seeds go out from."""
    first = Unit("pre-train", "pre-training", None, trained("pre-train", log))
    others = (replace(unit, needs=(first.name,)) if unit.block is None else unit for unit in chain.units)
    return replace(chain, units=(first, *others))


def test_further_seeds_go_out_from_the_same_shared_training(tmp_path: Path) -> None:
    root, out, log = tmp_path / "data", tmp_path / "out", Log()
    run(shared(made(root, log, seeds=1), log), root, out)
    left = sorted(path.name for path in (out / "work").iterdir())
    assert left == ["pre-train", "pre-train.done"], "those of one seed go, the shared one stays"
    run(shared(made(root, log, seeds=2), log), root, out)
    assert log.count("pre-train") == 1
    shutil.rmtree(out / "work" / "pre-train")
    run(shared(made(root, log, seeds=2), log), root, out)
    assert log.count("pre-train") == 1, "lost, but nothing is left that needs it"


def test_lost_values_are_measured_again_and_lost_checkpoints_made_again(tmp_path: Path) -> None:
    root, out, log = tmp_path / "data", tmp_path / "out", Log()
    before = run(made(root, log), root, out)
    (out / "values" / "sse-0-dev.right.npy").unlink()
    log.clear()
    assert run(made(root, log), root, out)["results"] == before["results"]
    assert log == ["sse-0", "sse-0-dev"]
    assert run(made(root, log), root, out, only=["dev"])["results"] == before["results"]
    for folder in ("sse-0", "sse-0.done"):
        assert not (out / "work" / folder).exists()
    (out / "values" / "sse-0-dev.right.npy").unlink()
    (out / "work" / "sse-0.done").write_text("")  # its checkpoint was deleted by hand
    log.clear()
    with pytest.raises(KeyboardInterrupt):
        run(made(root, log, fail_at=3), root, out)
    assert (out / "work" / "sse-0" / "state").read_text() == "3"
    assert run(made(root, log), root, out)["results"] == before["results"]
    assert log == ["sse-0", "sse-0", "sse-0-dev"], "neither a marker alone nor half a checkpoint is believed"
    (out / "values" / "sse-0-dev.right.npy").write_bytes(b"damaged")
    log.clear()
    run(made(root, log), root, out)
    assert log == ["sse-0", "sse-0-dev"]


def test_restart_discards(tmp_path: Path) -> None:
    root, out, log = tmp_path / "data", tmp_path / "out", Log()
    with pytest.raises(KeyboardInterrupt):
        run(made(root, log, fail_at=3), root, out)
    log.clear()
    run(made(root, log), root, out, restart=True)
    assert log[0] == "none-0"
    assert len(log) == 12


def test_errors(tmp_path: Path) -> None:
    root, out = tmp_path / "data", tmp_path / "out"
    chain = made(root, [])
    with pytest.raises(ConfigError, match=r"no block 'nope': expected some of dev, test"):
        chain.select(["nope"])
    (root / "pairs.txt").unlink()
    with pytest.raises(DataError, match=r"1 file not found: pairs\.txt\.gz"):
        run(chain, root, out)
    (root / "pairs.txt").write_text("data\n")
    out.mkdir()
    (out / "thesis.txt").write_text("")
    with pytest.raises(ConfigError, match="not empty"):
        run(chain, root, out)
    with pytest.raises(ConfigError, match="needed units first"):
        Chain(**{**vars(chain), "units": chain.units[::-1]})
    with pytest.raises(ConfigError, match="unit's name"):
        Unit("../a", "none", 0, trained("a", []))


def test_a_library_that_is_missing_is_told_before_anything_is_made(tmp_path: Path) -> None:
    chain = replace(made(tmp_path / "data", []), packages=("transformers", "torchsse-of-nobody"))
    with pytest.raises(
        MissingDependencyError, match=r"needs torchsse-of-nobody: python -m pip install 'torchsse\[nlp\]'"
    ):
        run(chain, tmp_path / "data", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_holm_is_over_all_blocks_of_a_metric() -> None:
    rng = np.random.default_rng(1)
    runs = {(f"b{n}", arm): {0: {"right": rng.random(30) + 0.4 * n * (arm == "sse")}}
            for n in range(3) for arm in ("none", "sse")}  # fmt: skip
    blocks = [ChainBlock(f"b{n}", "") for n in range(3)]
    records, pairs = results_of(blocks, ("none", "sse"), (("sse", "none"),), judge(), runs)
    raw, held = ([pair[key] for pair in pairs] for key in ("p_unadjusted", "p_value"))
    assert max(raw) > 0.05
    assert held[2] == pytest.approx(3 * raw[2])
    assert [r["p_value"] for r in records if r["arm"] == "sse"] == held


def test_an_arm_that_is_compared_with_none_has_no_difference() -> None:
    runs = {("b", arm): {0: {"right": np.random.default_rng(1).random(30)}} for arm in ("none", "sse", "random")}
    arms, comparisons = ("none", "sse", "random"), (("sse", "none"),)
    records, _ = results_of([ChainBlock("b", "")], arms, comparisons, judge(), runs)
    assert {r["arm"]: r["difference"] for r in records} == {"none": 0.0, "sse": 0.0, "random": None}
    document = check_document({"schema": 1, "provenance": {}, "results": records})
    assert [line.split()[0] for line in markdown_table(document).splitlines() if "random" in line] == ["|"]
    assert gain(records[-1]) == 0
    del runs["b", "none"]
    records, _ = results_of([ChainBlock("b", "")], arms, comparisons, judge(), runs)
    assert {r["arm"]: r["difference"] for r in records} == {"sse": None, "random": None}, "its partner is not measured"


def test_the_pages(tmp_path: Path) -> None:
    chain = made(tmp_path / "data", [])
    document = run(chain, tmp_path / "data", tmp_path / "out")
    document["table"]["paper"] = [{"data": "T", "model": "Plain", "metric": "accuracy", "value": 0.25, "settings": {}}]
    document["table"]["models"] = {"none": "Plain"}
    document["blocks"][1]["paper"] = "T"
    written = write_chain_pages(document, tmp_path / "out")
    assert [path.name for path in written] == ["report.md", "report.html", "differences.png"]
    text = written[0].read_text()
    assert "| Test | none | 0.2500 | 0.5" in text
    assert "sse against none: better on 2 of 2 test sets (significantly on 2)" in text
    assert "Both: +0.3000 (+0.3000 to +0.3000)" in text
    assert str(tmp_path) not in text
    page = written[1].read_text()
    assert "<td>+0.3000*</td>" in page
    assert 'src="data:image/png' in page
    assert "http" not in page
