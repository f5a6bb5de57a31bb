"""The comparison over histories: both protocols against an oracle, resumption within a fit, what is refused."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import implicit_case
import numpy as np
import pytest
import sequence_case
from compare_case import Quiet, timeless
from sequence_case import SETTINGS, case

from torchsse.data import Sequences
from torchsse.data.sequence_split import leave_last_out, split_by_time
from torchsse.errors import ConfigError
from torchsse.experiments.compare import compare
from torchsse.experiments.fit_files import FITS
from torchsse.experiments.kinds import SASREC, SSEPT_KIND
from torchsse.experiments.models import load_model
from torchsse.experiments.reproduce.paper import TABLE4
from torchsse.experiments.reproduce.table import Overrides
from torchsse.experiments.reproduce.table4 import table4
from torchsse.experiments.search import propose
from torchsse.experiments.sequence_arms import deeper_arms, published_arms, sequence_arms, strong_arms
from torchsse.experiments.sequence_settings import METRICS, SequenceSettings
from torchsse.experiments.sequence_task import CANDIDATES, SequenceTask
from torchsse.experiments.settings import CompareData, CompareSettings
from torchsse.experiments.today_arms import several_arms
from torchsse.recsys.sequence import Candidates
from torchsse.recsys.sequence.settings import setting
from torchsse.recsys.sequence.trainer import SequenceTrainer
from torchsse.report import markdown_page, remarks, verdict

ARMS = ["none", "sse-graph", "sse-pt"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("sequences") / "out"
    data, arms = case()
    return out, compare(data, arms, SETTINGS, out, jobs=2, observer=Quiet())


def test_records(finished: tuple[Path, dict[str, Any]]) -> None:
    out, returned = finished
    document = json.loads((out / "results.json").read_text(), parse_constant=pytest.fail)
    assert document == json.loads(json.dumps(returned))
    records = document["results"]
    assert [(r["metric"], r["arm"]) for r in records] == [(metric, arm) for metric in METRICS for arm in ARMS]
    for record in records[:3]:
        values = [trial["value"] for trial in record["search"]]
        assert record["validation_ndcg@10"] == max(values)
        assert len(record["epochs_run"]) == len(record["stopped"]) == len(record["seeds"]) == SETTINGS.seeds
        for best, run, why in zip(record["best_epochs"], record["epochs_run"], record["stopped"]):
            assert best <= run <= SETTINGS.epochs
            assert run == SETTINGS.epochs if why == "epochs" else run - best >= SETTINGS.patience
        assert record["best_epochs"][0] == record["best_epoch"], "the first final fit is the chosen trial's"
    assert document["provenance"]["config"]["task"] == "compare-sequences"
    assert not (out / FITS).exists(), "nothing is kept of fits that are done"
    page = markdown_page(document, [])
    assert "100 random ones, drawn once" in page
    assert "sampled HR@10" in page
    assert verdict(document)
    assert any("2 seeds are few" in remark for remark in remarks(document))


def test_both_protocols_against_an_oracle(finished: tuple[Path, dict[str, Any]]) -> None:
    """The saved model, user by user, with the stored random items."""
    out, document = finished
    data, _ = case()
    saved = document["provenance"]["model"]
    stored = np.load(out / "predictions" / f"{saved['arm']}-{saved['seed']}.npy", allow_pickle=False)
    model: Any = load_model(out / saved["directory"])
    drawn = Candidates.load(out / CANDIDATES)
    assert drawn.negatives.shape == (len(stored), 100)
    best = data.validation
    assert best is not None
    on_validation = model.evaluate(best, ks=(10,))["means"]["ndcg@10"]
    chosen = next(r for r in document["results"] if r["arm"] == saved["arm"])
    assert on_validation == pytest.approx(chosen["validation_ndcg@10"], abs=1e-6)
    model.observe(best)
    test: Any = data.test
    for row, user in enumerate(range(test.num_users)):
        target, history = int(test.of(user)[0]), set(data.train.of(user)) | set(best.of(user))  # type: ignore[union-attr]
        scores = model._score_users(np.array([user]))[0]
        rank = sum(scores[i] > scores[target] for i in range(len(scores)) if i not in history and i != target)
        others = model.item_ids.encode(drawn.negatives[row])
        assert not (set(others.tolist()) & (history | {target}))
        sampled = int((scores[others] >= scores[target]).sum())
        wanted = [v for r in (rank, sampled) for v in ((1 / np.log2(r + 2), 1.0) if r < 10 else (0.0, 0.0))]
        assert stored[row] == pytest.approx(wanted, abs=1e-5)
    means = {r["metric"]: r["per_seed"][0] for r in document["results"] if r["arm"] == saved["arm"]}
    assert [means[name] for name in METRICS] == pytest.approx(stored.astype(np.float64).mean(0))


def test_what_holds_for_every_arm_reaches_its_estimator() -> None:
    given = {
        "blocks": 3, "heads": 2, "inner": 24, "max_length": 7, "attention_dropout": 0.3, "loss": "gbce",
        "num_negatives": 9, "unseen_negatives": True, "random_window": 0.5, "positions": "rotary", "temperature": 0.1,
        "ema_decay": 0.5, "learning_rate_decay": 0.9, "p0_schedule": "warmup", "precision": "bf16", "metric": "hr@10",
        "learning_rate": 0.02, "batch_size": 5, "validate_every": 4, "num_threads": 2,
    }  # fmt: skip
    settings = SequenceSettings(hidden=16, **given)
    usual = SequenceSettings()
    assert all(getattr(usual, name) != value for name, value in given.items()), "else a default would pass for it"
    for kind in (SASREC, SSEPT_KIND):
        words = kind.build(settings, {}).get_params()
        assert {name: words[name] for name in given} == given
        # an arm's own go before them
        assert kind.build(settings, {"precision": "fp32"}).get_params()["precision"] == "fp32"


def test_a_restart_with_other_data_keeps_their_random_items(tmp_path: Path) -> None:
    few = replace(SETTINGS, trials=1, seeds=1, epochs=1)
    for seed, restart in ((0, False), (1, True)):
        data, arms = case(seed)
        compare(data, arms[:1], few, tmp_path, jobs=1, observer=Quiet(), restart=restart)
        wanted, found = SequenceTask().part(data).candidates, Candidates.load(tmp_path / CANDIDATES)
        for name in ("users", "targets", "negatives"):
            assert np.array_equal(getattr(found, name), getattr(wanted, name)), (seed, name)


def test_nothing_is_kept_of_a_fit_that_was_made_again(tmp_path: Path) -> None:
    """Predictions of a finished run got lost: its model is there, so no model ends the run."""
    few = replace(SETTINGS, trials=1, seeds=1, epochs=1)
    data, arms = case()
    document = compare(data, arms[:1], few, tmp_path, jobs=1, observer=Quiet())
    (tmp_path / "predictions" / "none-0.npy").unlink()
    observer = Quiet()
    assert timeless(compare(data, arms[:1], few, tmp_path, jobs=1, observer=observer)) == timeless(document)
    assert observer.labels == ["none, seed 0"]
    assert not (tmp_path / FITS).exists()


def coming_back(num_users: int) -> CompareData:
    """The same data, but the last action of so many users is their first once more."""
    whole = sequence_case.histories()
    rows = {user: list(whole.item_ids.ids[whole.of(user)]) for user in range(whole.num_users)}
    for user in range(num_users):
        rows[user][-1] = rows[user][0]
    pairs = [(user, item) for user, items in rows.items() for item in items]
    parts = leave_last_out(Sequences.from_arrays(*np.array(pairs).T))
    return CompareData(parts.train, parts.test, None, None, case()[0].files, validation=parts.validation)


def test_users_who_come_back_to_an_item_are_counted(tmp_path: Path) -> None:
    """They have no value among all items, and nobody is told that they have."""
    few = replace(SETTINGS, trials=1, seeds=1, epochs=1)
    arms = case()[1][:1]
    document = compare(coming_back(7), arms, few, tmp_path / "some", jobs=1, observer=Quiet())
    assert {record["n_repeats"] for record in document["results"]} == {7}
    stored = np.load(tmp_path / "some" / "predictions" / "none-0.npy")
    assert np.isnan(stored[:, 0]).sum() == 7
    assert any(remark.startswith("7 of 80 users are left out among all items") for remark in remarks(document))
    assert "among all items (without 7 users who had it before)" in markdown_page(document, [])
    with pytest.raises(ConfigError, match=r"with an item that is new to them, got 1 of 80"):
        compare(coming_back(79), arms, few, tmp_path / "none", jobs=1, observer=Quiet())
    assert not (tmp_path / "none").exists()


def timed(num_users: int = 60) -> Sequences:
    """Users who begin at different times, some in the last tenth; a few come back to what they had."""
    g = np.random.default_rng(3)
    whole = sequence_case.histories(num_users=num_users)
    starts = np.sort(g.integers(0, 100, num_users))
    users = np.repeat(np.arange(num_users), np.diff(whole.offsets))
    times = starts[users] + np.arange(len(users)) % 14
    items = np.where(g.random(len(users)) < 0.1, whole.items[whole.offsets[users]], whole.items)
    return Sequences.from_arrays(users, items, times)


def test_a_global_split_in_time_has_users_with_many_targets_and_without_a_history(tmp_path: Path) -> None:
    parts = split_by_time(timed())
    words = (("split", "time"),)
    data = CompareData(parts.train, parts.test, None, None, case()[0].files, reading=words, validation=parts.validation)
    part = SequenceTask().part(data)
    history = [{*parts.train.of(u).tolist(), *parts.validation.of(u).tolist()} for u in range(60)]
    targets = [set(parts.test.of(u).tolist()) for u in range(60)]
    assert part.users.tolist() == [u for u in range(60) if targets[u]]
    assert part.repeats == sum(bool(t) and t <= h for t, h in zip(targets, history)) > 0
    assert any(len(t) > 1 for t in targets)
    assert any(t and not h for t, h in zip(targets, history)), "no user is new"
    few = replace(SETTINGS, trials=1, seeds=1, epochs=2)
    document = compare(data, case()[1][:1], few, tmp_path, jobs=1, observer=Quiet())
    config = document["provenance"]["config"]
    assert config["split"] == "test: the latest tenth of all actions; validation: the tenth before"
    stored = np.load(tmp_path / "predictions" / "none-0.npy")
    assert stored.shape == (len(part), 4)
    gone = [targets[user] <= history[user] for user in part.users]
    assert np.isnan(stored[:, :2]).all(1).tolist() == np.isnan(stored[:, :2]).any(1).tolist() == gone
    new = [not history[user] for user in part.users]
    assert (np.nan_to_num(stored[new]) == 0).all(), "nothing is known of them, so nothing is ranked"
    assert f"the latest {len(parts.test)} actions, of {len(part)} users" in markdown_page(document, [])


class Crash(Quiet):
    """An observer that dies after so many epochs."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.left = epochs

    def progress(self, label: str, fraction: float) -> None:
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("crash")


