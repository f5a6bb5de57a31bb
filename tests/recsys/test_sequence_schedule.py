"""p0 over the epochs of SASRec and SSE-PT: how many ids each epoch swaps, and that a killed run keeps to it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.stats import binomtest
from sequence_data import markov

from torchsse.data.sequence_split import leave_last_out
from torchsse.errors import ConfigError
from torchsse.recsys import SSEPT, SASRec
from torchsse.recsys.schedules import SCHEDULES, p0_factor
from torchsse.recsys.sequence import trainer as steps

EPOCHS, ALPHA = 4, 1e-4
WORDS: dict[str, Any] = {
    "hidden": 8, "max_length": 12, "batch_size": 16, "epochs": EPOCHS, "p0_input": 0.3, "p0_output": 0.2,
}  # fmt: skip


@pytest.fixture(scope="module")
def parts():
    return leave_last_out(markov(num_users=60, length=16)[0])


def losses(model: Any) -> list[float]:
    return [row["train_loss"] for row in model.history_]


@pytest.fixture
def swapped(monkeypatch) -> list[tuple[int, int]]:
    """(ids, replaced ones) of every call that swaps."""
    seen: list[tuple[int, int]] = []
    real = steps.swap_table

    def watched(ids: torch.Tensor, *rest: Any) -> torch.Tensor:
        found = real(ids, *rest)
        seen.append((ids.numel(), int((found != ids).sum())))
        return found

    monkeypatch.setattr(steps, "swap_table", watched)
    return seen


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_each_epoch_swaps_its_share(parts, swapped, schedule) -> None:
    """Inputs, targets and users, call by call; a replaced id is another one in (n - 1) of n draws."""
    model = SSEPT(**WORDS, user_hidden=4, p0_user=0.8, p0_schedule=schedule).fit(parts.train)
    per_epoch = len(swapped) // EPOCHS
    sizes = len(model.item_ids), len(model.item_ids), len(model.user_ids)
    for epoch in range(EPOCHS):
        calls = swapped[epoch * per_epoch : (epoch + 1) * per_epoch]
        for side, (p0, size) in enumerate(zip((0.3, 0.2, 0.8), sizes)):
            ids, moved = (sum(column) for column in zip(*calls[side::3]))
            p = p0 * p0_factor(schedule, epoch, EPOCHS) * (size - 1) / size
            assert binomtest(moved, ids, p).pvalue > ALPHA / (3 * EPOCHS), (epoch, side)
    if schedule != "constant":  # the control: none is swapped where p0 is 0, and a constant p0 would be told
        still = EPOCHS - 1 if schedule == "anneal" else 0
        calls = swapped[still * per_epoch : (still + 1) * per_epoch]
        assert sum(moved for _, moved in calls) == 0
        ids = sum(n for n, _ in calls[::3])
        assert binomtest(0, ids, 0.3).pvalue < ALPHA / (3 * EPOCHS)


def test_the_first_epoch_is_that_of_its_p0(parts) -> None:
    plain, constant, anneal, warm = (
        losses(SASRec(**{**WORDS, **words}).fit(parts.train))
        for words in (
            {"p0_input": 0.0, "p0_output": 0.0}, {}, {"p0_schedule": "anneal"}, {"p0_schedule": "warmup"}
        )
    )  # fmt: skip
    assert anneal[0] == constant[0] != plain[0] == warm[0]
    assert len({anneal[1], constant[1], warm[1], plain[1]}) == 4


def test_coupled_swaps_follow_it_too(parts) -> None:
    coupled = {**WORDS, "p0_output": 0.0, "coupled": True}
    plain, warm = (
        losses(SASRec(**{**coupled, **words}).fit(parts.train))
        for words in ({"p0_input": 0.0}, {"p0_schedule": "warmup"})
    )
    assert warm[0] == plain[0]
    assert warm[1] != plain[1]


def test_a_killed_run_keeps_to_it(parts, tmp_path) -> None:
    words = {**WORDS, "p0_schedule": "anneal"}
    whole = SASRec(**words).fit(parts.train)

    def dies(epoch: int, _info: Any) -> None:
        if epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SASRec(**words, checkpoint=tmp_path).fit(parts.train, callback=dies)
    resumed = SASRec(**words, checkpoint=tmp_path).fit(parts.train)
    assert losses(resumed) == losses(whole)
    ours, theirs = whole.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    with pytest.raises(ConfigError, match="other settings or data"):
        SASRec(**{**words, "epochs": 6}, checkpoint=tmp_path).fit(parts.train)


def test_names_of_schedules() -> None:
    with pytest.raises(ConfigError, match="p0_schedule: expected one of constant, anneal, warmup"):
        SASRec(p0_schedule="cosine")


def test_the_learning_rate_falls_by_its_factor(parts, tmp_path) -> None:
    """And is that of its epoch in a run that goes on."""
    words = {**WORDS, "learning_rate": 0.01, "learning_rate_decay": 0.5}
    whole = SASRec(**words).fit(parts.train)
    assert [row["learning_rate"] for row in whole.history_] == [0.01, 0.005, 0.0025, 0.00125]
    constant = losses(SASRec(**{**words, "learning_rate_decay": 1.0}).fit(parts.train))
    assert losses(whole)[0] == constant[0]
    assert losses(whole)[2] != constant[2]
    SASRec(**{**words, "epochs": 2}, checkpoint=tmp_path).fit(parts.train)
    assert losses(SASRec(**words, checkpoint=tmp_path).fit(parts.train)) == losses(whole)
    with pytest.raises(ConfigError, match="learning_rate_decay: expected a number above 0"):
        SASRec(learning_rate_decay=0.0)
