"""Rotary positions: only distances matter; they train, round, and refuse what cannot be turned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sequence_data import markov

from torchsse.data.sequence_split import leave_last_out
from torchsse.errors import ConfigError
from torchsse.experiments.sequence_settings import SequenceSettings
from torchsse.recsys import SSEPT, SASRec
from torchsse.recsys.sequence.network import SequenceNetwork
from torchsse.recsys.sequence.rotary import Turn

SMALL = {"hidden": 16, "max_length": 12, "batch_size": 16, "epochs": 3, "dropout": 0.25}


def product(q: torch.Tensor, k: torch.Tensor, of_query: int, of_key: int) -> float:
    """Of a query and a key at these places."""
    turned = Turn(torch.tensor([of_query, of_key]), q.shape[-1], 200).of(torch.stack([q, k])[:, None])
    return float(turned[0, 0] @ turned[1, 0])


@given(st.integers(0, 150), st.integers(0, 49), st.integers(1, 6), st.integers(0, 99))
def test_products_depend_on_the_distance_alone(place, shift, pairs, seed) -> None:
    q, k = torch.randn(2, 2 * pairs, generator=torch.Generator().manual_seed(seed))
    here = product(q, k, 0, place)
    assert product(q, k, shift, place + shift) == pytest.approx(here, abs=1e-4)
    assert product(q, k, shift, shift) == pytest.approx(float(q @ k), abs=1e-4)


def test_products_do_depend_on_the_distance_and_its_sign() -> None:
    q, k = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    found = [product(q, k, *places) for places in ((0, 0), (0, 1), (1, 0), (0, 7))]
    assert min(abs(a - b) for i, a in enumerate(found) for b in found[:i]) > 1e-2


def test_order_matters_to_a_network_and_has_no_table() -> None:
    rotary = SequenceNetwork(9, hidden=8, max_length=5, positions="rotary", seed=1).eval()
    torch.manual_seed(0)
    for p in rotary.parameters():
        torch.nn.init.normal_(p)
    one, two = rotary(torch.tensor([[1, 2, 3, 4], [2, 1, 3, 4]]))
    assert not torch.allclose(one[-1], two[-1], atol=0.01)
    assert "position_embedding.weight" not in dict(rotary.named_parameters())
    learned = SequenceNetwork(9, hidden=8, max_length=5)
    assert "position_embedding.weight" in dict(learned.named_parameters())


@pytest.mark.parametrize("estimator", [SASRec, SSEPT])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_reaches_the_network_and_trains(estimator, precision) -> None:
    parts = leave_last_out(markov(num_users=60, length=16)[0])
    fits = [
        estimator(**SMALL, positions=p, precision=precision).fit(parts.train, parts.validation)
        for p in ("rotary", "learned")
    ]
    assert fits[0].network.position_embedding is None
    assert fits[1].network.position_embedding is not None
    losses = [[info["train_loss"] for info in model.history_] for model in fits]
    assert losses[0][-1] < losses[0][0]
    assert not np.allclose(*losses)


def test_rounding_stays_in_the_blocks(monkeypatch) -> None:
    """Queries and keys are turned in fp32 and come back as they were."""
    seen = []
    leading = Turn.leading

    def watched(self, x, columns):
        out = leading(self, x, columns)
        seen.append((x.dtype, self.cos.dtype, out.dtype))
        return out

    monkeypatch.setattr(Turn, "leading", watched)
    parts = leave_last_out(markov(num_users=20, length=16)[0])
    SASRec(**SMALL, positions="rotary", precision="bf16").fit(parts.train)
    assert set(seen) == {(torch.bfloat16, torch.float32, torch.bfloat16)}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"positions": "sinus"}, "positions: expected one of learned, rotary, got 'sinus'"),
        ({"positions": None}, "positions: expected one of learned, rotary, got None"),
        ({"positions": "rotary", "hidden": 9}, "rotary turns pairs, expected an even width of a head, got 9"),
        ({"positions": "rotary", "hidden": 10, "heads": 2}, "expected an even width of a head, got 5"),
    ],
)
def test_what_cannot_be_is_refused(words, message) -> None:
    with pytest.raises(ConfigError, match=message):
        SASRec(**words)


def test_a_comparison_refuses_other_positions() -> None:
    with pytest.raises(ConfigError, match="positions must be learned or rotary, got 'none'"):
        SequenceSettings(positions="none")
