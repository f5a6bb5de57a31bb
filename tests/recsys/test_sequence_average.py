"""Averaged parameters and cosines: against slow oracles, to the bit where a run goes on, and refused out of range."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sequence_data import markov

from torchsse.data.sequence_split import leave_last_out
from torchsse.errors import ConfigError
from torchsse.recsys import SSEPT, SASRec
from torchsse.recsys.sequence.network import SequenceNetwork
from torchsse.recsys.sequence.trainer import SequenceTrainer

SMALL = {"hidden": 8, "max_length": 12, "batch_size": 16, "epochs": 3, "p0_input": 0.1}


@pytest.fixture(scope="module")
def parts():
    return leave_last_out(markov(num_users=60, length=16)[0])


def weights(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.network.named_parameters()}


def equal(one, two) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights(one).values(), weights(two).values()))


@pytest.fixture
def steps(monkeypatch):
    """The parameters before the first and after every update of the fits in a test."""
    seen: list[dict[str, torch.Tensor]] = []
    step = SequenceTrainer._step

    def watched(self, *args):
        if not seen:
            seen.append(weights(self))
        found = step(self, *args)
        seen.append(weights(self))
        return found

    monkeypatch.setattr(SequenceTrainer, "_step", watched)
    return seen


@pytest.mark.parametrize("decay", [0.5, 0.998])
def test_a_fit_ends_with_the_average_of_its_updates(parts, steps, decay) -> None:
    model = SASRec(**SMALL, ema_decay=decay).fit(parts.train)
    expected = {name: value.double() for name, value in steps[0].items()}
    for n, values in enumerate(steps[1:], 1):
        d = min(decay, (1 + n) / (10 + n))
        expected = {name: d * expected[name] + (1 - d) * values[name].double() for name in values}
    for name, value in weights(model).items():
        torch.testing.assert_close(value.double(), expected[name], atol=1e-6, rtol=1e-5)
    # the control: the last update's parameters are others
    assert not torch.allclose(weights(model)["item_embedding.weight"], steps[-1]["item_embedding.weight"], atol=1e-4)


def test_training_does_not_see_the_average(parts, steps) -> None:
    """Nor does measuring it: the updates are those of a run without."""
    plain = SASRec(**SMALL, validate_every=1).fit(parts.train, parts.validation)
    own = steps.copy()
    steps.clear()
    averaged = SASRec(**SMALL, validate_every=1, ema_decay=0.9).fit(parts.train, parts.validation)
    assert [i["train_loss"] for i in plain.history_] == [i["train_loss"] for i in averaged.history_]
    assert all(torch.equal(a[name], b[name]) for a, b in zip(own, steps, strict=True) for name in a)
    assert not equal(plain, averaged)


def test_the_average_is_what_validation_judges(parts) -> None:
    words = {**SMALL, "epochs": 12, "learning_rate": 0.02, "validate_every": 1, "ema_decay": 0.8}
    model = SASRec(**words).fit(parts.train, parts.validation)
    taken = [info["validation_ndcg@10"] for info in model.history_]
    assert model.best_epoch_ == 1 + int(np.argmax(taken))
    assert model.evaluate(parts.validation, ks=(10,))["means"]["ndcg@10"] == pytest.approx(max(taken), abs=1e-9)
    assert equal(model, SASRec(**{**words, "epochs": model.best_epoch_}).fit(parts.train))


@pytest.mark.parametrize("estimator", [SASRec, SSEPT])
@pytest.mark.parametrize("validated", [False, True])
def test_a_stopped_run_goes_on_to_the_same_bits(parts, tmp_path, estimator, validated) -> None:
    words = {**SMALL, "epochs": 6, "validate_every": 2, "ema_decay": 0.9, "temperature": 0.1, "loss": "softmax"}
    held_out = parts.validation if validated else None

    class KilledError(Exception):
        pass

    def kill(epoch, info):
        if epoch == 4:  # of which nothing is written yet
            raise KilledError

    straight = estimator(**words).fit(parts.train, held_out)
    with pytest.raises(KilledError):
        estimator(**words, checkpoint=tmp_path / "run").fit(parts.train, held_out, callback=kill)
    resumed = estimator(**words, checkpoint=tmp_path / "run").fit(parts.train, held_out)
    assert equal(straight, resumed)
    # and a run that was over stays what it was
    assert equal(straight, estimator(**words, checkpoint=tmp_path / "run").fit(parts.train, held_out))
    with pytest.raises(ConfigError, match="other settings"):
        estimator(**{**words, "ema_decay": 0.5}, checkpoint=tmp_path / "run").fit(parts.train, held_out)


def test_scores_are_cosines_over_the_temperature() -> None:
    torch.manual_seed(0)
    plain, cosine = (SequenceNetwork(6, hidden=8, max_length=5, temperature=t, seed=3).eval() for t in (None, 0.05))
    histories = torch.tensor([[0, 4, 2, 6, 6], [5, 1, 0, 3, 2]])
    vectors, rows = plain(histories), plain.item_embedding.weight[:6]
    expected = torch.nn.functional.cosine_similarity(vectors[:, :, None], rows, dim=-1) / 0.05
    torch.testing.assert_close(cosine.scores(cosine(histories)), expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(plain.scores(vectors), expected)


@pytest.mark.parametrize("estimator", [SASRec, SSEPT])
@pytest.mark.parametrize("loss", ["bce", "sampled-softmax", "softmax"])
def test_a_model_of_cosines_scores_as_it_was_trained(parts, tmp_path, estimator, loss) -> None:
    words = {**SMALL, "epochs": 8, "learning_rate": 0.01, "loss": loss, "temperature": 0.2}
    words["num_negatives"] = 1 if loss == "softmax" else 8
    model = estimator(**words).fit(parts.train)
    losses = [info["train_loss"] for info in model.history_]
    assert losses[-1] < 0.97 * losses[0]
    users = parts.train.user_ids.ids[:4]
    network, item_ids = model.network.eval(), parts.train.item_ids
    for user in users:
        code = int(parts.train.user_ids.encode([user])[0])
        history = parts.train.items[parts.train.offsets[code] : parts.train.offsets[code + 1]][-12:].astype(np.int64)
        with torch.no_grad():
            row = torch.tensor([code]) if estimator is SSEPT else None
            vector = network(torch.from_numpy(history)[None], row)[0, -1]
            scores = network.scores(vector).numpy()
        assert np.abs(scores).max() <= 1 / 0.2 + 1e-5
        np.testing.assert_allclose(model.predict(user, item_ids.ids), scores, atol=1e-5)
        typed = model.recommend_next(item_ids.ids[history].tolist(), k=3, exclude_seen=False, user=user)
        np.testing.assert_allclose(typed[1], np.sort(scores)[::-1][:3], atol=1e-5)
    model.save(tmp_path / "model")
    loaded = estimator.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(users[0], item_ids.ids), model.predict(users[0], item_ids.ids))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"ema_decay": 1.0}, "ema_decay: expected a number of at least 0 and below 1, got 1.0"),
        ({"ema_decay": -0.1}, "ema_decay"),
        ({"ema_decay": float("nan")}, "ema_decay"),
        ({"ema_decay": None}, "ema_decay"),
        ({"temperature": 0.0}, "temperature: expected a number above 0, got 0.0"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"temperature": "0.05"}, "temperature"),
        ({"loss": "softmax", "num_negatives": 5}, "num_negatives: softmax is over all items and draws none, got 5"),
    ],
)
@pytest.mark.parametrize("estimator", [SASRec, SSEPT])
def test_words_out_of_range(estimator, words, message) -> None:
    with pytest.raises(ConfigError, match=message):
        estimator(**words)
