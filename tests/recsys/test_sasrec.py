"""SASRec and SSE-PT: they learn what can be learned, swap what they should, resume to the bit, are measured right."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sequence_data import markov

from torchsse.data import Sequences
from torchsse.data.sequence_split import leave_last_out
from torchsse.errors import ConfigError, CorruptFileError, DataError
from torchsse.recsys import SSEPT, SASRec
from torchsse.recsys.sequence import SETTINGS, Candidates, setting
from torchsse.recsys.sequence.trainer import SequenceTrainer

SMALL = {"hidden": 8, "max_length": 12, "batch_size": 16, "epochs": 3}


@pytest.fixture(scope="module")
def parts():
    return leave_last_out(markov(num_users=60, length=16)[0])


def weights(model) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.network.parameters()]


def same(one, two) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights(one), weights(two)))


def test_it_learns_a_chain_of_order_two() -> None:
    whole, best, order_one = markov()
    train, validation, test = leave_last_out(whole)
    model = SASRec(
        hidden=32, dropout=0.0, max_length=30, batch_size=32, learning_rate=0.003, loss="softmax", epochs=40,
        p0_input=0.02, p0_output=0.02,
    ).fit(train)  # fmt: skip
    found = model.evaluate(test, ks=(10,), exclude_seen=False, history=validation)["means"]["hr@10"]
    assert order_one < 0.5 * best
    assert found >= 0.9 * best
    # a model that is not trained knows nothing
    fresh = SASRec(**{**SMALL, "epochs": 1, "learning_rate": 1e-9}).fit(train)
    assert fresh.evaluate(test, ks=(10,), exclude_seen=False)["means"]["hr@10"] < 0.5 * best


@pytest.mark.parametrize(
    "words",
    [
        {"loss": "bce", "num_negatives": 4},
        {"loss": "gbce", "num_negatives": 16, "shared_negatives": True},
        {"loss": "sampled-softmax", "num_negatives": 16},
        {"coupled": True, "p0_input": 0.2},
        {"attention_dropout": 0.1, "heads": 2, "inner": 40},
        {"weight_decay": 1e-3},
    ],
)
def test_every_setting_lowers_its_loss(parts, words) -> None:
    model = SASRec(**{**SMALL, "epochs": 12, "learning_rate": 0.01, **words}).fit(parts.train)
    losses = [info["train_loss"] for info in model.history_]
    assert losses[-1] < 0.97 * losses[0]
    assert model.history_[0]["targets_per_second"] > 0


def test_each_swap_is_made_and_counts(parts) -> None:
    """Each word changes what is learned; without one nothing changes (the control)."""
    plain = SASRec(**SMALL).fit(parts.train)
    assert same(plain, SASRec(**SMALL).fit(parts.train))
    for words in ({"p0_input": 0.3}, {"p0_output": 0.3}, {"p0_input": 0.3, "coupled": True}):
        assert not same(plain, SASRec(**SMALL, **words).fit(parts.train))
    user = SSEPT(**SMALL, user_hidden=8, p0_input=0, p0_output=0, p0_user=0)
    other = SSEPT(**SMALL, user_hidden=8, p0_input=0, p0_output=0, p0_user=0.9)
    assert not same(user.fit(parts.train), other.fit(parts.train))


def test_fits_on_two_threads_share_no_draw(parts) -> None:
    """What a comparison does with several jobs: each ends as it does alone."""

    def fit(seed: int, found: dict[int, SASRec]) -> None:
        words = {"dropout": 0.3, "attention_dropout": 0.3, "p0_input": 0.2, "p0_output": 0.2}
        found[seed] = SASRec(**{**SMALL, "epochs": 6, **words, "seed": seed}).fit(parts.train, parts.validation)

    alone: dict[int, SASRec] = {}
    together: dict[int, SASRec] = {}
    for seed in range(3):
        fit(seed, alone)
    threads = [threading.Thread(target=fit, args=(seed, together)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same(alone[seed], together[seed]) for seed in range(3))
    assert not same(alone[0], alone[1])


def test_it_explains_itself_along_a_graph(parts) -> None:
    ids = parts.train.item_ids.ids
    ring = (ids, np.roll(ids, 1))
    user = parts.train.user_ids.ids[0]
    for words in ({"p0_input": 0.2}, {"p0_output": 0.2}):
        model = SASRec(**SMALL, **words, item_graph=ring, rho_item=100).fit(parts.train)
        history = set(ids[parts.train.of(0)].tolist())
        near = next(i for i, other in zip(ids.tolist(), np.roll(ids, 1).tolist()) if other in history)
        (why,) = model.explain(user, [near])
        assert why.kind == "graph"
        assert {tie.item for tie in why.ties} <= history
        assert why.ties
    # the graph had no part in a fit without swaps
    plain = SASRec(**SMALL, item_graph=ring, rho_item=100).fit(parts.train)
    assert {why.kind for why in plain.explain(user)} == {"none"}


def test_padding_and_unseen_items_are_never_drawn(parts) -> None:
    items = np.append(parts.train.item_ids.ids, [10_000])
    whole = Sequences(parts.train.offsets, parts.train.items, parts.train.user_ids, type(parts.train.item_ids)(items))
    seen, kept = [], SequenceTrainer.loss

    def watch(self, batch, coin, chance):
        seen.append(self._input)
        return kept(self, batch, coin, chance)

    SequenceTrainer.loss = watch
    try:
        model = SASRec(**{**SMALL, "epochs": 1}, p0_input=0.5).fit(whole)
    finally:
        SequenceTrainer.loss = kept
    law = seen[0].law
    assert law.num_embeddings == len(items)  # the padding is no id of it
    assert law.excluded.tolist() == [len(items) - 1]
    assert (model.network.item_embedding.weight[len(items)] == 0).all()


def test_a_graph_steers_the_swaps(parts) -> None:
    ids = parts.train.item_ids.ids
    ring = (ids, np.roll(ids, 1))
    words = {**SMALL, "p0_input": 0.5}
    graph = SASRec(**words, item_graph=ring, rho_item=100).fit(parts.train)
    assert not same(graph, SASRec(**words).fit(parts.train))
    # rho = 1 is SSE-SE
    assert same(SASRec(**words, item_graph=ring, rho_item=1).fit(parts.train), SASRec(**words).fit(parts.train))
    assert graph.dropped_edges_ == {"item": 0}


def test_coupled_swaps_follow_the_code_of_the_authors() -> None:
    from torchsse.recsys.sequence.batches import Packed
    from torchsse.recsys.sequence.swapping import swap_coupled
    from torchsse.recsys.swap_table import SwapTable
    from torchsse.transition import build_law

    n, items = 5000, 1000
    sequence = np.random.default_rng(0).integers(0, items, n).astype(np.int32)
    indptr = np.arange(0, n + 1, 10)
    batch = Packed(indptr, sequence, 20, torch.device("cpu"), 8).batch(np.arange(n // 10))
    law = build_law(items)
    inputs, targets = swap_coupled(batch, SwapTable(law, 0.3), SwapTable(law, 1.0), torch.Generator().manual_seed(0))
    fallen = inputs != batch.inputs
    assert float(fallen.float().mean()) == pytest.approx(0.3, abs=0.03)
    assert (targets[fallen] != batch.targets[fallen]).all()
    last = batch.left[batch.slot] == 0
    following = torch.cat([inputs[1:], inputs[:1]])
    assert torch.equal(targets[~fallen & ~last], following[~fallen & ~last])
    assert torch.equal(targets[~fallen & last], batch.targets[~fallen & last])


def test_early_stopping_keeps_the_best_epoch(parts) -> None:
    words = {**SMALL, "epochs": 30, "learning_rate": 0.05, "validate_every": 1}
    for metric in ("ndcg@10", "sampled_hr@5"):
        model = SASRec(**words, patience=2, metric=metric).fit(parts.train, parts.validation)
        taken = [info[f"validation_{metric}"] for info in model.history_]
        assert model.best_epoch_ == 1 + int(np.argmax(taken))
        assert model.stopped_ == "patience"
        again = SASRec(**{**words, "epochs": model.best_epoch_}, metric=metric).fit(parts.train)
        assert same(model, again)


RUN = """
import sys, torch
from torchsse.recsys import SASRec
from sequence_data import markov
from torchsse.data.sequence_split import leave_last_out
parts = leave_last_out(markov(num_users=60, length=16)[0])
SASRec(hidden=8, max_length=12, batch_size=8, epochs=40, p0_input=.1, p0_output=.1, validate_every=2,
       checkpoint=sys.argv[1]).fit(parts.train, parts.validation)
