"""Table 4 end to end on small made-up files: what is declared, read, run and said."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import made_data
import pytest
from typer.testing import CliRunner, Result

from torchsse.cli import app
from torchsse.experiments.kinds import SASREC
from torchsse.experiments.reproduce import Overrides, sequence_datasets, table
from torchsse.experiments.reproduce.cost import block_seconds
from torchsse.experiments.reproduce.paper import TABLE4
from torchsse.experiments.reproduce.table4 import SIZES
from torchsse.experiments.sequence_settings import SequenceSettings
from torchsse.report.document import check_document

TINY = ["--ranks", "4", "--trials", "1", "--seeds", "1", "--epochs", "1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_data.make_data(tmp_path_factory.mktemp("data"))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["reproduce", "table4", *(str(argument) for argument in arguments)])


@pytest.mark.parametrize("name", sequence_datasets.__all__)
def test_every_data_set_is_read_from_its_layout(name: str, data: Path) -> None:
    wanted = getattr(sequence_datasets, name)
    found: Any = wanted.load(data)
    train, validation, test = found.train, found.validation, found.test
    assert train.num_users == 60
    assert set(test.lengths.tolist()) == set(validation.lengths.tolist()) == {1}
    assert (found.item_graph is not None) == ("item" in wanted.graphs)
    # of each user's line the last action is test, the one before validation, all in the order of the file
    lines: dict[int, list[int]] = {}
    for line in gzip.decompress((data / wanted.files["actions"]).read_bytes()).decode().splitlines():
        user, *items = map(int, line.split())
        lines.setdefault(user, []).extend(items)
    assert len(lines) == 60
    for code, user in enumerate(train.user_ids.ids.tolist()):
        parts = (part.item_ids.ids[part.of(code)].tolist() for part in (train, validation, test))
        assert lines[user] == [item for part in parts for item in part], user


def test_an_edge_between_films_arrives_at_the_right_items(data: Path) -> None:
    """Item n of the made-up file is film 41 - n."""
    from torchsse.experiments.reproduce import datasets

    found: Any = sequence_datasets.ML1M_HISTORIES.load(data)
    films: Any = datasets.ML1M_SPARSE.load(data)
    names = films.train.item_ids.ids
    pairs = films.item_graph
    linked = {(names[a], names[b]) for a in range(pairs.num_nodes) for b in pairs.neighbors(a)[0].tolist()}
    graph, ids = found.item_graph, found.train.item_ids.ids
    edges = [(41 - ids[a], 41 - ids[b]) for a in range(graph.num_nodes) for b in graph.neighbors(a)[0].tolist()]
    known = {int(name) for name in names}
    assert len(edges) > 100
    assert all(edge in linked for edge in edges if edge[0] in known and edge[1] in known)


def test_it_runs_and_says_what_it_ran(data: Path, tmp_path: Path) -> None:
    done = run("--data", data, "--out", tmp_path, "--only", "ml1m-d4", "--device", "cpu", *TINY)
    assert done.exit_code == 0, done.stderr + str(done.exception)
    out = tmp_path / "table4" / "small"
    document = check_document(json.loads((out / "results.json").read_text(), parse_constant=pytest.fail))
    (block,) = document["blocks"]
    declared = table("table4", Overrides(ranks=(4,), size="small")).blocks[0]
    arms = [arm.name for arm in declared.arms]
    assert [r["arm"] for r in document["results"]][: len(arms)] == arms
    assert block["settings"]["device"] == "cpu"
    swapped = ("sse-se-input", "sse-se-output", "sse-se")
    pairs = {"sampled-softmax sse-se", "modern sse-se", "bce-8 sse-se", *(f"paper {name}" for name in swapped)}
    assert {pair["arm"] for pair in block["pairs"]} == pairs
    assert document["provenance"]["command"][-2:] == ["--only", "ml1m-d4"]
    assert document["unfinished"] == ["video-d4", "beauty-d4", "sports-d4"]
    page, web = (out / "report.md").read_text(), (out / "report.html").read_text()
    ours = next(r for r in document["results"] if (r["arm"], r["metric"]) == ("sse-se", "sampled_ndcg@10"))
    for text in (page, web):
        assert "0.6200" in text, "the paper's number"
        assert f"{ours['mean']:.4f}" in text
        assert "1 of 1 (limit)" in text
        assert "Stopped by the limit of epochs, not by validation: none, sse-se-input" in text
        assert "no rows with 6 blocks" in text
        assert "sampled NDCG@10" in text
    again = run("--data", data, "--out", tmp_path, "--only", "ml1m-d4", "--device", "cpu", *TINY)
    assert "finished before" in again.stderr


def test_some_arms_add_to_what_is_there(data: Path, tmp_path: Path) -> None:
    words = ["--data", data, "--out", tmp_path, "--only", "ml1m-d4", "--device", "cpu", *TINY]
    out = tmp_path / "table4" / "small"

    def arms_after(asked: str) -> list[str]:
        done = run(*words, "--arms", asked)
        assert done.exit_code == 0, done.stderr + str(done.exception)
        document = check_document(json.loads((out / "results.json").read_text()))
        assert document["provenance"]["command"][-4:-2] == ["--arms", asked]
        (block,) = document["blocks"]
        found = list(dict.fromkeys(record["arm"] for record in document["results"]))
        declared = table("table4", Overrides(ranks=(4,), size="small")).blocks[0]
        assert sorted(found + block["arms_left"]) == sorted(arm.name for arm in declared.arms)
        assert f"Arms not run yet: {', '.join(block['arms_left'])}." in (out / "report.md").read_text()
        return found

    def trials() -> list[str]:
        lines = map(json.loads, (out / "ml1m-d4" / "journal.jsonl").read_text().splitlines())
        return [record["arm"] for record in lines if record["kind"] == "trial"]

    assert arms_after("sse-se") == ["none", "sse-se"]
    first = json.loads((out / "ml1m-d4" / "results.json").read_text())["results"]
    # an arm of another model brings that model's plain arm along
    assert arms_after("sampled-softmax sse-se") == ["none", "sse-se", "sampled-softmax", "sampled-softmax sse-se"]
    assert sorted(trials()) == ["none", "sampled-softmax", "sampled-softmax sse-se", "sse-se"]
    second = json.loads((out / "ml1m-d4" / "results.json").read_text())["results"]
    of = {(record["arm"], record["metric"]): record["mean"] for record in second}
    assert all(of[record["arm"], record["metric"]] == record["mean"] for record in first)
    # what is discarded does not come along
    done = run(*words, "--arms", "sse-se", "--restart", "--dry-run")
    assert "ml1m-d4: none, sse-se\n" in done.stdout
    done = run(*words, "--arms", "sse-pt", "--dry-run")
    assert "ml1m-d4: none, sse-se, sampled-softmax, sampled-softmax sse-se, sse-pt\n" in done.stdout


def test_arms_that_a_block_lacks(data: Path, tmp_path: Path) -> None:
    words = ["--data", data, "--out", tmp_path, "--ranks", "4"]
    assert "video" not in run(*words, "--arms", "sse-graph", "--dry-run").stdout, "its items have no graph"
    done = run(*words, "--arms", "sse-sea")
    assert done.exit_code == 1
    assert "no arm 'sse-sea' in ml1m-d4, video-d4, beauty-d4, sports-d4: expected some of none, sse-se-in" in (
        " ".join(done.stderr.split())
    )
    assert not list(tmp_path.iterdir())
    for name in ("figure3", "table5"):
        done = CliRunner().invoke(app, ["reproduce", name, "--data", str(data), "--arms", "none"])
        assert done.exit_code == 2, name
        assert "Traceback" not in done.stderr


def test_declared_sizes() -> None:
    small, full = (table("table4", Overrides(size=size)) for size in ("small", "full"))
    assert [block.name for block in small.blocks] == ["ml1m-d50", "video-d50", "beauty-d50", "sports-d50"]
    swapped = {"sse-se-input", "sse-se-output", "sse-se", "sse-graph", "sse-cooccurrence", "sse-pt"}
    wanted = {"none", "dropout", "weight-decay"} | swapped
    assert wanted < {arm.name for arm in small.blocks[0].arms}
    strong = {f"{loss}{swaps}" for loss in ("softmax", "modern", "bce-8") for swaps in ("", " sse-se", " sse-graph")}
    deeper = ("b6", "modern-b6", "bce-8-wide", "bce-8-b6", "bce-8-b6-wide", "bce-32-wide", "bce-32-b6-wide", "paper-b6")
    deep = {f"{name}{swaps}" for name in deeper for swaps in ("", " sse-se")}
    paper = {f"paper{swaps}" for swaps in ("", " sse-se-input", " sse-se-output", " sse-se")}
    assert deep | paper | strong | wanted == {arm.name for arm in full.blocks[0].arms}
    assert paper < {arm.name for arm in small.blocks[0].arms}
    assert not paper & {arm.name for arm in full.blocks[1].arms}, "the paper's rows are of MovieLens-1M"
    assert set(full.models) < {arm.name for arm in full.blocks[0].arms}
    assert set(full.models.values()) == {fact.model for fact in TABLE4}
    for each in SIZES:
        for block in table("table4", Overrides(size=each)).blocks:
            assert isinstance(block.settings, SequenceSettings)
            assert block.settings.hidden == (50 if each == "small" else 100)
    # less than five hours of two cores, if every fit took all its epochs
    assert block_seconds(small.blocks[0]) < 2 * 5 * 3600
    settings = table("table4", Overrides(ranks=(8,), trials=3, seeds=4, epochs=5, device="cpu")).blocks[0].settings
    assert isinstance(settings, SequenceSettings)
    assert (settings.hidden, settings.trials, settings.seeds, settings.epochs, settings.device) == (8, 3, 4, 5, "cpu")


def test_what_decides_can_be_chosen(data: Path, tmp_path: Path) -> None:
    """Each fit stops by it, and it comes first."""
    words = ["--data", data, "--out", tmp_path, "--only", "ml1m-d4", "--device", "cpu", *TINY, "--arms", "sse-se"]
    done = run(*words, "--metric", "sampled_ndcg@10", "--patience", "3", "--precision", "bf16")
    assert done.exit_code == 0, done.stderr + str(done.exception)
    out = tmp_path / "table4" / "small"
    document = json.loads((out / "results.json").read_text())
    (block,) = document["blocks"]
    assert (block["settings"]["metric"], block["settings"]["patience"]) == ("sampled_ndcg@10", 3)
    assert "--patience 3 --metric sampled_ndcg@10" in " ".join(document["provenance"]["command"])
    assert document["results"][0]["metric"] == "sampled_ndcg@10"
    first = json.loads((out / "ml1m-d4" / "results.json").read_text())["results"][0]
    assert first["metric"] == "sampled_ndcg@10"
    assert first["curve"]["validation_sampled_ndcg@10"]
    assert {r["metric"] for r in document["results"]} == {"ndcg@10", "hr@10", "sampled_ndcg@10", "sampled_hr@10"}
    page = (out / "report.md").read_text()
    assert "What decides on validation: NDCG@10 among the random ones." in page
    assert "3 without a better value on validation; on cpu, in bf16." in page
    assert "sampled NDCG@10 here" in page or "test sampled NDCG@10" in page
    # one of the usual metric is another run
    done = run(*words)
    assert done.exit_code == 1
    assert "Traceback" not in done.stderr
    done = run(*words, "--metric", "rmse")
    assert done.exit_code == 1
    assert "metric must be one of ndcg@10, hr@10, sampled_ndcg@10, sampled_hr@10, got 'rmse'" in " ".join(
        done.stderr.split()
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("table1", ["--metric", "ndcg@10"]),
        ("table5", ["--metric", "ndcg@10"]),
        ("table5", ["--patience", "3"]),
        ("table3", ["--precision", "bf16"]),
        ("figure3", ["--patience", "3"]),
        ("table4", ["--patience", "0"]),
        ("table5", ["--seed", "3"]),
        ("table4", ["--seed", "-1"]),
    ],
)
def test_where_they_have_no_meaning_they_are_refused(name: str, words: list[str], data: Path) -> None:
    done = CliRunner().invoke(app, ["reproduce", name, "--data", str(data), *words])
    assert done.exit_code == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["table1", "table2", "table3", "table4"])
def test_final_fits_have_the_seeds_from_the_one_that_is_asked_for(name: str) -> None:
    found = [table(name, Overrides(seed=seed, seeds=2)).blocks[0].settings.final_seeds for seed in (None, 5)]
    assert found == [[0, 1], [5, 6]]


def test_a_later_seed_is_a_run_of_its_own(data: Path, tmp_path: Path) -> None:
    words = ["--data", data, "--only", "ml1m-d4", "--device", "cpu", *TINY, "--arms", "none", "--seed"]
    done = run(*words, 5, "--out", tmp_path)
    assert done.exit_code == 0, done.stderr + str(done.exception)
    place = tmp_path / "table4" / "small"
    assert [path.name for path in (place / "ml1m-d4" / "predictions").iterdir()] == ["none-5.npy"]
    assert "--seed 5" in " ".join(json.loads((place / "results.json").read_text())["provenance"]["command"])
    done = run(*words, 6, "--out", tmp_path)
    assert done.exit_code == 1
    assert "other settings" in " ".join(done.stderr.split()) or "--restart" in done.stderr
    assert (place / "ml1m-d4" / "predictions" / "none-5.npy").exists()


def test_widths_are_even(data: Path, tmp_path: Path) -> None:
    """Rotary positions turn pairs, and nobody should learn that after the first arms."""
    done = run("--data", data, "--out", tmp_path, "--ranks", "7", "--dry-run")
    assert done.exit_code == 1
    assert "--ranks of table4 are widths: expected even numbers, at least 2" in " ".join(done.stderr.split())


def test_what_it_says_of_its_budget_is_so() -> None:
    usual = table("table4", Overrides())
    assert "One final fit" in usual.blocks[0].remark
    assert any("tuned alike" in line for line in usual.differs)
    assert usual.arm_differs["sse-se"] == "Both p searched."
    other = table("table4", Overrides(trials=1, seeds=3))
    assert "One final fit" not in other.blocks[0].remark
    assert any("Nothing is searched" in line for line in other.differs)
    assert not other.arm_differs


@pytest.mark.parametrize(
    ("name", "words"),
    [("table1", ["--size", "small"]), ("figure3", ["--device", "cpu"]), ("table4", ["--size", "huge"])],
)
def test_what_has_no_sizes_refuses_them(name: str, words: list[str], data: Path) -> None:
    done = CliRunner().invoke(app, ["reproduce", name, "--data", str(data), *words])
    assert done.exit_code == 2
    assert "Traceback" not in done.stderr


def test_small_steps_are_those_of_one_arm_and_go_before_the_settings_of_the_run() -> None:
    block = table("table4", Overrides(size="full")).blocks[0]
    words = {}
    for arm in (arm for arm in block.arms if arm.graphs == "none"):
        model: Any = (arm.model or SASREC).build(block.settings, arm.params(arm.defaults))
        words[arm.name] = model.batch_size, model.ema_decay, model.learning_rate_decay
    small = {name for name, found in words.items() if found == (32, 0.999, 0.975)}
    assert small == {"bce-32-b6-wide", "bce-32-b6-wide sse-se"}
    assert {words[name] for name in words.keys() - small} == {(64, 0.998, 1.0)}
