"""The hash of a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["digest"]


def digest(path: Path, name: str = "sha256") -> str:
    """The hash of a file's content as hexadecimal text, read in pieces.

    Raises:
        OSError: no such file, or one that cannot be read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "empty"
    >>> path.touch()
    >>> digest(path)[:16]
    'e3b0c44298fc1c14'
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, name).hexdigest()
