"""Pages that are whole or absent, and UTF-8 whatever the locale says."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["write_page"]


def write_page(path: Path, text: str) -> None:
    """Write a text beside its place, force it to disk, and move it there; line feeds stay line feeds.

    A killed process leaves the earlier page. (`torchsse.experiments.files` does the same; this room may not import it.)
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
