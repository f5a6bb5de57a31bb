"""Tables, verdicts and plots from hand-made results: nothing is trained here."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from torchsse.errors import CorruptFileError, DataError
from torchsse.report import (
    check_document,
    markdown_page,
    markdown_table,
    read_document,
    remarks,
    rich_further,
    rich_table,
    verdict,
    write_figures,
)
from torchsse.report.document import is_significant
from torchsse.report.plots import curves_figure


def record(arm: str, mean: float, difference: float = 0.0, p: float | None = None, **more: Any) -> dict[str, Any]:
    ends = None if p is None else [difference - 0.0004, difference + 0.0004]
    epochs = list(range(1, 21))
    return {
        "arm": arm,
        "metric": "rmse",
        "mean": mean,
        "std": 0.0002,
        "ci95": [mean - 0.0003, mean + 0.0003],
        "per_seed": [mean - 0.0002, mean + 0.0002, mean],
        "seeds": [0, 1, 2],
        "difference": difference,
        "difference_ci95": ends,
        "p_value": p,
        "params": {"weight_decay": 0.0812345, **({"rho_item": "inf"} if "graph" in arm else {})},
        "trials": 30,
        "n_test": 338787,
        "n_cold": 246,
        "warm_rmse": mean - 0.0005,
        "best_epoch": 17,
        "curve": {
            "epoch": epochs,
            "train_rmse": [1 - 0.02 * e for e in epochs],
            "validation_rmse": [mean + 0.3 / e + 0.0001 * max(0, e - 17) for e in epochs],
        },
        **more,
    }


@pytest.fixture
def document() -> dict[str, Any]:
    return {
        "schema": 1,
        "provenance": {"torchsse": "0.1.0", "git_commit": None, "wall_seconds": 12.0, "finished": "2025-01-01"},
        "results": [
            record("none", 0.8598),
            record("dropout", 0.8600, 0.0002, 0.4),
            record("sse-se", 0.8585, -0.0013, 0.0006),
            record("sse-graph", 0.8587, -0.0011, 0.001),
        ],
    }


def with_differences(document: dict[str, Any], **arms: tuple[float, float]) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    for entry in changed["results"][1:]:
        difference, p = arms.get(entry["arm"].replace("-", "_"), (0.0001, 0.9))
        entry.update(record(entry["arm"], 0.8598 + difference, difference, p))
    return changed


def test_verdict_yes(document: dict[str, Any]) -> None:
    text = verdict(document)
    assert text.startswith("SSE helps here: sse-se lowers the test RMSE by 0.0013 (0.15 %), from 0.8598 to 0.8585")
    assert "−0.0017 to −0.0009, p < 0.001" in text


def test_verdict_nothing(document: dict[str, Any]) -> None:
    text = verdict(with_differences(document, sse_se=(-0.0002, 0.3), dropout=(-0.002, 0.01)))
    assert text.startswith("SSE adds nothing here: no SSE arm beats none significantly.")
    assert "differs by −0.0002" in text
    assert "dropout alone reaches 0.8578" in text


@pytest.mark.parametrize(
    ("arms", "words"),
    [
        ({"sse_se": (-0.002, 0.001)}, "): significant over users, with one seed each."),
        (
            {"sse_se": (0.002, 0.01), "sse_graph": (0.003, 0.01)},
            "is significantly worse over users, with one seed each,",
        ),
        ({"sse_se": (-0.0002, 0.3)}, "no SSE arm beats none significantly over users, with one seed each. The best"),
    ],
)
def test_one_seed_each_is_named(document: dict[str, Any], arms: dict[str, tuple[float, float]], words: str) -> None:
    """The bootstrap resamples users: it knows nothing of the luck of a seed."""
    changed = with_differences(document, **arms)
    assert "seed" not in verdict(changed)
    for entry in changed["results"]:
        entry |= {"std": None, "ci95": None, "per_seed": [entry["mean"]], "seeds": [0]}
    assert words in verdict(changed)


def test_an_arm_of_another_model_is_no_evidence(document: dict[str, Any]) -> None:
    """SSE-PT, in a comparison over SASRec, has a table of users beside: what it gains is not SSE's."""
    document["results"].append(record("sse-pt", 0.8500, -0.0098, 0.0001))
    kinds = {"none": "sasrec", "dropout": "sasrec", "sse-se": "sasrec", "sse-graph": "sasrec", "sse-pt": "ssept"}
    document["provenance"]["config"] = {"arms": {arm: {"model": kind, "space": {}} for arm, kind in kinds.items()}}
    text = verdict(document)
    assert text.startswith("SSE helps here: sse-se lowers")
    assert text.endswith("sse-pt (another model) reaches 0.8500.")
    document["results"] = [document["results"][0], document["results"][-1]]
    assert "no answer" in verdict(document)


