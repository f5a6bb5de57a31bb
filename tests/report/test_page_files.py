"""Pages on disk: UTF-8 in any locale, and the earlier one where writing fails."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from torchsse.errors import MissingDependencyError
from torchsse.report import files
from torchsse.report.files import write_page, write_pages


def test_a_page_that_cannot_be_finished_leaves_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "report.md"
    write_page(page, "± 1\n")

    def full(handle: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_page(page, "new\n")
    assert page.read_bytes() == "± 1\n".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]


class Drawn:
    """Stands for a figure."""

    def __init__(self, content: bytes, fails: bool = False) -> None:
        self.content, self.fails = content, fails

    def savefig(self, target: Any, **words: Any) -> None:
        target.write(self.content)
        if self.fails:
            raise OSError("no space left on device")


def missing() -> None:
    raise MissingDependencyError("no matplotlib")


def test_plots_stand_beside_pages_and_are_written_whole(tmp_path: Path) -> None:
    def pages(figure: Callable[[], Any]) -> list[str]:
        texts = [lambda plot, kind=kind: f"{kind} {plot and plot.name}" for kind in ("md", "html")]
        return [path.name for path in write_pages(tmp_path, "plot.png", figure, *texts)]

    assert pages(missing) == pages(lambda: None) == ["report.md", "report.html"]
    assert (tmp_path / "report.md").read_text() == "md None"
    assert pages(lambda: Drawn(b"first")) == ["report.md", "report.html", "plot.png"]
    assert (tmp_path / "report.html").read_text() == "html plot.png"
    with pytest.raises(OSError, match="no space"):
        pages(lambda: Drawn(b"half", fails=True))
    assert (tmp_path / "plot.png").read_bytes() == b"first"
    assert {path.name for path in tmp_path.iterdir()} == {"report.md", "report.html", "plot.png"}


@pytest.mark.parametrize(("write", "works"), [("write_page(p, t)", True), ("p.write_text(t)", False)])
def test_a_page_in_a_locale_of_ascii(tmp_path: Path, write: str, works: bool) -> None:
    code = (
        f"import sys; from pathlib import Path; from torchsse.report.files import write_page\n"
        f"p, t = Path(sys.argv[1]), 'p \\u00b1 1\\n'\n{write}"
    )
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    page = tmp_path / "report.md"
    done = subprocess.run(
        [sys.executable, "-c", code, page], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) == works, done.stderr
    assert not works or page.read_text(encoding="utf-8") == "p ± 1\n"
