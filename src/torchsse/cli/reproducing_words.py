"""The command line of a reproduction as provenance keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torchsse.experiments.reproduce import Overrides

__all__ = ["words_of"]


def words_of(name: str, wanted: Overrides) -> list[str]:
    """The command line without this machine's paths.

    >>> from torchsse.experiments.reproduce import Overrides
    >>> " ".join(words_of("table2", Overrides(ranks=(10, 50), trials=4)))
    'torchsse reproduce table2 --data DIR --ranks 10,50 --trials 4'
    """
    words = ["torchsse", "reproduce", name, "--data", "DIR"]
    for option, value in wanted.words().items():
        words += [f"--{option}", ",".join(map(str, value)) if isinstance(value, list) else str(value)]
    return words
