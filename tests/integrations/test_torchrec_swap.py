"""KeyedJaggedTensor to KeyedJaggedTensor: the named features swapped by their law, everything else as it was."""

from __future__ import annotations

import copy
import pickle
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from torchsse import SSE, Graph
from torchsse.errors import ConfigError, IdRangeError, IdTypeError
from torchsse.integrations import torchrec as room
from torchsse.integrations.torchrec import SSEKeyedJagged, swap_kjt

torchrec = pytest.importorskip("torchrec")

KEYS = ["user", "item.id", "items", "tag"]  # a dot, and the name of a dict method
LENGTHS = [2, 0, 1, 3, 1, 0, 4, 2, 2, 0, 0, 1]  # four features of three examples
BOUNDS = [0, 3, 7, 15, 16]


def batch(**more: Any) -> Any:
    values = torch.arange(16) % 5
    return torchrec.KeyedJaggedTensor(KEYS, values=values, lengths=torch.tensor(LENGTHS), **more)


def changed(before: Any, after: Any) -> list[list[bool]]:
    """For each feature, which of its values changed."""
    moved = before.values() != after.values()
    return [moved[start:stop].tolist() for start, stop in pairwise(BOUNDS)]


def always(size: int = 5) -> SSE:
    return SSE(size, 1.0)


@pytest.mark.parametrize("named", [["user"], ["items"], ["tag"], ["item.id", "items"], ["user", "tag"], KEYS])
@pytest.mark.parametrize("shared", [True, False])
def test_the_named_features_and_no_others_are_swapped(named: list[str], shared: bool) -> None:
    one = always()
    kjt = batch()
    before = kjt.values().clone()
    new = swap_kjt(kjt, {key: one if shared else always() for key in named})
    for key, moved in zip(KEYS, changed(kjt, new)):
        assert moved == [key in named] * len(moved)  # at p0 = 1 every id is replaced by another
    assert torch.equal(kjt.values(), before)
    assert new.values().dtype == before.dtype
    assert new.values().data_ptr() != kjt.values().data_ptr()


def test_every_feature_follows_its_own_law() -> None:
    n = 60_000
    links = Graph.from_edges([0, 1], [2, 3], num_nodes=4)
    sses = {"a": SSE(4, 0.4, graph=links, rho=20.0), "b": SSE(3, 0.3)}
    ids = {"a": 2, "b": 1}
    values = torch.cat([torch.full((n,), 2), torch.full((n,), 1)])
    kjt = torchrec.KeyedJaggedTensor(["a", "b"], values=values, lengths=torch.ones(2 * n, dtype=torch.int64))
    new = swap_kjt(kjt, sses, generator=torch.Generator().manual_seed(0))
    for key, one in sses.items():
        row = one.row(ids[key])
        found = torch.bincount(new[key].values(), minlength=one.num_embeddings).double() / n
        assert ((found - row).abs() <= 5 * (row * (1 - row) / n).sqrt()).all()


def test_everything_else_is_the_very_same() -> None:
    kjt = batch(weights=torch.rand(16), offsets=torch.tensor([0, *torch.tensor(LENGTHS).cumsum(0).tolist()]))
    new = swap_kjt(kjt, {"items": always()})
    assert new.keys() == kjt.keys()
    assert new.weights() is kjt.weights()
    assert new.lengths() is kjt.lengths()
    assert new.offsets() is kjt.offsets()
    assert new.stride() == kjt.stride() == 3
    assert new.offset_per_key_or_none() == BOUNDS
    assert new.length_per_key_or_none() == [3, 4, 8, 1]


def test_variable_batch_sizes_and_inverse_indices() -> None:
    inverse = (KEYS, torch.zeros(4, 5, dtype=torch.int64))
    kjt = batch(stride_per_key_per_rank=[[1], [4], [2], [5]], inverse_indices=inverse)
    bounds = kjt.offset_per_key()
    assert bounds == [0, 2, 7, 11, 16]
    new = swap_kjt(kjt, {"item.id": always(), "tag": always()})
    moved = kjt.values() != new.values()
    expected = torch.zeros(16, dtype=torch.bool)
    expected[2:7] = True
    expected[11:] = True
    assert torch.equal(moved, expected)
    assert new.variable_stride_per_key()
    assert new.stride_per_key_per_rank() == [[1], [4], [2], [5]]
    assert new.stride() == 5
    assert new.inverse_indices() is kjt.inverse_indices()


def test_a_cached_view_of_the_old_values_is_not_carried_over() -> None:
    kjt = batch()
    kjt.to_dict()
    new = swap_kjt(kjt, {"items": always()})
    assert (new["items"].values() != kjt["items"].values()).all()


def test_int32_empty_and_missing_values() -> None:
    empty = torchrec.KeyedJaggedTensor(
        ["a", "b"], values=torch.zeros(0, dtype=torch.int32), lengths=torch.zeros(4).int()
    )
    new = swap_kjt(empty, {"a": always()})
    assert new.values().shape == (0,)
    assert new.values().dtype == torch.int32
    assert new.length_per_key() == [0, 0]


