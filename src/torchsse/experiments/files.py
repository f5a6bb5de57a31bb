"""Files that are whole or absent: written beside their place, forced to disk, then moved into it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from torchsse.errors import ConfigError

__all__ = ["claim_directory", "jsonable", "write_array", "write_json", "write_text"]


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Call `write` with a binary file that becomes `path` once it is complete and on disk."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_array(path: Path, array: NDArray[Any]) -> None:
    write_whole(path, lambda file: np.save(file, array, allow_pickle=False))


def write_text(path: Path, text: str) -> None:
    write_whole(path, lambda file: file.write(text.encode()))


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Readable JSON without NaN; infinity becomes the string "inf"."""
    write_text(path, json.dumps(jsonable(document), indent=2, allow_nan=False) + "\n")


def jsonable(value: Any) -> Any:
    """Plain Python values for JSON: NumPy scalars and tuples unwrapped, infinity "inf", NaN refused.

    >>> jsonable({"rho": float("inf"), "seeds": (0, np.int64(1))})
    {'rho': 'inf', 'seeds': [0, 1]}
    """
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, (np.integer, np.floating, np.bool_)):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            raise ValueError("NaN has no place in a result; use None for what is not defined")
        return "inf" if value > 0 else "-inf"
    return value


def claim_directory(out: Path, marker: str, allowed: tuple[str, ...] = ()) -> None:
    """Make `out`, or make sure that it is ours to write into.

    Args:
        out: the directory.
        marker: the file that a run of this kind leaves in its directory.
        allowed: names that may be there before the marker is.

    Raises:
        ConfigError: if `out` is a file, cannot be written, or holds files but not the marker.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigError(f"{out} is not a directory; choose another --out") from error
    except OSError as error:
        raise ConfigError(f"cannot make the directory {out}: {error.strerror}; choose another --out") from error
    if not os.access(out, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigError(f"cannot write into {out}: permission denied; choose another --out")
    if not (out / marker).exists() and any(path.name not in allowed for path in out.iterdir()):
        raise ConfigError(f"{out} is not empty and holds no {marker} of an earlier run; choose another --out")
