"""Graphs on disk: a directory of .npy files and a manifest.json with their sha256. Nothing in it can be executed.

A graph is written to a directory beside its place and renamed, so that under the final name there is a whole graph or
none. Where a graph is there already it is set aside as `.NAME.previous` first; if the writer dies between the two
renames, `read` takes that one and the next `write` puts it back.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from torchsse.errors import CorruptFileError, GraphError
from torchsse.graph import checks
from torchsse.graph.arrays import Array

__all__ = ["Loaded", "check_files", "read", "write"]

FORMAT = "torchsse-graph"
SCHEMA = 1
MANIFEST = "manifest.json"
FILES = {"indptr": "indptr.npy", "indices": "indices.npy", "weights": "weights.npy"}  # never taken from a manifest
DTYPES = {"indptr": ("<i4", "<i8"), "indices": ("<i4", "<i8"), "weights": ("<f4", "<f8")}
MANIFEST_LIMIT = 1 << 16  # bytes; ours has about 700

Loaded = tuple[Array, Array, Array | None, bool, Path, dict[str, str]]


def write(
    path: str | os.PathLike[str], indptr: Array, indices: Array, weights: Array | None, *, directed: bool
) -> None:
    """Write a graph under `path`, replacing a saved graph that is there, and nothing else."""
    target = Path(os.path.realpath(path))
    previous = _previous(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if previous.exists() and not target.exists():
        os.rename(previous, target)
    _refuse_foreign(target)
    fresh = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    fresh.mkdir()
    try:
        arrays = {"indptr": indptr, "indices": indices, "weights": weights}
        files = {name: _write_array(fresh / FILES[name], array) for name, array in arrays.items() if array is not None}
        manifest = {
            "format": FORMAT,
            "schema": SCHEMA,
            "num_nodes": len(indptr) - 1,
            "num_edges": len(indices),
            "directed": directed,
            "files": files,
        }
        with open(fresh / MANIFEST, "wb") as file:
            file.write(_render(manifest))
            _flush(file)
        _sync_directory(fresh)
        if target.exists():
            shutil.rmtree(previous, ignore_errors=True)
            os.rename(target, previous)
        os.rename(fresh, target)
        _sync_directory(target.parent)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        if previous.exists() and not target.exists():
            os.rename(previous, target)
        raise
    shutil.rmtree(previous, ignore_errors=True)


def read(path: str | os.PathLike[str], *, mmap: bool) -> Loaded:
    """The arrays of a saved graph, its `directed`, its directory, and sha256 by file name. Raises CorruptFileError."""
    directory = _locate(Path(path).absolute())
    manifest = _read_manifest(directory / MANIFEST)
    files: dict[str, Any] = manifest["files"]
    shas = {FILES[name]: entry["sha256"] for name, entry in files.items()}
    for name, entry in files.items():
        file = directory / FILES[name]
        size = file.stat().st_size if file.is_file() else None
        if size != entry["bytes"]:
            found = "is missing" if size is None else f"has {size} bytes"
            raise CorruptFileError(f"{file}: {found}, the manifest says {entry['bytes']} bytes")
    if not mmap:
        check_files(directory, shas)
    lengths = {"indptr": manifest["num_nodes"] + 1, "indices": manifest["num_edges"], "weights": manifest["num_edges"]}
    loaded: dict[str, Array] = {}
    for name, entry in files.items():
        loaded[name] = _read_array(directory / FILES[name], entry["dtype"], lengths[name], mmap=mmap)
    indptr, indices, weights = loaded["indptr"], loaded["indices"], loaded.get("weights")
    try:
        checks.check_shape(indptr, indices, weights)
        if not mmap:
            checks.check_entries(indptr, indices, weights)
    except GraphError as error:
        raise CorruptFileError(f"{directory}: this is no graph: {error}") from None
    return indptr, indices, weights, manifest["directed"], directory, shas


def check_files(directory: Path, shas: dict[str, str]) -> None:
    """Compare the sha256 of every file with what the manifest said. Raises CorruptFileError."""
    for name, expected in shas.items():
        file = directory / name
        try:
            with open(file, "rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise CorruptFileError(f"{file}: cannot be read: {error.strerror or error}") from None
        if found != expected:
            raise CorruptFileError(f"{file}: sha256 is {found}, the manifest says {expected}: one was changed")


def _previous(target: Path) -> Path:
    return target.with_name(f".{target.name}.previous")


def _locate(path: Path) -> Path:
    if path.is_dir():
        return path
    previous = _previous(Path(os.path.realpath(path)))
    if previous.is_dir() and not path.exists():
        return previous
    what = "is a file" if path.exists() else "does not exist"
    raise CorruptFileError(f"{path}: a saved graph is a directory with {MANIFEST}; this {what}")


def _refuse_foreign(target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise GraphError(f"{target}: a file is in the way; a graph is saved as a directory")
    foreign = sorted(set(os.listdir(target)) - {MANIFEST, *FILES.values()})
    if foreign:
        raise GraphError(f"{target}: the directory holds other things than a graph ({foreign[0]}) and is not replaced")


class _Hashing:
    """A file that hashes what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.sha = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha.update(data)
        return self.file.write(data)


