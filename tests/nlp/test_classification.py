"""Classification: it learns, with SSE too; resumed to the bit; identical logits in plain transformers; bad inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_text import checkpoint, documents

from torchsse.errors import ConfigError, DataError
from torchsse.nlp.classification import Classifier
from torchsse.nlp.classification_training import ClassifySettings, train_classifier
from torchsse.nlp.texts import Labelled

transformers = pytest.importorskip("transformers")

NAMES = ("film", "kitchen")
FAST = {"max_length": 16, "batch_size": 16, "epochs": 2, "learning_rate": 5e-3}
LEARN = FAST | {"epochs": 4, "learning_rate": 1e-2}


def labelled(number: int, seed: int) -> Labelled:
    texts, topics = documents(number, seed)
    return Labelled(texts, [NAMES[topic] for topic in topics], "made")


TRAIN, TEST = labelled(200, 1), labelled(150, 2)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("encoder"), "BertForMaskedLM")


@pytest.fixture(scope="module")
def trained(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "model"
    train_classifier(encoder, TRAIN, out, ClassifySettings(**LEARN, p0_input=0.05, p0_label=0.05), validation=TEST)
    return out


def test_it_learns(trained: Path) -> None:
    found = Classifier.load(trained).evaluate(TEST)
    assert found.scores.accuracy > 0.95
    assert found.scores.auc is not None
    assert found.scores.auc > 0.97
    assert found.scores.correct.shape == (len(TEST),)
    assert found.scores.correct.mean() == found.scores.accuracy


def test_control_words_or_classes_all_swapped_teach_nothing(encoder: Path, tmp_path: Path) -> None:
    for name in ("p0_input", "p0_label"):
        settings = ClassifySettings(**LEARN, **({"p0_input": 0.0} | {name: 1.0}))
        train_classifier(encoder, TRAIN, tmp_path / name, settings)
        assert Classifier.load(tmp_path / name).evaluate(TEST).scores.accuracy < 0.7


def test_plain_transformers_give_identical_logits(trained: Path) -> None:
    model = transformers.AutoModelForSequenceClassification.from_pretrained(trained).eval()
    made = transformers.AutoTokenizer.from_pretrained(trained)
    ours = Classifier.load(trained)
    texts = list(TEST.texts[:12])
    with torch.inference_mode():
        given = made(texts, padding=True, truncation=True, max_length=16, return_tensors="pt")
        given.pop("token_type_ids", None)
        theirs = model(**given).logits
        own = ours.model(**given).logits
    assert torch.equal(own, theirs)
    np.testing.assert_allclose(ours.logits(texts, batch_size=5), theirs.numpy(), atol=1e-5)
    assert [model.config.id2label[k] for k in (0, 1)] == list(NAMES)
    assert model.config.problem_type in (None, "single_label_classification")
    assert ours.predict(texts)[0][0] in NAMES
    assert ours.predict([]) == []


class Stops:
    def __init__(self, at: int) -> None:
        self.at = at

    def say(self, message: str) -> None: ...

    def step(self, progress: Any) -> None:
        if progress.step >= self.at:
            raise KeyboardInterrupt


def test_stopped_and_resumed_is_uninterrupted(encoder: Path, tmp_path: Path) -> None:
    settings = ClassifySettings(**FAST)
    whole = train_classifier(encoder, TRAIN, tmp_path / "whole", settings, validation=TEST)
    with pytest.raises(KeyboardInterrupt):
        train_classifier(encoder, TRAIN, tmp_path / "out", settings, validation=TEST, observer=Stops(20), save_every=0)
    assert (tmp_path / "out" / "training.safetensors").exists()
    again = train_classifier(encoder, TRAIN, tmp_path / "out", settings, validation=TEST)
    assert (tmp_path / "out/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()
    assert again.report["history"] == whole.report["history"]
    assert sum("validation" in entry for entry in again.report["history"]) == 2
    with pytest.raises(ConfigError, match="other settings"):
        train_classifier(encoder, TRAIN, tmp_path / "out", ClassifySettings(**FAST, seed=1), validation=TEST)


def test_bad_inputs(encoder: Path, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="two classes or more"):
        train_classifier(encoder, Labelled(["a", "b"], ["1", "1"]), tmp_path / "a")
    with pytest.raises(DataError, match="'other' is none of film, kitchen"):
        Classifier.load(trained).evaluate(Labelled(["a"], ["other"]))
    with pytest.raises(ConfigError, match="expected a trained classifier"):
        Classifier.load(encoder)
    with pytest.raises(ConfigError, match="there is no such directory"):
        Classifier.load(tmp_path / "none")
    with pytest.raises(ConfigError, match="max_length"):
        train_classifier(encoder, TRAIN, tmp_path / "b", ClassifySettings(max_length=64))
    for words in ({"p0_input": 2.0}, {"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}):
        with pytest.raises(ConfigError, match=next(iter(words))):
            ClassifySettings(**words)
