"""attach: which tables it finds, what it does to them, and that it leaves everything else alone."""

from __future__ import annotations

import pytest
import torch
from attach_case import Identity, N, Tower, fired
from torch import Tensor, nn

from torchsse.errors import AttachError, IdRangeError
from torchsse.modules import SSE, Handle, attach


def test_every_id_moves_at_p0_one() -> None:
    model, ids = Identity(), torch.arange(N)
    handle = attach(model, {"table": SSE(N, p0=1.0)})
    assert (model(ids) != ids).all()
    assert torch.equal(ids, torch.arange(N))  # the caller's tensor is not written to
    handle.remove()
    assert torch.equal(model(ids), ids)


def test_control_a_hook_that_does_nothing_is_seen() -> None:
    model = Identity()
    model.table.register_forward_pre_hook(lambda module, args, kwargs: (args, kwargs), with_kwargs=True)
    assert not fired(model, torch.arange(N))


def test_obeys_the_mode_of_the_table_not_of_the_sse() -> None:
    model, ids = Identity(), torch.arange(N)
    sse = SSE(N, p0=1.0).eval()
    attach(model, {"table": sse})
    assert fired(model, ids)
    assert not fired(model.eval(), ids)
    model.train().table.eval()
    assert not fired(model, ids)


def test_padding_is_neither_swapped_nor_drawn() -> None:
    for padding in (0, 7, -1):
        model = Identity(padding_idx=padding)
        attach(model, {"table": SSE(N, p0=1.0)})
        ids = torch.arange(N).repeat(100)
        new, row = model(ids), padding % N
        assert torch.equal(new == row, ids == row)
        assert (new != ids).sum() == (ids != row).sum()
    model = Identity()  # control: without padding_idx row 0 is swapped and drawn
    attach(model, {"table": SSE(N, p0=1.0)})
    assert not torch.equal(model(ids) == 0, ids == 0)


def test_matches_exact_names_and_globs_over_nested_modules() -> None:
    model = nn.ModuleDict({"a": Tower(), "b": nn.ModuleList([Tower(), nn.Linear(2, 2)])})
    a, b = SSE(N, p0=0.1), SSE(N, p0=0.2)
    handle = attach(model, {"*.item": a, "b.0.item": b})
    assert handle.names == ("a.item", "b.0.item")
    assert handle.sses == {"a.item": a, "b.0.item": b}  # the exact name overrides the glob
    handle.remove()
    assert attach(model, {"*": a}).names == ("a.user", "a.item", "b.0.user", "b.0.item")


def test_the_model_may_be_the_table() -> None:
    table = nn.Embedding(N, 2)
    handle = attach(table, {"": SSE(N, p0=1.0)})
    assert handle.names == ("",)
    assert not torch.equal(table(torch.arange(N)), table.weight)
    handle.remove()
    assert attach(table, {"*": SSE(N, p0=1.0)}).names == ("",)


def test_a_module_under_two_names_is_hooked_once() -> None:
    model = nn.ModuleDict({"one": nn.Embedding(N, 2)})
    model["two"] = model["one"]
    for pattern in ("one", "two", "*"):
        handle = attach(model, {pattern: SSE(N, p0=1.0)})
        assert len(handle.names) == len(model["one"]._forward_pre_hooks) == 1
        handle.remove()


def test_tables_that_share_a_weight_are_all_hooked_and_share_their_padding() -> None:
    model = nn.ModuleDict({"encoder": Identity(padding_idx=3), "decoder": Identity(), "other": Identity()})
    model["decoder"].table.weight = model["encoder"].table.weight
    handle = attach(model, {"decoder.table": SSE(N, p0=1.0)})
    assert handle.names == ("encoder.table", "decoder.table")
    ids = torch.arange(N).repeat(50)
    for name in ("encoder", "decoder"):
        assert torch.equal(model[name](ids) == 3, ids == 3)
        assert fired(model[name], ids)
    assert not fired(model["other"], ids)  # equal values, but another Parameter
    handle.remove()
    assert not fired(model["encoder"], ids)


def test_tied_output_layer_is_left_alone() -> None:
    model = nn.ModuleDict({"embed": nn.Embedding(N, 4), "out": nn.Linear(4, N, bias=False)})
    model["out"].weight = model["embed"].weight
    assert attach(model, {"embed": SSE(N, p0=1.0)}).names == ("embed",)
    assert not model["out"]._forward_pre_hooks
    assert model["out"].weight is model["embed"].weight


def test_one_sse_for_several_tables_and_for_several_positions() -> None:
    model = Tower()
    handle = attach(model, {"*": SSE(N, p0=1.0)})
    seen: list[Tensor] = []
    for table in (model.user, model.item):
        table.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    ids = torch.full((500,), 5)
    model(ids, ids)
    assert not torch.equal(seen[0], seen[1])  # independent draws
    assert len(seen[0].unique()) > 100
    assert handle.p0 == 1.0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"usr": SSE(N, 0.1)}, "did you mean 'user'"),
        ({"*bias": SSE(N, 0.1)}, "the tables are 'user', 'item'"),
        ({"head": SSE(N, 0.1)}, "it is a Linear"),
        ({"": SSE(N, 0.1)}, "it is a Tower"),
        ({"user": SSE(N + 1, 0.1)}, f"num_embeddings={N} for table 'user'"),
        ({"user": 0.1}, "expected an SSE for 'user', got float"),
        ({}, "at least one entry"),
        ([("user", SSE(N, 0.1))], "expected a mapping"),
        ({"u*": SSE(N, 0.1), "*r": SSE(N, 0.1)}, "got two"),
    ],
)
def test_bad_requests_say_what_there_is_and_change_nothing(given: object, message: str) -> None:
    model = Tower()
    with pytest.raises(AttachError, match=message.replace("*", r"\*")):
        attach(model, given)  # type: ignore[arg-type]
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_failure_at_the_second_table_leaves_the_first_alone() -> None:
    model = Tower()
    with pytest.raises(AttachError):
        attach(model, {"user": SSE(N, 0.1), "item": SSE(N - 1, 0.1)})
    assert not model.user._forward_pre_hooks


