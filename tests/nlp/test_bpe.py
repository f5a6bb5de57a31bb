"""The joint BPE: any text comes back, learning is the same twice, transformers and tokenizers load it alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchsse.errors import ConfigError

pytest.importorskip("transformers")

from translation_case import made_corpus

from torchsse.nlp.bpe import Encoded, encode, learn_bpe

TEXT = made_corpus(60, 0)
BPE = learn_bpe([*TEXT.source, *TEXT.target], 400)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.text(st.characters(exclude_categories=["Cs", "Zs", "Cc"]), min_size=1).filter(lambda t: "<" not in t))
def test_any_text_comes_back(text: str) -> None:
    ids = BPE(text).input_ids
    assert ids[-1] == BPE.eos_token_id
    assert BPE.decode(ids, skip_special_tokens=True) == text


def test_words_are_learnt_jointly_and_the_same_twice(tmp_path: Path) -> None:
    assert BPE.tokenize("the woman sieht das") == ["Ġthe", "Ġwoman", "Ġsieht", "Ġdas"]
    again = learn_bpe([*TEXT.source, *TEXT.target], 400)
    assert again.get_vocab() == BPE.get_vocab()
    assert len(BPE) <= 400
    BPE.save_pretrained(tmp_path)
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    line = "the woman groß, x"
    assert AutoTokenizer.from_pretrained(tmp_path)(line).input_ids == BPE(line).input_ids
    assert Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode(line).ids == BPE(line).input_ids


def test_encode_is_the_tokenizer(monkeypatch: Any) -> None:
    lines = [*TEXT.source[:7], "", "x"]
    monkeypatch.setattr("torchsse.nlp.bpe._BLOCK", 2)
    found = encode(BPE, lines)
    rows = [found.ids[found.starts[i] : found.starts[i + 1]].tolist() for i in range(len(found))]
    assert rows == BPE(lines).input_ids
    taken = found.take(np.array([8, 0, 3]))
    assert taken.ids.tolist() == rows[8] + rows[0] + rows[3]
    assert taken.lengths.tolist() == [len(rows[8]), len(rows[0]), len(rows[3])]
    assert len(encode(BPE, [])) == 0
    assert isinstance(taken, Encoded)


def test_a_vocabulary_without_the_bytes_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 258"):
        learn_bpe(["a"], 200)
