"""What every benchmark shares: its arguments, its provenance, and how a result is written."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy
import torch


def parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser with `--out FILE` for the JSON."""
    arguments = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, help="write the result as JSON here")
    return arguments


def device_parser(description: str | None) -> argparse.ArgumentParser:
    """The same with `--device`; `chosen_device` reads it."""
    arguments = parser(description)
    arguments.add_argument("--device", default="cuda", help="cuda, or cpu for a small run that proves nothing")
    return arguments


def chosen_device(name: str) -> torch.device:
    """The device of `--device`; the program ends with one line where it is not there."""
    if name.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("error: no CUDA device here (--device cpu makes a small run that proves nothing)")
    return torch.device(name)


class Clock:
    """Seconds of work on a device, from the start of what is queued to its end.

    On CUDA by events on the stream, else by the wall clock.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._marks: list[Any] = []

    def mark(self) -> None:
        """Note the moment that the work queued so far is done."""
        if self._cuda:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self._marks.append(event)
        else:
            self._marks.append(time.perf_counter())

    def seconds(self) -> list[float]:
        """Between neighbouring marks; forgets them."""
        marks, self._marks = self._marks, []
        if not self._cuda:
            return [after - before for before, after in pairwise(marks)]
        torch.cuda.synchronize()
        return [before.elapsed_time(after) / 1e3 for before, after in pairwise(marks)]


def git(*words: str) -> str:
    """Output of a git command in this checkout, empty where there is none."""
    here = Path(__file__).parent
    return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=False).stdout.strip()


def provenance() -> dict[str, Any]:
    """Where and with what a number was measured."""
    cpu = ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": git("rev-parse", "HEAD"),
        "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "numpy": numpy.__version__,
        "cpu": cpu or platform.processor(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu",
    }


def write_result(name: str, result: dict[str, Any], out: Path | None) -> None:
    """Print a result as JSON and, with `--out`, keep it with its provenance."""
    record = {"benchmark": name, "provenance": provenance(), "result": result}
    text = json.dumps(record, indent=2)
    print(text)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n")
