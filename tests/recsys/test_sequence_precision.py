"""bf16: the same training up to rounding, resumed to the bit, and nothing but training is in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sequence_data import markov

from torchsse.data.sequence_split import leave_last_out
from torchsse.errors import ConfigError
from torchsse.recsys import SSEPT, SASRec
from torchsse.recsys.sequence.network import SequenceNetwork

SMALL = {"hidden": 16, "max_length": 12, "batch_size": 16, "epochs": 4, "p0_input": 0.1, "dropout": 0.25}


@pytest.fixture(scope="module")
def parts():
    return leave_last_out(markov(num_users=60, length=16)[0])


@pytest.fixture
def dtypes(monkeypatch):
    """Dtypes of the queries, keys and values of every block, in training and out of it."""
    from torchsse.recsys.sequence.attention import Attention

    seen: set[tuple[bool, torch.dtype]] = set()
    forward = Attention.forward

    def watched(self, qkv, groups):
        seen.add((self.training, qkv.dtype))
        return forward(self, qkv, groups)

    monkeypatch.setattr(Attention, "forward", watched)
    return seen


def weights(model) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.network.parameters()]


def same(one, two) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights(one), weights(two)))


@pytest.mark.parametrize("estimator", [SASRec, SSEPT])
@pytest.mark.parametrize("loss", ["bce", "softmax"])
def test_it_is_the_same_training_up_to_rounding(parts, dtypes, estimator, loss) -> None:
    fits = {}
    for precision, expected in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        dtypes.clear()
        fits[precision] = estimator(**SMALL, loss=loss, precision=precision).fit(parts.train, parts.validation)
        assert {dtype for training, dtype in dtypes if training} == {expected}
        assert {dtype for training, dtype in dtypes if not training} <= {torch.float32}
        assert {p.dtype for p in fits[precision].network.parameters()} == {torch.float32}
    losses = [[info["train_loss"] for info in model.history_] for model in fits.values()]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.01)
    assert not same(*fits.values())
    # the control: another seed is further away than rounding
    other = [i["train_loss"] for i in estimator(**SMALL, loss=loss, seed=1).fit(parts.train).history_]
    assert np.abs(np.subtract(losses[1], losses[0])).max() < np.abs(np.subtract(other, losses[0])).max()


def test_the_same_bits_again_and_after_a_stop(parts, tmp_path) -> None:
    class StopError(Exception):
        pass

    def stop(epoch, info):
        if epoch == 3:
            raise StopError

    words = {**SMALL, "precision": "bf16", "ema_decay": 0.9}
    straight = SASRec(**words).fit(parts.train)
    assert same(straight, SASRec(**words).fit(parts.train))
    with pytest.raises(StopError):
        SASRec(**words, checkpoint=tmp_path / "run").fit(parts.train, callback=stop)
    assert same(straight, SASRec(**words, checkpoint=tmp_path / "run").fit(parts.train))


def test_a_served_model_scores_in_fp32(parts, tmp_path) -> None:
    model = SASRec(**SMALL, precision="bf16").fit(parts.train)
    model.save(tmp_path / "model")
    loaded = SASRec.load(tmp_path / "model")
    users = parts.train.user_ids.ids[:5]
    np.testing.assert_array_equal(loaded.recommend(users, k=5)[1], model.recommend(users, k=5)[1])
    network = SequenceNetwork(len(parts.train.item_ids), 16, max_length=12)
    network.load_state_dict(model.network.state_dict())
    assert same(type("M", (), {"network": network}), model)


@pytest.mark.parametrize("value", ["fp16", "", None, 16])
def test_other_precisions_are_refused(value) -> None:
    with pytest.raises(ConfigError, match="precision: expected one of fp32, bf16"):
        SASRec(precision=value)
