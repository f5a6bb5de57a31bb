"""Peers in the language tasks: what each does to a training, that it comes off, resumed to the bit, bad inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny_text import checkpoint, documents
from translation_case import TINY, made_corpus

from torchsse.errors import ConfigError
from torchsse.nlp.checkpoints import load_classifier
from torchsse.nlp.classification import Classifier
from torchsse.nlp.classification_training import ClassifySettings, train_classifier
from torchsse.nlp.peers import PeerSetting, put_on
from torchsse.nlp.pretraining import PretrainSettings, pretrain
from torchsse.nlp.texts import Labelled
from torchsse.nlp.translation import TranslationSettings, train_translation

transformers = pytest.importorskip("transformers")

NAMES = ("film", "kitchen")
PLAIN = {"max_length": 16, "batch_size": 16, "epochs": 1, "learning_rate": 5e-3, "p0_input": 0.0}
WORDS = ("neftune", "switch-out", "token-dropout", "word-dropout")
ALL = ("dropout", "label-smoothing", *WORDS)


def labelled(number: int, seed: int) -> Labelled:
    texts, topics = documents(number, seed)
    return Labelled(texts, [NAMES[topic] for topic in topics], "made")


TRAIN, TEST = labelled(120, 1), labelled(100, 2)
DOCUMENTS = documents(100)[0]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("encoder"), "BertForMaskedLM")


def hooks(model: torch.nn.Module) -> list[Any]:
    return [hook for m in model.modules() for hook in (*m._forward_pre_hooks.values(), *m._forward_hooks.values())]


def test_names_and_values() -> None:
    assert PeerSetting.parse("neftune=10").origin() == {"name": "neftune", "value": 10.0}
    assert [PeerSetting.parse(name).strength for name in ALL] == [0.2, 0.1, 5.0, 1.0, 0.1, 0.1]
    for text, words in (
        ("", "expected one of dropout"),
        ("Dropout", "expected one of dropout"),
        ("mixup=1", "got 'mixup'"),
        ("dropout=", "expected NAME=NUMBER, got 'dropout='"),
        ("dropout=a", "expected NAME=NUMBER"),
        ("dropout=0", "above 0 and below 1"),
        ("dropout=1", "above 0 and below 1"),
        ("label-smoothing=-0.1", "above 0 and below 1"),
        ("token-dropout=nan", "above 0 and below 1"),
        ("word-dropout=inf", "above 0 and below 1"),
        ("neftune=0", "above 0"),
        ("neftune=inf", "above 0"),
        ("switch-out=-1", "above 0"),
    ):
        with pytest.raises(ConfigError, match=words):
            PeerSetting.parse(text)


@pytest.mark.parametrize("name", ALL)
def test_it_acts_while_the_model_trains_and_comes_off(encoder: Path, name: str) -> None:
    peer = PeerSetting.parse(name)
    loaded = load_classifier(encoder, NAMES, adjust=peer.words)
    model, tokenizer = loaded.model, loaded.tokenizer
    ids = torch.randint(5, model.config.vocab_size, (8, 12), generator=torch.Generator().manual_seed(0))
    given = {"input_ids": ids, "labels": torch.arange(8) % 2}
    before, state = len(hooks(model)), list(model.state_dict())

    def loss(train: bool) -> float:
        torch.manual_seed(1)
        return float(model.train(train)(**given).loss.detach())

    plain = [loss(train) for train in (True, False)]
    with put_on(model, tokenizer, peer):
        found = [loss(train) for train in (True, False)]
        assert list(model.state_dict()) == state
    assert found[1] == plain[1], "evaluation is as without"
    assert [loss(train) for train in (True, False)] == plain
    assert len(hooks(model)) == before
    assert not hasattr(model.get_input_embeddings(), "neftune_noise_alpha")
    if name == "dropout":
        rates = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
        assert 0.2 in rates
        assert model.config.hidden_dropout_prob == 0.2
    else:
        assert found[0] != plain[0]


def test_label_smoothing_is_that_of_torch(encoder: Path) -> None:
    model = load_classifier(encoder, ("a", "b", "c"), adjust=lambda config: {"hidden_dropout_prob": 0.0}).model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        model.classifier.weight *= 100  # where smoothing matters
    given = {"input_ids": torch.randint(5, model.config.vocab_size, (6, 8)), "labels": torch.arange(6) % 3}
    with put_on(model, None, PeerSetting("label-smoothing", 0.3)):
        output = model(**given)
    expected = F.cross_entropy(output.logits, given["labels"], label_smoothing=0.3)
    assert torch.isclose(output.loss, expected, rtol=1e-6)
    assert not torch.isclose(output.loss, F.cross_entropy(output.logits, given["labels"]), rtol=1e-3)


class Stops:
    def say(self, message: str) -> None: ...

    def step(self, progress: Any) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("name", ALL)
def test_classifiers(encoder: Path, tmp_path: Path, name: str) -> None:
    """Other weights than without, the same when resumed, and a plain directory comes out."""
    settings, peer = ClassifySettings(**PLAIN), PeerSetting.parse(name)
    whole = train_classifier(encoder, TRAIN, tmp_path / "whole", settings, peer=peer)
    assert whole.report["config"]["peer"] == peer.origin()
    with pytest.raises(KeyboardInterrupt):
        train_classifier(encoder, TRAIN, tmp_path / "out", settings, peer=peer, observer=Stops(), save_every=0)
    train_classifier(encoder, TRAIN, tmp_path / "out", settings, peer=peer)
    train_classifier(encoder, TRAIN, tmp_path / "none", settings)
    weights = [(tmp_path / each / "model.safetensors").read_bytes() for each in ("whole", "out", "none")]
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]
    with pytest.raises(ConfigError, match=r"other settings or data \(peer"):
        train_classifier(encoder, TRAIN, tmp_path / "whole", settings)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "whole")
    assert (model.config.hidden_dropout_prob == 0.2) == (name == "dropout")


@pytest.mark.parametrize("text", ["token-dropout=0.999", "neftune=1e5"])
def test_control_at_its_limit_a_peer_leaves_nothing_to_learn(encoder: Path, tmp_path: Path, text: str) -> None:
    settings = ClassifySettings(**PLAIN | {"epochs": 4, "learning_rate": 1e-2})
    train_classifier(encoder, TRAIN, tmp_path / "spoilt", settings, peer=PeerSetting.parse(text))
    train_classifier(encoder, TRAIN, tmp_path / "plain", settings)
    spoilt, plain = (Classifier.load(tmp_path / each).evaluate(TEST).scores.accuracy for each in ("spoilt", "plain"))
    assert plain > 0.9
    assert spoilt < 0.75


def test_pre_training_and_translation(encoder: Path, tmp_path: Path) -> None:
    short = PretrainSettings(max_length=16, batch_size=8, steps=4, p0_input=0.0, p0_label=0.0)
    losses = {}
    for name in (None, "dropout", *WORDS):
        peer = None if name is None else PeerSetting.parse(name)
        losses[name] = pretrain(encoder, DOCUMENTS, tmp_path / f"{name}", short, peer=peer).report["history"][-1][
            "loss"
        ]
    assert len(set(losses.values())) == len(losses)
    settings = TranslationSettings.of("tiny", **{**TINY, "max_steps": 3, "p0": 0.0})
    trained = {}
    for name in (None, "neftune", "switch-out", "word-dropout"):
        peer = None if name is None else PeerSetting.parse(name)
        record = train_translation(made_corpus(60, 0), tmp_path / f"t-{name}", settings, peer=peer)
        assert record.get("peer") == (None if peer is None else peer.origin())
        trained[name] = record["history"][-1]["train_loss"]
        assert train_translation(made_corpus(60, 0), tmp_path / f"t-{name}", settings, peer=peer) == record
    assert len(set(trained.values())) == len(trained)
    assert json.loads((tmp_path / "t-neftune" / "translation.json").read_text())["peer"]["value"] == 5.0


def test_what_does_not_fit_is_refused(encoder: Path, tmp_path: Path) -> None:
    smooth, drop = PeerSetting("label-smoothing"), PeerSetting("dropout")
    with pytest.raises(ConfigError, match="got 'label-smoothing': the labels of pre-training are words"):
        pretrain(encoder, DOCUMENTS, tmp_path / "a", PretrainSettings(), peer=smooth)
    settings = TranslationSettings.of("tiny", **TINY)
    for peer in (smooth, drop):
        with pytest.raises(ConfigError, match="are settings of a translation model"):
            train_translation(made_corpus(60, 0), tmp_path / "b", settings, peer=peer)
    with pytest.raises(ConfigError, match="expected a tokenizer with a mask_token"):
        train_translation(made_corpus(60, 0), tmp_path / "c", settings, peer=PeerSetting("token-dropout"))
    with pytest.raises(ConfigError, match="p0_label must be 0"):
        train_classifier(encoder, TRAIN, tmp_path / "d", ClassifySettings(p0_label=0.1), peer=smooth)
