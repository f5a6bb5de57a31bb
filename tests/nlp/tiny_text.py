"""A made corpus with a made tokenizer, and tiny random checkpoints on disk. Nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

transformers = pytest.importorskip("transformers")

TOPICS = (
    ["film", "movie", "actor", "plot", "scene", "camera", "script", "screen"],
    ["soup", "bread", "cheese", "pepper", "salt", "oven", "butter", "dish"],
)
COMMON = ["the", "a", "of", "is", "and", "was", "in", "it", "to", "very"]
SPECIALS = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"} | {
    "mask_token": "[MASK]"
}
WORDS = [*SPECIALS.values(), "[unused0]", *COMMON, *TOPICS[0], *TOPICS[1]]
SIZES = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}


def documents(number: int, seed: int = 0) -> tuple[list[str], list[int]]:
    """Sentences of one topic each, and which: a word tells its neighbours."""
    rng = np.random.default_rng(seed)
    topics = rng.integers(2, size=number)
    texts = []
    for topic in topics:
        length = int(rng.integers(5, 14))
        words = [
            str(rng.choice(TOPICS[topic])) if rng.random() < 0.6 else str(rng.choice(COMMON)) for _ in range(length)
        ]
        texts.append(" ".join(words))
    return texts, topics.tolist()


def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    made = Tokenizer(models.WordLevel({word: id for id, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=32, **SPECIALS)


def config(**words: Any) -> Any:
    sizes = {"vocab_size": len(WORDS) + 3, "max_position_embeddings": 32, "pad_token_id": 0}
    return transformers.BertConfig(**(SIZES | sizes | words))


def checkpoint(directory: Path, kind: str = "BertForMaskedLM", **words: Any) -> Path:
    """A random checkpoint; "BertModel" is what a sentence encoder looks like: a pooler and no head."""
    torch.manual_seed(0)
    getattr(transformers, kind)(config(**words)).save_pretrained(directory)
    tokenizer().save_pretrained(directory)
    return directory


def weights(directory: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(directory / "model.safetensors"))