def test_the_verdict_names_its_metric_and_what_others_say(document: dict[str, Any]) -> None:
    nothing = with_differences(document, sse_se=(-0.0002, 0.3))
    alone = verdict(nothing)

    def by(metric: str, **differences: tuple[float, float]) -> list[dict[str, Any]]:
        given = {"none": (0.0, None), **differences}
        return [{**record(arm, 0.5 + d, d, p), "metric": metric} for arm, (d, p) in given.items()]

    nothing["results"] += by("sampled_ndcg@10", **{"sse-se": (0.006, 0.0004), "dropout": (0.02, 0.0004)})
    text = verdict(nothing)
    assert text.startswith("SSE adds nothing to RMSE here: no SSE arm beats none significantly.")
    assert " By sampled NDCG@10 sse-se is better, by 0.0060 (" in text
    nothing["results"] += by("hr@10", **{"sse-se": (-0.006, 0.0004), "dropout": (-0.02, 0.0004)})
    assert verdict(nothing) == text + " By HR@10 significantly worse: sse-se."
    # the control: what is not significant is not told
    nothing["results"] = nothing["results"][:4] + by("hr@10", **{"sse-se": (0.006, 0.3)})
    assert verdict(nothing) == alone.replace("nothing here", "nothing to RMSE here")


def test_verdict_harm(document: dict[str, Any]) -> None:
    text = verdict(with_differences(document, sse_se=(0.002, 0.01), sse_graph=(0.003, 0.01)))
    assert text.startswith("SSE adds nothing here: none does better. Every SSE arm is significantly worse")
    assert "the closest, sse-se, by 0.0020" in text


def test_a_small_p_with_an_interval_over_zero_is_not_significant(document: dict[str, Any]) -> None:
    entry = document["results"][2]
    assert is_significant(entry)
    entry["difference_ci95"] = [-0.001, 0.0001]
    assert not is_significant(entry)
    entry["difference_ci95"], entry["p_value"] = [-0.002, -0.001], 0.05
    assert not is_significant(entry)
    assert not is_significant(document["results"][0])


def test_remarks_name_cold_gains_edges_and_few_seeds(document: dict[str, Any]) -> None:
    entry = document["results"][2]
    entry["warm_rmse"] = document["results"][0]["warm_rmse"] - 0.0001
    entry["params"] = {"p0_item": 0.0005, "weight_decay": 0.05}
    entry["best_epoch"] = 2
    space = {"p0_item": [0.0005, 0.1, "log"], "weight_decay": [0.01, 0.3, "log"]}
    document["provenance"]["config"] = {"arms": {"sse-se": {"space": space}}}
    document["provenance"]["notes"] = ["A note."]
    found = "\n".join(remarks(document))
    assert "A note." in found
    assert "Most of the gain of sse-se comes from the 246 test ratings of unseen users or items" in found
    assert "sse-graph" not in found
    assert "3 seeds are few" in found
    assert "p0_item = 0.0005 lies at the low end" in found
    assert "weight_decay" not in found
    assert "sse-se: the chosen fit stops after epoch 2" in found


