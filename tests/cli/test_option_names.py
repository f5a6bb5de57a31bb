"""One name for one thing, in every command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from torchsse.cli import app


def options(command: Any, path: str = "torchsse") -> Iterator[tuple[str, str]]:
    """(command, option) of a command and all below it."""
    for parameter in command.params:
        for name in parameter.opts:
            yield path, name
    for name, below in getattr(command, "commands", {}).items():
        yield from options(below, f"{path} {name}")


def strangers(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(path, name) for path, name in found if "threads" in name and name != "--num-threads"]


def test_threads_have_one_name() -> None:
    found = list(options(typer.main.get_command(app)))
    assert not strangers(found)
    having = {path.removeprefix("torchsse ") for path, name in found if name == "--num-threads"}
    language = {"pretrain", "classify train", "classify predict", "translate train", "translate run"}
    assert having >= {"fit", "bench", *language}


@pytest.mark.parametrize("name", ["--threads", "--nthreads"])
def test_control_another_name_is_seen(name: str) -> None:
    assert strangers([("torchsse fit", "--num-threads"), ("torchsse translate", name)])
