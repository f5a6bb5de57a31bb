"""Tables of the paper end to end on small made-up files: every block, resumption, what is refused, what is recorded."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_data
import numpy as np
import pytest
from compare_case import Quiet
from typer.testing import CliRunner, Result

from torchsse.cli import app
from torchsse.errors import ConfigError, DataError
from torchsse.experiments.reproduce import SIZED, TABLES, Overrides, datasets, table
from torchsse.experiments.reproduce.pairs import plain_of
from torchsse.experiments.reproduce.paper import TABLE1, TABLE2, TABLE3
from torchsse.experiments.reproduce.run import finished_units, is_finished, reproduce
from torchsse.experiments.reproduce.table import Block
from torchsse.experiments.settings import declarations
from torchsse.report.document import check_document

TINY = ["--ranks", "8", "--trials", "1", "--seeds", "2", "--epochs", "2"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_data.make_data(tmp_path_factory.mktemp("data"))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["reproduce", *(str(argument) for argument in arguments)])


def read(out: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out / "results.json").read_text(), parse_constant=pytest.fail)
    return document


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two blocks of Table 2, one with a wide scale of ratings."""
    out = tmp_path_factory.mktemp("out")
    done = run("table2", "--data", data, "--out", out, "--only", "douban-r8,yahoo-music-r8", *TINY)
    assert done.exit_code == 0, done.stderr
    return out / "table2"


@pytest.mark.parametrize("name", datasets.__all__)
def test_every_data_set_is_read_from_its_layout(name: str, data: Path) -> None:
    wanted = getattr(datasets, name)
    found = wanted.load(data)
    assert len(found.train) > 300
    assert len(found.test) > 50
    assert found.train.feedback == found.test.feedback == wanted.feedback
    assert (found.user_graph is not None) == ("user" in wanted.graphs)
    assert (found.item_graph is not None) == ("item" in wanted.graphs)
    assert all(not Path(file.path).is_absolute() for file in found.files)
    pairs = {(u, i) for part in (found.train,) for u, i in zip(part.raw_users.tolist(), part.raw_items.tolist())}
    assert not any((u, i) in pairs for u, i in zip(found.test.raw_users.tolist(), found.test.raw_items.tolist())), (
        "test pairs in train"
    )


def test_ciao_without_zeros_and_repeats(data: Path) -> None:
    found = datasets.CIAO.load(data)
    assert len(found.train) + len(found.test) == len(datasets.ML_100K.load(data).train) + len(
        datasets.ML_100K.load(data).test
    )
    assert min(found.train.values.min(), found.test.values.min()) >= 1
    assert 99 not in found.train.item_ids.ids


def test_the_implicit_split_numbers_films_of_its_own(data: Path) -> None:
    """Item n of the made-up split is film 41 - n: an edge between films must arrive at the right items."""
    found, films = datasets.ML1M_IMPLICIT.load(data), datasets.ML1M_SPARSE.load(data)
    graph, ids = found.item_graph, found.train.item_ids
    assert graph is not None
    assert films.item_graph is not None
    names, codes = films.train.item_ids, range(films.item_graph.num_nodes)
    linked = {(names.ids[a], names.ids[b]) for a in codes for b in films.item_graph.neighbors(a)[0].tolist()}
    for code in range(graph.num_nodes):
        for other in graph.neighbors(code)[0].tolist():
            assert (41 - ids.ids[code], 41 - ids.ids[other]) in linked


def test_users_of_one_group_are_linked(data: Path) -> None:
    found = datasets.ML1M_SPARSE.load(data)
    graph, raw = found.user_graph, found.train.user_ids.ids.tolist()
    assert graph is not None

    def group(user: int) -> tuple[int, int, int]:
        return (user - 1) % 2, (user - 1) // 30, (user - 1) % 5

    for code, user in enumerate(raw):
        mates = {raw[other] for other in graph.neighbors(code)[0].tolist()}
        assert mates == {other for other in raw if other != user and group(other) == group(user)}


