"""SIGKILL at any moment, in every estimator that trains in epochs: at most the epoch under way is lost, the result is
the same to the bit; and what is not a whole checkpoint or model of ours is refused by one clear error."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from killing import ANY_THREADS, EPOCHS, ESTIMATORS, build, parts, result

from torchsse.errors import ConfigError, CorruptFileError
from torchsse.recsys import storage

HERE = Path(__file__).parent
DEATHS, CALLS, SEED = 3, 20, 7


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Any]:
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "killing.py"), *map(str, (SEED, DEATHS, CALLS))]
    run = subprocess.run(
        command, env={**os.environ, **threads}, capture_output=True, text=True, timeout=280, check=False
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_killed_run_goes_on(name: str, outcomes: dict[str, Any]) -> None:
    found = outcomes[name]
    assert found["control_differs"]
    assert len(found["moments"]) == DEATHS
    for trial in found["moments"]:
        assert trial["killed"]
        assert 1 <= trial["last"] <= EPOCHS  # killed after it told the last one, on a busy machine
        # its last epoch was told before its checkpoint was written: that one may be lost, no other
        assert trial["last"] <= trial["resumed"] <= trial["last"] + 2
        assert trial["same"], trial
        assert not trial["left"], "files of a killed write stay behind"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_killed_before_every_single_write(outcomes: dict[str, Any]) -> None:
    trials = outcomes["weighted-cg"]["calls"]
    assert [t["killed"] and t["same"] and not t["left"] for t in trials] == [True] * CALLS
    assert all(t["last"] <= t["resumed"] <= t["last"] + 1 for t in trials)
    assert {t["resumed"] - t["last"] for t in trials} == {0, 1}  # before and after the exchange of the manifest


# files that are not ours, or no longer ------------------------------------------------------------------------------


def wounded(content: bytes, rng: np.random.Generator) -> list[tuple[str, bytes]]:
    """Ways to spoil a file."""
    size = len(content)
    found = [(f"cut to {at}", content[:at]) for at in {0, 1, size // 2, size - 1, *rng.integers(1, size, 3).tolist()}]
    for at in {0, size - 1, *rng.integers(0, size, 6).tolist()}:
        flipped = bytearray(content)
        flipped[at] ^= 1 << int(rng.integers(8))
        found.append((f"bit flipped at {at}", bytes(flipped)))
    found.append(("longer", content + b" "))
    found.append(("noise", rng.bytes(size)))
    found.append(("JSON of another kind", b"[]"))
    return found


@pytest.fixture(scope="module", params=ESTIMATORS)
def written(request, tmp_path_factory) -> tuple[str, Path, Path]:
    """A checkpoint and a saved model."""
    folder = tmp_path_factory.mktemp(request.param)
    build(request.param, folder / "run").fit(*parts()).save(folder / "model")
    return request.param, folder / "run", folder / "model"


def test_spoiled_files_are_refused(written, tmp_path) -> None:
    name, checkpoint, saved = written
    kind, refused = type(build(name, None)), 0
    rng = np.random.default_rng(SEED)
    for source, use in (
        (checkpoint, lambda path: build(name, path).fit(*parts())),
        (saved, lambda path: kind.load(path)),
    ):
        for victim in sorted(str(p.relative_to(source)) for p in source.rglob("*") if p.is_file()):
            whole = (source / victim).read_bytes()
            for how, content in wounded(whole, rng):
                path = tmp_path / "spoiled"
                shutil.copytree(source, path)
                (path / victim).write_bytes(content)
                if content != whole:
                    with pytest.raises(CorruptFileError, match="spoiled") as error:
                        use(path)
                    assert len(str(error.value)) < 400, how
                    assert (path / victim).read_bytes() == content, "the evidence is kept"
                    refused += 1
                shutil.rmtree(path)
            (tmp_path / "spoiled").mkdir()
            shutil.copytree(source, tmp_path / "spoiled", dirs_exist_ok=True)
            (tmp_path / "spoiled" / victim).unlink()
            if victim != storage.MANIFEST:
                with pytest.raises(CorruptFileError, match="spoiled"):
                    use(tmp_path / "spoiled")
            shutil.rmtree(tmp_path / "spoiled")
    assert refused > 80


def test_foreign_directories_are_refused_before_training(written, tmp_path) -> None:
    name, checkpoint, saved = written
    epochs: list[int] = []

    def fit(path: Path, **words: Any) -> Any:
        return build(name, path, **words).fit(*parts(), callback=lambda epoch, _: epochs.append(epoch) and None)

    with pytest.raises(CorruptFileError, match="expected a saved checkpoint, got"):
        fit(saved)
    with pytest.raises(CorruptFileError, match="got 'checkpoint'"):
        type(build(name, None)).load(checkpoint)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="found a file"):
        fit(tmp_path / "file")
    with pytest.raises(ConfigError, match="found 'file' in it"):
        fit(tmp_path)
    for words in ({"seed": 4}, {"patience": 5}, {"init_std": 0.3}):
        with pytest.raises(ConfigError, match="other settings or data"):
            build(name, checkpoint).set_params(**words).fit(*parts())
    with pytest.raises(ConfigError, match="other settings or data"):
        build(name, checkpoint).fit(parts()[0])
    with pytest.raises(ConfigError, match="other settings or data"):
        build(name, checkpoint).fit(parts()[0], parts()[1].select(np.arange(20)))
    assert not epochs
    assert (tmp_path / "file").read_text() == "mine"
    # its own: nothing is left to do
    again = fit(checkpoint, num_threads=2 if name in ANY_THREADS else 1)
    assert not epochs
    assert result(again) == result(type(again).load(saved))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_run_that_has_ended_is_asked_for_more(name: str, tmp_path: Path) -> None:
    """Three epochs, then eight, are eight; fewer than it has are refused, and what it has is kept."""
    short = build(name, tmp_path).set_params(epochs=3).fit(*parts())
    epochs: list[int] = []
    model = build(name, tmp_path).fit(*parts(), callback=lambda epoch, _: epochs.append(epoch) and None)
    whole = result(build(name, None).fit(*parts()))
    assert epochs == [4, 5, 6, 7, 8]
    assert result(model) == whole != result(short)
    with pytest.raises(ConfigError, match=r"the run in it has 8 epochs, got epochs 7: ask for as many or more"):
        build(name, tmp_path).set_params(epochs=7).fit(*parts())
    assert result(build(name, tmp_path).fit(*parts())) == whole


def test_a_schedule_over_all_epochs_ties_a_run_to_them(tmp_path: Path) -> None:
    build("mf", tmp_path, p0_schedule="anneal").fit(*parts())
    with pytest.raises(ConfigError, match="other settings or data"):
        build("mf", tmp_path, p0_schedule="anneal").set_params(epochs=EPOCHS + 1).fit(*parts())


def test_a_run_that_is_ended_between_two_measurements_is_measured(tmp_path: Path) -> None:
    """Killed in its sixth epoch of eight, asked for five: as a run of five, whose last is measured too."""
    every = {"validate_every": 3}
    whole = build("bpr", None, **every).set_params(epochs=5).fit(*parts())

    def dies(epoch: int, _info: dict[str, Any]) -> None:
        if epoch == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build("bpr", tmp_path, **every).fit(*parts(), callback=dies)
    for _ in range(2):  # and the second time nothing is left to do
        assert result(build("bpr", tmp_path, **every).set_params(epochs=5).fit(*parts())) == result(whole)
    assert [epoch for epoch, row in enumerate(whole.history_, 1) if len(row) > 4] == [3, 5]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_run_that_stopped_early_stays_stopped(name: str, tmp_path: Path) -> None:
    """And a checkpoint that is written seldom still holds the end."""

    def stop(epoch: int, _info: dict[str, Any]) -> bool:
        return epoch == 4

    words = {"checkpoint_seconds": 3600.0} if name.startswith("weighted") else {}
    first = build(name, tmp_path, patience=2, **words).fit(*parts(), callback=stop)
    epochs: list[int] = []
    again = build(name, tmp_path, patience=2).fit(*parts(), callback=lambda epoch, _: epochs.append(epoch) and None)
    assert first.stopped_ in ("callback", "patience")
    assert not epochs
    assert result(again) == result(first)
    # the parameters are those of the best epoch, not of the last
    values = [next(v for k, v in row.items() if k.startswith("validation")) for row in again.history_]
    best = max if "precision@10" in str(list(again.history_[0])) else min
    assert values[again.best_epoch_ - 1] == best(values)
