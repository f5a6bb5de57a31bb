"""Pages that are whole or absent, and UTF-8 whatever the locale says."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torchsse.errors import MissingDependencyError

__all__ = ["write_figure", "write_page", "write_pages"]


def write_pages(
    out: Path,
    plot: str,
    figure: Callable[[], Any],
    markdown: Callable[[Path | None], str],
    html: Callable[[Path | None], str],
) -> list[Path]:
    """report.md, report.html and, where there is one and matplotlib to draw it, the plot; their paths.

    Args:
        out: the directory.
        plot: the plot's file name.
        figure: draws it; None where there is nothing to show.
        markdown: report.md, given the plot's path, or None.
        html: report.html, likewise.
    """
    written = [out / "report.md", out / "report.html"]
    path: Path | None = None
    try:
        drawn = figure()
        if drawn is not None:
            path = out / plot
            write_figure(path, drawn)
            written.append(path)
    except MissingDependencyError:
        pass
    write_page(written[0], markdown(path))
    write_page(written[1], html(path))
    return written


def write_figure(path: Path, figure: Any, dpi: int = 150, *, tight: bool = True) -> None:
    """A picture in the format of its suffix, whole or not at all; an SVG holds no date, so that equal ones are equal.

    Args:
        path: its file; the one of an earlier run stays if this fails.
        figure: matplotlib's.
        dpi: dots per inch.
        tight: cut to what is drawn.
    """
    content = io.BytesIO()
    metadata = {"Date": None} if path.suffix == ".svg" else None
    box = "tight" if tight else None
    figure.savefig(content, format=path.suffix[1:], dpi=dpi, bbox_inches=box, metadata=metadata)
    _write(path, content.getvalue())


def write_page(path: Path, text: str) -> None:
    """Write a text beside its place, force it to disk, and move it there; line feeds stay line feeds.

    A killed process leaves the earlier page. (`torchsse.experiments.files` does the same; this room may not import it.)
    """
    _write(path, text.encode())


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
