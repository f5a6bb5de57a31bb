"""Which ids of a tokenizer stand for whole words."""

from __future__ import annotations

from typing import Any

__all__ = ["whole_words"]

CONTINUES = "##"  # WordPiece: goes on with a word
BEGINS = ("▁", "Ġ")  # SentencePiece and byte-level BPE: a space, and so a word, begins here
ENDS = "</w>"  # the first BPE: a word ends here


def whole_words(tokenizer: Any, min_length: int = 1) -> dict[str, list[int]]:
    """Word in lower case -> ids of the pieces that are it: "film" and "Film", each with or without the space before.

    The marks of the vocabulary itself tell where words begin: `##` (BERT), `▁` (T5, Marian), `Ġ` (GPT-2, RoBERTa),
    `</w>`; whichever is most frequent counts, and without any, every piece is a word. A piece that begins a longer word
    now and then ("play" in "play ##ing") is a whole word. Special tokens, digits and punctuation are none.

    Args:
        tokenizer: anything with `get_vocab()` and `all_special_ids`.
        min_length: letters at least.

    Example:
        >>> class Toy:
        ...     all_special_ids = [0]
        ...     def get_vocab(self):
        ...         return {"unk": 0, "film": 1, "Film": 2, "##ing": 3, "7th": 4}
        >>> whole_words(Toy())
        {'film': [1, 2]}
    """
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    special = set(tokenizer.all_special_ids)
    counts = {mark: sum(piece.startswith(mark) for piece in vocabulary) for mark in (CONTINUES, *BEGINS)}
    counts[ENDS] = sum(piece.endswith(ENDS) for piece in vocabulary)
    mark = max(counts, key=lambda mark: counts[mark])
    words: dict[str, list[int]] = {}
    for piece, id in sorted(vocabulary.items(), key=lambda item: item[1]):
        word = _word(piece, mark) if counts[mark] else piece
        if word is not None and id not in special and len(word) >= min_length and word.isalpha():
            words.setdefault(word.lower(), []).append(id)
    return words


def _word(piece: str, mark: str) -> str | None:
    """The word that a piece is, None if it is none."""
    if mark == CONTINUES:
        return None if piece.startswith(mark) else piece
    if mark == ENDS:
        return piece.removesuffix(mark) if piece.endswith(mark) else None
    return piece.removeprefix(mark) if piece.startswith(mark) else None
