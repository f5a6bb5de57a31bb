"""SSESchedule: p0 as a function of the step, a warm-up and then a decay."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

from torchsse.errors import ConfigError
from torchsse.modules.handle import Handle
from torchsse.modules.pause import get_p0, set_p0

if TYPE_CHECKING:
    from torchsse.modules.sse import SSE

__all__ = ["SSESchedule"]

Decay = Literal["constant", "linear", "cosine"]


class SSESchedule:
    r"""Scales p0 by a factor of the step, like a learning-rate schedule.

    With W = `warmup_steps`, T = `total_steps` and x = (t - W) / (T - W), cut to [0, 1], the factor at step t is

        t / W                                              for t < W
        1                                                  decay="constant"
        1 - (1 - final) x                                  decay="linear"
        final + (1 - final) (1 + cos(pi x)) / 2            decay="cosine"

    times the p0 that each SSE had when the schedule was made. From step T on it stays at `final`. Step 0 is set at
    once; call `step()` after each optimizer step. Compiled models follow without recompiling. A pause is respected: the
    scheduled value comes back after it.

    Args:
        target: an SSE, a Handle, or several of them. Each SSE keeps its own base p0.
        warmup_steps: W, steps from 0 to the full p0. Default 0: start at the full p0.
        total_steps: T, where the decay ends; needed unless decay is "constant".
        decay: the form after the warm-up. Default "constant".
        final: what is left of p0 at the end, as a fraction in [0, 1]. Default 0.

    Raises:
        ConfigError: steps that are negative or out of order, an unknown decay, a final outside [0, 1], no target.

    Example:
        >>> from torchsse import SSE
        >>> from torchsse.modules import SSESchedule
        >>> sse = SSE(100, p0=0.5)
        >>> schedule = SSESchedule(sse, warmup_steps=2, total_steps=6, decay="linear")
        >>> values = [sse.p0]
        >>> for _ in range(6):
        ...     schedule.step()
        ...     values.append(sse.p0)
        >>> values
        [0.0, 0.25, 0.5, 0.375, 0.25, 0.125, 0.0]
    """

    def __init__(
        self,
        target: SSE | Handle | Iterable[SSE | Handle],
        *,
        warmup_steps: int = 0,
        total_steps: int | None = None,
        decay: Decay = "constant",
        final: float = 0.0,
    ) -> None:
        self._sses = _targets(target)
        self._base = [get_p0(sse) for sse in self._sses]
        self._configure(warmup_steps, total_steps, decay, final)
        self.step_count = 0
        self._apply()

    def _configure(self, warmup_steps: int, total_steps: int | None, decay: str, final: float) -> None:
        if decay not in get_args(Decay):
            raise ConfigError(f"expected decay to be one of {', '.join(get_args(Decay))}, got {decay!r}")
        if not isinstance(warmup_steps, int) or warmup_steps < 0:
            raise ConfigError(f"expected warmup_steps to be an integer of at least 0, got {warmup_steps!r}")
        if total_steps is None and decay != "constant":
            raise ConfigError(f"expected total_steps for decay={decay!r}, got None")
        if total_steps is not None and (not isinstance(total_steps, int) or total_steps <= warmup_steps):
            raise ConfigError(f"expected total_steps above warmup_steps = {warmup_steps}, got {total_steps!r}")
        if not 0 <= final <= 1:
            raise ConfigError(f"expected final, a fraction of p0, in [0, 1], got {final!r}")
        self._warmup, self._total, self._decay, self._final = warmup_steps, total_steps, decay, final

    def factor(self, step: int) -> float:
        """What p0 is multiplied by at a step."""
        if step < self._warmup:
            return step / self._warmup
        if self._decay == "constant" or self._total is None:
            return 1.0
        x = min((step - self._warmup) / (self._total - self._warmup), 1.0)
        shape = 1 - x if self._decay == "linear" else (1 + math.cos(math.pi * x)) / 2
        return self._final + (1 - self._final) * shape

    def step(self) -> None:
        """Go one step on."""
        self.step_count += 1
        self._apply()

    def at(self, step: int) -> None:
        """Go to a step, for loops that count steps themselves: a resumed run then goes on with the p0 of its step.

        Raises:
            ConfigError: a step that is no integer of at least 0.
        """
        if not isinstance(step, int) or step < 0:
            raise ConfigError(f"expected step to be an integer of at least 0, got {step!r}")
        self.step_count = step
        self._apply()

    def _apply(self) -> None:
        factor = self.factor(self.step_count)
        for sse, base in zip(self._sses, self._base, strict=True):
            set_p0(sse, min(base * factor, 1.0))

    def state_dict(self) -> dict[str, Any]:
        """Everything but the targets, as plain numbers and words (it may go into JSON)."""
        return {
            "step_count": self.step_count,
            "base": list(self._base),
            "warmup_steps": self._warmup,
            "total_steps": self._total,
            "decay": self._decay,
            "final": self._final,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume: the same step, base and form as when `state_dict` was taken; p0 is set at once.

        Raises:
            ConfigError: keys missing or unknown, or another number of SSEs.
        """
        expected = self.state_dict().keys()
        if state.keys() != expected:
            raise ConfigError(f"expected the keys {sorted(expected)}, got {sorted(state)}")
        if len(state["base"]) != len(self._sses):
            raise ConfigError(f"expected a state for {len(self._sses)} SSEs, got one for {len(state['base'])}")
        self._configure(state["warmup_steps"], state["total_steps"], state["decay"], state["final"])
        self._base = [float(base) for base in state["base"]]
        self.step_count = int(state["step_count"])
        self._apply()

    def __repr__(self) -> str:
        form = f"warmup_steps={self._warmup}, total_steps={self._total}, decay={self._decay!r}, final={self._final:g}"
        now = f"step {self.step_count}, factor {self.factor(self.step_count):g}"
        return f"SSESchedule({len(self._sses)} SSE, {now}, {form})"


def _targets(target: SSE | Handle | Iterable[SSE | Handle]) -> list[SSE]:
    from torchsse.modules.sse import SSE

    given = [target] if isinstance(target, (SSE, Handle)) else list(target)
    if not given or not all(isinstance(one, (SSE, Handle)) for one in given):
        raise ConfigError(f"expected an SSE, a Handle or several of them, got {target!r}")
    sses = [sse for one in given for sse in (one.sses.values() if isinstance(one, Handle) else (one,))]
    return list({id(sse): sse for sse in sses}.values())