@pytest.mark.parametrize(
    ("given", "passes"),
    [("aaaa", [16]), ("aabb", [7, 9]), ("abba", [3, 12, 1]), (".aa.", [12]), ("a..a", [3, 1]), ("....", None)],
)
def test_neighbours_that_share_an_sse_take_one_pass(
    given: str, passes: list[int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def counted(ids: Tensor, sse: SSE, generator: Any) -> Tensor:
        seen.append(ids.numel())
        return ids.clone()

    monkeypatch.setattr(room, "swap", counted)
    letters = {"a": always(), "b": always()}
    sse = {key: letters[letter] for key, letter in zip(KEYS, given) if letter != "."}
    if passes is None:
        with pytest.raises(ConfigError, match="feature key"):
            swap_kjt(batch(), sse)
        return
    swap_kjt(batch(), sse)
    assert seen == passes


def test_module_swaps_in_training_only() -> None:
    sse = {"user": always(), "items": always()}
    module, kjt = SSEKeyedJagged(sse), batch()
    assert [any(moved) for moved in changed(kjt, module(kjt))] == [True, False, True, False]
    sse["user"].eval()
    assert [any(moved) for moved in changed(kjt, module(kjt))] == [False, False, True, False]
    sse["user"].train()
    sse["items"].p0 = 0.0
    assert [any(moved) for moved in changed(kjt, module(kjt))] == [True, False, False, False]
    sse["user"].p0 = 0.0
    assert module(kjt) is kjt
    sse["user"].p0 = 1.0
    assert module.eval()(kjt) is kjt


def test_module_copies_pickles_and_has_no_state() -> None:
    shared = always()
    module = SSEKeyedJagged({"item.id": shared, "items": shared, "tag": SSE(7, 0.5)})
    assert not module.state_dict()
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):  # noqa: S301
        assert list(twin.sse) == ["item.id", "items", "tag"]
        assert twin.sse["items"] is twin.sse["item.id"]
        assert twin.sse["items"] is not shared
        twin.sse["tag"].p0 = 0.25
        assert twin(batch()).values().shape == (16,)
    assert module.sse["tag"].p0 == 0.5


def test_seeds_and_generators_repeat() -> None:
    sse = {"user": SSE(5, 0.5), "items": SSE(5, 0.5)}
    one, same, other = (
        swap_kjt(batch(), sse, generator=torch.Generator().manual_seed(seed)).values() for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append(SSEKeyedJagged(sse)(batch()).values())
    assert torch.equal(*drawn)


@pytest.mark.parametrize("weighted", [False, True])
def test_an_embedding_bag_collection_trains_on_the_swapped_rows(weighted: bool) -> None:
    tables = [
        torchrec.EmbeddingBagConfig(num_embeddings=5, embedding_dim=4, name="t", feature_names=["user", "items"]),
        torchrec.EmbeddingBagConfig(num_embeddings=5, embedding_dim=4, name="s", feature_names=["tag"]),
    ]
    collection = torchrec.EmbeddingBagCollection(tables=tables, is_weighted=weighted)
    kjt = batch(weights=torch.rand(16)) if weighted else batch()
    model = torch.nn.Sequential(SSEKeyedJagged({"tag": always()}), collection)
    assert set(model.state_dict()) == {f"1.{name}" for name in collection.state_dict()}
    out = model(kjt)
    plain = collection(kjt)
    assert torch.equal(out["user"], plain["user"])
    assert torch.equal(out["items"], plain["items"])
    assert not torch.equal(out["tag"], plain["tag"])
    assert torch.equal(model.eval()(kjt)["tag"], plain["tag"])
    out["tag"].sum().backward()
    (own,) = kjt["tag"].values().tolist()
    touched = collection.embedding_bags["s"].weight.grad.abs().sum(dim=1).nonzero().flatten().tolist()
    assert len(touched) == 1
    assert touched != [own]


def test_an_embedding_collection() -> None:
    table = torchrec.EmbeddingConfig(num_embeddings=5, embedding_dim=4, name="t", feature_names=["user", "items"])
    collection = torchrec.EmbeddingCollection(tables=[table])
    new = SSEKeyedJagged({"items": always()})(batch())
    weight = collection.embeddings["t"].weight
    assert torch.equal(collection(new)["items"].values(), weight[new["items"].values()])


@pytest.mark.parametrize(
    ("kjt", "sse", "error", "message"),
    [
        (batch, {"user": always(), "itme": always()}, ConfigError, r"no feature 'itme' .* \['user', 'item.id', "),
        (batch, {}, ConfigError, "by feature key"),
        (batch, {"user": 0.1}, ConfigError, "float for key 'user'"),
        (batch, {"user": always(), "items": always(4)}, IdRangeError, r"features 'items' .* 0 \.\. 3 .* got 4"),
        (batch, {key: always(4) for key in KEYS[:1] + KEYS[2:]}, IdRangeError, "'items'"),
        (lambda: torch.arange(3), {"user": always()}, IdTypeError, "KeyedJaggedTensor, got Tensor"),
    ],
)
def test_what_does_not_fit_is_named(kjt: Any, sse: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        swap_kjt(kjt(), sse)


def test_float_values_are_refused() -> None:
    kjt = torchrec.KeyedJaggedTensor(["a", "b"], values=torch.rand(2), lengths=torch.tensor([1, 1]))
    with pytest.raises(IdTypeError, match=r"'b'.*float32"):
        swap_kjt(kjt, {"b": always()})


def test_an_unknown_key_is_found_even_when_nothing_acts() -> None:
    with pytest.raises(ConfigError, match="nobody"):
        SSEKeyedJagged({"nobody": SSE(5, 0.0)})(batch())
