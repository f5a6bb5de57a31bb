"""The error tree. Imports nothing, so that every room may raise from it.

    TorchsseError
    ├── ConfigError (ValueError)            settings that contradict each other or leave their range
    ├── GraphError (ValueError)             edges, weights or sizes that make no graph
    ├── IdError (ValueError)                ids that no table holds
    │   ├── IdTypeError (TypeError)         ids that are not int32 / int64
    │   └── IdRangeError (IndexError)       ids outside 0 .. N-1
    ├── AttachError (ValueError)            a hook that has no place to go, or is there already
    ├── DataError (ValueError)              a file or table of ratings, edges or text that cannot be read
    ├── CorruptFileError (ValueError)       a saved graph or model that is damaged, foreign or of another version
    ├── NotFittedError (ValueError)         predict or save before fit
    └── MissingDependencyError (ImportError) an extra that is not installed

    TorchsseWarning (UserWarning)           something that works, but hardly as meant

Each class also derives from the built-in a caller would expect, so `except ValueError` keeps working. The command
line prints the message of a `TorchsseError` on one line and exits with code 1: a message therefore says what was
expected, what came and where, and needs no traceback to be understood.
"""

from __future__ import annotations

__all__ = [
    "AttachError",
    "ConfigError",
    "CorruptFileError",
    "DataError",
    "GraphError",
    "IdError",
    "IdRangeError",
    "IdTypeError",
    "MissingDependencyError",
    "NotFittedError",
    "TorchsseError",
    "TorchsseWarning",
]


class TorchsseError(Exception):
    """Anything torchsse raises on purpose."""


class ConfigError(TorchsseError, ValueError):
    """Settings that contradict each other or leave their range: p0 = 1.5, a graph without rho, rho below 1."""


class GraphError(TorchsseError, ValueError):
    """Edges, weights or sizes that make no graph: NaN or negative weights, an endpoint outside the nodes."""


class IdError(TorchsseError, ValueError):
    """Ids that the table does not hold."""


class IdTypeError(IdError, TypeError):
    """Ids that are not int32 or int64."""


class IdRangeError(IdError, IndexError):
    """Ids outside 0 .. N-1."""


class AttachError(TorchsseError, ValueError):
    """An unknown module name, a pattern that matches nothing, a module that carries SSE already."""


class DataError(TorchsseError, ValueError):
    """A file or table that cannot be read as what it should be; the message names file, line and column."""


class CorruptFileError(TorchsseError, ValueError):
    """A saved graph or model that is damaged, foreign, or written by an unknown version."""


class NotFittedError(TorchsseError, ValueError):
    """An estimator asked to predict, recommend or save before it was fitted."""


class MissingDependencyError(TorchsseError, ImportError):
    """A library of an extra is missing; the message holds the pip command that installs it."""


class TorchsseWarning(UserWarning):
    """Something that works but is hardly meant: ranks seeded alike, SSE that never fires, duplicates dropped."""
