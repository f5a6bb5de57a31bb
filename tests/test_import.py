"""`import torchsse` needs torch and numpy and nothing else, and every public name is documented."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import torchsse

PROBE = """
import sys
import torch, numpy
before = set(sys.modules)
{statement}
loaded = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(*sorted(loaded - set(sys.stdlib_module_names) - {{"torchsse", "torch", "numpy"}}))
"""


def output_of(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def third_party_loaded_by(statement: str) -> set[str]:
    """Top-level packages that a statement loads beyond torch, numpy and the standard library."""
    return {name for name in output_of(PROBE.format(statement=statement)).split() if not name.startswith("__")}


def test_import_is_light() -> None:
    assert third_party_loaded_by("from torchsse import *") == set()


def test_control_a_heavy_import_is_seen() -> None:
    assert "scipy" in third_party_loaded_by("import torchsse, scipy.sparse")


def test_import_stays_off_the_compiler() -> None:
    """torch._dynamo and sympy take a second to load: nothing of ours may pull them in."""
    code = (
        "import torch, numpy, sys; before = set(sys.modules); from torchsse import *; print(*set(sys.modules) - before)"
    )
    loaded = output_of(code).split()
    assert "torchsse.labels.loss" in loaded, "else the names were not loaded"
    assert not [name for name in loaded if name.startswith(("torch._dynamo", "torch._inductor", "sympy"))]


HEAVY = "print(*sorted({'torch', 'numpy', 'scipy', 'pandas', 'polars', 'numba', 'optuna'} & set(sys.modules)))"


@pytest.mark.parametrize("module", ["torchsse", "torchsse.cli"])
def test_nothing_heavy_is_loaded_before_it_is_used(module: str) -> None:
    """`torchsse --help`, `--version` and the refusal of a wrong option answer at once."""
    assert output_of(f"import sys, {module}; {HEAVY}").split() == []


def test_control_a_used_name_loads_torch() -> None:
    assert "torch" in output_of(f"import sys, torchsse; torchsse.SSE; {HEAVY}").split()


@pytest.mark.parametrize(
    "before",
    ["import torchsse", "import torchsse.swap", "import torchsse.swap.cpu", "import torchsse.modules",
     "from torchsse.swap import swap", "import torchsse; torchsse.swap; import torchsse.swap.plain"],
)  # fmt: skip
def test_swap_is_the_function_whatever_was_imported_before(before: str) -> None:
    code = "; from torchsse import swap; import torchsse; print(callable(swap), swap is torchsse.swap)"
    assert output_of(before + code) == "True True\n"


def test_every_public_name_is_listed_and_comes_from_its_room() -> None:
    assert set(torchsse.__all__) <= set(dir(torchsse))
    assert output_of("from torchsse import *; print(SSE.__module__, callable(swap), __version__)").split() == [
        torchsse.SSE.__module__, "True", torchsse.__version__,
    ]  # fmt: skip


@pytest.mark.parametrize("room", ["errors", "graph", "labels", "modules", "transition"])
def test_rooms_of_the_public_names_need_no_import_of_their_own(room: str) -> None:
    assert output_of(f"import torchsse; print(torchsse.{room}.__name__)") == f"torchsse.{room}\n"


def test_public_names_exist_and_are_documented() -> None:
    assert set(torchsse.__all__) >= {"Graph", "SSE", "SSECrossEntropyLoss", "Walk", "attach", "swap"}
    for name in torchsse.__all__:
        thing = getattr(torchsse, name)
        if inspect.isclass(thing) or callable(thing):
            assert inspect.getdoc(thing), name


def test_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(torchsse, "no_such_name")
