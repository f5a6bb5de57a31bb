"""Progress of the language tables: what earlier processes did says nothing of the pace of this one."""

from __future__ import annotations

import re
from importlib import metadata
from types import SimpleNamespace

import pytest

from torchsse.cli import reproducing_language
from torchsse.cli.language import origin
from torchsse.cli.reproducing_language import Lines
from torchsse.errors import MissingDependencyError
from torchsse.experiments.reproduce.chain import Unit
from torchsse.nlp.steps import Progress

UNITS = [Unit(name, "none", 0, lambda place: {}, seconds=100.0) for name in ("a", "b")]


def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], first: int) -> list[str]:
    """The times left that are said after two steps of ten seconds, from the given step of 100 on, and at the end."""
    now = [0.0]
    monkeypatch.setattr(reproducing_language, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(reproducing_language, "INTERVAL", 0.0)
    lines = Lines(UNITS)
    watch = lines.unit(UNITS[0], 1, 2)
    for step in (first, first + 1):
        now[0] += 10.0
        watch.step(Progress(step=step, steps=100, loss=1.0, tokens_per_second=1.0, seconds_left=0.0))
    lines.finished(UNITS[0], 1, 2)
    return re.findall(r"about (.*) left", capsys.readouterr().err)


@pytest.mark.parametrize(("first", "expected"), [(1, (1980, 20)), (99, (1000, 1000))])
def test_the_time_left_goes_by_the_steps_of_this_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], first: int, expected: tuple[int, int]
) -> None:
    monkeypatch.setattr(reproducing_language, "duration", lambda seconds: f"{seconds:.0f}")
    found = told(monkeypatch, capsys, first)
    assert found[1:] == [str(expected[0]), str(expected[1])]


def test_a_training_taken_over_says_nothing_of_the_pace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(reproducing_language, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(reproducing_language, "duration", lambda seconds: f"{seconds:.0f}")
    lines = Lines(UNITS)
    lines.unit(UNITS[0], 1, 2)
    now[0] = 1.0
    lines.finished(UNITS[0], 1, 2)
    watch = lines.unit(UNITS[1], 2, 2)
    now[0] = 11.0
    watch.step(Progress(step=1, steps=10, loss=1.0, tokens_per_second=1.0, seconds_left=0.0))
    assert re.findall(r"about (.*) left", capsys.readouterr().err) == ["99"]  # 11 s for a tenth of it


@pytest.mark.parametrize("names", [(), ("tokenizers",)])
def test_missing_libraries_are_told_in_one_line(monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]) -> None:
    def version(name: str) -> str:
        if name not in names:
            raise metadata.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(metadata, "version", version)
    what = "transformers" if names else "transformers and tokenizers"
    with pytest.raises(MissingDependencyError, match=rf"needs {what}: python -m pip install 'torchsse\[nlp\]'"):
        origin("cpu")
