"""The table of a comparison, for a terminal and as Markdown, from one list of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchsse.errors import MissingDependencyError
from torchsse.report.document import Record, is_significant
from torchsse.report.format import epochs, interval, number, p_value, params, signed
from torchsse.report.metric import further, label, primary, significantly_better

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["caption", "columns", "markdown_further", "markdown_table", "rich_further", "rich_table", "rows"]

SETTINGS = "chosen on validation"
FURTHER = "Further metrics; * p < 0.05 after Holm's correction over the arms, for each metric apart."


def columns(document: dict[str, Any]) -> list[str]:
    """The heads of `rows`."""
    first = document["results"][0]
    heads = ["arm", f"test {label(first['metric'])}", "sd", "95% interval", "vs none", "95% interval of the difference"]
    return [*heads, "p (Holm)", *(["warm"] if _warm(first) in first else [])]


def rows(document: dict[str, Any]) -> list[list[str]]:
    """One row of text per arm, in the order of `columns`; an asterisk marks a significant difference."""
    first = document["results"][0]
    warm = _warm(first) in first
    return [_row(record, warm) for record in primary(document["results"])]


def _row(record: Record, warm: bool) -> list[str]:
    compared = record["p_value"] is not None
    return [
        record["arm"],
        number(record["mean"]),
        number(record["std"], 5),
        interval(record["ci95"]),
        _difference(record),
        interval(record.get("difference_ci95"), signed) if compared else "",
        p_value(record["p_value"]),
        *([number(record.get(_warm(record)))] if warm else []),
    ]


def _difference(record: Record) -> str:
    """With an asterisk where it is significant; blank for the baseline."""
    if record["p_value"] is None:
        return ""
    return signed(record["difference"]) + ("*" if is_significant(record) else "")


def further_rows(document: dict[str, Any]) -> list[list[str]]:
    """Heads, then one row per arm: mean and difference of each further metric. Empty where there is none."""
    found = further(document["results"])
    if not found:
        return []
    heads = ["arm", *(head for metric in found for head in (f"test {label(metric)}", "vs none"))]
    by_arm: dict[str, list[str]] = {}
    for records in found.values():
        for record in records:
            by_arm.setdefault(record["arm"], [record["arm"]]).extend([number(record["mean"]), _difference(record)])
    return [heads, *by_arm.values()]


def caption(document: dict[str, Any]) -> str:
    """What the columns are computed from."""
    first = document["results"][0]
    text = (
        f"{len(first['seeds'])} seeds, {_measured_on(first)}"
        + f", {first['trials']} search trials per arm on validation. sd and interval over seeds; difference: paired "
        "bootstrap over users, * p < 0.05 after Holm's correction; neither covers the luck of the search."
    )
    return text


def _measured_on(record: Record) -> str:
    cold = record.get("n_cold", 0)
    pairs = f" ({cold:,} cold: unseen user or item; warm = the others)" if cold else ""
    if "n_negatives" in record:
        repeats = record.get("n_repeats", 0)
        known = f" (without {repeats:,} users who had it before)" if repeats else ""
        actions = record.get("n_actions", record["n_users"])
        if actions > record["n_users"]:
            what, one = f"the latest {actions:,} actions, of {record['n_users']:,} users", "each user's first "
        else:
            what, one = f"the last action of {record['n_users']:,} users", ""
        return (
            f"{what}, among all items{known} and {one}(sampled) among {record['n_negatives']} random ones, drawn once"
        )
    if "n_positives" in record:
        return f"{record['n_positives']:,} test positives of {record['n_test']:,} users{pairs}, ranked among all items"
    return f"{record['n_test']:,} test ratings{pairs}"


def _warm(record: Record) -> str:
    """The field that has the metric on warm pairs."""
    return f"warm_{record['metric']}"


def rich_table(document: dict[str, Any]) -> Table:
    """The table for a terminal."""
    try:
        from rich.table import Table
    except ImportError as error:
        raise MissingDependencyError("the table needs rich: pip install 'torchsse[recsys]'") from error
    from rich import box

    heads = columns(document)
    warm = bool(document["results"][0].get("n_cold"))
    table = Table(box=box.SIMPLE_HEAD, caption=caption(document), caption_justify="left", pad_edge=False)
    keep = [place for place, name in enumerate(heads) if warm or name != "warm"]
    for place in keep:
        table.add_column(heads[place], justify="left" if place == 0 else "right", no_wrap=place < 3)
    for record, row in zip(primary(document["results"]), rows(document)):
        table.add_row(*(row[place] for place in keep), style="bold green" if significantly_better(record) else None)
    return table


def rich_further(document: dict[str, Any]) -> Table | None:
    """The further metrics for a terminal; None where there are none."""
    found = further_rows(document)
    if not found:
        return None
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, caption=FURTHER, caption_justify="left", pad_edge=False)
    for place, head in enumerate(found[0]):
        table.add_column(head, justify="left" if place == 0 else "right")
    for row in found[1:]:
        table.add_row(*row)
    return table


def markdown_further(document: dict[str, Any]) -> str | None:
    """The same in Markdown."""
    found = further_rows(document)
    if not found:
        return None
    lines = ["| " + " | ".join(row) + " |" for row in found]
    return "\n".join([lines[0], "| --- |" + " ---: |" * (len(found[0]) - 1), *lines[1:], "", FURTHER])


def markdown_table(document: dict[str, Any]) -> str:
    """The same table in Markdown, with the chosen settings."""
    heads = columns(document)
    lines = ["| " + " | ".join([*heads, SETTINGS, "epochs"]) + " |"]
    lines.append("| --- |" + " ---: |" * (len(heads) - 1) + " --- | ---: |")
    for record, row in zip(primary(document["results"]), rows(document)):
        lines.append("| " + " | ".join([*row, params(record["params"]), epochs(record)]) + " |")
    return "\n".join(lines)