def test_attaching_twice_raises_also_through_a_shared_weight() -> None:
    model = Tower()
    handle = attach(model, {"user": SSE(N, 0.1)})
    with pytest.raises(AttachError, match="'user' has SSE already"):
        attach(model, {"*": SSE(N, 0.1)})
    assert not model.item._forward_pre_hooks
    handle.remove()
    attach(model, {"*": SSE(N, 0.1)})


def test_not_a_module() -> None:
    with pytest.raises(AttachError, match=r"torch\.nn\.Module, got dict"):
        attach({}, {"*": SSE(N, 0.1)})  # type: ignore[arg-type]


def test_out_of_range_ids_and_resized_tables_raise() -> None:
    model = Identity()
    attach(model, {"table": SSE(N, p0=0.1)})
    with pytest.raises(IdRangeError, match=str(N)):
        model(torch.tensor([N]))
    model.table.num_embeddings = N + 1
    with pytest.raises(AttachError, match="after resizing"):
        model(torch.tensor([0]))


class Renamed(nn.Embedding):
    """As transformers write them: another name for the ids."""

    def forward(self, input_ids: Tensor) -> Tensor:
        return super().forward(input_ids)


def test_ids_by_keyword_also_in_subclasses() -> None:
    ids = torch.arange(N)
    for table, name in ((nn.Embedding(N, 2), "input"), (Renamed(N, 2), "input_ids")):
        attach(table, {"": SSE(N, p0=1.0)})
        assert not torch.equal(table(**{name: ids}), table.weight)
        assert not torch.equal(table(ids), table.weight)
        with pytest.raises(AttachError, match=f"as {name}="):
            table()


def test_removing_restores_the_model_exactly() -> None:
    model = Tower()
    mine = model.user.register_forward_pre_hook(lambda module, args: None)
    before = {name: dict(vars(module)) for name, module in model.named_modules()}
    keys = {name: list(module._forward_pre_hooks) for name, module in model.named_modules()}
    handle = attach(model, {"*": SSE(N, 0.1)})
    handle.remove()
    handle.remove()
    assert {name: dict(vars(module)) for name, module in model.named_modules()} == before
    assert {name: list(module._forward_pre_hooks) for name, module in model.named_modules()} == keys
    assert not model.user._forward_pre_hooks_with_kwargs
    mine.remove()


def test_the_model_stays_what_it_was() -> None:
    model = Tower()
    state = list(model.state_dict())
    modules, parameters = dict(model.named_modules()), dict(model.named_parameters())
    kinds = [type(module) for module in model.modules()]
    with attach(model, {"*": SSE(N, 0.1)}):
        assert list(model.state_dict()) == state
        assert dict(model.named_modules()) == modules
        assert all(model.get_parameter(name) is parameter for name, parameter in parameters.items())
        assert [type(module) for module in model.modules()] == kinds
        Tower().load_state_dict(model.state_dict(), strict=True)
    assert not model.user._forward_pre_hooks  # the context manager removed it


def test_sparse_gradients_stay_sparse_and_fall_on_the_rows_looked_up() -> None:
    table = nn.Embedding(N, 2, sparse=True)
    attach(table, {"": SSE(N, p0=1.0)})
    seen: list[Tensor] = []
    table.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    ids = torch.full((4,), 9)
    table(ids).sum().backward()
    gradient = table.weight.grad
    assert gradient is not None
    assert gradient.is_sparse
    assert set(gradient.coalesce().indices()[0].tolist()) == set(seen[0].tolist())
    assert 9 not in seen[0]


def test_repr_names_tables_sizes_and_state() -> None:
    model = Tower()
    handle = attach(model, {"user": SSE(N, 0.1), "item": SSE(N, 0.25)})
    assert repr(handle) == "Handle(user: N=200, p0=0.1; item: N=200, p0=0.25)"
    handle.remove()
    assert "removed" in repr(handle)
    assert isinstance(handle, Handle)


@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpointing_replays_the_draw(reentrant: bool) -> None:
    from torch.utils.checkpoint import checkpoint

    def gradient(checkpointed: bool, reseed: bool = False) -> Tensor:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Embedding(N, 4), nn.Linear(4, 4), nn.Tanh())
        attach(model, {"0": SSE(N, p0=0.5)})
        ids = torch.arange(N).repeat(5)
        dummy = torch.zeros((), requires_grad=True)  # the reentrant form wants an input that needs gradients

        def run(ids: Tensor, dummy: Tensor) -> Tensor:
            return model(ids) + dummy

        torch.manual_seed(1)
        if checkpointed:
            out = checkpoint(run, ids, dummy, use_reentrant=reentrant, preserve_rng_state=not reseed)
        else:
            out = run(ids, dummy)
        (out**2).sum().backward()
        grad = model[0].weight.grad
        assert grad is not None
        return grad

    torch.testing.assert_close(gradient(True), gradient(False))
    assert not torch.allclose(
        gradient(True, reseed=True), gradient(False)
    )  # control: another draw gives another gradient