def test_the_document_and_its_pages(finished: Path) -> None:
    document = check_document(read(finished))
    assert [block["name"] for block in document["blocks"]] == ["douban-r8", "yahoo-music-r8"]
    assert "ciao-r8" in document["unfinished"]
    assert {record["block"] for record in document["results"]} == {"douban-r8", "yahoo-music-r8"}
    assert {r["arm"] for r in document["results"]} == {"none", "dropout", "sse-se", "sse-se+dropout", "sse-graph"}
    origin = document["provenance"]
    assert origin["command"][:5] == ["torchsse", "reproduce", "table2", "--data", "DIR"]
    assert "--trials" in origin["command"]
    assert document["blocks"][0]["settings"]["trials"] == 1
    page, web = (finished / "report.md").read_text(), (finished / "report.html").read_text()
    ours = next(r for r in document["results"] if r["block"] == "douban-r8" and r["arm"] == "sse-se")
    for text in (page, web):
        assert "0.7201" in text, "the paper's number of SSE-SE on Douban"
        assert f"{ours['mean']:.4f}" in text
        assert "not the whole of Douban" in text
    assert "http" not in web
    assert (finished / "differences.png").stat().st_size > 10_000


def test_no_path_of_this_machine_is_recorded(finished: Path, data: Path) -> None:
    for path in finished.rglob("*"):
        if path.suffix in (".json", ".jsonl", ".md", ".html"):
            text = path.read_text()
            assert str(data) not in text, path
            assert str(finished) not in text, path


def test_a_finished_run_fits_nothing_and_keeps_its_files(finished: Path, data: Path) -> None:
    before = {p: p.read_bytes() for p in finished.rglob("*-r8/*") if p.is_file()}
    done = run(
        "table2", "--data", data, "--out", finished.parent, "--only", "douban-r8,yahoo-music-r8", *TINY, "--jobs", "2"
    )
    assert done.exit_code == 0, done.stderr
    assert done.stderr.count("finished before") == 2
    assert {p: p.read_bytes() for p in before} == before


def test_another_budget_is_refused(finished: Path, data: Path) -> None:
    more = ["--ranks", "8", "--trials", "2", "--seeds", "2", "--epochs", "2"]
    refused = run("table2", "--data", data, "--out", finished.parent, "--only", "douban-r8", *more)
    assert refused.exit_code == 1
    assert "settings.trials: 1 there, 2 here" in refused.stderr
    assert "--restart" in refused.stderr


def test_finished_arms_of_a_block_are_not_run_again(finished: Path, data: Path, tmp_path: Path) -> None:
    """Two arms first, then all five; a block is finished if its results are of just these arms."""
    chosen = table("table2", Overrides(ranks=(8,), trials=1, seeds=2, epochs=2))
    whole = chosen.select(["douban-r8"])[0]
    few = replace(whole, arms=whole.arms[:2])
    place = tmp_path / whole.name

    class Watcher:
        def __init__(self) -> None:
            self.observer, self.idle = Quiet(), []

        def block(self, block: Block) -> Quiet:
            return self.observer

        def skipped(self, block: Block) -> None:
            self.idle.append(block.name)

    def run_block(block: Block) -> Watcher:
        watcher = Watcher()
        reproduce(chosen, [block], data, tmp_path, jobs=1, watcher=watcher, command=["torchsse"])
        return watcher

    assert finished_units(few, place) == []
    assert len(run_block(few).observer.labels) == few.fits == len(finished_units(few, place))
    assert len(finished_units(whole, place)) == few.fits
    assert is_finished(few, data, place)
    assert run_block(few).idle == [whole.name]
    changed = replace(few, arms=(few.arms[0], replace(few.arms[1], fixed={"p0_user": 0.1})))
    for other in (whole, changed, replace(few, settings=replace(few.settings, seeds=1))):
        assert not is_finished(other, data, place)
    assert len(finished_units(changed, place)) == 4, "none's trial and final fits, and its model"

    labels = run_block(whole).observer.labels
    assert not any(label.startswith(f"{arm.name}, ") and "model" not in label for label in labels for arm in few.arms)
    assert is_finished(whole, data, place)
    assert len(finished_units(whole, place)) == whole.fits
    assert not is_finished(few, data, place)
    means = [
        [(r["arm"], r["mean"], r["p_value"]) for r in read(each)["results"] if r["block"] == whole.name]
        for each in (tmp_path, finished)
    ]
    assert means[0] == means[1]
    held = finished_units(changed, place)
    lines = (place / "journal.jsonl").read_text().splitlines()
    again = [json.loads(line) for line in lines if '"kind": "final"' in line]
    older = [json.dumps({name: value for name, value in each.items() if name != "number"}) for each in again]
    (place / "journal.jsonl").write_text("\n".join([*lines, *older]) + "\n")
    assert len(finished_units(changed, place)) == len(held) >= 3, "a fit that was made again is one fit"
    with open(place / "journal.jsonl", "a") as journal:
        journal.write(json.dumps({"kind": "arms", "config": declarations(few.arms)}) + "\n")
    assert not is_finished(whole, data, place), "other arms were begun since"


