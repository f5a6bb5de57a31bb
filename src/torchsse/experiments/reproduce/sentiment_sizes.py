"""The sizes of Tables 6 and 7: pre-training is that of the size in both, fine-tuning that of the table."""

from __future__ import annotations

from typing import Any

from torchsse.experiments.reproduce.sentiment import Size
from torchsse.nlp.classification_training import ClassifySettings
from torchsse.nlp.pretraining import PretrainSettings

__all__ = ["IMDB", "SST2"]

BERT_BASE = "google-bert/bert-base-uncased"

CORES, GPU, PAPER = "two CPU cores", "one GPU of the H100's kind", "one GPU of the H100's kind"

_SMALL: dict[str, Any] = {
    "machine": CORES,
    "documents": 3_200,
    "pretraining": PretrainSettings(batch_size=16, steps=400, learning_rate=1e-4, held_out=200),
    "seeds": 3,
}
_MEDIUM: dict[str, Any] = {
    "machine": GPU,
    "pretraining": PretrainSettings(batch_size=64, epochs=2, learning_rate=1e-4, held_out=1_000),
    "seeds": 3,
    "half": True,
    "peers": True,
}
_FULL: dict[str, Any] = {
    "machine": PAPER,
    "encoder": BERT_BASE,
    "pretraining": PretrainSettings(max_length=512, batch_size=32, epochs=3, learning_rate=5e-5, held_out=1_000),
    "seeds": 5,
    "half": True,
}


def _tuning(max_length: int, batch_size: int, epochs: int, learning_rate: float) -> ClassifySettings:
    return ClassifySettings(
        max_length=max_length, batch_size=batch_size, epochs=epochs, learning_rate=learning_rate, p0_input=0.0
    )


IMDB = {
    "small": Size(**_SMALL, finetuning=_tuning(128, 16, 1, 1e-4), train=5_000, test=2_500, seconds=(700, 450, 30)),
    "medium": Size(**_MEDIUM, finetuning=_tuning(512, 32, 2, 5e-5), seconds=(400, 80, 0.8)),
    "full": Size(**_FULL, finetuning=_tuning(512, 32, 1, 2e-5), seconds=(3000, 250, 3)),
}
"""Table 6. One epoch, as in the paper; two where a small encoder is trained on all reviews."""

SST2 = {
    "small": Size(**_SMALL, finetuning=_tuning(64, 32, 2, 1e-4), seconds=(700, 180, 5)),
    "medium": Size(**_MEDIUM, finetuning=_tuning(64, 32, 3, 5e-5), seconds=(400, 90, 0.3)),
    "full": Size(**_FULL, finetuning=_tuning(128, 32, 3, 2e-5), seconds=(3000, 250, 0.6)),
}
"""Table 7. Three epochs, as in the paper, but for `small`, which takes whole sentences in the place of all phrases."""
