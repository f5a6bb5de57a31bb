"""Save, load, verify: round trips, every kind of damage, and writers that die at every step."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graph_oracle import as_dict

from torchsse.errors import CorruptFileError, GraphError
from torchsse.graph import Graph, store

WEIGHTED = Graph.from_edges([0, 0, 3, 4], [1, 2, 0, 2], 6, [0.5, 1, 0.25, 0.125], directed=True)
PLAIN = Graph.from_edges([0, 0, 3, 4], [1, 2, 0, 2], 6)
GRAPHS = {
    "weighted": WEIGHTED,
    "plain": PLAIN,
    "float32": Graph.from_edges([0], [1], 2, np.array([0.1], dtype=np.float32)),
    "no edges": Graph.from_edges([], [], 3),
    "no nodes": Graph.from_edges([], [], 0),
}


def same(a: Graph, b: Graph) -> bool:
    """Equal in every array, dtype and flag."""
    pairs = [(a.indptr, b.indptr), (a.indices, b.indices), (a.weights, b.weights)]
    return a.directed == b.directed and all(
        (x is None and y is None) or (x.dtype == y.dtype and np.array_equal(x, y)) for x, y in pairs
    )


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("mmap", [False, True])
def test_round_trip(name: str, mmap: bool, tmp_path: Path) -> None:
    graph = GRAPHS[name]
    graph.save(tmp_path / "deep" / "g")
    back = Graph.load(tmp_path / "deep" / "g", mmap=mmap)
    assert same(back, graph)
    assert as_dict(back) == as_dict(graph)
    back.verify()
    assert sorted(os.listdir(tmp_path / "deep")) == ["g"]


def test_control_same_tells_graphs_apart() -> None:
    assert not same(WEIGHTED, PLAIN)
    assert not same(GRAPHS["no edges"], GRAPHS["no nodes"])


def test_strings_and_symbolic_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    PLAIN.save("g")
    os.symlink("g", "link")
    WEIGHTED.save("link")
    assert Path("link").is_symlink()
    assert same(Graph.load("g"), WEIGHTED)
    mapped = Graph.load("link", mmap=True)
    monkeypatch.chdir("/")
    mapped.verify()


def test_the_manifest_holds_the_sha256_of_every_file(tmp_path: Path) -> None:
    WEIGHTED.save(tmp_path / "g")
    manifest = json.loads((tmp_path / "g" / "manifest.json").read_text())
    assert (manifest["format"], manifest["schema"]) == ("torchsse-graph", 1)
    assert (manifest["num_nodes"], manifest["num_edges"], manifest["directed"]) == (6, 4, True)
    for name, entry in manifest["files"].items():
        data = (tmp_path / "g" / f"{name}.npy").read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]
        assert np.array_equal(np.load(tmp_path / "g" / f"{name}.npy"), getattr(WEIGHTED, name))


# Damage


@pytest.mark.parametrize("file", ["manifest.json", "indptr.npy", "indices.npy", "weights.npy"])
def test_every_flipped_byte_is_found(file: str, tmp_path: Path) -> None:
    place = tmp_path / "g"
    WEIGHTED.save(place)
    mapped = Graph.load(place, mmap=True)
    path = place / file
    whole = path.read_bytes()
    Graph.load(place)  # control: undamaged it loads
    for at in range(len(whole)):
        with open(path, "r+b") as stream:  # in place, so that the map sees it
            stream.seek(at)
            stream.write(bytes([whole[at] ^ 0x11]))
        # a sha256 damaged in the manifest shows at the file that it is of
        with pytest.raises(CorruptFileError, match=r"json: |manifest says" if file == "manifest.json" else file):
            Graph.load(place)
        if file != "manifest.json" and at % 16 == 0:
            with pytest.raises(CorruptFileError, match=file):
                mapped.verify()
        with open(path, "r+b") as stream:
            stream.seek(at)
            stream.write(whole[at : at + 1])
    mapped.verify()


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("file", ["manifest.json", "indptr.npy", "indices.npy", "weights.npy"])
def test_missing_truncated_and_longer_files(file: str, mmap: bool, tmp_path: Path) -> None:
    path = tmp_path / "g" / file
    WEIGHTED.save(tmp_path / "g")
    whole = path.read_bytes()
    for damaged in (b"", whole[:1], whole[: len(whole) // 2], whole[:-1], whole + b"\0", whole * 2):
        path.write_bytes(damaged)
        with pytest.raises(CorruptFileError, match=file):
            Graph.load(tmp_path / "g", mmap=mmap)
    path.unlink()
    with pytest.raises(CorruptFileError, match=f"{file}: is missing"):
        Graph.load(tmp_path / "g", mmap=mmap)


def test_a_map_is_not_hashed_but_verify_is(tmp_path: Path) -> None:
    WEIGHTED.save(tmp_path / "g")
    path = tmp_path / "g" / "weights.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    mapped = Graph.load(tmp_path / "g", mmap=True)
    with pytest.raises(CorruptFileError, match=r"weights\.npy: sha256 is [0-9a-f]{64}, the manifest says"):
        mapped.verify()


def rewrite(place: Path, **arrays: Any) -> None:
    """Put other arrays into a saved graph, with a manifest that agrees with them."""
    manifest = json.loads((place / "manifest.json").read_text())
    for name, array in arrays.items():
        if name in ("num_nodes", "num_edges", "directed"):
            manifest[name] = array
        else:
            manifest["files"][name] = store._write_array(place / f"{name}.npy", np.asarray(array))
    (place / "manifest.json").write_bytes(store._render(manifest))


I4, F8 = np.int32, np.float64
FORGED: list[tuple[dict[str, Any], bool, str]] = [
    ({"indices": np.array([1, 2, 9, 2], I4)}, False, r"node 3: its edge to 9 is outside 0 \.\. 5"),
    ({"indices": np.array([1, 2, -1, 2], I4)}, False, r"outside 0 \.\. 5"),
    ({"indices": np.array([2, 1, 0, 2], I4)}, False, r"out of order"),
    ({"indices": np.array([0, 2, 0, 2], I4)}, False, r"a self-loop"),
    ({"weights": np.array([0.5, np.nan, 1, 1], F8)}, False, r"weight outside"),
    ({"weights": np.array([0.5, 7, 1, 1], F8)}, False, r"weight outside"),
    ({"indptr": np.array([0, 3, 2, 2, 3, 4, 4], I4)}, True, r"indptr must not fall"),
    ({"indptr": np.array([0, 2, 2, 2, 3, 4, 5], I4)}, True, r"indptr must run from 0 to 4"),
    ({"indptr": np.array([1, 2, 2, 2, 3, 4, 4], I4)}, True, r"indptr must run from 0 to 4"),
    ({"indptr": np.array([0, 2, 2, 2, 3, 4], I4)}, True, r"holds <i4 of shape \(6,\), the manifest says .*\(7,\)"),
    ({"num_nodes": 2**40}, True, r"the manifest says <i4 of shape \(1099511627777,\)"),
    ({"num_edges": 3}, True, r"holds .* of shape \(4,\)"),
    ({"weights": np.array([[0.5, 1, 1, 1]], F8)}, True, r"of shape \(1, 4\)"),
    ({"weights": np.array([1, 1, 1, 1], np.int64)}, True, r"weights must be of dtype <f4 or <f8, got '<i8'"),
    ({"indices": np.array([1, 2, 0, 2], F8)}, True, r"indices must be of dtype <i4 or <i8, got '<f8'"),
]


@pytest.mark.parametrize(("changes", "also_mapped", "message"), FORGED)
def test_consistent_files_that_are_no_graph(
    changes: dict[str, Any], also_mapped: bool, message: str, tmp_path: Path
) -> None:
    WEIGHTED.save(tmp_path / "g")
    rewrite(tmp_path / "g")
    assert same(Graph.load(tmp_path / "g"), WEIGHTED)  # control
    rewrite(tmp_path / "g", **changes)
    with pytest.raises(CorruptFileError, match=message):
        Graph.load(tmp_path / "g")
    if also_mapped:
        with pytest.raises(CorruptFileError, match=message):
            Graph.load(tmp_path / "g", mmap=True)
    else:
        with pytest.raises(CorruptFileError, match=message):
            Graph.load(tmp_path / "g", mmap=True).verify()


def test_verify_finds_a_one_sided_undirected_graph(tmp_path: Path) -> None:
    WEIGHTED.save(tmp_path / "g")
    rewrite(tmp_path / "g", directed=False)
    with pytest.raises(GraphError, match="both directions"):
        Graph.load(tmp_path / "g").verify()


class Bomb:
    """A pickle that leaves a file behind when it is loaded."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.place,)


