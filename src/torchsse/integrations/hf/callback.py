"""SSECallback: p0 over the steps of a transformers Trainer, in its logs, and SSE off the model at the end."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from torchsse.errors import ConfigError, MissingDependencyError, TorchsseWarning
from torchsse.modules import Handle, SSESchedule
from torchsse.modules.schedule import Decay

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise MissingDependencyError('SSECallback needs transformers: pip install "torchsse[nlp]"') from error

__all__ = ["SSECallback"]

UNKNOWN = 1 << 40  # total steps, until the Trainer says how many there are


class SSECallback(TrainerCallback):  # type: ignore[misc]
    """Sets p0 at every optimizer step of a `transformers.Trainer`, logs it, and removes SSE when training ends.

    p0 is a function of `state.global_step` alone, so a run resumed from a checkpoint goes on as if it had never
    stopped (attach with the same p0 as at first). Substeps of gradient accumulation share one p0.

    Training logs get `sse_p0`: in `trainer.state.log_history`, in the progress bar and in callbacks added after this
    one. Reporters that `report_to` names come before it and do not see it.

    Args:
        handle: what `attach_sse` or `sse_labels` returned; or a mapping of names to several of them, which logs
            `sse_p0_<name>`. Each keeps the p0 that it has now as its base.
        warmup_steps: steps from 0 to the full p0; below 1, as a fraction of all steps.
        decay: "constant", "linear" or "cosine" after the warm-up, down to `final` at the last step; see `SSESchedule`.
        final: what is left of p0 at the end, as a fraction in [0, 1].
        remove: take the hooks off at the end of training. The model never needs it: evaluation, generation and
            `save_pretrained` are free of SSE anyway.

    Raises:
        ConfigError: no handle, an unknown decay, steps or fractions out of range.

    Warns:
        TorchsseWarning: training starts, but the handle was removed before (by an earlier training).

    Example:
        >>> import pytest; _ = pytest.importorskip("transformers")
        >>> import torch
        >>> from torchsse import SSE, attach
        >>> from torchsse.integrations.hf import SSECallback
        >>> handle = attach(torch.nn.Embedding(10, 4), {"": SSE(10, p0=0.02)})
        >>> callback = SSECallback(handle, warmup_steps=0.1, decay="cosine")  # Trainer(..., callbacks=[callback])
        >>> handle.p0  # the warm-up begins here
        0.0
    """

    def __init__(
        self,
        handle: Handle | Mapping[str, Handle],
        *,
        warmup_steps: int | float = 0,
        decay: Decay = "constant",
        final: float = 0.0,
        remove: bool = True,
    ) -> None:
        named = {"": handle} if isinstance(handle, Handle) else dict(handle) if isinstance(handle, Mapping) else {}
        if not named or not all(isinstance(one, Handle) for one in named.values()):
            raise ConfigError(f"expected a Handle or a mapping of names to Handles, got {handle!r}")
        if isinstance(warmup_steps, bool) or (isinstance(warmup_steps, float) and not 0 <= warmup_steps < 1):
            raise ConfigError(f"expected warmup_steps as an integer or a fraction in [0, 1), got {warmup_steps!r}")
        self.handles = named
        self.warmup_steps = warmup_steps
        self.remove = remove
        self.schedule = SSESchedule(
            named.values(), warmup_steps=self._warmup(UNKNOWN), total_steps=UNKNOWN, decay=decay, final=final
        )

    def on_train_begin(self, args: Any, state: Any, control: Any, **words: Any) -> None:
        """Learn the number of steps, and begin at the step that a checkpoint left off."""
        gone = [name or "the handle" for name, handle in self.handles.items() if not handle.active]
        if gone:
            warnings.warn(
                f"training without SSE: {', '.join(gone)} was removed, at the end of an earlier training perhaps. "
                "Attach again, or use SSECallback(..., remove=False)",
                TorchsseWarning,
                stacklevel=2,
            )
        warmup = self._warmup(state.max_steps)
        known = {"warmup_steps": warmup, "total_steps": max(state.max_steps, warmup + 1)}
        self.schedule.load_state_dict({**self.schedule.state_dict(), **known, "step_count": state.global_step})

    def on_step_begin(self, args: Any, state: Any, control: Any, **words: Any) -> None:
        """p0 of this step."""
        self.schedule.at(state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **words: Any) -> None:
        """Put p0, as it was at the step just done, beside the training loss."""
        if not logs or "loss" not in logs:
            return
        values = self._values()
        logs.update(values)
        if state.log_history:
            state.log_history[-1].update(values)

    def on_train_end(self, args: Any, state: Any, control: Any, **words: Any) -> None:
        """Take SSE off the model, unless told to leave it."""
        if self.remove:
            for handle in self.handles.values():
                handle.remove()

    def _warmup(self, total: int) -> int:
        return round(self.warmup_steps * total) if isinstance(self.warmup_steps, float) else self.warmup_steps

    def _values(self) -> dict[str, float]:
        values: dict[str, float] = {}
        for name, handle in self.handles.items():
            key = f"sse_p0_{name}" if name else "sse_p0"
            p0s = handle.p0s
            if len(set(p0s.values())) == 1:
                values[key] = next(iter(p0s.values()))
            else:
                values |= {f"{key}/{table}": p0 for table, p0 in p0s.items()}
        return values
