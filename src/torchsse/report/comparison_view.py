"""The combined document of a table of the paper as sections and rows: what both pages show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torchsse.report.document import Record, baseline_of, is_significant
from torchsse.report.families import family_verdicts, in_order, own_pairs
from torchsse.report.format import epochs, interval, number, p_value, params, signed
from torchsse.report.metric import best, gain, label

__all__ = ["BETTER", "OWN_BETTER", "OWN_WORSE", "WORSE", "Cell", "Section", "block_document", "details", "sections"]
__all__ += ["unfinished_arms"]

BETTER, WORSE = "*", "†"
"""Marks of arms that differ from the plain one significantly."""

OWN_BETTER, OWN_WORSE = "▲", "▼"
"""The same against the plain arm of their own model, where that is another."""

_SUMMARY = ("rmse", "precision@1", "precision@5", "precision@10")
"""Metrics of the summary; all others are in the details of each block."""

_OF_SEQUENCES = ("sampled_ndcg@10", "sampled_hr@10", "ndcg@10", "hr@10")


@dataclass(frozen=True)
class Cell:
    """A number with what is said about it.

    Attributes:
        text: the number, or words.
        width: its uncertainty, "± ..." or empty.
        best: of its column.
        mark: of its significance; None where there is none to have.
    """

    text: str
    width: str = ""
    best: bool = False
    mark: str | None = None

    def __str__(self) -> str:
        return f"{self.text} {self.width}".rstrip() + (self.mark or "")


@dataclass(frozen=True)
class Section:
    """One data set: rows are arms, columns the paper's numbers, then the blocks'.

    Attributes:
        groups: (head, columns under it), after the first column.
        heads: of all columns.
        rows: cells of each arm.
        blocks: of this section.
        verdicts: (column, sentence) per block and model.
    """

    title: str
    differs: str
    groups: list[tuple[str, int]]
    heads: list[str]
    rows: list[list[Cell]]
    blocks: list[dict[str, Any]]
    verdicts: list[tuple[str, str]]


def sections(document: dict[str, Any]) -> list[Section]:
    """One per data set, in the order of the blocks."""
    titles = dict.fromkeys(block["data"] for block in document["blocks"])
    return [_section(document, title) for title in titles]


def block_document(document: dict[str, Any], block: dict[str, Any]) -> dict[str, Any]:
    """A block as the document of a comparison of its own."""
    records = [record for record in document["results"] if record["block"] == block["name"]]
    origin = {**block["provenance"], "notes": block["notes"], "config": {"arms": block["arms"]}}
    return {"schema": 1, "provenance": origin, "results": records}


def _section(document: dict[str, Any], title: str) -> Section:
    blocks = [block for block in document["blocks"] if block["data"] == title]
    by_block = {block["name"]: block_document(document, block)["results"] for block in blocks}
    arms = in_order([list(dict.fromkeys(record["arm"] for record in records)) for records in by_block.values()])
    present = {record["metric"] for records in by_block.values() for record in records}
    wanted = _OF_SEQUENCES if blocks[0].get("feedback") == "sequences" else _SUMMARY
    metrics = [metric for metric in wanted if metric in present] or sorted(present)[:1]
    about = document["table"]
    paper = {(f["model"], f["metric"]): f["value"] for f in about["paper"] if f["data"] == blocks[0]["paper_data"]}
    stated = [metric for metric in metrics if any(metric == of for _, of in paper)]
    groups = [("paper", len(stated))] if paper else []
    heads = ["", *map(_short, stated)]
    for block in blocks:
        groups.append((block["column"], len(metrics)))
        heads += [_short(metric) for metric in metrics]
    rows = []
    for arm in arms:
        row = [Cell(arm)]
        if paper:
            row += [Cell(number(paper.get((about["models"].get(arm, ""), metric)))) for metric in stated]
        row += [_cell(by_block[block["name"]], block, arm, metric) for block in blocks for metric in metrics]
        rows.append([*row, Cell(_row_note(about, arm, bool(paper)))])
    return Section(
        title,
        blocks[0]["differs"],
        [*groups, ("", 1)],
        [*heads, "what it is, what differs from the paper's"],
        rows,
        blocks,
        [line for block in blocks for line in _verdicts(document, block)],
    )


def _verdicts(document: dict[str, Any], block: dict[str, Any]) -> list[tuple[str, str]]:
    own = block_document(document, block)
    found = family_verdicts(own, block)
    alone = [name for name, _ in found] == [baseline_of(own["results"])["arm"]]
    return [(block["column"] + ("" if alone else f", against {name}"), sentence) for name, sentence in found]


def _short(metric: str) -> str:
    """For the head of a narrow column, as the paper writes it."""
    return label(metric).replace("precision@", "P@")


def _cell(records: list[Record], block: dict[str, Any], arm: str, metric: str) -> Cell:
    of_metric = [record for record in records if record["metric"] == metric]
    record = next((record for record in of_metric if record["arm"] == arm), None)
    if record is None:
        return Cell("")
    mark = _mark(record, BETTER, WORSE)
    pair = own_pairs(block, metric).get(arm)
    if pair is not None:
        mark += _mark(pair, OWN_BETTER, OWN_WORSE)
    ends = record["ci95"]
    width = "" if ends is None or ends[0] == ends[1] else f"± {(ends[1] - ends[0]) / 2:.4f}"
    return Cell(number(record["mean"]), width, record is best(of_metric), mark)


def _mark(found: Record, better: str, worse: str) -> str:
    return "" if not is_significant(found) else better if gain(found) > 0 else worse


def _row_note(about: dict[str, Any], arm: str, paper: bool) -> str:
    """What the arm is, which row of the paper it stands for, and how it differs from that."""
    parts = [about["labels"].get(arm, "")]
    if paper:
        row = about["models"].get(arm)
        parts.append(f"paper: {row}" if row else "not in the paper")
        parts.append(_lower(about["arm_differs"].get(arm, "").rstrip(".")) if row else "")
    return "; ".join(part for part in parts if part)


def _lower(sentence: str) -> str:
    """As a part of a longer one; names such as L2 stay."""
    return sentence[:1].lower() + sentence[1:] if sentence[1:2].islower() else sentence


def details(document: dict[str, Any], block: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of one block: the deciding metric with intervals, tests, and what validation chose."""
    records = block_document(document, block)["results"]
    first = records[0]
    own = own_pairs(block, first["metric"])
    heads = ["arm", f"test {label(first['metric'])}", "95% interval", "vs none", "95% interval", "p (Holm)"]
    if own:
        heads += ["vs its own plain arm", "95% interval", "p (Holm)"]
    heads += ["warm pairs"] if first.get("n_cold") else []
    rows = []
    for record in records:
        if record["metric"] != first["metric"]:
            continue
        row = [record["arm"], number(record["mean"]), interval(record["ci95"]), *_against(record)]
        if own:
            pair = own.get(record["arm"])
            row += ["", "", ""] if pair is None else [f"{pair['against']}: {_against(pair)[0]}", *_against(pair)[1:]]
        if first.get("n_cold"):
            row.append(number(record.get(f"warm_{record['metric']}")))
        rows.append([*row, epochs(record), params(record["params"])])
    return [*heads, "epochs", "chosen on validation"], rows


def unfinished_arms(document: dict[str, Any], block: dict[str, Any]) -> list[str]:
    """Arms with a final fit that the limit of epochs stopped, not validation."""
    records = block_document(document, block)["results"]
    return list(dict.fromkeys(record["arm"] for record in records if "epochs" in record.get("stopped", ())))


def _against(found: Record) -> list[str]:
    """Difference, interval and p; blank for the baseline."""
    if found["p_value"] is None:
        return ["", "", ""]
    return [
        signed(found["difference"]) + _mark(found, BETTER, WORSE),
        interval(found["difference_ci95"], signed),
        p_value(found["p_value"]),
    ]
