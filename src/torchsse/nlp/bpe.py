"""Joint byte-pair encoding: one vocabulary for source and target, learnt from the training text."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.errors import ConfigError

__all__ = ["EOS", "PAD", "Encoded", "encode", "learn_bpe"]

PAD, EOS = "<pad>", "</s>"
BYTES = 256
_BLOCK = 8192


@dataclass(frozen=True)
class Encoded:
    """Sentences as ids, one after the other.

    Attributes:
        ids: int32, shape (tokens,).
        starts: int64, shape (sentences + 1,): sentence i is ids[starts[i] : starts[i + 1]].
    """

    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        result: npt.NDArray[np.int64] = np.diff(self.starts)
        return result

    def take(self, rows: npt.NDArray[np.int64]) -> Encoded:
        """The sentences at these positions."""
        lengths = self.lengths[rows]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        inside = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
        return Encoded(self.ids[np.repeat(self.starts[rows], lengths) + inside], starts)


def learn_bpe(texts: Iterable[str], vocabulary: int) -> Any:
    """A transformers tokenizer (PreTrainedTokenizerFast) with a byte-level BPE of `texts`.

    Any text can be written in it and comes back as it was: there is no unknown word. Sentences end in `</s>`.
    `save_pretrained` writes `tokenizer.json`, which transformers and tokenizers load alone.

    Args:
        texts: the sentences of both languages.
        vocabulary: pieces at most, the two special ones and 256 bytes included.

    Raises:
        ConfigError: a vocabulary that does not hold the bytes.

    Example:
        >>> import pytest; _ = pytest.importorskip("transformers")
        >>> bpe = learn_bpe(["a house", "ein Haus"] * 4, 300)
        >>> ids = bpe("ein house").input_ids
        >>> bpe.convert_ids_to_tokens(ids), bpe.decode(ids, skip_special_tokens=True)
        (['Ġein', 'Ġhouse', '</s>'], 'ein house')
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    if vocabulary < BYTES + 2:
        raise ConfigError(
            f"expected a vocabulary of at least {BYTES + 2} pieces (256 bytes, 2 special), got {vocabulary}"
        )
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    bpe.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, EOS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    bpe.post_processor = processors.TemplateProcessing(
        single=f"$A {EOS}", pair=f"$A $B {EOS}", special_tokens=[(EOS, bpe.token_to_id(EOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token=PAD, eos_token=EOS, clean_up_tokenization_spaces=False, padding_side="right",
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def encode(tokenizer: Any, lines: Sequence[str]) -> Encoded:
    """Sentences as ids, with `</s>` at the end of each."""
    # its threads die in a forked child, and say so at length
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    backend = tokenizer.backend_tokenizer
    ids: list[npt.NDArray[np.int32]] = []
    lengths: list[int] = []
    for start in range(0, len(lines), _BLOCK):
        block = [encoding.ids for encoding in backend.encode_batch_fast(list(lines[start : start + _BLOCK]))]
        lengths.extend(map(len, block))
        ids.append(np.fromiter((id for row in block for id in row), np.int32))
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return Encoded(np.concatenate(ids) if ids else np.empty(0, np.int32), starts)
