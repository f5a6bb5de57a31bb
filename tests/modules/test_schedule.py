"""SSESchedule: the curve, resuming, and its targets."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from torch import nn

from torchsse.errors import ConfigError
from torchsse.modules import SSE, SSESchedule, attach


def curve(schedule: SSESchedule, sse: SSE, steps: int) -> list[float]:
    values = [sse.p0]
    for _ in range(steps):
        schedule.step()
        values.append(sse.p0)
    return values


def test_constant_is_the_base_for_ever() -> None:
    sse = SSE(10, p0=0.3)
    assert curve(SSESchedule(sse), sse, 5) == [0.3] * 6


def test_warm_up_is_linear_from_zero_and_stays() -> None:
    sse = SSE(10, p0=0.4)
    assert curve(SSESchedule(sse, warmup_steps=4), sse, 6) == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.4, 0.4])


def test_linear_decay_ends_at_final_and_stays() -> None:
    sse = SSE(10, p0=0.4)
    got = curve(SSESchedule(sse, total_steps=4, decay="linear", final=0.5), sse, 6)
    assert got == pytest.approx([0.4, 0.35, 0.3, 0.25, 0.2, 0.2, 0.2])


def test_cosine_after_warm_up() -> None:
    sse = SSE(10, p0=0.4)
    got = curve(SSESchedule(sse, warmup_steps=2, total_steps=6, decay="cosine", final=0.1), sse, 7)
    tail = [0.4 * (0.1 + 0.9 * (1 + math.cos(math.pi * x)) / 2) for x in (0, 0.25, 0.5, 0.75, 1, 1)]
    assert got == pytest.approx([0.0, 0.2, *tail])


@pytest.mark.parametrize(
    "settings", [{}, {"warmup_steps": 3}, {"total_steps": 9, "decay": "cosine", "warmup_steps": 2}]
)
def test_resuming_is_exact(settings: dict[str, Any]) -> None:
    sse = SSE(10, p0=0.37)
    schedule = SSESchedule(sse, **settings)
    curve(schedule, sse, 4)
    state = json.loads(json.dumps(schedule.state_dict()))
    expected = curve(schedule, sse, 8)
    fresh = SSE(10, p0=0.9)  # neither the p0 nor the form it was made with may matter
    resumed = SSESchedule(fresh, warmup_steps=1, total_steps=2, decay="linear")
    resumed.load_state_dict(state)
    assert curve(resumed, fresh, 8) == expected


def test_a_handle_and_several_targets_keep_their_own_base() -> None:
    model = nn.ModuleDict({"a": nn.Embedding(10, 2), "b": nn.Embedding(20, 2, padding_idx=0)})
    a, b, c = SSE(10, p0=0.2), SSE(20, p0=0.4), SSE(5, p0=0.6)
    handle = attach(model, {"a": a, "b": b})
    schedule = SSESchedule([handle, c, a], total_steps=2, decay="linear")
    schedule.step()
    assert (a.p0, b.p0, c.p0) == pytest.approx((0.1, 0.2, 0.3))


def test_a_step_during_a_pause_counts_after_it() -> None:
    sse = SSE(10, p0=0.4)
    handle = attach(nn.Embedding(10, 2), {"": sse})
    schedule = SSESchedule(handle, total_steps=4, decay="linear")
    with handle.paused():
        schedule.step()
        assert sse.p0 == 0.0
        assert SSESchedule(sse).state_dict()["base"] == pytest.approx([0.3])
    assert sse.p0 == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decay": "step"}, "constant, linear, cosine"),
        ({"warmup_steps": -1}, "at least 0"),
        ({"warmup_steps": 1.5}, "integer"),
        ({"decay": "linear"}, "total_steps"),
        ({"decay": "linear", "total_steps": 3, "warmup_steps": 3}, "above warmup_steps = 3"),
        ({"decay": "linear", "total_steps": 3, "final": 1.1}, "final"),
        ({"final": math.nan}, "final"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    sse = SSE(10, p0=0.4)
    with pytest.raises(ConfigError, match=message):
        SSESchedule(sse, **settings)
    assert sse.p0 == 0.4


def test_bad_targets_and_states() -> None:
    sse = SSE(10, p0=0.4)
    for target in ([], [nn.Linear(2, 2)], [0.3]):
        with pytest.raises(ConfigError, match="SSE, a Handle"):
            SSESchedule(target)  # type: ignore[arg-type]
    state = SSESchedule(sse).state_dict()
    with pytest.raises(ConfigError, match="2 SSEs, got one for 1"):
        SSESchedule([sse, SSE(3, p0=0.1)]).load_state_dict(state)
    with pytest.raises(ConfigError, match="keys"):
        SSESchedule(sse).load_state_dict({"step_count": 3})


def test_at_goes_to_a_step() -> None:
    sse = SSE(10, p0=0.4)
    schedule = SSESchedule(sse, warmup_steps=4)
    schedule.at(3)
    assert sse.p0 == pytest.approx(0.3)
    schedule.step()
    assert sse.p0 == pytest.approx(0.4)
    with pytest.raises(ConfigError, match="at least 0"):
        schedule.at(-1)
