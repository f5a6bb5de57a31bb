"""Every python block of README and docs runs, block after block, page by page, in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?P<before><!-- not run[^\n]*-->\n)?```python\n(?P<code>.*?)```", re.DOTALL)


def blocks(text: str) -> list[str]:
    """Python blocks, those marked `<!-- not run: why -->` left out."""
    return [found["code"] for found in BLOCK.finditer(text) if not found["before"]]


def run(page: str, text: str) -> int:
    names: dict[str, object] = {"__name__": "__page__"}
    code = blocks(text)
    for number, block in enumerate(code):
        exec(compile(block, f"{page}, block {number + 1}", "exec"), names)
    return len(code)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = page.read_text()
    if "from transformers" in text:
        pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ratings.csv").write_text(
        "user,item,rating\n"
        + "".join(f"{u},{i},{(u * i) % 5 + 1}\n" for u in range(1, 43) for i in range(u % 3, 30, 2))
    )
    assert run(page.name, text) == len(blocks(text))


def test_control_a_broken_example_fails() -> None:
    with pytest.raises(ZeroDivisionError):
        run("page", "```python\n1 / 0\n```")
    assert run("page", "<!-- not run: on purpose -->\n```python\n1 / 0\n```") == 0
