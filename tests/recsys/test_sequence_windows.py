"""Random stretches of long histories: which actions a batch holds, how often, and for whom."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from torchsse.data import Sequences
from torchsse.errors import ConfigError
from torchsse.experiments.sequence_settings import SequenceSettings
from torchsse.recsys import SASRec
from torchsse.recsys.sequence.batches import Packed
from torchsse.recsys.sequence.trainer import SequenceTrainer

ALPHA = 1e-6
LENGTHS = np.array([3, 7, 20, 6])
"""Of these only the third has more than six targets, and fourteen stretches."""
STRETCHES = 20 - 1 - 6 + 1


def packed() -> tuple[np.ndarray, np.ndarray]:
    indptr = np.concatenate([[0], np.cumsum(LENGTHS)]).astype(np.int64)
    return indptr, np.arange(indptr[-1], dtype=np.int32)


def test_a_stretch_is_the_latest_of_a_shorter_history() -> None:
    indptr, items = packed()
    cut = np.concatenate([items[: indptr[2] + 15], items[indptr[3] :]])
    shorter = indptr - np.array([0, 0, 0, 5, 5])
    users = np.array([2, 0, 3, 1])
    ours = Packed(indptr, items, 6, torch.device("cpu"), 2).batch(users, back=np.array([5, 0, 0, 0]))
    theirs = Packed(shorter, cut, 6, torch.device("cpu"), 2).batch(users)
    for name in ("inputs", "targets", "left", "slot", "rows"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name)), name


def firsts(chance: float, epochs: int, monkeypatch) -> dict[int, list[int]]:
    """Of each user: the first input of every epoch, counted from the start of the history."""
    indptr, items = packed()
    seen: dict[int, list[int]] = {u: [] for u in range(len(LENGTHS))}
    batch = Packed.batch

    def watched(self, users, targets=True, back=None):
        found = batch(self, users, targets, back)
        for row, user in enumerate(found.rows.tolist()):
            mine = found.inputs[torch.from_numpy(found.layout.row == row)]
            assert (mine.diff() == 1).all()
            assert len(mine) == min(LENGTHS[user] - 1, 6)
            seen[user].append(int(mine[0] - indptr[user]))
        return found

    monkeypatch.setattr(Packed, "batch", watched)
    model = SASRec(hidden=2, max_length=6, random_window=chance, batch_size=3)
    model._check_params()
    trainer = SequenceTrainer(model._network(4, len(items)), indptr, items, model._words(), None)
    trainer._step = lambda whole, mine, coin, chance, window: (  # type: ignore[method-assign]
        trainer._packed.batch(mine, back=trainer._back(mine, window)), torch.zeros((), dtype=torch.float64)
    )[1]  # fmt: skip
    for epoch in range(epochs):
        trainer.epoch(epoch)
    return seen


def test_none_without_the_word(monkeypatch) -> None:
    assert firsts(0.0, 20, monkeypatch) == {0: [0] * 20, 1: [0] * 20, 2: [13] * 20, 3: [0] * 20}


@pytest.mark.parametrize("chance", [1.0, 0.3])
def test_stretches_have_their_law(chance, monkeypatch) -> None:
    n = 4000
    found = firsts(chance, n, monkeypatch)
    assert found[0] == found[1] == found[3] == [0] * n
    counts = np.bincount(found[2], minlength=STRETCHES)
    law = np.full(STRETCHES, chance / STRETCHES)
    law[-1] += 1.0 - chance

    def distance(expected: np.ndarray) -> float:
        return float(((counts - n * expected) ** 2 / (n * expected)).sum())

    # chi-square with 13 degrees: its 1 - ALPHA quantile by Wilson and Hilferty
    df = STRETCHES - 1
    bound = df * (1 - 2 / (9 * df) + 4.75 * math.sqrt(2 / (9 * df))) ** 3
    assert ALPHA == 1e-6
    assert distance(law) < bound
    other = np.full(STRETCHES, 0.8 * chance / STRETCHES)
    other[-1] += 1.0 - 0.8 * chance
    assert distance(other) > bound, "the control: a fifth fewer"


def test_all_of_a_long_history_is_learned_from() -> None:
    """An order that holds in the first half of long histories only."""
    g = np.random.default_rng(0)
    users = np.repeat(np.arange(40), 24)
    early = np.array([[(u + t) % 6 for t in range(12)] for u in range(40)])
    late = g.integers(6, 12, (40, 12))
    train = Sequences.from_arrays(users, np.concatenate([early, late], 1).reshape(-1))
    words = {"hidden": 16, "max_length": 8, "dropout": 0.0, "learning_rate": 0.01, "epochs": 40, "loss": "softmax"}
    hits = [
        SASRec(**words, random_window=chance).fit(train).recommend_next([1, 2, 3], k=1)[0].tolist() == [4]
        for chance in (0.0, 0.7)
    ]
    assert hits == [False, True]


@pytest.mark.parametrize("chance", [-0.1, 1.5, float("nan"), "half", None])
def test_chances_out_of_range_are_refused(chance) -> None:
    with pytest.raises(ConfigError, match="random_window"):
        SASRec(random_window=chance)


def test_a_comparison_refuses_them_too() -> None:
    with pytest.raises(ConfigError, match="random_window must be from 0 to 1, got 2"):
        SequenceSettings(random_window=2.0)
