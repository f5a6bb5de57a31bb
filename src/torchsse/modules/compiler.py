"""Making torch.compile notice a hook that comes or goes after compilation."""

from __future__ import annotations

import sys

__all__ = ["forget_compiled"]


def forget_compiled() -> bool:
    """Drop what torch.compile has compiled in this process, if it has compiled anything; True if so.

    Dynamo does not guard on empty hook tables (`torch._dynamo.config.skip_nnmodule_hook_guards`), so a graph traced
    before a hook came is run without it, silently, for ever. Which graphs hold a given module cannot be told: besides
    `torch.compile(model)` and `model.compile()` any compiled function may call it. So all of them go, and each is
    compiled again at its next call. Before the first compilation this costs nothing: torch._dynamo is not even loaded.
    """
    frames = sys.modules.get("torch._dynamo.convert_frame")
    if frames is None:
        return False
    codes = getattr(frames, "input_codes", None)
    if codes is not None and getattr(codes, "seen", True) == []:
        return False
    sys.modules["torch._dynamo"].reset()
    return True
