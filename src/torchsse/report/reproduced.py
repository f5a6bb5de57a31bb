"""report.md and report.html of a table of the paper: its numbers beside ours, and what differs."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path
from typing import Any

from torchsse.report.comparison_view import (
    BETTER,
    OWN_BETTER,
    OWN_WORSE,
    WORSE,
    Cell,
    Section,
    details,
    sections,
    unfinished_arms,
)
from torchsse.report.files import write_pages
from torchsse.report.html import marked, page, table
from torchsse.report.page import provenance_lines

__all__ = ["html_of_table", "markdown_of_table", "write_table_pages"]

_PLOT = "differences.png"


def write_table_pages(document: dict[str, Any], out: Path) -> list[Path]:
    """Write both pages and, with matplotlib, the plot; returns their paths."""
    from torchsse.report.forest import forest_figure

    return write_pages(
        out,
        _PLOT,
        lambda: forest_figure(document),
        lambda plot: markdown_of_table(document, plot),
        lambda plot: html_of_table(document, plot),
    )


def markdown_of_table(document: dict[str, Any], plot: Path | None) -> str:
    """The whole page as Markdown."""
    about = document["table"]
    parts = [f"# {_headline(about)}", _reading(document), _bullets(about["differs"])]
    for section in sections(document):
        parts += [f"## {section.title}", section.differs, _markdown_table(section)]
        parts.append("\n".join(f"- **{column}**: {sentence}" for column, sentence in section.verdicts))
    if plot is not None:
        parts.append(f"![differences from the plain arm]({plot.name})")
    parts.append("## Details")
    for section in sections(document):
        for block in section.blocks:
            heads, rows = details(document, block)
            parts.append(f"### {section.title}, {block['column']}")
            parts.append(_markdown_rows(heads, rows))
            parts.append(_bullets(_facts(document, block)))
    if document["unfinished"]:
        parts.append(f"Not run yet: {', '.join(document['unfinished'])}.")
    parts.append("## Provenance\n\n" + _bullets(_provenance(document)))
    return "\n\n".join(part for part in parts if part) + "\n"


def html_of_table(document: dict[str, Any], plot: Path | None) -> str:
    """The same as one HTML file that needs no other."""
    about = document["table"]
    body = [f"<h1>{escape(_headline(about))}</h1>", f"<p>{escape(_reading(document))}</p>", _list(about["differs"])]
    for section in sections(document):
        body += [f"<h2>{escape(section.title)}</h2>", f"<p>{escape(section.differs)}</p>"]
        cells = [[_html_cell(cell) for cell in row] for row in section.rows]
        body.append(table(section.heads, cells, groups=[("", 1), *section.groups], ready=True))
        body.append(_list([f"{column}: {sentence}" for column, sentence in section.verdicts]))
        for block in section.blocks:
            heads, rows = details(document, block)
            inner = table(heads, [[(text, "") for text in row] for row in rows]) + _list(_facts(document, block))
            body.append(f"<details><summary>{escape(block['column'])}: details</summary>{inner}</details>")
    if plot is not None:
        image = base64.b64encode(plot.read_bytes()).decode()
        body.append("<h2>Differences from the plain arm</h2>")
        body.append(f'<img alt="differences from the plain arm" src="data:image/png;base64,{image}">')
    if document["unfinished"]:
        body.append(f"<p>Not run yet: {escape(', '.join(document['unfinished']))}.</p>")
    body += ["<h2>Provenance</h2>", _list(_provenance(document))]
    return page(_headline(about), "\n".join(body))


def _headline(about: dict[str, Any]) -> str:
    return f"Table {about['name'].removeprefix('table')}: {about['title']}"


def _reading(document: dict[str, Any]) -> str:
    several = any(block["pairs"] for block in document["blocks"])
    own = f"; {OWN_BETTER} better, {OWN_WORSE} worse than the plain arm of its own model" if several else ""
    return (
        "Ours: mean over seeds ± half the width of its 95 % t interval; bold: the best of its column. By a paired "
        f"bootstrap over users with Holm's correction (p < 0.05): {BETTER} better, {WORSE} worse than the plain arm of "
        f"the first model{own}. What differs from the paper:"
    )


def _html_cell(cell: Cell) -> tuple[str, str]:
    return marked(cell.text, cell.width, cell.mark), "best" if cell.best else ""


def _markdown_table(section: Section) -> str:
    """Groups and heads in one line, since Markdown has but one."""
    tops = [""] + [top for top, width in section.groups for _ in range(width)]
    plain = len(set(section.heads[1:-1])) == 1
    heads = [top if plain and top else f"{top} {head}".strip() for top, head in zip(tops, section.heads)]
    rows = [
        [f"**{cell.text} {cell.width}".rstrip() + f"**{cell.mark or ''}" if cell.best else str(cell) for cell in row]
        for row in section.rows
    ]
    return _markdown_rows(heads, rows)


def _markdown_rows(heads: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " ---: |" * (len(heads) - 2) + " --- |"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _facts(document: dict[str, Any], block: dict[str, Any]) -> list[str]:
    origin = block["provenance"]
    facts = [_budget(block), block["remark"], *block["notes"]]
    if origin.get("git_commit"):
        state = " with uncommitted changes" if origin.get("git_dirty") else ""
        commits = origin.get("commits") or ()
        several = f" (fits of {', '.join(each[:12] for each in commits)})" if len(commits) > 1 else ""
        facts.append(f"Finished {origin['finished']}, commit {origin['git_commit'][:12]}{state}{several}, "
                     f"{origin['fit_seconds']:.0f} s of fits.")  # fmt: skip
    if block.get("arms_left"):
        facts.append(f"Arms not run yet: {', '.join(block['arms_left'])}.")
    limited = unfinished_arms(document, block)
    if limited:
        facts.append(f"Stopped by the limit of epochs, not by validation: {', '.join(limited)}.")
    return [fact for fact in facts if fact]


def _budget(block: dict[str, Any]) -> str:
    settings = block["settings"]
    each = f"{settings['trials']} trials per arm{_judged(block)}, {settings['seeds']} seeds"
    if block.get("feedback") == "sequences":
        return (
            f"Width {settings['hidden']}, {settings['blocks']} blocks where no other number is named, the latest "
            f"{settings['max_length']} actions, {each}, at most {settings['epochs']} epochs, "
            f"{settings['patience']} without a better value on validation; on {settings['device']}"
            f"{'' if settings.get('precision', 'fp32') == 'fp32' else ', in ' + settings['precision']}."
        )
    return (
        f"Rank {settings['factors']}, {each}, at most {settings['epochs']} epochs, learning rate "
        f"{settings['learning_rate']:g} × {settings['learning_rate_decay']:g} per epoch where it is not searched."
    )


def _judged(block: dict[str, Any]) -> str:
    """How trials are judged, where that is not as usual for the feedback."""
    settings, feedback = block["settings"], block.get("feedback")
    parts, every = settings.get("validation_splits"), settings.get("validate_every")
    words = []
    if parts not in (None, 2 if feedback == "explicit" else 1):
        words.append(f"each on {parts} validation part{'s' if parts != 1 else ''}")
    if every not in (None, 5 if feedback == "sequences" else 1):
        words.append(f"measured every {every} epochs" if every != 1 else "measured every epoch")
    return f" ({', '.join(words)})" if words else ""


def _provenance(document: dict[str, Any]) -> list[str]:
    return provenance_lines(document["provenance"])


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _list(lines: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{_code(escape(line))}</li>" for line in lines) + "</ul>"


def _code(text: str) -> str:
    """A whole line in backticks is a command."""
    inside = text.removeprefix("`").removesuffix("`")
    return f"<code>{inside}</code>" if len(text) - len(inside) == 2 else text
