"""The rooms import in one direction (from the ground up), files stay small, nothing executable is loaded.

Each rule is a function of source text, so that a control with a planted violation shows that it can fail.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "torchsse"

# room -> the rooms it may import; what is not listed may not be imported
GROUND = ("errors",)
CORE = (*GROUND, "graph", "transition", "swap", "modules", "labels")
LEAVES = ("data", "metrics")
ALLOWED: dict[str, tuple[str, ...]] = {
    "errors": (),
    "graph": CORE[:1],
    "transition": CORE[:2],
    "swap": CORE[:3],
    "modules": CORE[:4],
    "labels": CORE[:5],
    "integrations": CORE,
    "theory": CORE,
    "data": GROUND,
    "metrics": GROUND,
    "recsys": (*CORE, *LEAVES),
    "nlp": (*CORE, *LEAVES, "integrations"),
    "experiments": (*CORE, *LEAVES, "integrations", "theory", "recsys", "nlp"),
    "report": GROUND,
    "cli": (*CORE, *LEAVES, "integrations", "theory", "recsys", "nlp", "experiments", "report"),
}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    """The room a file belongs to: its folder under the package, or its own name at the top."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def imported_rooms(source: str, package: str) -> set[str]:
    """Rooms of torchsse that a source text imports, inside functions too; `package` resolves relative imports."""
    rooms: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        rooms |= {name.split(".")[1] for name in names if name.startswith("torchsse.")}
    return {room for room in rooms if room in ALLOWED}


def violations(source: str, room: str, package: str) -> set[str]:
    return imported_rooms(source, package) - {room, *ALLOWED[room]}


def package_of(path: Path) -> str:
    return ".".join(("torchsse", *path.relative_to(PACKAGE).parts[:-1]))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    room = room_of(path)
    if room in ("__init__", "__main__"):
        return
    assert room in ALLOWED, f"{room} is no room of DESIGN section 3"
    assert not violations(path.read_text(), room, package_of(path)), f"{path} imports a room above its own"


@pytest.mark.parametrize(
    ("source", "room"),
    [
        ("from torchsse.modules import SSE", "graph"),
        ("import torchsse.swap.cpu", "transition"),
        ("from torchsse import recsys", "data"),
        ("def f():\n    from torchsse.recsys import MatrixFactorization", "report"),
        ("from ..modules import SSE", "swap"),
        ("from torchsse.metrics import rmse", "report"),
    ],
)
def test_control_an_upward_import_is_seen(source: str, room: str) -> None:
    assert violations(source, room, f"torchsse.{room}")


def test_control_a_downward_import_is_allowed() -> None:
    assert not violations("from torchsse.graph import Graph\nfrom ..errors import GraphError", "swap", "torchsse.swap")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_small_and_explain_themselves(path: Path) -> None:
    source = path.read_text()
    assert source.count("\n") <= 400, "two things live here"
    assert not source.strip() or ast.get_docstring(ast.parse(source)), "a module says what it is for"


UNPICKLERS = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve"}


def executable_loads(source: str) -> list[str]:
    """Calls in a source text that may run what they read."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        text = ast.unparse(node.func)
        module, _, name = text.rpartition(".")
        flags = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if (
            text in ("eval", "exec")
            or (module in UNPICKLERS and name in ("load", "loads"))
            or flags.get("allow_pickle") == "True"
            or flags.get("weights_only") == "False"
        ):
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_executable_is_loaded(path: Path) -> None:
    assert not executable_loads(path.read_text())


@pytest.mark.parametrize(
    "source", ["pickle.load(f)", "np.load(f, allow_pickle=True)", "x = eval(text)", "torch.load(f, weights_only=False)"]
)
def test_control_executable_loading_is_seen(source: str) -> None:
    assert executable_loads(source)


def test_control_model_eval_is_no_eval() -> None:
    assert not executable_loads("model.eval()")


def texts_in_the_locale(source: str) -> list[str]:
    """Calls in a source text that write a text without naming its encoding."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and not any(word.arg == "encoding" for word in node.keywords):
            name = ast.unparse(node.func).rpartition(".")[2]
            modes = [*node.args[:2], *(word.value for word in node.keywords if word.arg == "mode")]
            plain = any(isinstance(mode, ast.Constant) and mode.value in ("w", "a", "x", "wt", "at") for mode in modes)
            if (name == "write_text" and isinstance(node.func, ast.Attribute)) or (name == "open" and plain):
                found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_texts_are_written_as_utf8(path: Path) -> None:
    assert not texts_in_the_locale(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("source", ["page.write_text(text)", "open(path, 'w')", "path.open('a')", "open(p, mode='x')"])
def test_control_a_text_in_the_locale_is_seen(source: str) -> None:
    assert texts_in_the_locale(source)


@pytest.mark.parametrize("source", ["write_text(path, text)", "p.write_text(t, encoding='utf-8')", "open(path, 'wb')"])
def test_control_texts_as_utf8_are_allowed(source: str) -> None:
    assert not texts_in_the_locale(source)