def pickled_npy(path: Path, mark: Path) -> None:
    array = np.empty(4, dtype=object)
    array[0] = Bomb(mark)
    np.save(path, array, allow_pickle=True)


def plain_pickle(path: Path, mark: Path) -> None:
    path.write_bytes(pickle.dumps(Bomb(mark)))


def zipped(path: Path, mark: Path) -> None:
    with open(path, "wb") as file:
        np.savez(file, a=np.array([Bomb(mark)], dtype=object))


@pytest.mark.parametrize("make", [pickled_npy, plain_pickle, zipped])
@pytest.mark.parametrize("mmap", [False, True])
def test_pickles_are_never_loaded(make: Callable[[Path, Path], None], mmap: bool, tmp_path: Path) -> None:
    WEIGHTED.save(tmp_path / "g")
    path, mark = tmp_path / "g" / "indices.npy", tmp_path / "exploded"
    make(path, mark)
    manifest = json.loads((tmp_path / "g" / "manifest.json").read_text())
    data = path.read_bytes()
    manifest["files"]["indices"].update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    (tmp_path / "g" / "manifest.json").write_bytes(store._render(manifest))
    with pytest.raises(CorruptFileError, match=r"indices\.npy: is no \.npy file of numbers"):
        Graph.load(tmp_path / "g", mmap=mmap)
    assert not mark.exists()


