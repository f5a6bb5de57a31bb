"""The network against a slow one, its causality, dropout's law, layouts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchsse import SSE, attach
from torchsse.errors import ConfigError
from torchsse.recsys.sequence.batches import Packed
from torchsse.recsys.sequence.dropout import Dropout
from torchsse.recsys.sequence.layout import lay_out
from torchsse.recsys.sequence.network import SequenceNetwork


def slow(network: SequenceNetwork, items: list[int]) -> torch.Tensor:
    """One history, one place at a time, in float64, from the definition."""
    double = {k: v.double() for k, v in network.state_dict().items()}

    def norm(x, name):
        return (x - x.mean()) / (x.var(unbiased=False) + 1e-8).sqrt() * double[f"{name}.weight"] + double[
            f"{name}.bias"
        ]

    def linear(x, name):
        return double[f"{name}.weight"] @ x + double[f"{name}.bias"]

    def turned(x, left):
        """As complex numbers, the halves of x being real and imaginary parts."""
        if "position_embedding.weight" in double:
            return x
        pairs = len(x) // 2
        speeds = torch.tensor([network.max_length ** (-i / pairs) for i in range(pairs)], dtype=torch.float64)
        whole = torch.complex(x[:pairs], x[pairs:]) * torch.exp(-1j * left * speeds)
        return torch.cat([whole.real, whole.imag])

    n = len(items)
    x = [double["item_embedding.weight"][item] * network.hidden**0.5 for item in items]
    if "position_embedding.weight" in double:
        x = [v + double["position_embedding.weight"][n - 1 - t] for t, v in enumerate(x)]
    for b, block in enumerate(network.blocks):
        heads, out = block.attention.heads, []
        qkv = [linear(norm(v, f"blocks.{b}.attention_norm"), f"blocks.{b}.query_key_value").chunk(3) for v in x]
        for t in range(n):
            mixed = []
            for h in range(heads):
                q, k, v = ([p[i].chunk(heads)[h] for p in qkv] for i in range(3))
                q, k = ([turned(p, n - 1 - s) for s, p in enumerate(side)] for side in (q, k))
                score = torch.stack([q[t] @ k[s] / math.sqrt(len(q[t])) for s in range(t + 1)]).softmax(0)
                mixed.append(sum(score[s] * v[s] for s in range(t + 1)))
            out.append(x[t] + linear(torch.cat(mixed), f"blocks.{b}.out"))
        x = [
            v + linear(linear(norm(v, f"blocks.{b}.forward_norm"), f"blocks.{b}.inner").relu(), f"blocks.{b}.outer")
            for v in out
        ]
    return torch.stack([norm(v, "norm") for v in x])


@pytest.mark.parametrize("positions", ["learned", "rotary"])
@pytest.mark.parametrize(("heads", "inner"), [(1, None), (2, None), (2, 20)])
def test_equal_to_the_definition(heads, inner, positions) -> None:
    torch.manual_seed(0)
    words = {"blocks": 2, "heads": heads, "inner": inner, "max_length": 6, "positions": positions}
    network = SequenceNetwork(7, hidden=8, **words).eval()
    for block in network.blocks:
        assert (block.inner.weight.shape, block.outer.weight.shape) == ((inner or 8, 8), (8, inner or 8))
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.3)
    rows = [[3, 1, 6, 2], [5], [0, 0, 4, 4, 1, 2]]
    padded = torch.tensor([row + [7] * (6 - len(row)) for row in rows])
    found = network(padded)
    for row, got in zip(rows, found):
        torch.testing.assert_close(got[: len(row)].double(), slow(network, row), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_batches_of_groups_equal_one_padded_batch(positions) -> None:
    g = np.random.default_rng(0)
    lengths = g.integers(1, 30, 40)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    items = g.integers(0, 50, indptr[-1]).astype(np.int32)
    network = SequenceNetwork(50, hidden=12, heads=3, max_length=20, positions=positions).eval()
    users = g.permutation(40)
    batch = Packed(indptr, items, 20, torch.device("cpu"), 7).batch(users, targets=False)
    slots = batch.slots(batch.inputs, 50)
    found = network.encode(slots, batch.left, batch.layout.groups)
    last = network.encode_last(slots, batch.left, batch.layout.groups, torch.from_numpy(batch.layout.last))
    for row, user in enumerate(users[batch.layout.order]):
        history = items[indptr[user] : indptr[user + 1]][-20:]
        alone = network(torch.from_numpy(history[None].astype(np.int64)))[0]
        mine = found[batch.slot[torch.from_numpy(batch.layout.row == row)]]
        torch.testing.assert_close(mine, alone, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(last[row], alone[-1], atol=1e-5, rtol=1e-4)


def test_the_future_is_not_seen() -> None:
    network = SequenceNetwork(9, hidden=8, max_length=5).eval()
    one, two = network(torch.tensor([[1, 2, 3, 4, 5], [1, 2, 3, 8, 0]]))
    assert torch.equal(one[:3], two[:3])
    assert not torch.allclose(one[3:], two[3:])


@given(st.lists(st.integers(1, 12), min_size=1, max_size=20), st.integers(1, 6))
def test_layouts_hold_every_action_once(lengths, rows) -> None:
    found = lay_out(np.array(lengths), rows)
    assert len(set(found.slot.tolist())) == sum(lengths) == len(found.slot)
    assert found.slots == sum(g.rows * g.length for g in found.groups) > found.slot.max()
    assert sorted(found.order.tolist()) == list(range(len(lengths)))
    assert np.bincount(found.row, minlength=len(lengths)).tolist() == [lengths[q] for q in found.order]
    assert (found.left[np.isin(found.slot, found.last)] == 0).all()


def test_dropout_has_the_law_of_dropout() -> None:
    torch.manual_seed(1)
    drop = Dropout(0.2)
    x = torch.ones(1 << 20, requires_grad=True)
    y = drop(x)
    share = float((y == 0).float().mean())
    assert abs(share - 0.2) < 5 * math.sqrt(0.2 * 0.8 / len(x))
    assert y[y > 0].unique().tolist() == pytest.approx([1.25], abs=1e-4)
    y.sum().backward()
    assert torch.equal(x.grad, y)
    assert drop.eval()(x) is x
    neighbours = ((y[1:] == 0) & (y[:-1] == 0)).float().mean()
    assert abs(float(neighbours) - 0.04) < 0.002


def test_attach_takes_the_plain_module() -> None:
    network = SequenceNetwork(30, hidden=8, max_length=10)
    handle = attach(network, {"item_embedding": SSE(num_embeddings=31, p0=1.0)})
    network.train()
    network.dropout.p = 0.0
    ids = torch.full((2, 10), 30)
    ids[0, 0] = 4
    assert (network.item_embedding(ids)[1] == 0).all()  # padding stays
    handle.remove()


def test_what_is_refused() -> None:
    with pytest.raises(ConfigError, match="divisor"):
        SequenceNetwork(5, hidden=9, heads=2)
    with pytest.raises(ConfigError, match="at most 4"):
        SequenceNetwork(5, hidden=8, max_length=4)(torch.zeros(1, 5, dtype=torch.int64))
    with pytest.raises(ConfigError, match="users"):
        SequenceNetwork(5, hidden=8, num_users=3, user_hidden=8)(torch.zeros(1, 5, dtype=torch.int64))
