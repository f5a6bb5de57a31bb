"""A Marian encoder-decoder from settings, SSE on its two vocabularies, and its loss on the words that are there."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from torchsse.integrations.hf.attach import word_tables
from torchsse.integrations.hf.vocabulary import special_ids
from torchsse.modules import SSE, Handle, attach
from torchsse.nlp.bpe import EOS, PAD, Encoded
from torchsse.nlp.translation.batches import Batch
from torchsse.nlp.translation.settings import TranslationSettings
from torchsse.swap import swap

__all__ = ["POSITIONS", "attach_to_translator", "make_model", "target_sse", "translation_loss"]

POSITIONS = 1024  # sinusoids: computed, not learnt, so that longer sentences than those of training can be read
DECODER = ".decoder."


def make_model(settings: TranslationSettings, tokenizer: Any) -> Any:
    """An untrained MarianMTModel for the tokenizer; torch's generator gives its weights.

    One table of words serves source, target and output (Vaswani et al., section 3.4). Weights are drawn with a standard
    deviation of width ** -0.5: words then enter with variance 1, and square matrices are as Glorot would have them.
    """
    from transformers import GenerationConfig, MarianConfig, MarianMTModel

    pad, eos = (tokenizer.convert_tokens_to_ids(token) for token in (PAD, EOS))
    special = {"pad_token_id": pad, "eos_token_id": eos, "decoder_start_token_id": pad, "forced_eos_token_id": eos}
    shape = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in (
            ("layers", settings.layers), ("attention_heads", settings.heads), ("ffn_dim", settings.inner)
        )
    }  # fmt: skip
    config = MarianConfig(
        vocab_size=len(tokenizer), d_model=settings.width, dropout=settings.dropout, scale_embedding=True,
        activation_function="relu", max_position_embeddings=POSITIONS, init_std=settings.width**-0.5,
        **special, **shape,
    )  # fmt: skip
    model = MarianMTModel(config)
    model.generation_config = GenerationConfig(
        num_beams=4, max_length=POSITIONS // 2, bad_words_ids=[[pad]], **special
    )  # fmt: skip
    return model


def attach_to_translator(
    model: Any, p0: float, source: Encoded, target: Encoded, law: dict[str, Any] | None = None
) -> Handle:
    """SSE on the source words and the target words (section 4.3 of the paper): SSE-SE, or a `law` of graph and rho.

    Each side has its vocabulary: of the joint pieces those that its training text uses. A source word is replaced by
    source words, a target word by target words; rows without training examples take no part, nor special tokens.
    """
    own = _own_words(model, source), _own_words(model, target)
    sses = [SSE(model.config.vocab_size, p0, exclude=idle, **(law or {})) for idle in own]
    tables = {name: sses[DECODER in f".{name}"] for name in word_tables(model)}
    return attach(model, tables)


def target_sse(model: Any, p0: float, target: Encoded, law: dict[str, Any] | None = None) -> SSE:
    """SSE on the words that the loss compares with."""
    return SSE(model.config.vocab_size, p0, exclude=_own_words(model, target), **(law or {}))


def translation_loss(model: Any, batch: Batch, smoothing: float, labels: SSE | None = None) -> Tensor:
    """Sum of the smoothed cross entropies of the target words of a batch.

    The output layer is computed at words only, not at padding. With `labels`, SSE on them while the model trains.
    """
    hidden = model.model(
        input_ids=batch.source, attention_mask=batch.source_mask, decoder_input_ids=batch.given, use_cache=False
    ).last_hidden_state
    logits = model.lm_head(hidden.flatten(0, 1).index_select(0, batch.places)).float()
    wanted = batch.labels
    if labels is not None and model.training:
        wanted = swap(wanted, labels)
    return nn.functional.cross_entropy(logits, wanted, reduction="sum", label_smoothing=smoothing)


def _own_words(model: Any, text: Encoded) -> list[int]:
    """Ids that SSE leaves alone: special ones, and those that a side of the training text does not use."""
    used = torch.zeros(model.config.vocab_size, dtype=torch.bool)
    used[torch.from_numpy(text.ids).long()] = True
    used[sorted(id for id in special_ids(model) if id < len(used))] = False
    idle: list[int] = (~used).nonzero().flatten().tolist()
    return idle
