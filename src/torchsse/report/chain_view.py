"""The document of a language table as titled parts: what both of its pages show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torchsse.report.document import Record, is_significant
from torchsse.report.format import interval, number, p_value, signed
from torchsse.report.metric import label
from torchsse.report.page import provenance_lines

__all__ = ["BETTER", "WORSE", "Part", "digits", "mark", "parts_of"]

BETTER, WORSE = "*", "†"
"""Marks of significant differences."""


@dataclass(frozen=True)
class Part:
    """A heading with what stands under it."""

    title: str
    text: str = ""
    items: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)


def digits(metric: str) -> int:
    """BLEU and chrF run from 0 to 100, all others to 1."""
    return 2 if metric in ("bleu", "chrf") else 4


def mark(pair: Record) -> str:
    """Of a difference; all metrics here are larger where a model is better."""
    return "" if not is_significant(pair) else BETTER if pair["difference"] > 0 else WORSE


def parts_of(document: dict[str, Any]) -> list[Part]:
    """The page from top to bottom; the first part's title is the page's."""
    about = document["table"]
    head = Part(
        f"Table {about['name'].removeprefix('table')}: {about['title']} (size {about['size']})",
        about["measured"] + " Ours: mean over seeds, ± half the width of its 95 % t interval where there are several. "
        "Differences are between means over seeds, with a paired bootstrap over test examples and Holm's correction "
        f"over all comparisons of a metric (p < 0.05): {BETTER} better, {WORSE} worse.",
        [f"{arm}: {what}" for arm, what in about["arms"].items()],
    )
    alike: dict[str, list[str]] = {}
    for block in document["blocks"]:
        if block["differs"]:
            alike.setdefault(block["differs"], []).append(block["title"])
    differs = [*about["differs"], *(f"{', '.join(titles)}: {differs}." for differs, titles in alike.items())]
    metrics = list(dict.fromkeys(record["metric"] for record in document["results"]))
    begun = {block["name"] for block in document["blocks"]}
    left = [name + (" (in part)" if name in begun else "") for name in document["unfinished"]]
    left = [f"Not measured yet: {', '.join(left)}."] if left else []
    return [
        head,
        *(_of_metric(document, metric) for metric in metrics),
        Part("What differs from the paper", items=[*differs, *left]),
        _work(document),
        Part("Provenance", items=_origin(document["provenance"])),
    ]


def _of_metric(document: dict[str, Any], metric: str) -> Part:
    about, places = document["table"], digits(metric)
    facts = {(f["data"], f["model"]): f["value"] for f in about["paper"] if f["metric"] == metric}
    pairs = [pair for pair in document["pairs"] if pair["metric"] == metric]
    rows = []
    for block in document["blocks"]:
        for arm in about["arms"]:
            record = next((r for r in document["results"] if _is(r, block["name"], metric, arm)), None)
            if record is None:
                continue
            own = [pair for pair in pairs if pair["block"] == block["name"] and pair["arm"] == arm]
            fact = facts.get((block["paper"], about["models"].get(arm)))
            paper = number(fact, 1 if places == 2 else places)
            base = [block["title"], arm, paper, _mean(record, places), f"{record['n_test']:,}"]
            rows.append(base + (_against(own[0], places) if own else [""] * 4))
            rows += [[""] * 5 + _against(pair, places) for pair in own[1:]]
    heads = ["test set", "arm", "paper", "ours", "examples", "against", "difference", "95 %", "p (Holm)"]
    signatures = dict.fromkeys(
        str(unit["facts"]["signatures"][metric])
        for unit in document["units"]
        if metric in unit["facts"].get("signatures", {})
    )
    items = [*_verdicts(document, pairs, places), *(f"signature: {signature}" for signature in signatures)]
    return Part(label(metric), items=items, heads=heads, rows=rows)


def _verdicts(document: dict[str, Any], pairs: list[Record], places: int) -> list[str]:
    """One sentence for each comparison, test sets that pool others apart."""
    titles = {block["name"]: block["title"] for block in document["blocks"]}
    found = []
    for arm, against in dict.fromkeys((pair["arm"], pair["against"]) for pair in pairs):
        own = [pair for pair in pairs if (pair["arm"], pair["against"]) == (arm, against)]
        single = [pair for pair in own if not pair["pooled"]]
        up, down = ([p for p in single if p["difference"] * sign > 0] for sign in (1, -1))
        text = f"{arm} against {against}: better on {len(up)} of {len(single)} test sets"
        text += f" (significantly on {sum(map(is_significant, up))}), worse on {len(down)}"
        text += f" (significantly on {sum(map(is_significant, down))})"
        for pair in own:
            if pair["pooled"] or len(single) == 1:
                ends = interval(pair["difference_ci95"], lambda value: signed(value, places))
                text += f"; {titles[pair['block']]}: {signed(pair['difference'], places)} ({ends})"
        found.append(text + ".")
    return found


def _work(document: dict[str, Any]) -> Part:
    """Trainings with what they say of themselves; time of the measurements in one line."""
    rows = []
    for unit in document["units"]:
        if unit["block"] is None:
            facts = [f"{k} {v:,}" if isinstance(v, int) else f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}"
                     for k, v in unit["facts"].items() if isinstance(v, (int, float, str))]  # fmt: skip
            rows.append([unit["unit"], f"{unit['seconds']:,.0f}", ", ".join(facts)])
    measuring = sum(unit["seconds"] for unit in document["units"] if unit["block"] is not None)
    text = f"Measuring took {measuring:,.0f} s; trainings:" if rows else f"Measuring took {measuring:,.0f} s."
    return Part("Work", text, heads=["training", "seconds", "what it says"], rows=rows)


def _origin(origin: dict[str, Any]) -> list[str]:
    lines = provenance_lines(origin)
    versions = [f"{name} {origin[name]}" for name in ("transformers", "tokenizers", "sacrebleu") if origin.get(name)]
    threads = sorted({str(each["threads"]) for each in origin["sessions"]})
    devices = sorted({str(each["device"]) for each in origin["sessions"]})
    lines.append(f"{', '.join(versions)}; trained on {', '.join(devices)}, threads: {', '.join(threads)}")
    commits = ", ".join(commit[:12] for commit in origin["commits"])
    lines.append(f"sessions: {len(origin['sessions'])}; commits: {commits}; {origin['fit_seconds']:,.0f} s of work")
    return lines


def _is(record: Record, block: str, metric: str, arm: str) -> bool:
    return (record["block"], record["metric"], record["arm"]) == (block, metric, arm)


def _mean(record: Record, places: int) -> str:
    ends = record["ci95"]
    return number(record["mean"], places) + ("" if ends is None else f" ± {(ends[1] - ends[0]) / 2:.{places}f}")


def _against(pair: Record, places: int) -> list[str]:
    ends = interval(pair["difference_ci95"], lambda value: signed(value, places))
    return [pair["against"], signed(pair["difference"], places) + mark(pair), ends, p_value(pair["p_value"])]