def test_missing_files_are_named_at_once(data: Path, tmp_path: Path) -> None:
    for source in data.rglob("*douban*"):
        (tmp_path / "explicit").mkdir(exist_ok=True)
        (tmp_path / "explicit" / source.name).write_bytes(source.read_bytes())
    done = run("table2", "--data", tmp_path, "--out", tmp_path / "out", *TINY)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"error: {tmp_path}: ")
    assert "explicit/ciao_trust.tsv.gz" in done.stderr
    assert "douban_monti" not in done.stderr
    assert "--only douban-r8,douban-biases-r8 runs" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
    for figure in ("figure3", "figure4"):
        done = run(figure, "--data", tmp_path, "--out", tmp_path / "out")
        assert done.exit_code == 1
        assert "sse_bpr/train.txt.gz" in done.stderr


def test_files_may_lie_there_unpacked(data: Path, tmp_path: Path) -> None:
    import gzip

    for source in data.rglob("*douban*"):
        target = tmp_path / source.relative_to(data).with_suffix("")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(gzip.decompress(source.read_bytes()))
    packed, plain = datasets.DOUBAN.load(data), datasets.DOUBAN.load(tmp_path)
    assert np.array_equal(packed.train.values, plain.train.values)
    assert plain.files[0].path == "explicit/douban_monti_ratings.csv"


def test_the_data_directory_comes_from_the_environment(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHSSE_DATA", str(data))
    plan = run("table3", "--dry-run")
    assert plan.exit_code == 0, plan.stderr
    assert "gowalla-r100" in plan.stdout
    assert "missing" not in plan.stdout
    monkeypatch.delenv("TORCHSSE_DATA")
    assert run("table3", "--dry-run").exit_code == 2


@pytest.mark.parametrize("words", [["--only", "nothing"], ["--ranks", "ten"], ["--trials", "0"]])
def test_what_makes_no_sense_is_refused(words: list[str], data: Path) -> None:
    done = run("table1", "--data", data, *words)
    assert done.exit_code in (1, 2)
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("name", "only"), [("table1", "ml1m-*"), ("table3", "ml1m-r8,gowalla-r8")])
def test_all_models_run(name: str, only: str, data: Path, tmp_path: Path) -> None:
    done = run(name, "--data", data, "--out", tmp_path, "--only", only, *TINY)
    assert done.exit_code == 0, done.stderr
    document = check_document(read(tmp_path / name))
    declared = {block.name: block for block in table(name, Overrides(ranks=(8,))).blocks}
    for block in document["blocks"]:
        arms = [r["arm"] for r in document["results"] if r["block"] == block["name"]]
        assert set(arms) == {arm.name for arm in declared[block["name"]].arms}
        against = {pair["arm"]: pair["against"] for pair in block["pairs"]}
        assert against == {arm: plain_of(arm, arms) for arm in arms if plain_of(arm, arms)}
        assert against
    page = (tmp_path / name / "report.md").read_text()
    assert ("1.0145" if name == "table1" else "0.7254") in page


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_stopped(data: Path, finished: Path, tmp_path: Path) -> None:
    """SIGKILL in the second block: the first is not touched again, of the second no finished fit is."""
    out = tmp_path / "table2"
    words = ["table2", "--only", "douban-r8,yahoo-music-r8", *TINY, "--jobs", "1"]
    command = [sys.executable, made_data.__file__, str(data), str(tmp_path), *words]
    journal = out / "yahoo-music-r8" / "journal.jsonl"
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 200
        while process.poll() is None and time.monotonic() < deadline:
            if journal.exists() and journal.read_bytes().count(b'"kind": "trial"') >= 2:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
    assert process.returncode == -signal.SIGKILL
    first = (out / "douban-r8" / "journal.jsonl").read_bytes()
    held = [json.loads(line) for line in journal.read_bytes().splitlines()[2:]]
    done = run("table2", "--data", data, "--out", tmp_path, "--only", "douban-r8,yahoo-music-r8", *TINY)
    assert done.exit_code == 0, done.stderr
    assert "douban-r8: finished before" in done.stderr
    assert (out / "douban-r8" / "journal.jsonl").read_bytes() == first
    after = [json.loads(line) for line in journal.read_bytes().splitlines()[2:]]
    assert after[: len(held)] == held
    keys = [(r["kind"], r["arm"], r.get("number"), r.get("seed")) for r in after if r["kind"] != "session"]
    assert len(set(keys)) == len(keys), "no fit twice"
    means = [[(r["block"], r["arm"], r["mean"]) for r in read(each)["results"]] for each in (out, finished)]
    assert means[0] == means[1]


