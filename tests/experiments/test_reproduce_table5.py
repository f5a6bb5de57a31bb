"""Table 5 on small made files: all sizes from the command line, killed and resumed, and what is trained on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from translation_table_case import YEARS, make_texts, tiny
from typer.testing import CliRunner, Result

from torchsse.cli import app
from torchsse.experiments.reproduce.chain import Budget
from torchsse.experiments.reproduce.table5 import table5
from torchsse.experiments.reproduce.table5_plans import PLANS
from torchsse.experiments.reproduce.table5_texts import TestSet, Texts, detokenized
from torchsse.metrics import score_statistics

pytest.importorskip("transformers")
pytest.importorskip("sacrebleu")

NEWS = [f"newstest{year}" for year in range(2008, 2019)]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def tiny_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    for size in ("small", "medium", "full"):
        monkeypatch.setitem(PLANS, size, tiny(size))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_texts(tmp_path_factory.mktemp("data") / "data")


def run(data: Path, out: Path, *more: object, name: str = "table5") -> Result:
    words = ["reproduce", name, "--data", data, "--out", out, "--device", "cpu", *more]
    return CliRunner().invoke(app, [str(word) for word in words])


def read(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "results.json").read_text(), parse_constant=pytest.fail)
    return document


@pytest.fixture(scope="module")
def small(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PLANS, "small", tiny("small"))
        done = run(data, out)
    assert done.exit_code == 0, done.output
    assert "left in all" in done.stderr
    return out / "table5" / "small"


def test_the_whole_small_table(small: Path) -> None:
    document = read(small)
    blocks = [block["name"] for block in document["blocks"]]
    assert blocks == [*NEWS, "multi30k-2016-flickr", "newstest-all"]
    assert len(document["results"]) == len(blocks) * 2 * 2
    for record in document["results"]:
        assert record["seeds"] == [0]
        news = 8 if record["block"] in NEWS else 12 if record["block"] != "newstest-all" else 88
        assert record["n_test"] == news
    pair = next(p for p in document["pairs"] if (p["block"], p["metric"]) == ("newstest-all", "chrf"))
    assert pair["arm"] == "sse-se"
    assert pair["difference_ci95"][0] <= pair["difference"] <= pair["difference_ci95"][1]
    assert "version:" in document["units"][1]["facts"]["signatures"]["bleu"]
    assert [unit["unit"] for unit in document["units"] if unit["block"] is None] == ["none-0", "sse-se-0"]


def test_scores_are_those_of_the_kept_statistics(small: Path) -> None:
    record = next(
        r for r in read(small)["results"] if (r["block"], r["arm"], r["metric"]) == ("newstest2014", "none", "chrf")
    )
    kept = np.load(small / "values" / "none-0-newstest2014.chrf.npy")
    assert record["mean"] == pytest.approx(score_statistics(kept, "chrf"))
    assert 0 < record["mean"] < 100


def test_pages_hold_the_papers_numbers_and_no_sentences(small: Path, data: Path) -> None:
    text = (small / "report.md").read_text()
    assert "| newstest2018 | none | 38.8 |" in text
    assert "| newstest2018 | sse-se | 39.9 |" in text
    assert "sse-se against none: better on" in text
    assert "signature: nrefs:1|case:mixed" in text
    assert "WMT14" in text
    for name in ("report.md", "report.html", "results.json", "journal.jsonl"):
        content = (small / name).read_text()
        assert "Hund" not in content
        assert str(data) not in content
    assert (small / "differences.png").read_bytes()[:4] == b"\x89PNG"


def test_nothing_is_done_twice(small: Path, data: Path, tmp_path: Path) -> None:
    before, results = (small / "journal.jsonl").read_bytes(), read(small)["results"]
    done = run(data, small.parent.parent)
    assert done.exit_code == 0, done.output
    assert (small / "journal.jsonl").read_bytes() == before
    assert read(small)["results"] == results
    other = run(data, small.parent.parent, "--epochs", 3)
    assert other.exit_code == 1
    assert "settings.epochs: 2 there, 3 here" in other.stderr


def test_killed_and_resumed_equals_uninterrupted(
    small: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped within the second training, and again within its measurements."""
    some = ("--only", "newstest2012,multi30k-*")
    from torchsse.cli.reproducing_language import Lines

    seen: list[str] = []

    def stop_in_training(self: Any, progress: Any) -> None:
        if self._current.name == "sse-se-0" and progress.step >= 30:
            seen.append("training")
            raise KeyboardInterrupt

    def stop_in_measuring(self: Any, done: int, total: int) -> None:
        if self._current.name == "sse-se-0-newstest2012":
            seen.append("measuring")
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("torchsse.nlp.translation.updates.SAVE_EVERY", 0.0)
        patch.setattr("torchsse.nlp.translation.updates.SHOW_EVERY", 0.0)
        patch.setattr(Lines, "step", stop_in_training)
        assert run(data, tmp_path, *some).exit_code == 130
    folder = tmp_path / "table5" / "small"
    assert (folder / "work" / "sse-se-0" / "training" / "state.safetensors").exists()
    assert (folder / "work" / "none-0" / "model.safetensors").exists(), "other test sets are not measured yet"
    with monkeypatch.context() as patch:
        patch.setattr(Lines, "part", stop_in_measuring)
        stopped = run(data, tmp_path, *some)
        assert stopped.exit_code == 130
        assert "goes on from step" in stopped.stderr
    assert run(data, tmp_path, *some).exit_code == 0
    assert seen == ["training", "measuring"]
    losses = {unit["unit"]: unit["facts"] for unit in read(small)["units"]}
    for unit in read(folder)["units"]:
        assert unit["facts"] == losses[unit["unit"]], "losses to the bit, scores, sentences"
    for key in ("results", "pairs"):
        whole = {(r["block"], r["metric"], r["arm"]): r for r in read(small)[key]}
        mine = read(folder)[key]
        assert len(mine) == {"results": 8, "pairs": 4}[key]
        for record in mine:
            same = whole[record["block"], record["metric"], record["arm"]]
            parts = [name for name in record if not name.startswith("p_")]  # Holm's family is smaller
            assert [record[name] for name in parts] == [same[name] for name in parts]


