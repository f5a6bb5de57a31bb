"""Training: it learns a made language, goes on after SIGKILL to the same bits, and leaves a plain model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from translation_case import TINY, made_corpus

from torchsse.errors import ConfigError, CorruptFileError, DataError
from torchsse.metrics import score_translations
from torchsse.nlp.bpe import encode, learn_bpe
from torchsse.nlp.corpus import Corpus
from torchsse.nlp.translation import TranslationSettings, Translator, train_translation
from torchsse.nlp.translation.batches import Batches, collate
from torchsse.nlp.translation.model import attach_to_translator, make_model, target_sse, translation_loss

transformers = pytest.importorskip("transformers")

ROOT = Path(__file__).parent.parent.parent
TRAIN, TEST = made_corpus(600, 0), made_corpus(60, 1)
FLOOR = 80.0


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def settings(**changes: Any) -> TranslationSettings:
    return TranslationSettings.of("tiny", **{**TINY, **changes})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("translation") / "model"
    train_translation(TRAIN, out, settings(p0_labels=0.01), dev=made_corpus(20, 2))
    return out


def bleu(model: Path, corpus: Corpus = TEST) -> float:
    return score_translations(Translator.load(model).translate(corpus.source), corpus.target, n_boot=1).score


def test_a_made_language_is_learnt(trained: Path) -> None:
    assert bleu(trained) > FLOOR


def test_control_a_language_without_rule_is_not_learnt(tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(len(TRAIN))
    scrambled = Corpus(TRAIN.source, [TRAIN.target[i] for i in order])
    train_translation(scrambled, tmp_path / "m", settings(max_steps=60))
    assert bleu(tmp_path / "m") < FLOOR / 2


def test_the_record(trained: Path) -> None:
    record = json.loads((trained / "translation.json").read_text())
    assert record["pairs"] == 600
    assert record["steps"] == 150
    assert record["settings"]["p0"] == 0.01
    losses = [entry["train_loss"] for entry in record["history"]]
    assert losses[-1] < losses[0] / 3
    best = min(record["history"], key=lambda entry: entry["dev_loss"])
    assert record["averaged"][-1] == best["step"]
    assert len(record["averaged"]) == 3
    assert record["dev_loss"] < 1.2 * best["dev_loss"]
    assert not (trained / "training").exists()


def test_plain_transformers_load_it(trained: Path) -> None:
    """No torchsse: the auto classes, and generate with the configuration that was saved."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(trained)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(trained).eval()
    assert isinstance(model, transformers.MarianMTModel)
    batch = tokenizer(TEST.source[:6], padding=True, return_tensors="pt")
    plain = tokenizer.batch_decode(model.generate(**batch), skip_special_tokens=True)
    assert plain == Translator.load(trained).translate(TEST.source[:6])
    files = {path.suffix for path in trained.iterdir()}
    assert files <= {".json", ".safetensors"}, "nothing executable"


def test_translate_keeps_order_and_empty_lines(trained: Path) -> None:
    translator = Translator.load(trained)
    lines = [TEST.source[0], "", "the cat.", TEST.source[1], "  "]
    seen: list[tuple[int, int]] = []
    found = translator.translate(lines, batch_tokens=60, callback=lambda done, total: seen.append((done, total)))
    assert [found[1], found[4]] == ["", ""]
    assert [found[0], found[3]] == translator.translate([TEST.source[0], TEST.source[1]])
    assert seen[-1] == (5, 5)
    assert translator.translate([]) == []
    with pytest.raises(DataError, match=r"line 2: .* pieces"):
        translator.translate(["a", "the cat " * 600])
    with pytest.raises(DataError, match="one string"):
        translator.translate("the cat.")
    with pytest.raises(ConfigError, match="at least 1"):
        translator.translate(["a"], beams=0)


CHILD = """
import os, signal, sys, torch
torch.set_num_threads(1)
from test_translation_training import KILLED, short, TRAIN, DEV
from torchsse.nlp.translation import train_translation, updates
updates.SAVE_EVERY = 0.0

class Dies:
    def say(self, message): pass
    def step(self, progress):
        if progress.step >= KILLED:
            os.kill(os.getpid(), signal.SIGKILL)

updates.SHOW_EVERY = 0.0
train_translation(TRAIN, sys.argv[1], short(), dev=DEV, observer=Dies())
"""
KILLED = 7
DEV = made_corpus(20, 2)