def test_tables(document: dict[str, Any]) -> None:
    from rich.console import Console

    table = markdown_table(document)
    lines = table.splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "| sse-se | 0.8585 | 0.00020 | 0.8582 to 0.8588 | −0.0013* | −0.0017 to −0.0009 | < 0.001 |" in table
    assert "weight_decay 0.0812, rho_item inf" in table
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(rich_table(document))
    text = console.export_text()
    for entry in document["results"]:
        assert f"{entry['mean']:.4f}" in text
    assert "246 cold" in text
    page = markdown_page(document, [Path("learning_curves.png")])
    assert "![learning curves](learning_curves.png)" in page
    assert verdict(document) in page


def test_single_seed_has_no_interval(document: dict[str, Any]) -> None:
    for entry in document["results"]:
        entry |= {"std": None, "ci95": None, "per_seed": [entry["mean"]], "seeds": [0]}
    assert "| none | 0.8598 |  |  |" in markdown_table(check_document(document))


def test_figures(document: dict[str, Any], tmp_path: Path) -> None:
    paths = write_figures(document, tmp_path)
    assert [path.name for path in paths] == ["learning_curves.png", "differences.png"]
    for path in paths:
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        svg = path.with_suffix(".svg").read_text()
        for entry in document["results"][1:]:
            assert entry["arm"] in svg
        assert "RMSE" in svg
    assert "Epoch" in paths[0].with_suffix(".svg").read_text()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_figures(document, tmp_path)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_figures_of_a_single_arm(document: dict[str, Any], tmp_path: Path) -> None:
    document["results"] = document["results"][:1]
    assert [path.name for path in write_figures(document, tmp_path)] == ["learning_curves.png"]
    assert "no answer" in verdict(document)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(schema=2), "schema 1, got 2"),
        (lambda d: d.update(results={}), "'results' as a JSON array"),
        (lambda d: d.update(results=[]), "no results"),
        (lambda d: d["results"][1].pop("p_value"), "record 1: field 'p_value'"),
        (lambda d: d["results"][0].update(mean="0.86"), "record 0: field 'mean'"),
    ],
)
def test_foreign_documents_are_refused(document: dict[str, Any], tmp_path: Path, change: Any, message: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(document))
    assert read_document(tmp_path) == read_document(path) == document
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(CorruptFileError, match=re.escape(message)):
        read_document(path)


# a metric that is better when higher


def ranked(arm: str, mean: float, difference: float = 0.0, p: float | None = None, **more: Any) -> dict[str, Any]:
    """A record of precision@10, with the curve of a value that rises and then falls a little."""
    base = record(arm, mean, difference, p, metric="precision@10", n_test=3937, n_positives=726623, n_cold=0)
    del base["warm_rmse"]
    epochs = base["curve"]["epoch"]
    curve = {
        "epoch": epochs,
        "train_loss": [1 / e for e in epochs],
        "validation_precision@10": [mean - 0.3 / e - 0.002 * max(0, e - 17) for e in epochs],
    }
    return {**base, "curve": curve, "warm_precision@10": mean, **more}


@pytest.fixture
def rankings() -> dict[str, Any]:
    arms = [
        ("none", 0.6500, 0.0, None),
        ("dropout", 0.6490, -0.001, 0.001),
        ("sse-se", 0.6550, 0.005, 0.0006),
        ("sse-graph", 0.6600, 0.01, 0.0006),
    ]
    results = [ranked(*arm) for arm in arms]
    for arm, mean, difference, p in arms:
        further = ranked(arm, mean + 0.05, -difference, p, metric="ndcg@10")
        results.append({name: value for name, value in further.items() if name not in ("curve", "best_epoch")})
    return {"schema": 1, "provenance": {}, "results": results}


