"""Tiny random models of every family, and a tokenizer made on the spot. Nothing is downloaded."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

transformers = pytest.importorskip("transformers")

V, PAD = 64, 1
TEXT = "a the dog hound cat animal film movie picture good great fine bad poor run walk go quick fast slow is was in"
WORDS = [*TEXT.split(), "on", "of", "and", "to", "it", "##s", "##ing"]
# token -> what makes it special
SPECIALS = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"} | {
    "mask_token": "[MASK]"
}

BERT = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
SEQ2SEQ = {
    "d_model": 8,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 8,
    "decoder_ffn_dim": 8,
}


def tokenizer() -> Any:
    """A WordPiece tokenizer of fewer ids than the tables have rows; PAD is id 1."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    pieces = [*SPECIALS.values(), "[unused0]", *WORDS]
    made = Tokenizer(models.WordPiece({piece: id for id, piece in enumerate(pieces)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, **SPECIALS)


def config(kind: str, **words: Any) -> Any:
    words = {"vocab_size": V, "pad_token_id": PAD} | words
    if kind in ("bert", "minilm", "roberta"):
        made = {"bert": "BertConfig", "minilm": "BertConfig", "roberta": "RobertaConfig"}[kind]
        shape = BERT | ({"num_hidden_layers": 3, "hidden_size": 16} if kind == "minilm" else {})
        return getattr(transformers, made)(max_position_embeddings=40, **(shape | words))
    if kind == "distilbert":
        sizes = {"dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 8}
        return transformers.DistilBertConfig(max_position_embeddings=40, **(sizes | words))
    if kind == "gpt2":
        sizes = {"n_embd": 8, "n_layer": 2, "n_head": 2, "n_positions": 40, "bos_token_id": 2, "eos_token_id": 3}
        return transformers.GPT2Config(**(sizes | words))
    if kind == "t5":
        sizes = {"d_model": 8, "d_ff": 8, "d_kv": 4, "num_layers": 2, "num_heads": 2}
        special = {"decoder_start_token_id": PAD, "eos_token_id": 3}
        return transformers.T5Config(**(sizes | special | words))
    special = {"bos_token_id": 2, "eos_token_id": 3, "max_position_embeddings": 40}
    special["decoder_start_token_id"] = 3 if kind == "bart" else PAD
    special["forced_eos_token_id"] = 3
    made = transformers.BartConfig if kind == "bart" else transformers.MarianConfig
    return made(**(SEQ2SEQ | special | words))


LANGUAGE = {
    "bert": "BertForMaskedLM",
    "minilm": "BertForMaskedLM",
    "roberta": "RobertaForMaskedLM",
    "distilbert": "DistilBertForMaskedLM",
    "gpt2": "GPT2LMHeadModel",
    "t5": "T5ForConditionalGeneration",
    "bart": "BartForConditionalGeneration",
    "marian": "MarianMTModel",
}
CLASSIFY = {
    "bert": "BertForSequenceClassification",
    "roberta": "RobertaForSequenceClassification",
    "distilbert": "DistilBertForSequenceClassification",
    "gpt2": "GPT2ForSequenceClassification",
    "bart": "BartForSequenceClassification",
}
TABLES = {
    "bert": ("bert.embeddings.word_embeddings",),
    "minilm": ("bert.embeddings.word_embeddings",),
    "roberta": ("roberta.embeddings.word_embeddings",),
    "distilbert": ("distilbert.embeddings.word_embeddings",),
    "gpt2": ("transformer.wte",),
    "t5": ("shared", "encoder.embed_tokens", "decoder.embed_tokens"),
    "bart": ("model.shared", "model.encoder.embed_tokens", "model.decoder.embed_tokens"),
    "marian": ("model.shared", "model.encoder.embed_tokens", "model.decoder.embed_tokens"),
}


def build(kind: str, names: dict[str, str] = LANGUAGE, **words: Any) -> nn.Module:
    torch.manual_seed(0)
    model: nn.Module = getattr(transformers, names[kind])(config(kind, **words))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if (
                weight.dim() > 1 and "positions" not in name
            ):  # fresh weights are so small that all logits are nearly equal
                weight *= 0.3 / weight.std()
    return model


def no_dropout(kind: str) -> dict[str, float]:
    """Configuration words that switch every dropout of a family off."""
    if kind in ("bert", "minilm", "roberta"):
        return {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    if kind == "gpt2":
        return {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    if kind == "t5":
        return {"dropout_rate": 0.0}
    if kind == "distilbert":
        return {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}
    return {"dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}


def batch(rows: int = 4, length: int = 12) -> Tensor:
    """Ordinary ids, begun by [CLS] and ended by [SEP] and padding."""
    torch.manual_seed(1)
    ids = torch.randint(6, 6 + len(WORDS), (rows, length))
    ids[:, 0], ids[:, -2], ids[:, -1] = 2, 3, PAD
    return ids


def seen(model: nn.Module, **inputs: Any) -> list[Tensor]:
    """Ids that reach a table of V rows in one forward pass, in the order of the look-ups."""
    found: list[Tensor] = []
    hooks = [
        table.register_forward_hook(lambda module, args, output: found.append(args[0]))
        for table in model.modules()
        if isinstance(table, nn.Embedding) and table.num_embeddings == V
    ]
    model(**inputs)
    for hook in hooks:
        hook.remove()
    return found
