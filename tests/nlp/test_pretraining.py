"""Pre-training: it learns, with SSE too; masks; whole-batch loss; resumed to the bit; plain checkpoints; bad inputs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_text import SPECIALS, WORDS, checkpoint, config, documents, tokenizer, weights

from torchsse.errors import ConfigError, CorruptFileError, DataError
from torchsse.integrations.hf import sse_labels
from torchsse.nlp.checkpoints import load_classifier, load_masked_lm
from torchsse.nlp.masked_head import MaskedHead
from torchsse.nlp.pretraining import PretrainSettings, _Plan, pretrain
from torchsse.nlp.pretraining_masks import Masking
from torchsse.nlp.steps import Progress, Stepping
from torchsse.nlp.texts_tokens import cut_documents

transformers = pytest.importorskip("transformers")

DOCUMENTS = documents(600)[0]
LEARN = {"max_length": 16, "batch_size": 32, "learning_rate": 1e-2, "steps": 120, "held_out": 60}
SHORT = {"max_length": 16, "batch_size": 8, "learning_rate": 1e-3, "steps": 24}


class Told:
    """Keeps what it is told; ends the process's work at a step, as a kill would."""

    def __init__(self, stop: int | None = None) -> None:
        self.lines: list[str] = []
        self.steps: list[Progress] = []
        self.stop = stop

    def say(self, message: str) -> None:
        self.lines.append(message)

    def step(self, progress: Progress) -> None:
        self.steps.append(progress)
        if self.stop is not None and progress.step >= self.stop:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a sentence encoder looks like: no head, a pooler."""
    return checkpoint(tmp_path_factory.mktemp("encoder"), "BertModel")


def test_it_learns_and_sse_at_its_limit_does_not(encoder: Path, tmp_path: Path) -> None:
    """The words of a topic tell each other: 2.84 nats at best, 3.26 by frequencies alone, 3.58 uniformly."""
    told = Told()
    done = pretrain(encoder, DOCUMENTS, tmp_path / "sse", PretrainSettings(**LEARN), observer=told).report
    assert done["held_out_loss_before"] > 3.45
    assert done["held_out_loss"] < 3.1
    assert any("no masked-LM head" in line for line in told.lines)
    assert told.steps[0].step == 1
    assert told.steps[0].seconds_left > 0
    assert told.steps[-1].tokens_per_second > 0
    assert told.steps[-1].seconds_left == 0
    for name in ("p0_input", "p0_label"):  # controls: SSE reaches what is read, and what is to be told
        settings = PretrainSettings(**LEARN, **{name: 1.0})
        spoilt = pretrain(encoder, DOCUMENTS, tmp_path / name, settings).report
        assert spoilt["held_out_loss"] > 3.2
        assert spoilt["held_out_loss_before"] == done["held_out_loss_before"]


def test_bf16_is_another_arithmetic_of_the_same_training(encoder: Path, tmp_path: Path) -> None:
    words = {**SHORT, "p0_input": 0.1, "p0_label": 0.1}
    losses = {}
    for precision in ("fp32", "bf16"):
        out = tmp_path / precision
        done = pretrain(encoder, DOCUMENTS[:80], out, PretrainSettings(**words, precision=precision), device="cpu")
        losses[precision] = [entry["loss"] for entry in done.report["history"] if "loss" in entry]
        assert {w.dtype for w in weights(out).values()} == {torch.float32}
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)


def test_a_plain_checkpoint_comes_out(encoder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = pretrain(encoder, DOCUMENTS[:80], out, PretrainSettings(**SHORT, gradient_checkpointing=True))
    assert json.loads((out / "torchsse.json").read_text()) == done.report
    assert not (out / "training.safetensors").exists()
    code = "import sys, transformers as t; m = t.AutoModelForMaskedLM.from_pretrained(sys.argv[1]); " + (
        "t.AutoTokenizer.from_pretrained(sys.argv[1]); print(type(m).__name__, 'torchsse' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code, out], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["BertForMaskedLM", "False"]
    assert load_masked_lm(out).fresh == ()
    # the pooler, of no use to a masked model, is still there for a classifier
    before, after = weights(encoder), weights(out)
    assert torch.equal(before["pooler.dense.weight"], after["bert.pooler.dense.weight"])
    assert load_classifier(out, ["a", "b"]).fresh == ("classifier.bias", "classifier.weight")
    assert not torch.equal(before["embeddings.word_embeddings.weight"], after["bert.embeddings.word_embeddings.weight"])
    assert pretrain(encoder, DOCUMENTS[:80], out, PretrainSettings(**SHORT, gradient_checkpointing=True)) == done


def test_arms_see_the_same_batches_and_masks(encoder: Path) -> None:
    loaded = load_masked_lm(encoder)
    seen = []
    for p0 in (0.0, 0.5):
        settings = PretrainSettings(**SHORT, p0_input=p0, p0_label=p0)
        pieces = cut_documents(loaded.tokenizer, DOCUMENTS, 16)
        plan = _Plan(pieces, Masking(loaded.model, loaded.tokenizer), settings, 0)
        calls: list[dict[str, Any]] = []

        def model(calls: list[dict[str, Any]] = calls, **given: Any) -> Any:
            calls.append(given)
            return type("Output", (), {"loss": torch.zeros(())})

        for step in range(3):
            list(plan.losses(model, torch.device("cpu"), step))
        seen.append(calls)
    for first, second in zip(*seen):
        assert torch.equal(first["input_ids"], second["input_ids"])
        assert torch.equal(first["labels"], second["labels"])
    assert not torch.equal(seen[0][0]["input_ids"][:, :5], seen[0][1]["input_ids"][:, :5])


def accumulated(parts: int, owned: bool) -> torch.Tensor:
    """The gradient of a step computed in parts."""
    torch.manual_seed(0)
    model = transformers.BertForMaskedLM(config(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)).train()
    made = tokenizer()
    settings = PretrainSettings(max_length=16, batch_size=12, accumulate=parts, p0_input=0.0, p0_label=0.0)
    plan = _Plan(cut_documents(made, DOCUMENTS[:100], 16), Masking(model, made), settings, 0)
    with MaskedHead(model):
        if owned:
            sse_labels(model, made, p0=0.0)
        for loss, _ in plan.losses(model, torch.device("cpu"), 0):
            loss.backward()
    gradient: torch.Tensor = model.bert.encoder.layer[0].output.dense.weight.grad
    return gradient


def test_parts_of_a_batch_add_up() -> None:
    torch.testing.assert_close(accumulated(4, owned=True), accumulated(1, owned=True), rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(accumulated(1, owned=True), accumulated(1, owned=False), rtol=1e-4, atol=1e-7)


def test_control_the_models_own_loss_does_not_add_up() -> None:
    with pytest.raises(AssertionError):
        torch.testing.assert_close(accumulated(4, owned=False), accumulated(1, owned=False), rtol=1e-2, atol=1e-7)


def test_masks() -> None:
    made = tokenizer()
    masking = Masking(transformers.BertForMaskedLM(config()), made)
    ids = torch.randint(6, len(WORDS), (400, 100))
    ids[:, 0], ids[:, -1] = 2, 3
    inputs, labels = masking(ids, seed=5)
    chosen = labels != -100
    assert torch.equal(labels[chosen], ids[chosen])
    assert torch.equal(inputs[~chosen], ids[~chosen])
    assert not chosen[:, [0, -1]].any()
    number = int(chosen.sum())
    assert abs(number / (400 * 98) - 0.15) < 0.01
    masked = inputs[chosen] == SPECIALS_IDS["[MASK]"]
    changed = ~masked & (inputs[chosen] != ids[chosen])
    assert abs(float(masked.float().mean()) - 0.8) < 0.03
    words = len(WORDS) - 6
    assert abs(float(changed.float().mean()) - 0.1 * (words - 1) / words) < 0.02
    drawn = Counter(inputs[chosen][changed].tolist())
    assert set(drawn) <= set(range(6, len(WORDS)))  # no special, no reserved, no row beyond the vocabulary
    assert len(drawn) == words
    assert torch.equal(masking(ids, seed=5)[0], inputs)
    assert not torch.equal(masking(ids, seed=6)[1], labels)
    alone = torch.tensor([[2, 7, 3]])
    assert all((masking(alone, seed)[1] != -100).sum() == 1 for seed in range(20))


SPECIALS_IDS = {token: id for id, token in enumerate(SPECIALS.values())}


def test_stopped_and_resumed_is_uninterrupted(encoder: Path, tmp_path: Path) -> None:
    settings = PretrainSettings(**SHORT, held_out=10)
    whole = pretrain(encoder, DOCUMENTS[:100], tmp_path / "whole", settings)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        pretrain(encoder, DOCUMENTS[:100], out, settings, observer=Told(stop=20), save_every=0)
    assert (out / "training.safetensors").exists()
    torch.manual_seed(99)  # what the process drew before does not matter
    told = Told()
    resumed = pretrain(encoder, DOCUMENTS[:100], out, settings, observer=told, save_every=0)
    assert "goes on from step 10 of 24" in told.lines
    assert (out / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()
    assert resumed.history == whole.history
    assert resumed.report["held_out_loss"] == whole.report["held_out_loss"]
    other = pretrain(encoder, DOCUMENTS[:100], tmp_path / "other", PretrainSettings(**SHORT, held_out=10, seed=1))
    assert other.history != whole.history


def test_killed_and_resumed_is_uninterrupted(encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\n".join(DOCUMENTS) + "\n")
    words = ["--steps", "150", "--max-length", "16", "--batch-size", "16", "--save-every", "0", "--num-threads", "1"]
    command = [sys.executable, "-m", "torchsse", "pretrain", encoder, tmp_path / "text.txt", *words, "--out"]
    out, state = tmp_path / "out", tmp_path / "out" / "training.safetensors"
    process = subprocess.Popen([*command, out], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 200
    while not state.exists() and time.monotonic() < until and process.poll() is None:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    assert not (out / "torchsse.json").exists()
    settings = PretrainSettings(steps=150, max_length=16, batch_size=16)
    told = Told()
    resumed = pretrain(encoder, DOCUMENTS, out, settings, observer=told)
    assert any(line.startswith("goes on from step") for line in told.lines)
    whole = pretrain(encoder, DOCUMENTS, tmp_path / "whole", settings)
    assert (out / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()
    assert resumed.history == whole.history


def test_what_an_out_may_hold(encoder: Path, tmp_path: Path) -> None:
    out, settings = tmp_path / "out", PretrainSettings(**SHORT)
    with pytest.raises(KeyboardInterrupt):
        pretrain(encoder, DOCUMENTS[:50], out, settings, observer=Told(stop=20), save_every=0)
    with pytest.raises(ConfigError, match=r"settings\.p0_input: 0\.015 there, 0\.5 here"):
        pretrain(encoder, DOCUMENTS[:50], out, PretrainSettings(**SHORT, p0_input=0.5))
    with pytest.raises(ConfigError, match="text"):
        pretrain(encoder, DOCUMENTS[:51], out, settings)
    state = out / "training.safetensors"
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(CorruptFileError, match="damaged"):
        pretrain(encoder, DOCUMENTS[:50], out, settings)
    told = Told()
    pretrain(encoder, DOCUMENTS[:50], out, settings, observer=told, restart=True)
    assert not any("goes on" in line for line in told.lines)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(ConfigError, match="not empty"):
        pretrain(encoder, DOCUMENTS[:50], tmp_path / "mine", settings)


@pytest.mark.parametrize(
    "words",
    [
        {"p0_input": 1.5}, {"p0_label": -0.1}, {"batch_size": 0}, {"accumulate": 64}, {"epochs": 0}, {"steps": 0},
        {"learning_rate": 0.0}, {"warmup": 2.0}, {"seed": -1}, {"precision": "fp8"}, {"held_out": -1},
    ],
)  # fmt: skip
def test_bad_settings(words: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(words))):
        PretrainSettings(**words)


def test_bad_inputs(encoder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="max_length: expected 3 to 32"):
        pretrain(encoder, DOCUMENTS[:9], out, PretrainSettings(max_length=33))
    with pytest.raises(ConfigError, match="mask_rate"):
        pretrain(encoder, DOCUMENTS[:9], tmp_path / "rate", PretrainSettings(max_length=16, mask_rate=1.0))
    with pytest.raises(DataError, match="more documents than the 9 held out"):
        pretrain(encoder, DOCUMENTS[:9], out, PretrainSettings(max_length=16, held_out=9))
    fast = PretrainSettings(max_length=16, learning_rate=0.9, steps=40, batch_size=4, weight_decay=1e30)
    with pytest.raises(ConfigError, match="diverged"):
        pretrain(encoder, DOCUMENTS[:50], tmp_path / "fast", fast)
    with pytest.raises(ConfigError, match="device"):
        pretrain(encoder, DOCUMENTS[:9], out, PretrainSettings(max_length=16), device="abacus")


def test_bad_checkpoints(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such directory"):
        load_masked_lm(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"found no config\.json"):
        load_masked_lm(tmp_path / "empty")
    bad = checkpoint(tmp_path / "bad", "BertModel")
    content = (bad / "model.safetensors").read_bytes()
    (bad / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(CorruptFileError, match="cannot be read"):
        load_masked_lm(bad)
    pickled = checkpoint(tmp_path / "pickled", "BertModel")
    torch.save(weights(encoder), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="safetensors"):
        load_masked_lm(pickled)
    foreign = checkpoint(tmp_path / "foreign", "BertModel")
    from safetensors.torch import save_file

    save_file({"other": torch.zeros(3)}, foreign / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigError, match="not those of its configuration"):
        load_masked_lm(foreign)


def test_a_control_starts_at_random(encoder: Path) -> None:
    kept, fresh = load_masked_lm(encoder).model, load_masked_lm(encoder, random_init=True)
    assert not torch.equal(kept.get_input_embeddings().weight, fresh.model.get_input_embeddings().weight)
    assert len(fresh.fresh) == len(list(kept.parameters()))
    again = load_masked_lm(encoder, seed=0, random_init=True).model.get_input_embeddings().weight
    other = load_masked_lm(encoder, seed=1, random_init=True).model.get_input_embeddings().weight
    assert torch.equal(again, fresh.model.get_input_embeddings().weight)
    assert not torch.equal(again, other)


def test_rates() -> None:
    rates = [Stepping(1.0 - 1e-9, warmup=0.1).rate(step, 100) for step in range(100)]
    assert np.argmax(rates) == 9
    np.testing.assert_allclose(np.diff(rates[:10]), 0.1, atol=1e-6)
    np.testing.assert_allclose(np.diff(rates[10:]), -1 / 90, atol=1e-6)


def test_the_same_work_done_elsewhere_is_copied(encoder: Path, tmp_path: Path) -> None:
    settings = PretrainSettings(**SHORT)
    first = pretrain(encoder, DOCUMENTS[:80], tmp_path / "first", settings)
    other = pretrain(encoder, DOCUMENTS[:80], tmp_path / "other", PretrainSettings(**SHORT, p0_input=0.0))
    places = [tmp_path / "nowhere", tmp_path / "other", tmp_path / "first"]
    told = Told()
    second = pretrain(encoder, DOCUMENTS[:80], tmp_path / "second", settings, observer=told, elsewhere=places)
    assert not told.steps
    assert second.report == {**first.report, "taken_over_from": str(tmp_path / "first")}
    assert weights(second.directory).keys() == weights(first.directory).keys()
    assert all(torch.equal(tensor, weights(second.directory)[key]) for key, tensor in weights(first.directory).items())
    assert pretrain(encoder, DOCUMENTS[:80], second.directory, settings) == second
    # what is not the same work, was not finished, or cannot be read is done
    (tmp_path / "first" / "torchsse.json").unlink()
    (tmp_path / "other" / "run.json").write_text("{")
    told = Told()
    third = pretrain(encoder, DOCUMENTS[:80], tmp_path / "third", settings, observer=told, elsewhere=places)
    assert told.steps
    assert third.report == first.report
    assert other.report["config"] != first.report["config"]


def test_a_copy_that_was_cut_short_is_no_finished_run(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = PretrainSettings(**SHORT)
    first = pretrain(encoder, DOCUMENTS[:80], tmp_path / "first", settings)

    def killed(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:10])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("torchsse.nlp.outputs.shutil.copyfile", killed)
        with pytest.raises(KeyboardInterrupt):
            pretrain(encoder, DOCUMENTS[:80], tmp_path / "second", settings, elsewhere=[first.directory])
    told = Told()
    done = pretrain(encoder, DOCUMENTS[:80], tmp_path / "second", settings, observer=told)
    assert told.steps
    assert done.report == first.report
    assert not list(done.directory.glob(".*.tmp"))