def test_control_the_bomb_works(tmp_path: Path) -> None:
    pickled_npy(tmp_path / "x.npy", tmp_path / "exploded")
    np.load(tmp_path / "x.npy", allow_pickle=True)
    assert (tmp_path / "exploded").exists()


MANIFESTS: list[tuple[Any, str]] = [
    (b"", "is no JSON"),
    (b"\xff\xfe", "is no JSON"),
    (b"[" * 5000, "is no JSON"),
    (b"[]", "is not the manifest of a torchsse graph"),
    (b'{"format": "other"}', "is not the manifest of a torchsse graph"),
    (b"{}" + b" " * 100_000, "is no"),
    ({"schema": 2}, "has schema 2, this version of torchsse reads schema 1"),
    ({"schema": "1"}, "has schema '1'"),
    ({"num_nodes": -1}, "num_nodes must be a count, got -1"),
    ({"num_nodes": True}, "num_nodes must be a count, got True"),
    ({"num_edges": 4.0}, r"num_edges must be a count, got 4\.0"),
    ({"directed": 1}, "directed must be true or false, got 1"),
    ({"extra": 1}, "has the keys"),
    ({"files": []}, "files must list"),
    ({"files": {}}, "files must list"),
    ({"files": {"indptr": {}, "indices": {}, "../../etc/passwd": {}}}, "files must list"),
    ({"files": {"indptr": {"path": "/etc/passwd"}, "indices": {}}}, "must have bytes, dtype and sha256"),
]


@pytest.mark.parametrize(("change", "message"), MANIFESTS)
@pytest.mark.parametrize("mmap", [False, True])
def test_foreign_manifests(change: Any, message: str, mmap: bool, tmp_path: Path) -> None:
    PLAIN.save(tmp_path / "g")
    path = tmp_path / "g" / "manifest.json"
    if isinstance(change, bytes):
        path.write_bytes(change)
    else:
        path.write_bytes(store._render({**json.loads(path.read_text()), **change}))
    with pytest.raises(CorruptFileError, match=f"manifest.json: .*{message}"):
        Graph.load(tmp_path / "g", mmap=mmap)


