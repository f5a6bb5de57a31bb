"""The handle of attach: p0, pauses, copies of the model and of itself."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from attach_case import Identity, N, Tower, fired

from torchsse.errors import AttachError, ConfigError
from torchsse.modules import SSE, attach, attached


def test_p0_of_the_handle() -> None:
    model, (a, b) = Tower(), (SSE(N, p0=0.1), SSE(N, p0=0.2))
    handle = attach(model, {"user": a, "item": b})
    assert handle.p0s == {"user": 0.1, "item": 0.2}
    with pytest.raises(ConfigError, match=r"'item': 0\.2"):
        _ = handle.p0
    handle.p0 = 0.3
    assert (handle.p0, a.p0, b.p0) == (0.3, 0.3, 0.3)
    a.p0 = 0.0
    assert handle.p0s["user"] == 0.0
    with pytest.raises(ConfigError):
        handle.p0 = 1.5
    assert handle.p0s == {"user": 0.0, "item": 0.3}


def test_p0_acts_on_a_table_with_padding() -> None:
    """There the hook runs on another law, but on the same coin."""
    model, sse = Identity(padding_idx=0), SSE(N, p0=0.0)
    handle = attach(model, {"table": sse})
    ids = torch.arange(N)
    assert not fired(model, ids)
    sse.p0 = 1.0
    assert fired(model, ids)
    handle.p0 = 0.0
    assert not fired(model, ids)


def test_pauses_nest_and_survive_exceptions() -> None:
    model, ids = Identity(padding_idx=0), torch.arange(N)
    sse = SSE(N, p0=1.0)
    handle = attach(model, {"table": sse})
    with handle.paused() as same:
        assert same is handle
        assert not fired(model, ids)
        with handle.paused():
            assert not fired(model, ids)
        assert not fired(model, ids)
        assert handle.p0 == 1.0  # what comes back
    assert fired(model, ids)
    with pytest.raises(KeyError), handle.paused():
        raise KeyError
    assert sse.p0 == 1.0


def test_pauses_of_two_handles_on_one_sse_overlap_in_any_order() -> None:
    sse = SSE(N, p0=0.5)
    first, second = (attach(Identity(), {"table": sse}) for _ in range(2))
    one, two = first.paused(), second.paused()
    one.__enter__()
    two.__enter__()
    one.__exit__(None, None, None)
    assert sse.p0 == 0.0
    two.__exit__(None, None, None)
    assert sse.p0 == 0.5


def test_p0_set_during_a_pause() -> None:
    sse = SSE(N, p0=0.5)
    handle = attach(Identity(), {"table": sse})
    with handle.paused():
        handle.p0 = 0.25
        assert sse.p0 == 0.0
        with pytest.raises(ConfigError):
            handle.p0 = -1
        assert sse.p0 == 0.0
        assert handle.p0 == 0.25
    assert sse.p0 == 0.25
    with handle.paused():
        sse.p0 = 0.75  # on the SSE itself: at once, and it stays
        assert sse.p0 == 0.75
    assert sse.p0 == 0.75


def test_a_copy_has_a_hook_of_its_own() -> None:
    model, ids = Identity(padding_idx=0), torch.arange(N)
    handle = attach(model, {"table": SSE(N, p0=1.0)})
    twin = copy.deepcopy(model)
    handle.p0 = 0.0
    assert fired(twin, ids)
    assert not fired(model, ids)
    other = attached(twin)
    assert (other.names, other.p0) == (("table",), 1.0)
    other.p0 = 0.0
    handle.p0 = 1.0
    assert not fired(twin, ids)
    other.remove()
    assert not twin.table._forward_pre_hooks
    assert fired(model, ids)
    with pytest.raises(AttachError, match="it has none"):
        attached(twin)


def test_a_handle_is_copied_with_its_model() -> None:
    model = Identity()
    twin, handle = copy.deepcopy((model, attach(model, {"table": SSE(N, p0=1.0)})))
    handle.remove()
    assert not fired(twin, torch.arange(N))
    assert fired(model, torch.arange(N))


def test_pickling_the_model_and_its_state() -> None:
    model, ids = Identity(padding_idx=0), torch.arange(N)
    handle = attach(model, {"table": SSE(N, p0=1.0)})
    model(ids)
    twin = pickle.loads(pickle.dumps(model))  # noqa: S301  (our own bytes)
    assert fired(twin, ids)
    attached(twin).p0 = 0.0
    assert not fired(twin, ids)
    assert fired(model, ids)
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    buffer.seek(0)
    fresh = Identity(padding_idx=0)
    fresh.load_state_dict(torch.load(buffer, weights_only=True))
    assert not fired(fresh, ids)
    buffer = io.BytesIO()
    torch.save((model, handle), buffer)
