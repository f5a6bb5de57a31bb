"""The graphs of `sse-cooccurrence` come from the ratings that a fit learns from, and from nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from torchsse.data import Ratings, Sequences, split
from torchsse.data.sequence_split import leave_last_out
from torchsse.data.synthetic import planted_clusters
from torchsse.experiments.arms import SIDES, Side, standard_arms
from torchsse.experiments.fitting import Fitter
from torchsse.experiments.neighbours import Neighbours, cooccurrence_graph
from torchsse.experiments.sequence_settings import SequenceSettings
from torchsse.experiments.sequence_task import SequenceTask
from torchsse.experiments.settings import CompareData, CompareSettings
from torchsse.graph import Graph

ARM = standard_arms(biases=True)[-1]
SETTINGS = CompareSettings(factors=4, epochs=2, trials=1, seeds=1)


class Recorder(Neighbours):
    """Remembers what graphs were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Ratings | Sequences, Side, int]] = []

    def graph(self, train: Ratings | Sequences, side: Side, k: int) -> Graph:
        self.asked.append((train, side, k))
        return super().graph(train, side, k)


def make() -> tuple[Fitter, Recorder]:
    ratings, _ = planted_clusters(num_users=60, num_items=40, num_ratings=1200, num_clusters=4, seed=1)
    train, test = split.per_user(ratings, 0.2, seed=0)
    learn, validation = split.per_user(train, 0.1, seed=0)
    recorder = Recorder()
    return Fitter(CompareData(train, test), SETTINGS, ((learn, validation),), recorder), recorder


def test_a_trial_never_sees_the_validation_part() -> None:
    fitter, recorder = make()
    record = fitter.trial(ARM, dict(ARM.defaults), lambda _: False)
    assert [part is fitter.splits[0][0] for part, _, _ in recorder.asked] == [True, True]
    assert [asked[1:] for asked in recorder.asked] == [("user", 4), ("item", 4)]
    assert record["params"]["rho_item"] == "inf"
    assert record["params"]["neighbours"] == 4


def test_a_final_fit_uses_the_whole_of_train() -> None:
    fitter, recorder = make()
    model = fitter.final(ARM, dict(ARM.defaults), 2, 0, lambda _: False)
    assert [part is fitter.data.train for part, _, _ in recorder.asked] == [True, True]
    assert model.item_graph is recorder.graph(fitter.data.train, "item", 4)


@pytest.mark.parametrize("kind", ["sasrec", "ssept"])
def test_of_histories_items_alone_have_neighbours(kind: str) -> None:
    """They are those of the part that a fit learns from: the validation part is history on test, never learned."""
    rng = np.random.default_rng(0)
    parts = leave_last_out(Sequences.from_arrays(np.repeat(np.arange(40), 8), rng.integers(0, 20, 320)))
    settings = SequenceSettings(hidden=8, max_length=8, epochs=1, trials=1, seeds=1)
    recorder = Recorder()
    fitter = Fitter(
        CompareData(parts.train, parts.test, validation=parts.validation),
        settings,
        ((parts.train, parts.validation),),
        recorder,
    )
    (arm,) = (arm for arm in SequenceTask().arms(settings, kind) if arm.name == "sse-cooccurrence")
    model = fitter.final(arm, dict(arm.defaults), 1, 0, lambda _: False)
    assert [asked[1:] for asked in recorder.asked] == [("item", 10)]
    assert recorder.asked[0][0] is parts.train
    assert model.item_graph is recorder.graph(parts.train, "item", 10)
    assert model.rho_item == float("inf")
    assert getattr(model, "user_graph", None) is None


def test_control_arms_without_cooccurrence_ask_for_no_graph() -> None:
    fitter, recorder = make()
    plain = standard_arms(biases=True)[0]
    fitter.trial(plain, dict(plain.defaults), lambda _: False)
    assert recorder.asked == []


def test_graphs_against_jaccard_by_hand() -> None:
    ratings = Ratings.from_arrays(list("aabbbcc"), [1, 2, 1, 2, 3, 2, 3], [0.0, 5, 4, 3, 2, 1, 5])
    seen = [set("ab"), set("abc"), set("bc")]
    jaccard = [[len(x & y) / len(x | y) for y in seen] for x in seen]
    nearest = {
        frozenset((i, max((j for j in range(3) if j != i), key=lambda j: (jaccard[i][j], -j)))) for i in range(3)
    }
    src, dst, _ = cooccurrence_graph(ratings, "item", 1).edges()
    assert {frozenset(pair) for pair in zip(src.tolist(), dst.tolist())} == nearest


def test_a_rating_of_zero_is_a_rating() -> None:
    ratings = Ratings.from_arrays([1, 1, 2, 2], [7, 8, 7, 8], [0.0, 1.0, 0.0, 2.0])
    assert cooccurrence_graph(ratings, "item", 1).num_edges == 2


def test_graphs_do_not_depend_on_the_values() -> None:
    fitter, _ = make()
    train = fitter.data.train
    other = replace(train, ratings=np.ascontiguousarray(train.values[::-1]))
    for side in SIDES:
        mine, theirs = (cooccurrence_graph(part, side, 3) for part in (train, other))
        assert mine.indices.tolist() == theirs.indices.tolist()


def test_graphs_are_made_once() -> None:
    fitter, recorder = make()
    first = recorder.graph(fitter.splits[0][0], "item", 3)
    assert recorder.graph(fitter.splits[0][0], "item", 3) is first
    assert recorder.graph(fitter.splits[0][0], "item", 2) is not first
    assert recorder.graph(fitter.splits[0][0], "user", 3) is not first


@pytest.mark.parametrize("value", [2.4, 19.6, 7.5])
def test_neighbours_are_whole(value: float) -> None:
    assert ARM.space["neighbours"].clip(value).is_integer()
