"""Every python block of README and docs runs, block after block, page by page, in an empty folder."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

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


CONSOLE = re.compile(r"```(?:console|sh)?\n(?P<code>.*?)```", re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """The words of every `torchsse` line outside of Python blocks, continued lines as one."""
    lines = [line for found in CONSOLE.finditer(text) for line in found["code"].replace("\\\n", " ").splitlines()]
    calls = [re.sub(r".*\| *(?=torchsse )", "", line) for line in lines]
    return [shlex.split(line, comments=True)[1:] for line in calls if line.startswith("torchsse ")]


def parse(words: list[str]) -> str | None:
    """What the command line has against these words, files that are not there aside."""
    import typer

    from torchsse.cli import app

    command: Any = typer.main.get_command(app)
    given = list(words)
    while hasattr(command, "commands"):
        if not given or given[0] not in command.commands:
            return f"no command {' '.join(words)}"
        command = command.commands[given.pop(0)]
    try:
        command.make_context("torchsse", given)
    except Exception as error:
        absent = "does not exist" in str(error)
        return None if absent else f"{type(error).__name__}: {error}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_command_lines_parse(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("typer")
    monkeypatch.delenv("TORCHSSE_DATA", raising=False)
    wrong = {" ".join(words): parse(words) for words in commands(page.read_text()) if parse(words)}
    assert not wrong


def test_control_a_wrong_command_line_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("typer")
    monkeypatch.delenv("TORCHSSE_DATA", raising=False)
    page = (
        "```console\ntorchsse nonsense\ntorchsse bench --nonsense 3\necho x | torchsse reproduce table2  # no data\n```"
    )
    assert len(commands(page)) == 3
    assert all(parse(words) for words in commands(page))
    assert parse(["bench", "--rounds", "3"]) is None
