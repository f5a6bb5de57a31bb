"""Machine code is found again, and never for other sources."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from numba import types

import torchsse.recsys.kernels as kernels
from torchsse.recsys.kernels import cache

ROOM = Path(kernels.__file__).parent
SIGNATURE = types.int64(types.int64)


def double(x: int) -> int:
    return 2 * x


def test_editing_any_callee_changes_the_key(tmp_path: Path) -> None:
    copy = tmp_path / "kernels"
    shutil.copytree(ROOM, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert cache.source_key(copy) == cache.source_key(ROOM)  # the control: a copy has the same key
    for name in ("rng.py", "draw.py", "mf.py", "cache.py"):
        before = cache.source_key(copy)
        (copy / name).write_text((copy / name).read_text() + "\n# edited\n")
        assert cache.source_key(copy) != before, name


def test_second_compilation_comes_from_disk(tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setenv("TORCHSSE_CACHE", str(tmp_path))
    caplog.set_level(logging.INFO, logger="torchsse.kernels")
    assert cache.compiled("double", double, SIGNATURE)(21) == 42
    assert "compiling kernel double" in caplog.text
    files = sorted(tmp_path.rglob("*.nbc"))
    assert len(files) == 1
    caplog.clear()
    again = cache.compiled("double", double, SIGNATURE)
    assert again(4) == 8
    assert "compiling" not in caplog.text
    assert sum(again.stats.cache_hits.values()) == 1


def test_damaged_files_cost_a_compilation_only(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TORCHSSE_CACHE", str(tmp_path))
    cache.compiled("double", double, SIGNATURE)
    for path in tmp_path.rglob("*.nb?"):
        path.write_bytes(b"garbage")
    assert cache.compiled("double", double, SIGNATURE)(21) == 42


def test_without_a_place_to_write(tmp_path, monkeypatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    monkeypatch.setenv("TORCHSSE_CACHE", str(blocked))
    assert cache.cache_directory() is None
    assert cache.compiled("double", double, SIGNATURE)(21) == 42


def test_a_shared_directory_of_others_is_not_trusted(tmp_path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    assert cache._private(shared) is None
    shared.chmod(0o700)
    assert cache._private(shared) == shared
    link = tmp_path / "link"
    link.symlink_to(shared)
    assert cache._private(link) is None


def test_threads_may_ask_at_once(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TORCHSSE_CACHE", str(tmp_path))
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(cache.compiled("double", double, SIGNATURE)(21))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [42] * 4


FIT = """
import logging, sys
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
import numpy as np
from torchsse.recsys import MatrixFactorization
g = np.random.default_rng(0)
data = g.integers(0, 9, 60), np.arange(60), g.integers(1, 6, 60)
m = MatrixFactorization(factors=4, epochs=3, p0_user=.1).fit(data)
print("SUM", m.predict(np.arange(9), np.arange(9)).sum())
"""


@pytest.mark.slow
def test_processes_may_start_at_once(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TORCHSSE_CACHE", str(tmp_path))
    running = [subprocess.Popen([sys.executable, "-c", FIT], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [process.communicate(timeout=120)[0] for process in running]
    assert all(process.returncode == 0 for process in running)
    assert "compiling kernel mf_epoch_16" in "".join(printed)
    third = subprocess.run([sys.executable, "-c", FIT], capture_output=True, text=True, timeout=120)
    assert "compiling" not in third.stdout
    sums = {line for text in (*printed, third.stdout) for line in text.splitlines() if line.startswith("SUM")}
    assert len(sums) == 1


def test_kernels_release_the_gil_and_have_one_signature() -> None:
    from torchsse.recsys.kernels import mf

    assert mf.score().targetoptions["nogil"]
    assert len(mf.score().signatures) == 1
    with pytest.raises(TypeError):
        mf.score()(np.zeros(3))


FAMILY = """
import contextlib, sys
from numba import types
from torchsse.recsys.kernels import cache

def member(width):
    def times(x):
        total = 0
        for _ in range(x):
            total += width
        return total
    return cache.compiled(f"times_{width}", times, types.int64(types.int64))

if "--shared-names" in sys.argv:
    cache._unique_symbols = lambda name: contextlib.nullcontext(True)
kernels = [member(int(width)) for width in sys.argv[1].split(",")]
if "--names" in sys.argv:
    print(*(next(iter(k.overloads.values())).fndesc.mangled_name for k in kernels))
else:
    print(*(k(10) for k in kernels))
"""


def family(cache_folder: Path, *words: str) -> list[str]:
    # numba writes its fast-math flags, a set, into the names: one hash seed makes their order, and a clash, certain
    environment = {**os.environ, "TORCHSSE_CACHE": str(cache_folder), "PYTHONHASHSEED": "0"}
    run = subprocess.run([sys.executable, "-c", FAMILY, *words], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


@pytest.mark.slow
def test_kernels_compiled_by_two_processes_keep_apart_in_a_third(tmp_path: Path) -> None:
    """numba would give both the same symbol, and the linker the code of one for the other."""
    assert family(tmp_path, "3") == ["30"]
    assert family(tmp_path, "5") == ["50"]
    assert family(tmp_path, "3,5") == ["30", "50"]
    assert family(tmp_path, "5,3") == ["50", "30"]
    first, second = (family(tmp_path / width, width, "--names") for width in "35")
    assert first != second


@pytest.mark.slow
def test_control_numba_alone_repeats_names(tmp_path: Path) -> None:
    first, second = (family(tmp_path / width, width, "--names", "--shared-names") for width in "35")
    assert first == second