def test_an_edited_manifest_is_refused(tmp_path: Path) -> None:
    PLAIN.save(tmp_path / "g")
    path = tmp_path / "g" / "manifest.json"
    path.write_text(path.read_text().replace("\n", "\r\n"), newline="")
    with pytest.raises(CorruptFileError, match="was edited or damaged"):
        Graph.load(tmp_path / "g")


def test_no_graph_there(tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match="does not exist"):
        Graph.load(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(CorruptFileError, match="is a file"):
        Graph.load(tmp_path / "file")
    with pytest.raises(CorruptFileError, match=r"manifest\.json: is missing"):
        Graph.load(tmp_path)


# Writing over something


def test_overwriting(tmp_path: Path) -> None:
    PLAIN.save(tmp_path / "g")
    mapped = Graph.load(tmp_path / "g", mmap=True)
    WEIGHTED.save(tmp_path / "g")
    assert same(Graph.load(tmp_path / "g"), WEIGHTED)
    assert same(mapped, PLAIN)  # its files are gone from the directory, not from the map
    with pytest.raises(CorruptFileError):
        mapped.verify()  # but they are no longer what is on disk
    assert os.listdir(tmp_path) == ["g"]


def test_a_mapped_graph_saved_onto_itself(tmp_path: Path) -> None:
    WEIGHTED.save(tmp_path / "g")
    Graph.load(tmp_path / "g", mmap=True).save(tmp_path / "g")
    assert same(Graph.load(tmp_path / "g"), WEIGHTED)


def test_a_damaged_graph_may_be_replaced(tmp_path: Path) -> None:
    PLAIN.save(tmp_path / "g")
    (tmp_path / "g" / "manifest.json").write_text("damaged")
    PLAIN.save(tmp_path / "g")
    assert same(Graph.load(tmp_path / "g"), PLAIN)


def test_other_things_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "thesis.tex").write_text("years of work")
    with pytest.raises(GraphError, match=r"holds other things than a graph \(thesis\.tex\)"):
        PLAIN.save(tmp_path / "g")
    (tmp_path / "file").write_text("x")
    with pytest.raises(GraphError, match="a file is in the way"):
        PLAIN.save(tmp_path / "file")
    assert (tmp_path / "g" / "thesis.tex").read_text() == "years of work"
    assert sorted(os.listdir(tmp_path)) == ["file", "g"]


def test_a_full_disk_leaves_the_old_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PLAIN.save(tmp_path / "g")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "_flush", full)
    with pytest.raises(OSError, match="No space"):
        WEIGHTED.save(tmp_path / "g")
    assert same(Graph.load(tmp_path / "g"), PLAIN)
    assert os.listdir(tmp_path) == ["g"]


KILLED = '''
"""Fork a writer that dies at its n-th call into the system, for every n, and look at what is there afterwards."""
import os, pathlib, sys
from torchsse.graph import Graph

old = Graph.from_edges([0], [1], 3)
new = Graph.from_edges([0, 1], [1, 2], 3)

def dying(function, step, calls=[0]):
    def call(*arguments, **named):
        calls[0] += 1
        if calls[0] == step:
            os._exit(9)
        return function(*arguments, **named)
    return call

for overwrite in (False, True):
    seen = set()
    for step in range(1, 60):
        place = pathlib.Path(sys.argv[1], f"{overwrite}{step}", "g")
        if overwrite:
            old.save(place)
        if not (child := os.fork()):
            for name in ("rename", "mkdir", "fsync", "open", "unlink", "rmdir"):
                setattr(os, name, dying(getattr(os, name), step))
            new.save(place)
            os._exit(0)
        done = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        try:
            found = Graph.load(place)
            found.verify()
            seen.add(found.num_edges)
        except Exception as error:
            assert not overwrite and "does not exist" in str(error), error
            seen.add(0)
        new.save(place)  # whatever was left behind is no hindrance
        assert Graph.load(place).num_edges == 4
        if done == 0:
            break
    assert done == 0 and step > 8, (done, step)
    assert seen == ({2, 4} if overwrite else {0, 4}), seen
'''


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_writer_killed_at_any_step_leaves_the_old_graph_or_the_new_one(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