def test_a_journal_of_another_run_is_not_overwritten(tmp_path: Path, data: Path) -> None:
    (tmp_path / "table2" / "douban-r8").mkdir(parents=True)
    (tmp_path / "table2" / "douban-r8" / "holiday.jpg").write_bytes(b"")
    done = run("table2", "--data", data, "--out", tmp_path, "--only", "douban-r8", *TINY)
    assert done.exit_code == 1
    assert "not empty" in done.stderr


def test_declared_budgets() -> None:
    """What the paper's tables need: ranks, arms, as many trials for every arm of a block."""
    for name in TABLES.keys() - set(SIZED):
        declared = table(name)
        assert all(block.arms[0].name == "none" for block in declared.blocks)
        assert all(block.settings.seeds >= 3 for block in declared.blocks)
        for block in declared.blocks:
            names = [arm.name for arm in block.arms]
            assert len(set(names)) == len(names)
            assert set(declared.models) & set(names)
    for name in ("table2", "table3"):
        assert {block.settings.factors for block in table(name).blocks} == {10, 50, 100}
    assert {block.settings.biases for block in table("table1").blocks} == {False, True}
    first = {arm.name for arm in table("table1").blocks[0].arms}
    assert {"none", "graph-laplacian", "sse-graph", "sse-se", "marginalized sse-se", "marginalized sse-graph"} < first
    third = {arm.name for arm in next(b for b in table("table3").blocks if b.name == "ml1m-r100").arms}
    assert {"sql-rank", "none", "dropout", "sse-se", "sse-graph", "popularity", "item-knn", "als sse-se"} < third


def test_overrides_reach_every_block() -> None:
    wanted = Overrides(ranks=(7,), trials=3, seeds=4, epochs=5)
    for name in TABLES.keys() - set(SIZED):
        for block in table(name, wanted).blocks:
            settings = block.settings
            assert (settings.factors, settings.trials, settings.seeds, settings.epochs) == (7, 3, 4, 5)
    with pytest.raises(ConfigError, match="no block 'x'"):
        table("table1").select(["x"])


def test_remarks_hold_for_any_budget() -> None:
    """A finished block may be of another budget than a later call: that is told from its results."""
    for name in TABLES.keys() - set(SIZED):
        few, many = (table(name, Overrides(trials=trials, epochs=trials)).blocks for trials in (2, 9))
        assert [block.remark for block in few] == [block.remark for block in many]


def test_the_papers_numbers() -> None:
    """Against the text of the tables: SSE-SE beats plain in every column, and a few numbers by hand."""
    for facts, plain, sse in ((TABLE1, "SGD-MF", "SSE-SE + SGD-MF"), (TABLE2, "MF", "SSE-SE + MF")):
        values = {(fact.data, fact.model): fact.value for fact in facts}
        assert all(values[data, sse] < values[data, plain] for data in {fact.data for fact in facts})
    values3 = {(fact.data, fact.model, fact.metric): fact.value for fact in TABLE3}
    assert values3["Movielens1m", "SSE-SE + BPR", "precision@10"] == 0.6469
    assert values3["Movielens1m", "SQL-Rank", "precision@1"] == 0.7369
    assert len(TABLE3) == 36
    assert len(TABLE2) == 12


def test_a_data_set_without_its_files_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=re.escape("implicit/gowalla_valid.txt.gz")):
        datasets.GOWALLA.load(tmp_path)
