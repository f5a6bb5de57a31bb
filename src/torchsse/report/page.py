"""report.md: verdict, table, figures and provenance on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torchsse.report.tables import caption, markdown_further, markdown_table
from torchsse.report.verdict import remarks, verdict

__all__ = ["markdown_page", "provenance_lines"]


def markdown_page(document: dict[str, Any], figures: list[Path]) -> str:
    """The page as Markdown; figures are linked by file name, so they lie beside it."""
    parts = ["# Does SSE help?", verdict(document), markdown_table(document), caption(document)]
    parts += [f"![{figure.stem.replace('_', ' ')}]({figure.name})" for figure in figures]
    more = markdown_further(document)
    if more:
        parts.append(more)
    notes = remarks(document)
    if notes:
        parts.append("\n".join(["## Remarks", "", *(f"- {note}" for note in notes)]))
    parts.append("\n".join(["## Provenance", "", *(f"- {line}" for line in provenance_lines(document["provenance"]))]))
    return "\n\n".join(parts) + "\n"


def provenance_lines(origin: dict[str, Any]) -> list[str]:
    """Where the results come from: code, versions, machine, data, times."""
    lines = []
    commit = origin.get("git_commit")
    if origin.get("torchsse"):
        state = " with uncommitted changes" if origin.get("git_dirty") else ""
        lines.append(f"torchsse {origin['torchsse']}" + (f", commit {commit[:12]}{state}" if commit else ""))
    if len(origin.get("commits") or ()) > 1:
        lines.append(f"fits of commits {', '.join(each[:12] for each in origin['commits'])}")
    versions = [f"{name} {origin[name]}" for name in ("python", "torch", "numpy", "numba") if origin.get(name)]
    if versions:
        lines.append(", ".join(versions))
    if origin.get("platform"):
        lines.append(
            f"{origin['platform']}, {origin.get('cpu')}, {origin.get('cpu_count')} cores, {origin.get('device')}"
        )
    lines += [f"{file['role']}: {file['path']}, sha256 {file['sha256']}" for file in origin.get("data", [])]
    if origin.get("wall_seconds") is not None:
        lines.append(f"finished {origin.get('finished')}, {origin['wall_seconds']:.0f} s in the last session")
    if origin.get("command"):
        lines.append("`" + " ".join(origin["command"]) + "`")
    return lines