def short() -> TranslationSettings:
    return settings(max_steps=12, snapshot_steps=2, p0=0.2, p0_labels=0.1, accumulate=2, dropout=0.2)


def weights(model: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(model / "model.safetensors")


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole = train_translation(TRAIN, tmp_path / "whole", short(), dev=DEV)
    killed = tmp_path / "killed"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(Path(__file__).parent)])}
    child = subprocess.run([sys.executable, "-c", CHILD, str(killed)], env=environment, cwd=ROOT, check=False)
    assert child.returncode == -signal.SIGKILL
    said: list[str] = []

    class Hears:
        def say(self, message: str) -> None:
            said.append(message)

        def step(self, progress: Any) -> None: ...

    resumed = train_translation(TRAIN, killed, short(), dev=DEV, observer=Hears())
    assert f"goes on from step {KILLED - 1} of 12" in said
    expected, found = weights(tmp_path / "whole"), weights(killed)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    for name in ("history", "averaged", "dev_loss"):
        assert whole[name] == resumed[name]
    again = train_translation(TRAIN, killed, short(), dev=DEV)
    assert again == resumed, "a finished run is not trained again"
    other = train_translation(TRAIN, tmp_path / "other", settings(**{**vars(short()), "seed": 1}), dev=DEV)
    assert other["history"] != whole["history"], "control: another seed gives other bits"


def test_another_run_is_not_overwritten(tmp_path: Path, trained: Path) -> None:
    with pytest.raises(ConfigError, match="other settings or data"):
        train_translation(TRAIN, trained, settings(seed=5))
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(ConfigError, match="is not empty"):
        train_translation(TRAIN, tmp_path, settings())
    with pytest.raises(ConfigError, match="not a directory"):
        train_translation(TRAIN, tmp_path / "thesis.txt", settings())
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "translation.json").write_text("{")
    with pytest.raises(CorruptFileError, match="--restart"):
        train_translation(TRAIN, tmp_path / "broken", settings())
    with pytest.raises(DataError, match="no pair of sentences left: all 600"):
        train_translation(TRAIN, tmp_path / "m", settings(max_length=3))


def test_patience_ends_training(tmp_path: Path) -> None:
    """The dev data is another language: its loss soon rises."""
    dev = Corpus(TEST.source, TEST.source)
    steady = settings(max_steps=60, snapshot_steps=4, patience=2, learning_rate=5e-3, warmup=1)
    record = train_translation(TRAIN, tmp_path / "m", steady, dev=dev)
    losses = [entry["dev_loss"] for entry in record["history"]]
    assert len(losses) < 15
    assert len(losses) - 1 - losses.index(min(losses)) == 2
    assert record["averaged"][-1] == record["history"][losses.index(min(losses))]["step"]


@pytest.fixture(scope="module")
def parts() -> tuple[Any, Any, Any, Any]:
    bpe = learn_bpe([*TRAIN.source, *TRAIN.target], 400)
    torch.manual_seed(0)
    model = make_model(settings(dropout=0.0), bpe)
    return bpe, model, encode(bpe, TRAIN.source), encode(bpe, TRAIN.target)


def test_the_loss_is_that_of_transformers(parts: tuple[Any, Any, Any, Any]) -> None:
    bpe, model, source, target = parts
    batch = collate(source, target, np.array([0, 5, 2]), bpe.pad_token_id, model.config.decoder_start_token_id)
    given = bpe([TRAIN.source[i] for i in (0, 5, 2)], padding=True, return_tensors="pt")
    labels = bpe([TRAIN.target[i] for i in (0, 5, 2)], padding=True, return_tensors="pt").input_ids
    labels[labels == bpe.pad_token_id] = -100
    model.train()
    theirs = model(**given, labels=labels)
    assert len(batch.labels) == int((labels != -100).sum())
    ours = translation_loss(model, batch, 0.0) / len(batch.labels)
    torch.testing.assert_close(ours, theirs.loss)
    smoothed = torch.nn.functional.cross_entropy(theirs.logits.flatten(0, 1), labels.flatten(), label_smoothing=0.1)
    torch.testing.assert_close(translation_loss(model, batch, 0.1) / len(batch.labels), smoothed)