"""


def test_a_killed_run_goes_on_to_the_same_bits(parts, tmp_path) -> None:
    words = {
        "hidden": 8, "max_length": 12, "batch_size": 8, "epochs": 40, "p0_input": 0.1, "p0_output": 0.1,
        "validate_every": 2,
    }  # fmt: skip
    straight = SASRec(**words).fit(parts.train, parts.validation)
    folder = tmp_path / "run"
    paths = [str(Path(__file__).parent), *sys.path]
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder)], env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    )
    while not (folder / "model.json").exists() and process.poll() is None:
        time.sleep(0.005)
    time.sleep(float(np.random.default_rng().uniform(0, 0.1)))  # anywhere in an epoch, or while writing
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert json.loads((folder / "model.json").read_text())["progress"]["epoch"] < 40, "killed too late to tell"
    resumed = SASRec(**words, checkpoint=folder).fit(parts.train, parts.validation)
    assert same(straight, resumed)
    assert straight.best_epoch_ == resumed.best_epoch_
    assert [i["train_loss"] for i in straight.history_] == [i["train_loss"] for i in resumed.history_]
    with pytest.raises(ConfigError, match="other settings"):
        SASRec(**{**words, "hidden": 4}, checkpoint=folder).fit(parts.train)


def test_a_run_of_other_length_goes_on_or_ends(parts, tmp_path) -> None:
    """A killed run is ended where it is; one that has ended goes on: each as if it had been asked for that at first."""
    words = {**SMALL, "validate_every": 2, "p0_input": 0.1, "p0_output": 0.1, "ema_decay": 0.9}
    straight = {n: SASRec(**{**words, "epochs": n}).fit(parts.train, parts.validation) for n in (3, 4, 8)}

    def dies(epoch: int, _info: Any) -> None:
        if epoch == 4:
            raise KeyboardInterrupt

    def fit(folder: Path, epochs: int, callback: Any = None) -> SASRec:
        return SASRec(**{**words, "epochs": epochs}, checkpoint=folder).fit(parts.train, parts.validation, callback)

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "killed", 8, dies)
    ended = fit(tmp_path / "killed", 3)
    assert same(ended, straight[3])
    assert [bool([k for k in row if "validation" in k]) for row in ended.history_] == [False, True, True]
    assert same(fit(tmp_path / "ended", 4), straight[4])
    assert same(fit(tmp_path / "ended", 8), straight[8])
    with pytest.raises(ConfigError, match="the run in it has 8 epochs, got epochs 4"):
        fit(tmp_path / "ended", 4)


def test_observe_and_typed_histories(parts) -> None:
    model = SASRec(**SMALL).fit(parts.train)
    user = parts.train.user_ids.ids[0]
    before = model.recommend([user], k=5)
    assert model.observe(parts.validation) == 0
    raw = parts.train.item_ids.ids
    typed = [*raw[parts.train.of(0)], *raw[parts.validation.of(0)]]
    items, scores = model.recommend_next(typed, k=5)
    recommended = model.recommend([user], k=5)
    assert items.tolist() == recommended[0][0].tolist()
    assert scores == pytest.approx(recommended[1][0], abs=1e-5)
    assert before[1].tolist() != recommended[1].tolist()
    assert model.recommend_next([typed[0], 999_999, typed[1]], k=60)[0][-1] is None
    with pytest.raises(DataError, match="at least one item"):
        model.recommend_next([999_999])
    assert model.observe(([user, 999_999], [raw[0], raw[0]])) == 1


def test_ssept_knows_its_users(parts) -> None:
    model = SSEPT(**SMALL, user_hidden=6, p0_user=0.5).fit(parts.train)
    history = parts.train.item_ids.ids[parts.train.of(0)].tolist()
    one, two = (model.recommend_next(history, user=u)[1] for u in parts.train.user_ids.ids[:2])
    assert one.tolist() != two.tolist()
    assert np.isfinite(model.recommend_next(history)[1]).all()
    assert one == pytest.approx(model.recommend(parts.train.user_ids.ids[:1])[1][0], abs=1e-5)
    with pytest.raises(DataError, match="user"):
        model.recommend_next(history, user=999_999)


def test_full_and_sampled_measures_against_loops(parts, tmp_path) -> None:
    model = SASRec(**SMALL).fit(parts.train)
    candidates = model.draw_candidates(parts.test, history=parts.validation, negatives=20, seed=3)
    sampled = model.evaluate_sampled(candidates, ks=(1, 10), history=parts.validation)
    full = model.evaluate(parts.test, ks=(10,), history=parts.validation)
    assert "20 random items" in sampled["protocol"]
    assert full["protocol"] == "all items"
    again = SASRec(**SMALL).fit(parts.train)
    again.observe(parts.validation)
    hits, gains, whole = [], [], []
    for row, user in enumerate(candidates.users):
        u = parts.train.user_ids.encode([user])[0]
        known = {*parts.train.of(u).tolist(), *parts.validation.of(u).tolist(), *parts.test.of(u).tolist()}
        negatives = parts.train.item_ids.encode(candidates.negatives[row])
        assert not known & set(negatives.tolist())
        target = parts.test.of(u)[0]
        scores = again._score_users(np.array([u]))[0]
        rank = int((scores[negatives] >= scores[target]).sum())
        hits.append(rank < 10)
        gains.append(1 / np.log2(rank + 2) if rank < 10 else 0.0)
        scores[list(known - {target})] = -np.inf
        if target not in {*parts.train.of(u).tolist(), *parts.validation.of(u).tolist()}:
            whole.append(int((scores > scores[target]).sum()) < 10)
    assert sampled["per_user"]["hr@10"].tolist() == hits
    assert sampled["per_user"]["ndcg@10"] == pytest.approx(gains)
    assert full["means"]["hr@10"] == pytest.approx(np.mean(whole))
    candidates.save(tmp_path / "c")
    loaded = Candidates.load(tmp_path / "c")
    assert model.evaluate_sampled(loaded, ks=(10,), history=parts.validation)["means"]["hr@10"] == np.mean(hits)
    assert repr(loaded) == repr(candidates)
    with pytest.raises(CorruptFileError):
        SASRec.load(tmp_path / "c")


def test_settings_by_name() -> None:
    for name, words in SETTINGS.items():
        (SSEPT if name.startswith("ssept") else SASRec)(**words)
    assert setting("table4-b2-none").get("p0_input", 0) == 0
    with pytest.raises(ConfigError, match="table4"):
        setting("table5")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("words", [{"p0_input": 0.1, "p0_output": 0.1}, {"loss": "softmax"}, {"loss": "gbce"}])
def test_cuda_learns_as_the_cpu_does(parts, words, tmp_path) -> None:
    both = {**SMALL, "epochs": 20, "learning_rate": 0.01, "dropout": 0.0, **words}
    cpu, gpu = (SASRec(**both, device=d).fit(parts.train, parts.validation) for d in ("cpu", "cuda"))
    losses = [m.history_[-1]["train_loss"] for m in (cpu, gpu)]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)
    gpu.save(tmp_path / "m")
    users = parts.train.user_ids.ids[:5]
    assert SASRec.load(tmp_path / "m").recommend(users)[1] == pytest.approx(gpu.recommend(users)[1], abs=1e-4)
