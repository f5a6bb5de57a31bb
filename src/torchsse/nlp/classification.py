"""A trained classifier of texts: a plain directory of transformers, used for predictions and measured on test data."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from torchsse.errors import CorruptFileError, DataError
from torchsse.metrics.classification import Scores, classification_scores
from torchsse.nlp.checkpoints import load_classifier
from torchsse.nlp.outputs import REPORT
from torchsse.nlp.steps import pick_device
from torchsse.nlp.texts import Labelled
from torchsse.nlp.texts_tokens import Pieces, encode, pad

__all__ = ["Classifier", "Evaluation", "class_numbers", "logits_of"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """How a classifier does on labelled texts, with what it said of each of them."""

    scores: Scores
    probabilities: Floats
    truth: npt.NDArray[np.int64]


class Classifier:
    """Labels of texts by a fine-tuned model.

    Args:
        model: of transformers, for the classification of sequences.
        tokenizer: its own.
        max_length: tokens at which texts are cut.

    Attributes:
        classes: the labels, in the order of the model's outputs.
    """

    def __init__(self, model: Any, tokenizer: Any, max_length: int) -> None:
        self.model, self.tokenizer, self.max_length = model.eval(), tokenizer, max_length
        names = model.config.id2label
        self.classes = [str(names[k]) for k in range(len(names))]

    @classmethod
    def load(cls, directory: str | os.PathLike[str], device: str = "auto", max_length: int | None = None) -> Classifier:
        """A directory that `train_classifier` wrote, or any classifier of transformers.

        Raises:
            ConfigError: no such directory, or it holds no trained classifier. CorruptFileError: damaged files.
        """
        loaded = load_classifier(directory)
        if max_length is None:
            path = Path(directory) / REPORT
            if path.exists():
                try:
                    report = json.loads(path.read_text(encoding="utf-8"))
                    max_length = int(report["config"]["settings"]["max_length"])
                except (OSError, ValueError, KeyError, TypeError) as error:
                    raise CorruptFileError(f"{path}: cannot be read as the report of a run ({error})") from None
            else:
                max_length = int(min(loaded.tokenizer.model_max_length, 512))
        return cls(loaded.model.to(pick_device(device)), loaded.tokenizer, max_length)

    def logits(self, texts: Sequence[str], batch_size: int = 64) -> npt.NDArray[np.float32]:
        """Shape (texts, classes), in the order of the texts."""
        pieces = encode(self.tokenizer, texts, self.max_length)
        return logits_of(self.model, pieces, int(self.tokenizer.pad_token_id), batch_size)

    def probabilities(self, texts: Sequence[str], batch_size: int = 64) -> Floats:
        """Softmax of the logits, in float64."""
        wide = self.logits(texts, batch_size).astype(np.float64)
        raised = np.exp(wide - wide.max(axis=1, keepdims=True))
        found: Floats = raised / raised.sum(axis=1, keepdims=True)
        return found

    def predict(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """(label, its probability) of each text."""
        if not len(texts):
            return []
        found = self.probabilities(texts)
        return [(self.classes[k], float(row[k])) for k, row in zip(found.argmax(axis=1), found)]

    def evaluate(self, data: Labelled) -> Evaluation:
        """Metrics on labelled texts.

        Raises:
            DataError: a label that the model does not know.
        """
        truth = class_numbers(data, self.classes)
        probabilities = self.probabilities(data.texts)
        return Evaluation(classification_scores(truth, probabilities), probabilities, truth)


def class_numbers(data: Labelled, classes: Sequence[str]) -> npt.NDArray[np.int64]:
    """Labels as positions in `classes`.

    Raises:
        DataError: a label that is not among them.
    """
    places = {name: k for k, name in enumerate(classes)}
    unknown = sorted(set(data.labels) - places.keys())
    if unknown:
        raise DataError(f"{data.source}: label {unknown[0]!r} is none of {', '.join(classes)}")
    return np.array([places[label] for label in data.labels], np.int64)


def logits_of(model: Any, pieces: Pieces, pad_id: int, batch_size: int = 64) -> npt.NDArray[np.float32]:
    """Logits of encoded texts in their order, computed in batches of like length."""
    device = next(model.parameters()).device
    order = np.argsort(pieces.lengths, kind="stable")
    found = np.empty((len(pieces), int(model.config.num_labels)), np.float32)
    training = model.training
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            ids, mask = pad(pieces, rows, pad_id)
            found[rows] = model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits.float().cpu().numpy()
    model.train(training)
    return found
