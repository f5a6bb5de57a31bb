"""Settings by name: the rows of the paper's Table 4, and what the authors' codes do.

The paper's experiments all have d = 100, dropout .1, weight decay 1e-5 and learning rate 1e-3 (the decay is printed as
"1e5"). Of the authors' two codes for SASRec one replaces labels only; the other tosses one coin for each action and
replaces the input, the label, and by the way it walks through a history the label of the action before.
"""

from __future__ import annotations

from typing import Any

from torchsse.errors import ConfigError

__all__ = ["SETTINGS", "setting"]

_PAPER: dict[str, Any] = {
    "hidden": 100, "max_length": 200, "dropout": 0.1, "weight_decay": 1e-5, "learning_rate": 1e-3, "batch_size": 128,
    "loss": "bce", "num_negatives": 1,
}  # fmt: skip
_ROWS: dict[str, dict[str, Any]] = {
    "none": {},
    "input": {"p0_input": 0.1},
    "output": {"p0_output": 0.1},
    "both": {"p0_input": 0.1, "p0_output": 0.1},
}

#: Words of `SASRec`, or of `SSEPT` where the name begins so.
SETTINGS: dict[str, dict[str, Any]] = {
    **{f"table4-b{b}-{name}": {**_PAPER, "blocks": b, **row} for b in (2, 6) for name, row in _ROWS.items()},
    "authors-labels": {**_PAPER, "blocks": 2, "p0_output": 0.1},
    "authors-inputs-labels": {**_PAPER, "blocks": 2, "p0_input": 0.1, "coupled": True},
    "ssept-ml1m": {
        "hidden": 50, "user_hidden": 50, "max_length": 200, "dropout": 0.2, "p0_user": 0.92, "p0_input": 0.1,
        "p0_output": 0.0, "coupled": True,
    },
}  # fmt: skip


def setting(name: str) -> dict[str, Any]:
    """A copy of the words of one of `SETTINGS`.

    >>> setting("table4-b6-both")["blocks"], setting("authors-labels")["p0_output"]
    (6, 0.1)
    """
    if name not in SETTINGS:
        raise ConfigError(f"setting: expected one of {', '.join(SETTINGS)}, got {name!r}")
    return dict(SETTINGS[name])
