"""Compile a kernel once and keep it on disk, keyed by every kernel source.

numba's own ``cache=True`` watches only the file of the function itself and so serves stale machine code after an edit
of a jitted callee elsewhere. Here the directory name holds a hash of all files of this room, of numba, of Python and
of the processor, and every kernel has a directory of its own: two processes that compile at the same moment write
the same thing, each by an atomic rename.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import stat
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llvmlite  # type: ignore[import-untyped]
import numba
from llvmlite import binding as llvm
from numba.core.bytecode import FunctionIdentity
from numba.core.caching import CompileResultCacheImpl, FunctionCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["MATH", "cache_directory", "compiled", "source_key"]

log = logging.getLogger("torchsse.kernels")

#: Sums may be reordered and fused (that is what vectorises a dot product), but NaN and infinity keep their meaning,
#: so that divergence is seen.
MATH = {"fastmath": {"reassoc", "contract", "nsz", "arcp"}, "error_model": "numpy"}

_lock = threading.RLock()


def source_key(root: Path | None = None) -> str:
    """The hash that machine code of this room is filed under; `root` holds the sources (default: this room)."""
    digest = hashlib.sha256()
    for path in sorted((root or Path(__file__).parent).glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    # name and features: a cache on a network drive serves machines of several kinds
    features = llvm.get_host_cpu_features().flatten()
    settings = sorted((k, v) for k, v in os.environ.items() if k.startswith("NUMBA_"))
    for word in (
        numba.__version__,
        llvmlite.__version__,
        sys.version,
        llvm.get_host_cpu_name(),
        features,
        str(settings),
    ):
        digest.update(word.encode() + b"\0")
    return digest.hexdigest()[:20]


@lru_cache(maxsize=1)
def _key() -> str:
    return source_key()


def cache_directory() -> Path | None:
    """Where kernels are kept: ``$TORCHSSE_CACHE``, else the user's cache directory, else a private one under the
    system's temporary directory; None if none of them can be written (kernels are then compiled in every process)."""
    asked = os.environ.get("TORCHSSE_CACHE")
    if asked:
        return _writable(Path(asked) / "kernels")
    import platformdirs

    found = _writable(Path(platformdirs.user_cache_dir("torchsse")) / "kernels")
    return found or _private(Path(tempfile.gettempdir()) / f"torchsse-{getattr(os, 'getuid', lambda: 'user')()}")


def _writable(path: Path) -> Path | None:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        tempfile.TemporaryFile(dir=path).close()
    except OSError:
        return None
    return path


def _private(path: Path) -> Path | None:
    """A directory in a shared place counts only if nobody else can write to it: what lies there is executed."""
    if _writable(path) is None:
        return None
    found = path.lstat()
    ours = not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o022)
    return path if stat.S_ISDIR(found.st_mode) and ours else None


class _Locator:
    """Tells numba's cache where to look; stands in for its locator classes."""

    def __init__(self, directory: Path, key: str, source: str) -> None:
        self._directory, self._key, self._py_file = directory, key, source

    def from_function(self, _function: object, _file: str) -> _Locator:
        return self

    def ensure_cache_path(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)

    def get_cache_path(self) -> str:
        return str(self._directory)

    def get_source_stamp(self) -> str:
        return self._key

    def get_disambiguator(self) -> str:
        return self._key


class _KernelCache(FunctionCache):  # type: ignore[misc]
    """numba's cache, except that a damaged or unwritable file costs a compilation and never an error."""

    def __init__(self, function: Callable[..., Any], directory: Path) -> None:
        locator = _Locator(directory, _key(), function.__code__.co_filename)
        self._impl_class = type("_Impl", (CompileResultCacheImpl,), {"_locator_classes": [locator]})
        super().__init__(function)

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        # numba would hash what a function closes over, and another jitted function never hashes to the same value;
        # the directory already says which kernel, which sources and which processor
        return (sig, codegen.magic_tuple())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:
            log.debug("kernel cache %s cannot be read", self.cache_path, exc_info=True)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception:
            log.debug("kernel cache %s cannot be written", self.cache_path, exc_info=True)


@contextmanager
def _unique_symbols(name: str) -> Iterator[bool]:
    """Number what numba compiles in here from a start of its own for each kernel; False if numba moved its counter.

    numba names machine code after the function and a counter of the process. Kernels of two widths, compiled by two
    processes and loaded from the cache by a third, would carry the same names, and the linker would take the code of
    one for the other: wrong numbers, or a crash.
    """
    previous = getattr(FunctionIdentity, "_unique_ids", None)
    if previous is None:
        yield False
        return
    digest = hashlib.sha256(f"{_key()} {name}".encode()).digest()
    FunctionIdentity._unique_ids = itertools.count(int.from_bytes(digest[:6]) << 16)
    try:
        yield True
    finally:
        FunctionIdentity._unique_ids = previous


def compiled(name: str, function: Callable[..., Any], signature: Any) -> Callable[..., Any]:
    """Compile `function` for one `signature`, or load it from the cache; the result releases the GIL.

    `name` must be unique in this room and include whatever the function closes over (such as a width). The first
    compilation on a machine is reported by the logger ``torchsse.kernels`` at level INFO.
    """
    with _lock, _unique_symbols(name) as unique:
        dispatcher = numba.njit(nogil=True, **MATH)(function)
        directory = cache_directory() if unique else None
        if directory is not None:
            try:
                dispatcher._cache = _KernelCache(function, directory / _key() / name)
            except Exception:  # numba moved its internals: work without a cache
                log.debug("no kernel cache for %s", name, exc_info=True)
        known = directory is not None and any((directory / _key() / name).glob("*.nbc"))
        if not known:
            log.info("compiling kernel %s (once for this machine and version, a few seconds)", name)
        start = time.perf_counter()
        dispatcher.compile(signature)
        dispatcher.disable_compile()
        log.debug("kernel %s ready after %.2f s", name, time.perf_counter() - start)
        return dispatcher  # type: ignore[no-any-return]
