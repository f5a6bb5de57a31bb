"""Translator: a trained sequence-to-sequence model that translates text by beam search."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from torchsse.errors import ConfigError, CorruptFileError, DataError
from torchsse.nlp.bpe import encode
from torchsse.nlp.checkpoints import transformers_quietly
from torchsse.nlp.steps import pick_device

__all__ = ["Translator"]

LONGER = (2.0, 20)  # a translation has at most so many times the pieces of its source, and so many more


class Translator:
    """Translates sentences with any encoder-decoder of transformers and its tokenizer.

    Args:
        model: for instance a MarianMTModel.
        tokenizer: a fast one whose sentences end as the model expects.
        device: where the model runs.

    Example:
        >>> translator = Translator.load("model")  # doctest: +SKIP
        >>> translator.translate(["A man rides a horse."])  # doctest: +SKIP
        ['Ein Mann reitet ein Pferd.']
    """

    def __init__(self, model: Any, tokenizer: Any, device: str = "auto") -> None:
        if not getattr(model.config, "is_encoder_decoder", False):
            raise ConfigError(f"expected an encoder-decoder, got {type(model).__name__}")
        self.model = model.to(pick_device(device)).eval()
        self.tokenizer = tokenizer

    @classmethod
    def load(cls, directory: str | os.PathLike[str], device: str = "auto") -> Translator:
        """From a directory that `train_translation` or `save_pretrained` wrote; safetensors only, nothing is run.

        Raises:
            ConfigError: no such directory, or not of such a model. CorruptFileError: weights that cannot be read.
        """
        import safetensors
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        name = os.fspath(directory)
        if not (Path(name) / "config.json").is_file():
            raise ConfigError(f"{name}: expected the directory of a trained model, found no config.json in it")
        try:
            with transformers_quietly():
                tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=True)
                model, info = AutoModelForSeq2SeqLM.from_pretrained(
                    name, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
                )
        except safetensors.SafetensorError as error:
            raise CorruptFileError(f"{name}: the weights cannot be read: {error}") from None
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"{name}: cannot be loaded: {str(error).splitlines()[0][:300]}") from None
        lost = [key for key in info["missing_keys"] if "embed_positions" not in key and key != "final_logits_bias"]
        if lost:
            raise CorruptFileError(f"{name}: the weights are not those of its configuration: {lost[0]} lacks")
        return cls(model, tokenizer, device)

    def translate(
        self,
        sentences: Sequence[str],
        *,
        beams: int = 4,
        length_penalty: float = 1.0,
        batch_tokens: int = 4096,
        callback: Callable[[int, int], None] | None = None,
    ) -> list[str]:
        """Translations, in the order of the sentences; an empty line stays empty.

        Args:
            sentences: one string each.
            beams: width of the beam search; 1: greedy.
            length_penalty: a translation's log-probability is divided by its length to this power.
            batch_tokens: source tokens times beams of a batch, padding included.
            callback: called with (sentences done, of all) after each batch.

        Raises:
            ConfigError: beams or batch_tokens below 1. DataError: a sentence longer than the model has positions.
        """
        if isinstance(sentences, str):
            raise DataError("expected a list of sentences, got one string")
        if beams < 1 or batch_tokens < 1:
            raise ConfigError(f"expected beams and batch_tokens of at least 1, got {beams} and {batch_tokens}")
        texts = [sentence.strip() for sentence in sentences]
        ids = encode(self.tokenizer, texts)
        lengths, positions = ids.lengths, int(getattr(self.model.config, "max_position_embeddings", 1 << 30))
        if len(lengths) and lengths.max() > positions:
            row = int(lengths.argmax())
            raise DataError(f"line {row + 1}: {lengths[row]:,} pieces, the model reads {positions:,} at most: split it")
        filled = sorted((row for row, text in enumerate(texts) if text), key=lambda row: int(lengths[row]))
        found, done = [""] * len(texts), len(texts) - len(filled)
        for rows in _groups(filled, lengths, max(batch_tokens // beams, 1)):
            longest = int(lengths[rows].max())
            batch = torch.full((len(rows), longest), self.model.config.pad_token_id)
            mask = torch.zeros_like(batch)
            for i, row in enumerate(rows):
                batch[i, : lengths[row]] = torch.from_numpy(ids.ids[ids.starts[row] : ids.starts[row + 1]])
                mask[i, : lengths[row]] = 1
            device = self.model.device
            with torch.inference_mode():
                output = self.model.generate(
                    input_ids=batch.to(device),
                    attention_mask=mask.to(device),
                    num_beams=beams,
                    do_sample=False,
                    length_penalty=length_penalty if beams > 1 else None,
                    early_stopping=beams > 1,
                    max_length=min(int(LONGER[0] * longest) + LONGER[1], positions),
                )
            texts_of = self.tokenizer.batch_decode(output, skip_special_tokens=True)
            for row, text in zip(rows, texts_of, strict=True):
                found[row] = " ".join(text.split())
            done += len(rows)
            if callback is not None:
                callback(done, len(texts))
        return found


def _groups(rows: list[int], lengths: Any, tokens: int) -> Iterator[list[int]]:
    """Rows sorted by length, cut so that a group padded holds at most so many tokens."""
    group: list[int] = []
    for row in rows:
        if group and int(lengths[row]) * (len(group) + 1) > tokens:
            yield group
            group = []
        group.append(row)
    if group:
        yield group