def _write_array(path: Path, array: Array) -> dict[str, Any]:
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    with open(path, "wb") as file:
        hashing = _Hashing(file)
        np.lib.format.write_array(hashing, little, version=(1, 0), allow_pickle=False)
        size = file.tell()
        _flush(file)
    return {"bytes": size, "dtype": little.dtype.str, "sha256": hashing.sha.hexdigest()}


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    """Make renames last through a power cut, where the system lets one open a directory."""
    try:
        handle = os.open(directory, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _render(manifest: dict[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=2) + "\n").encode()


def _read_manifest(path: Path) -> dict[str, Any]:
    """A manifest of exactly the form `write` makes; whatever differs is refused."""
    if not path.is_file():
        raise CorruptFileError(f"{path}: is missing; the directory is no saved graph")
    with open(path, "rb") as file:
        raw = file.read(MANIFEST_LIMIT + 1)
    try:
        manifest = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CorruptFileError(f"{path}: is no JSON: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise CorruptFileError(f"{path}: is not the manifest of a torchsse graph")
    if manifest.get("schema") != SCHEMA:
        raise CorruptFileError(
            f"{path}: has schema {manifest.get('schema')!r}, this version of torchsse reads schema {SCHEMA}"
        )
    fault = _manifest_fault(manifest)
    if fault is None and _render(manifest) != raw:
        fault = "was edited or damaged since it was written"
    if fault:
        raise CorruptFileError(f"{path}: {fault}")
    return manifest


def _manifest_fault(manifest: dict[str, Any]) -> str | None:
    if set(manifest) != {"format", "schema", "num_nodes", "num_edges", "directed", "files"}:
        return f"has the keys {', '.join(sorted(manifest))}"
    for name in ("num_nodes", "num_edges"):
        if type(manifest[name]) is not int or not 0 <= manifest[name] < 2**62:
            return f"{name} must be a count, got {manifest[name]!r}"
    if type(manifest["directed"]) is not bool:
        return f"directed must be true or false, got {manifest['directed']!r}"
    files = manifest["files"]
    if not isinstance(files, dict) or set(files) not in ({"indptr", "indices"}, set(FILES)):
        return "files must list indptr, indices and, with weights, weights"
    for name, entry in files.items():
        if not isinstance(entry, dict) or set(entry) != {"bytes", "dtype", "sha256"}:
            return f"the entry of {name} must have bytes, dtype and sha256"
        if entry["dtype"] not in DTYPES[name]:
            return f"{name} must be of dtype {' or '.join(DTYPES[name])}, got {entry['dtype']!r}"
        if type(entry["bytes"]) is not int or not isinstance(entry["sha256"], str):
            return f"the entry of {name} is damaged"
    return None


def _read_array(path: Path, dtype: str, length: int, *, mmap: bool) -> Array:
    try:
        if mmap and length:  # nothing can be mapped of an empty file
            array: Array = np.asarray(np.lib.format.open_memmap(path, mode="r"))
        else:
            with open(path, "rb") as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
    except Exception as error:  # the header is untrusted text: whatever NumPy makes of it, the file is damaged
        raise CorruptFileError(f"{path}: is no .npy file of numbers: {error}") from None
    if array.dtype.str != dtype or array.shape != (length,):
        raise CorruptFileError(
            f"{path}: holds {array.dtype.str} of shape {array.shape}, the manifest says {dtype} of shape ({length},)"
        )
    return array.astype(array.dtype.newbyteorder("="), copy=False)