def test_some_test_sets_first(data: Path, tmp_path: Path) -> None:
    done = run(data, tmp_path, "--only", "multi30k-*")
    assert done.exit_code == 0, done.output
    folder = tmp_path / "table5" / "small"
    document = read(folder)
    assert [block["name"] for block in document["blocks"]] == ["multi30k-2016-flickr"]
    assert document["unfinished"] == [*NEWS, "newstest-all"]
    assert sorted(path.name for path in (folder / "work").iterdir() if path.is_dir()) == ["none-0", "sse-se-0"]
    assert document["provenance"]["command"][-2:] == ["--only", "multi30k-*"]


def test_medium_takes_all_texts_a_peer_too_and_whole_test_sets(data: Path, tmp_path: Path) -> None:
    done = run(data, tmp_path, "--size", "medium", "--seeds", 1, "--epochs", 1, "--only", "*2016*,*2018*")
    assert done.exit_code == 0, done.output
    document = read(tmp_path / "table5" / "medium")
    assert [block["name"] for block in document["blocks"]] == [
        "newstest2016", "newstest2018", "multi30k-2016-flickr", "multi30k-2018-flickr",
    ]  # fmt: skip
    assert len(document["unfinished"]) == 9 + 2 + 1
    assert {pair["against"] for pair in document["pairs"] if pair["arm"] == "sse-se+labels"} == {"none", "sse-se"}
    assert {pair["against"] for pair in document["pairs"] if pair["arm"] == "switch-out"} == {"none"}
    losses = {unit["arm"]: unit["facts"]["train_loss"] for unit in document["units"] if unit["block"] is None}
    assert len(set(losses.values())) == len(losses) == 4, "each arm trains otherwise"
    assert all(record["n_test"] == 12 for record in document["results"])


def test_full_runs_on_wmt14s_layout(data: Path, tmp_path: Path) -> None:
    """The pipeline of the paper's set-up: two files of sentences, dev pairs held out, newstests whole."""
    done = run(data, tmp_path, "--size", "full", "--seeds", 1, "--epochs", 1)
    assert done.exit_code == 0, done.output
    document = read(tmp_path / "table5" / "full")
    assert [block["name"] for block in document["blocks"]] == [*NEWS, "newstest-all"]
    facts = document["units"][0]["facts"]
    assert facts["overlap_dropped"] == 1
    assert facts["pairs"] == 290
    assert facts["dev_pairs"] == 10


