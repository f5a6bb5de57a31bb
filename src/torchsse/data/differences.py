"""What differs between two sets of settings, in words: for whoever meets a directory of another run.

In this room because both this one and `experiments`, which may import it, refuse such directories.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["differences"]


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the settings that differ, with both values where they are short.

    >>> differences({"a": {"p0": 0.1, "seed": 0}}, {"a": {"p0": 0.2, "seed": 0}, "b": 1})
    ['a.p0: 0.1 there, 0.2 here', 'b: null there, 1 here']
    """
    found: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after, f"{prefix}{key}.")
            continue
        shown = f"{prefix}{key}"
        if len(f"{before}{after}") <= 40:
            shown += f": {json.dumps(before)} there, {json.dumps(after)} here"
        found.append(shown)
    return found