def test_a_fit_goes_on_within(
    finished: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed every few epochs: at most one of each fit under way is trained twice, and results agree to the bit."""
    trained: list[int] = []
    plain = SequenceTrainer.epoch

    def counted(self: SequenceTrainer, epoch: int) -> float:
        trained.append(epoch)
        return plain(self, epoch)

    monkeypatch.setattr(SequenceTrainer, "epoch", counted)
    data, arms = case()
    crashes = 0
    while crashes < 4:
        with pytest.raises(RuntimeError, match="crash"):
            compare(data, arms, SETTINGS, tmp_path, jobs=1, observer=Crash(5))
        crashes += 1
    assert (tmp_path / FITS).is_dir()
    document = compare(data, arms, SETTINGS, tmp_path, jobs=2, observer=Quiet())
    whole = [json.loads(line) for line in (finished[0] / "journal.jsonl").read_text().splitlines()]
    # the first final fit of an arm, and the model, are the chosen trial's: nothing is trained for them
    needed = sum(len(r["curve"]["epoch"]) for r in whole if r["kind"] == "trial")
    needed += sum(r["epochs_run"] for r in whole if r["kind"] == "final" and r["seed"] != SETTINGS.seed)
    # when a fit dies the next one may have begun before the run ends
    assert needed <= len(trained) <= needed + 2 * crashes
    assert timeless(document) == timeless(finished[1])
    for path in (finished[0] / "predictions").iterdir():
        assert path.read_bytes() == (tmp_path / "predictions" / path.name).read_bytes()
    assert not (tmp_path / FITS).exists()


@pytest.mark.slow
def test_sigkill_within_a_fit(finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, sequence_case.__file__, str(out), "2", "0"]
    for _ in range(2):
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            deadline, before = time.monotonic() + 200, _epochs(out)
            while process.poll() is None and time.monotonic() < deadline:
                if _epochs(out) != before:
                    process.send_signal(signal.SIGKILL)
                    break
                time.sleep(0.002)
        assert process.returncode == -signal.SIGKILL
    data, arms = case()
    assert timeless(compare(data, arms, SETTINGS, out, jobs=1, observer=Quiet())) == timeless(finished[1])


def _epochs(out: Path) -> list[tuple[str, int]]:
    """The checkpoints that are there, with the time of their last epoch."""
    return [(path.parent.name, path.stat().st_mtime_ns) for path in sorted(out.glob(f"{FITS}/*/model.json"))]


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    data, arms = case()
    with pytest.raises(ConfigError, match="SequenceSettings are needed"):
        compare(data, arms, CompareSettings(), tmp_path, jobs=1, observer=Quiet())
    ratings, others = implicit_case.case()
    with pytest.raises(ConfigError, match="these settings are for histories"):
        compare(ratings, others, SETTINGS, tmp_path, jobs=1, observer=Quiet())
    with pytest.raises(ConfigError, match="what came between train and test"):
        compare(replace(data, validation=None), arms, SETTINGS, tmp_path, jobs=1, observer=Quiet())
    for wrong in ({"hidden": 9, "heads": 2}, {"inner": 0}, {"loss": "hinge"}, {"blocks": 0}, {"epochs": 0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            SequenceSettings(**wrong)  # type: ignore[arg-type]


def test_negatives_are_as_many_as_the_loss_needs() -> None:
    for loss, wanted in (("bce", 1), ("sampled-softmax", 256), ("gbce", 256)):
        settings = SequenceSettings(loss=loss)
        assert settings.num_negatives == wanted
        assert SequenceSettings(loss=loss, num_negatives=7).num_negatives == 7
        model: Any = SASREC.build(settings, {})
        assert (model.num_negatives, model.shared_negatives) == (wanted, wanted > 1)
        several: Any = SASREC.build(SequenceSettings(loss=loss, num_negatives=7), {})
        assert (several.num_negatives, several.shared_negatives) == (7, loss != "bce")
        told: Any = SASREC.build(SequenceSettings(loss=loss, num_negatives=7, shared_negatives=True), {})
        assert told.shared_negatives
        with pytest.raises(ConfigError, match="num_negatives must be at least 1"):
            SequenceSettings(loss=loss, num_negatives=0)
    assert SequenceSettings(loss="softmax").num_negatives is None
    assert SASREC.build(SequenceSettings(loss="softmax"), {})
    with pytest.raises(ConfigError, match="softmax is over all items and draws none, got 5"):
        SequenceSettings(loss="softmax", num_negatives=5)
    for arm in several_arms():
        eight: Any = SASREC.build(SETTINGS, {**arm.fixed})
        assert (eight.loss, eight.num_negatives, eight.shared_negatives) == ("bce", 8, False)
        assert (eight.positions, eight.random_window, eight.learning_rate, eight.temperature) == (
            "rotary", 0.5, 0.002, None,
        )  # fmt: skip
    deep: Any = SASREC.build(SETTINGS, {**several_arms(blocks=6)[0].fixed})
    assert (deep.blocks, deep.learning_rate, deep.num_negatives) == (6, 0.001, 8)
    assert (deep.heads, deep.inner) == (1, None)
    wide: Any = SASREC.build(SETTINGS, {**several_arms(wide=64)[1].fixed})
    assert (wide.heads, wide.inner, wide.num_negatives, wide.learning_rate) == (2, 64, 8, 0.002)
    more: Any = SASREC.build(SETTINGS, {**several_arms(blocks=6, wide=64, negatives=32)[0].fixed})
    assert (more.num_negatives, more.shared_negatives, more.blocks, more.inner) == (32, False, 6, 64)
    # an arm's own loss and negatives win
    arm = strong_arms(loss="sampled-softmax")[0]
    model = SASREC.build(SETTINGS, {**arm.fixed})
    assert (model.loss, model.num_negatives) == ("sampled-softmax", 256)


def test_fits_run_one_at_a_time_but_on_the_cpu() -> None:
    assert SequenceTask().prepare(SETTINGS, 4) == 4
    assert SequenceTask().prepare(replace(SETTINGS, device="meta"), 4) == 1


@pytest.mark.parametrize("device", ["gpu", "cuda:77", "cpu:first"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_written(tmp_path: Path, device: str) -> None:
    data, arms = case()
    with pytest.raises(ConfigError, match=f"^device: torch cannot use '{device}'"):
        compare(data, arms, replace(SETTINGS, device=device), tmp_path / "out", jobs=1, observer=Quiet())
    assert not (tmp_path / "out").exists()


def test_the_papers_rows_have_the_papers_settings() -> None:
    rows = {"": "none", "sse-se-input": "input", "sse-se-output": "output", "sse-se": "both"}
    arms = published_arms(deeper=True)
    assert len(arms) == len(TABLE4) / 2
    for arm in arms:
        model, _, swaps = arm.name.partition(" ")
        published = setting(f"table4-b{'6' if model == 'paper-b6' else '2'}-{rows[swaps]}")
        ours = {"blocks": 2, "p0_input": 0.0, "p0_output": 0.0} | arm.fixed
        assert not arm.space
        assert ours == {name: published.get(name, 0.0) for name in ours}, arm.name
        assert (ours["dropout"], ours["weight_decay"], ours["learning_rate"]) == (0.1, 1e-5, 1e-3)
        said = next(fact.settings for fact in TABLE4 if fact.model == table4(Overrides(size="full")).models[arm.name])
        assert {"p0_input": 0.0, "p0_output": 0.0} | said == {name: ours[name] for name in ("p0_input", "p0_output")}
        assert ours["blocks"] == (6 if "-b6" in arm.name else 2)


def test_arms_differ_in_what_they_name_only() -> None:
    """And share their first points in what they share."""
    arms = {arm.name: arm for arm in sequence_arms(item_graph=True)}
    plain = propose(arms["none"], 0, [], 4, 0)
    for name, arm in arms.items():
        swaps = {"p0_input", "p0_output", "p0_user", "rho_item", "neighbours"}
        assert set(arm.space) <= {"weight_decay", "dropout", *swaps}
        for mine, theirs in zip(propose(arm, 0, [], 4, 0), plain):
            shared = mine.keys() & theirs.keys()
            assert {k: mine[k] for k in shared} == {k: theirs[k] for k in shared}, name
    assert arms["dropout"].fixed == {"weight_decay": 0.0}
    assert arms["weight-decay"].fixed == {"dropout": 0.0}
    assert [arm.name for arm in deeper_arms()] == ["b6", "b6 sse-se"]
    assert [arm.name for arm in strong_arms(item_graph=True)] == ["softmax", "softmax sse-se", "softmax sse-graph"]
    # SSE-PT swaps by default, so its plain arm says that it does not
    over = SequenceTask().arms(SETTINGS, "ssept")
    assert over[0].fixed == {"p0_user": 0.0, "p0_input": 0.0, "p0_output": 0.0}
    assert "sse-pt" not in [arm.name for arm in over]
