"""The table of a comparison, for a terminal and as Markdown, from one list of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchsse.errors import MissingDependencyError
from torchsse.report.document import Record, is_significant
from torchsse.report.format import interval, number, p_value, params, signed

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["caption", "markdown_table", "rich_table", "rows"]

COLUMNS = ("arm", "test RMSE", "sd", "95% interval", "vs none", "95% interval of the difference", "p (Holm)", "warm")
SETTINGS = "chosen on validation"


def rows(document: dict[str, Any]) -> list[list[str]]:
    """One row of text per arm, in the order of `COLUMNS`; an asterisk marks a significant difference."""
    return [_row(record) for record in document["results"]]


def _row(record: Record) -> list[str]:
    compared = record["p_value"] is not None
    return [
        record["arm"],
        number(record["mean"]),
        number(record["std"], 5),
        interval(record["ci95"]),
        signed(record["difference"]) + ("*" if is_significant(record) else "") if compared else "",
        interval(record.get("difference_ci95"), signed) if compared else "",
        p_value(record["p_value"]),
        number(record.get("warm_rmse")),
    ]


def caption(document: dict[str, Any]) -> str:
    """What the columns are computed from."""
    first = document["results"][0]
    cold = first.get("n_cold", 0)
    text = (
        f"{len(first['seeds'])} seeds, {first['n_test']:,} test ratings"
        + (f" ({cold:,} cold: unseen user or item; warm = the others)" if cold else "")
        + f", {first['trials']} search trials per arm on validation. sd and interval over seeds; difference: paired "
        "bootstrap over users, * p < 0.05 after Holm's correction; neither covers the luck of the search."
    )
    return text


def rich_table(document: dict[str, Any]) -> Table:
    """The table for a terminal."""
    try:
        from rich.table import Table
    except ImportError as error:
        raise MissingDependencyError("the table needs rich: pip install 'torchsse[recsys]'") from error
    from rich import box

    warm = bool(document["results"][0].get("n_cold"))
    table = Table(box=box.SIMPLE_HEAD, caption=caption(document), caption_justify="left", pad_edge=False)
    keep = [place for place, name in enumerate(COLUMNS) if warm or name != "warm"]
    for place in keep:
        table.add_column(COLUMNS[place], justify="left" if place == 0 else "right", no_wrap=place < 3)
    for record, row in zip(document["results"], rows(document)):
        better = is_significant(record) and record["difference"] < 0
        table.add_row(*(row[place] for place in keep), style="bold green" if better else None)
    return table


def markdown_table(document: dict[str, Any]) -> str:
    """The same table in Markdown, with the chosen settings."""
    head = (*COLUMNS, SETTINGS, "epochs")
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(COLUMNS) - 1) + " --- | ---: |"]
    for record, row in zip(document["results"], rows(document)):
        lines.append("| " + " | ".join([*row, params(record["params"]), str(record.get("best_epoch", ""))]) + " |")
    return "\n".join(lines)