def test_each_side_swaps_within_its_own_words(parts: tuple[Any, Any, Any, Any]) -> None:
    bpe, model, source, target = parts
    model.train()
    seen: dict[str, torch.Tensor] = {}
    with attach_to_translator(model, 1.0, source, target) as handle:
        assert set(handle.names) >= {"model.encoder.embed_tokens", "model.decoder.embed_tokens"}
        for side in ("encoder", "decoder"):
            table = getattr(model.model, side).embed_tokens
            table.register_forward_pre_hook(lambda _, args, side=side: seen.__setitem__(side, args[0]))
        batch = collate(source, target, np.arange(600), bpe.pad_token_id, model.config.decoder_start_token_id)
        translation_loss(model, batch, 0.1)
    for side, own, ids in (("encoder", source, batch.source), ("decoder", target, batch.given)):
        special = (ids == bpe.pad_token_id) | (ids == bpe.eos_token_id)
        swapped = seen[side]
        assert torch.equal(swapped[special], ids[special])
        assert (swapped[~special] != ids[~special]).all(), "at p0 = 1 every word is another"
        drawn = set(swapped[~special].tolist())
        words = set(own.ids.tolist()) - {bpe.pad_token_id, bpe.eos_token_id}
        assert drawn == words, "the own words, and all of them"
    assert set(source.ids.tolist()) != set(target.ids.tolist())
    model.eval()
    assert torch.equal(model.model.encoder.embed_tokens(batch.source), model.model.shared(batch.source))
    labels = target_sse(model, 1.0, target)
    assert translation_loss(model, batch, 0.0, labels) == translation_loss(model, batch, 0.0), "not in evaluation"
    model.train()
    assert translation_loss(model, batch, 0.0, labels) != translation_loss(model, batch, 0.0)


def test_batches_hold_every_pair_once_and_their_tokens(parts: tuple[Any, Any, Any, Any]) -> None:
    source, target = parts[2:]
    batches = Batches(source, target, 200, seed=3)
    first, second = batches.epoch(0), batches.epoch(1)
    for epoch in (first, second):
        assert sorted(np.concatenate(epoch).tolist()) == list(range(600))
        assert len(epoch) == len(batches)
        for rows in epoch:
            assert max(source.lengths[rows].max(), target.lengths[rows].max()) * len(rows) <= 200
    assert any(a.tolist() != b.tolist() for a, b in zip(first, second, strict=True))
    assert all(a.tolist() == b.tolist() for a, b in zip(first, Batches(source, target, 200, 3).epoch(0), strict=True))
    assert len(Batches(source, target, 1, 0)) == 600, "a pair longer than the budget is a batch of its own"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"p0": 1.5}, "p0 in"), ({"dropout": 1.0}, "dropout in"), ({"heads": 3}, "3 heads divide"),
        ({"epochs": 0}, "epochs"), ({"learning_rate": float("nan")}, "learning_rate"),
        ({"schedule": "cos"}, "schedule"),
        ({"colour": 1}, "'colour'"), ({"warmup": -1}, "warmup"), ({"max_ratio": 0.5}, "max_ratio"),
    ],
)  # fmt: skip
def test_bad_settings(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        settings(**changes)


def test_bf16_is_another_arithmetic_of_the_same_training(tmp_path: Path) -> None:
    losses = {}
    for precision in ("fp32", "bf16"):
        chosen = settings(p0_labels=0.01, precision=precision)
        done = train_translation(TRAIN, tmp_path / precision, chosen, device="cpu")
        losses[precision] = [entry["train_loss"] for entry in done["history"]]
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)


def test_bad_size_and_bad_directories(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tiny, small, base"):
        TranslationSettings.of("huge")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"no config\.json"):
        Translator.load(tmp_path)