def test_verdict_of_rankings(rankings: dict[str, Any]) -> None:
    text = verdict(rankings)
    assert text.startswith("SSE helps here: sse-graph raises the test precision@10 by 0.0100 (1.5 %), from 0.6500 to")
    for entry, (difference, p) in zip(rankings["results"], [(0, None), (0.01, 0.01), (-0.002, 0.01), (-0.003, 0.01)]):
        entry.update(ranked(entry["arm"], 0.65 + difference, difference, p))
    text = verdict(rankings)
    assert "Every SSE arm is significantly worse, the closest, sse-se, by 0.0020 precision@10" in text
    assert text.endswith("dropout alone reaches 0.6600. By NDCG@10 significantly worse: sse-se, sse-graph.")
    rankings["results"][2].update(ranked("sse-se", 0.651, 0.001, 0.3))
    text = verdict(rankings)
    assert "The best of them, sse-se, differs by +0.0010 precision@10" in text
    assert text.endswith("dropout alone reaches 0.6600. By NDCG@10 significantly worse: sse-se, sse-graph.")


def test_tables_of_rankings(rankings: dict[str, Any]) -> None:
    from rich.console import Console

    table = markdown_table(check_document(rankings))
    assert table.splitlines()[0].startswith("| arm | test precision@10 | sd |")
    assert len(table.splitlines()) == 2 + 4
    assert "| sse-graph | 0.6600 | 0.00020 | 0.6597 to 0.6603 | +0.0100* |" in table
    page = markdown_page(rankings, [])
    assert "| arm | test NDCG@10 | vs none |" in page
    assert "| dropout | 0.6990 | +0.0010* |" in page
    console = Console(width=160, record=True, force_terminal=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(rich_table(rankings))
    styled = console.export_text(styles=True)
    assert "726,623 test positives of 3,937 users, ranked among all items" in styled
    green = [line for line in styled.splitlines() if "\x1b[1;32m" in line]
    assert ["sse-se" in line or "sse-graph" in line for line in green] == [True, True]
    more = rich_further(rankings)
    assert more is not None
    console.print(more)
    assert "NDCG@10" in console.export_text()


def test_no_further_metrics_no_further_table(document: dict[str, Any]) -> None:
    assert rich_further(document) is None
    assert "Further" not in markdown_page(document, [])


def test_figures_of_rankings(rankings: dict[str, Any], tmp_path: Path) -> None:
    curves, differences = (path.with_suffix(".svg").read_text() for path in write_figures(rankings, tmp_path))
    assert "precision@10" in curves
    assert "rating points" not in curves
    assert "dotted" not in curves
    assert "above 0 is better" in differences
    assert "Test precision@10 minus that of none (0.6500)" in differences


def test_the_best_epoch_of_a_ranking_is_marked(rankings: dict[str, Any]) -> None:
    figure = curves_figure(rankings)
    assert figure is not None
    close = figure.axes[1]
    dots = [line for line in close.lines if line.get_marker() == "o"]
    assert [list(dot.get_xdata()) for dot in dots] == [[17]] * 4
    low, high = close.get_ylim()
    best = [entry["mean"] - 0.3 / 17 for entry in rankings["results"][:4]]
    assert low < min(best) < max(best) < high
    assert high - max(best) < min(best) - low, "the room is on the side of the worse"


def test_a_value_measured_once_is_a_dot_in_both_panels(rankings: dict[str, Any]) -> None:
    assert (whole := curves_figure(rankings)) is not None
    assert {line.get_marker() for line in whole.axes[0].lines} == {"None"}, "control: a curve is a line"
    for entry in rankings["results"][:4]:
        entry["curve"] = {name: values[:1] for name, values in entry["curve"].items()}
    assert (figure := curves_figure(rankings)) is not None
    assert [line.get_marker() for line in figure.axes[0].lines] == ["o"] * 4


def test_cold_gains_of_rankings(rankings: dict[str, Any]) -> None:
    entry = rankings["results"][3] | {"n_cold": 40, "warm_precision@10": 0.651}
    rankings["results"][3] = entry
    assert "Most of the gain of sse-graph comes from the 40 test positives" in "\n".join(remarks(rankings))
    entry["warm_precision@10"] = 0.659
    assert "Most of the gain" not in "\n".join(remarks(rankings))


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_document(tmp_path)
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(CorruptFileError, match="not JSON"):
        read_document(tmp_path)
