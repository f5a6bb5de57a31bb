"""report.md and report.html of the language tables: the paper's numbers beside ours, and what differs."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path
from typing import Any

from torchsse.report import html
from torchsse.report.chain_view import Part, parts_of
from torchsse.report.files import write_pages

__all__ = ["html_of_chain", "markdown_of_chain", "write_chain_pages"]

_PLOT = "differences.png"


def write_chain_pages(document: dict[str, Any], out: Path) -> list[Path]:
    """Write both pages and, with matplotlib, the plot; returns their paths."""
    from torchsse.report.chain_plot import chain_figure

    parts = parts_of(document)
    return write_pages(
        out,
        _PLOT,
        lambda: chain_figure(document),
        lambda plot: markdown_of_chain(parts, plot),
        lambda plot: html_of_chain(parts, plot),
    )


def markdown_of_chain(parts: list[Part], plot: Path | None) -> str:
    """The page as Markdown; the plot is linked by file name."""
    lines = []
    for part in parts:
        lines.append(("# " if part is parts[0] else "## ") + part.title)
        lines += [part.text, "\n".join(f"- {item}" for item in part.items)]
        if part.rows:
            heads = "| " + " | ".join(part.heads) + " |"
            sides = ["---:" if _numeric(column) else "---" for column in zip(*part.rows, strict=True)]
            rule = "| " + " | ".join(sides) + " |"
            lines.append("\n".join([heads, rule, *("| " + " | ".join(row) + " |" for row in part.rows)]))
        if part is parts[0] and plot is not None:
            lines.append(f"![differences]({plot.name})")
    return "\n\n".join(line for line in lines if line) + "\n"


def html_of_chain(parts: list[Part], plot: Path | None) -> str:
    """The same as one HTML file that needs no other."""
    body = []
    for part in parts:
        level = "h1" if part is parts[0] else "h2"
        body.append(f"<{level}>{escape(part.title)}</{level}>")
        if part.text:
            body.append(f"<p>{escape(part.text)}</p>")
        if part.items:
            body.append("<ul>" + "".join(f"<li>{escape(item)}</li>" for item in part.items) + "</ul>")
        if part.rows:
            body.append(html.table(part.heads, [[(cell, "") for cell in row] for row in part.rows]))
        if part is parts[0] and plot is not None:
            image = base64.b64encode(plot.read_bytes()).decode()
            body.append(f'<img alt="differences" src="data:image/png;base64,{image}">')
    return html.page(parts[0].title, "\n".join(body))


def _numeric(column: tuple[str, ...]) -> bool:
    return all(not cell or cell[0] in "0123456789+<\N{MINUS SIGN}" for cell in column)
