"""Models on disk: JSON and safetensors, nothing executable, one atomic commit.

A directory holds ``model.json``, files named after their own hash, and graphs as directories named likewise. New files
are written beside the old ones, then ``model.json`` is exchanged in one rename, then what it no longer names is
removed: a reader or a power cut sees the old model or the new one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.errors import ConfigError, CorruptFileError
from torchsse.graph import Graph
from torchsse.recsys.graph_files import NAME, read_graph, write_graph

__all__ = ["MANIFEST", "SCHEMA", "Arrays", "check_free", "read", "write"]

MANIFEST = "model.json"
FORMAT = "torchsse-model"
SCHEMA = 1
_OURS = re.compile(rf"(arrays-[0-9a-f]{{16}}\.safetensors|ids-[0-9a-f]{{16}}\.json|\.new-[0-9a-f]{{32}}|{NAME})\Z")
_GRAPH = "_graph"

Arrays = dict[str, npt.NDArray[Any]]


def check_free(directory: str | os.PathLike[str]) -> None:
    """`ConfigError` unless a model may be written to `directory`: new, empty, or with a model of ours in it."""
    root = Path(directory)
    if root.exists() and not root.is_dir():
        raise ConfigError(f"{root}: expected a directory to save a model in, found a file")
    if root.is_dir() and not (root / MANIFEST).exists():
        foreign = sorted(p.name for p in root.iterdir() if not _OURS.match(p.name))
        if foreign:
            raise ConfigError(f"{root}: expected an empty directory or an earlier model, found {foreign[0]!r} in it")


def write(
    directory: str | os.PathLike[str],
    facts: dict[str, Any],
    arrays: Arrays,
    ids: Any,
    *,
    graphs: Mapping[str, Graph] | None = None,
    sync: bool = True,
) -> None:
    """Write a model: `facts` and `ids` (JSON values without NaN), `arrays` by name, `graphs` by "user" and "item".

    `sync` waits for the disk, so that a power cut cannot lose it; without, a killed process still leaves a whole model.

    Raises:
        ConfigError: the directory holds something else, or is a file.
    """
    import safetensors.numpy

    root = Path(directory)
    check_free(root)
    root.mkdir(parents=True, exist_ok=True)
    files = {}
    contents = {
        "arrays": (safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in arrays.items()}), "safetensors"),
        "ids": (_json(ids), "json"),
    }
    for role, (content, suffix) in contents.items():
        digest = hashlib.sha256(content).hexdigest()
        name = f"{role}-{digest[:16]}.{suffix}"
        _replace(root, name, content, sync)
        files[role] = {"name": name, "sha256": digest, "bytes": len(content)}
    for side, graph in (graphs or {}).items():
        files[side + _GRAPH] = write_graph(root, side + _GRAPH, graph)
    manifest = {"format": FORMAT, "schema": SCHEMA, **facts, "files": files}
    manifest["sha256"] = hashlib.sha256(_json(manifest)).hexdigest()
    _replace(root, MANIFEST, _json(manifest, indent=1), sync)
    kept = {entry["name"] for entry in files.values()}
    for path in root.iterdir():
        if _OURS.match(path.name) and path.name not in kept:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def read(directory: str | os.PathLike[str], kind: str) -> tuple[dict[str, Any], Arrays, Any]:
    """Read what `write` wrote and check every byte: (facts, arrays, ids); the graphs by side in ``facts["graphs"]``.

    Raises:
        CorruptFileError: no model there, a damaged or missing file, another format or schema, or not a `kind`.
    """
    import safetensors
    import safetensors.numpy

    root = Path(directory)
    try:
        raw = (root / MANIFEST).read_bytes()
        manifest = json.loads(raw)
    except (FileNotFoundError, NotADirectoryError):
        raise CorruptFileError(f"{root}: expected a saved model, found no {MANIFEST}") from None
    except (OSError, ValueError) as error:
        raise CorruptFileError(f"{root / MANIFEST}: cannot be read as JSON ({error})") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise CorruptFileError(f"{root / MANIFEST}: not a torchsse model")
    if manifest.get("schema") != SCHEMA:
        raise CorruptFileError(
            f"{root / MANIFEST}: expected schema {SCHEMA}, got {manifest.get('schema')!r}; written by another version"
        )
    claimed = manifest.pop("sha256", None)
    whole = {**manifest, "sha256": claimed}
    if claimed != hashlib.sha256(_json(manifest)).hexdigest() or raw != _json(whole, indent=1):
        raise CorruptFileError(f"{root / MANIFEST}: does not match its checksum; it was changed or damaged")
    if manifest.get("estimator") != kind:
        raise CorruptFileError(f"{root}: expected a saved {kind}, got {manifest.get('estimator')!r}")
    files = manifest.pop("files")
    manifest["graphs"] = {
        role.removesuffix(_GRAPH): read_graph(root, files.pop(role)) for role in sorted(files) if role.endswith(_GRAPH)
    }
    content = {role: _checked(root, entry) for role, entry in files.items()}
    try:
        return manifest, safetensors.numpy.load(content["arrays"]), json.loads(content["ids"])
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise CorruptFileError(f"{root}: {error}") from None


def _checked(root: Path, entry: dict[str, str]) -> bytes:
    path = root / entry["name"]
    try:
        content = path.read_bytes()
    except OSError:
        raise CorruptFileError(f"{path}: named in {MANIFEST}, but cannot be read") from None
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise CorruptFileError(f"{path}: does not match its checksum in {MANIFEST} ({len(content)} bytes)")
    return content


def _json(value: Any, indent: int | None = None) -> bytes:
    return json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False, indent=indent).encode()


def _replace(root: Path, name: str, content: bytes, sync: bool) -> None:
    fresh = root / f".new-{uuid.uuid4().hex}"
    with open(fresh, "wb") as file:
        file.write(content)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    os.replace(fresh, root / name)