def texts_of(data: Path, size: str) -> Texts:
    cells = table5(data, size, Budget(), "cpu").units[0].run.__closure__ or ()
    found: Texts = next(cell.cell_contents for cell in cells if isinstance(cell.cell_contents, Texts))
    return found


@pytest.mark.parametrize("size", ["small", "medium", "full"])
def test_no_sentence_of_a_test_is_trained_on(size: str, data: Path) -> None:
    """Of no test set, be it measured in this size or not; nor of the dev pairs."""
    texts = texts_of(data, size)
    corpus, dev, facts = texts.pairs

    def bare(line: str) -> str:
        return "".join(c for c in line.lower() if c.isalnum())

    trained = {bare(line) for side in (corpus.source, corpus.target) for line in side}
    tests = [texts.test(name) for name in texts.tests]
    if size != "full":
        parts = [f"test_{n}" for n in ("2016_flickr", "2017_flickr", "2017_mscoco", "2018_flickr")]
        tests += [texts._part(TestSet("multi30k", part)) for part in parts]
    for test in [*tests, dev]:
        assert not trained & {bare(line) for side in (test.source, test.target) for line in side}
    # planted: three pairs of tests in Tatoeba; three tokenised and four of its own other parts in OpenNMT's
    assert facts["overlap_dropped"] == {"small": 3, "medium": 10, "full": 1}[size]
    assert max(len(line.split()) for line in corpus.source) < (13 if size == "small" else 100)


def test_subsamples_are_fixed(data: Path) -> None:
    one, other = (texts_of(data, "small").test("newstest2014") for _ in range(2))
    assert len(one) == 8
    assert one.sha256() == other.sha256()
    assert set(one.source) < set(texts_of(data, "medium").test("newstest2014").source)


def test_dry_run_needs_no_data(tmp_path: Path, data: Path) -> None:
    done = run(tmp_path / "none", tmp_path / "out", "--dry-run", "--size", "medium")
    assert done.exit_code == 0, done.output
    assert "files: missing: nmt/newstest_ende.tsv.gz" in done.stdout
    assert "192 units" in done.stdout
    assert "one GPU" in done.stdout
    assert not (tmp_path / "out").exists()
    there = run(data, tmp_path / "out", "--dry-run")
    assert "files: all there" in there.stdout


def test_errors_in_one_line(tmp_path: Path, data: Path) -> None:
    less = tmp_path / "less"
    shutil.copytree(data, less)
    (less / "nmt" / "tatoeba_ende.tsv.gz").unlink()
    done = run(less, tmp_path / "out")
    assert done.exit_code == 1
    assert "1 file not found: nmt/tatoeba_ende.tsv.gz" in done.stderr
    assert run(data, tmp_path / "out", "--only", "newstest2019").exit_code == 1
    assert run(data, tmp_path / "out", "--ranks", "10").exit_code == 2
    assert run(data, tmp_path / "out", "--size", "tiny").exit_code == 2
    assert run(data, tmp_path / "out", name="table1").exit_code == 2, "table 1 has no --device"
    (less / "nmt" / "newstest_ende.tsv").write_text("set\ten\tde\nnewstest2014\ta\tb\n")
    shutil.copy(data / "nmt" / "tatoeba_ende.tsv.gz", less / "nmt")
    damaged = run(less, tmp_path / "out")
    assert damaged.exit_code == 1
    assert "column 'set' says 'news-test2008'" in damaged.stderr


@pytest.mark.parametrize(
    ("tokenised", "plain"),
    [
        ("it &apos;s a &quot; test &quot; , isn &apos;t it ?", "it's a \"test\", isn't it?"),
        ("Programm-Titel ( neu ) kosten 5 % .", "Programm-Titel (neu) kosten 5 %."),
        ("no quote &quot; closed", 'no quote " closed'),
        ("wouldn ’ t you &amp;apos;know&amp;apos; ?", "wouldn’t you 'know'?"),
        ("plain text stays.", "plain text stays."),
    ],
)
def test_tokenised_lines_are_put_together(tokenised: str, plain: str) -> None:
    assert detokenized(tokenised) == plain


def test_the_years_are_all_there() -> None:
    assert len(YEARS) == len(NEWS) == 11
