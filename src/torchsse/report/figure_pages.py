"""What `torchsse reproduce figure3 | figure4` writes beside results.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torchsse.report.embedding import embedding_figure, embedding_page, embedding_table
from torchsse.report.files import write_figure, write_page
from torchsse.report.page import provenance_lines
from torchsse.report.speed import speed_figure, speed_table

__all__ = ["write_figure3", "write_figure4"]


def write_figure3(document: dict[str, Any], shown: dict[str, dict[str, Any]], out: Path) -> list[Path]:
    """A picture and a page for each study, and report.md; the pages hold titles and genres, the rest numbers only."""
    written = []
    parts = ["# Figure 3: item embeddings without SSE, with SSE-Graph, with SSE-SE", document["figure"]["measured"]]
    for study in document["figure"]["studies"]:
        name = study["name"]
        picture, web = out / f"embeddings-{name}.png", out / f"embeddings-{name}.html"
        write_figure(picture, embedding_figure(shown[name]), 130, tight=False)
        write_page(web, embedding_page(shown[name], document, name))
        parts += [f"## {study['title']}", f"![item embeddings]({picture.name})"]
        parts.append(_rows(*embedding_table(document, name)))
        written += [picture, web]
    return [_report(parts, document, out), *written]


def write_figure4(document: dict[str, Any], out: Path) -> list[Path]:
    """The picture and report.md."""
    picture = out / "training-speed.png"
    write_figure(picture, speed_figure(document), tight=False)
    parts = ["# Figure 4: training speed with and without SSE", document["figure"]["measured"]]
    parts.append(f"![training speed]({picture.name})")
    for study in document["figure"]["studies"]:
        parts += [f"## {study['title']}", _rows(*speed_table(document, study["name"]))]
    return [_report(parts, document, out), picture]


def _report(parts: list[str], document: dict[str, Any], out: Path) -> Path:
    origin = "\n".join(f"- {line}" for line in provenance_lines(document["provenance"]))
    path = out / "report.md"
    write_page(path, "\n\n".join([*parts, "## Provenance", origin]) + "\n")
    return path


def _rows(heads: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " ---: |" * (len(heads) - 2) + " --- |"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
