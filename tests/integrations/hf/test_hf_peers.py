"""The peers of SSE: what each does in training, that it does nothing in evaluation, and that it comes off."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import scipy.stats
import tiny
import torch
from tiny import LANGUAGE, TABLES, V
from torch import nn

from torchsse.errors import AttachError, ConfigError
from torchsse.integrations.hf import attach_sse
from torchsse.integrations.hf.peers import (
    Peer,
    SwitchOut,
    dropout,
    label_smoothing,
    neftune,
    switch_out,
    token_dropout,
    word_dropout,
)
from torchsse.modules import SSE

transformers = tiny.transformers
ALPHA = 1e-4

PUT: dict[str, Callable[[nn.Module], Peer]] = {
    "token": lambda model: token_dropout(model, tiny.tokenizer(), 0.3),
    "word": lambda model: word_dropout(model, tiny.tokenizer(), 0.3),
    "switch": lambda model: switch_out(model, tiny.tokenizer(), 3.0),
}


def inputs(kind: str) -> dict[str, Any]:
    ids = tiny.batch()
    return {"input_ids": ids} | ({"decoder_input_ids": ids} if kind in ("t5", "bart", "marian") else {})


@pytest.mark.parametrize("kind", ["bert", "gpt2", "t5", "bart"])
@pytest.mark.parametrize("peer", PUT)
def test_acts_in_training_only_on_the_word_tables_and_comes_off(peer: str, kind: str) -> None:
    model = tiny.build(kind, **tiny.no_dropout(kind))
    plain = model.eval()(**inputs(kind)).logits
    state = list(model.state_dict())
    put = PUT[peer](model)
    assert set(put.names) <= set(TABLES[kind])
    assert list(model.state_dict()) == state
    assert torch.equal(model(**inputs(kind)).logits, plain)
    twin = copy.deepcopy(model).train()
    for each in (model.train(), twin):
        assert not torch.allclose(each(**inputs(kind)).logits, plain)
    with pytest.raises(AttachError, match="already"):
        PUT[peer](model)
    put.remove()
    assert torch.equal(model(**inputs(kind)).logits, plain)


def test_token_dropout_gives_unknown_tokens_at_its_rate() -> None:
    model = tiny.build("bert").train()
    ids = torch.full((100, 40), 10)
    ids[:, 0] = 2
    token_dropout(model, tiny.tokenizer(), 0.3)
    (after,) = tiny.seen(model, input_ids=ids)
    assert torch.equal(after[:, 0], ids[:, 0])
    hit = (after == 0).sum().item()
    assert set(after.unique().tolist()) == {0, 2, 10}
    assert scipy.stats.binomtest(hit, 3900, 0.3).pvalue > ALPHA
    with pytest.raises(ConfigError, match="bos_token"):
        token_dropout(tiny.build("bert"), tiny.tokenizer(), to="bos_token")


def test_word_dropout_drops_a_word_everywhere_and_keeps_specials() -> None:
    model = tiny.build("bert").train()
    table = model.get_submodule(TABLES["bert"][0])
    ids = torch.arange(V).repeat(3, 1)
    with word_dropout(model, tiny.tokenizer(), 0.5):
        out = table(ids)
    ratio = out / table.weight  # type: ignore[operator]
    words = slice(6, 6 + len(tiny.WORDS))
    assert torch.equal(out[0], out[1])
    assert {round(value, 4) for value in ratio[0, words].flatten().tolist()} == {0.0, 2.0}
    special = [0, 2, 3, 4]
    torch.testing.assert_close(out[0, special], table.weight[special])  # type: ignore[index]


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_switch_out_counts_follow_their_law(temperature: float) -> None:
    """Chi-square over 0 .. L for the number of words replaced in each sequence."""
    model = tiny.build("bert").train()
    length, many = 6, 4000
    ids = torch.full((many, length + 2), 10)
    ids[:, 0], ids[:, -1] = 2, 3
    switch_out(model, tiny.tokenizer(), temperature)
    torch.manual_seed(0)
    table = model.get_submodule(TABLES["bert"][0])
    seen: list[torch.Tensor] = []
    table.register_forward_hook(lambda module, args, out: seen.append(args[0]))
    table(ids)
    moved = seen[0] != ids
    assert not moved[:, [0, -1]].any()
    counts = torch.bincount(moved.sum(dim=1), minlength=length + 1).double()
    law = torch.exp(-torch.arange(length + 1) / temperature)
    expected = many * law / law.sum()
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    assert chi2 < scipy.stats.chi2.isf(ALPHA, length)
    binomial = many * torch.from_numpy(
        scipy.stats.binom.pmf(range(length + 1), length, moved.float().sum().item() / many / length)
    )
    assert ((counts - binomial) ** 2 / binomial).sum() > scipy.stats.chi2.isf(ALPHA, length), "control: SSE's counts"
    where = moved[:, 1:-1].sum(dim=0)
    assert scipy.stats.chisquare(where.numpy()).pvalue > ALPHA, "no position is preferred"
    assert (seen[0][moved] >= 6).all()


def test_switch_out_leaves_sequences_without_words_alone() -> None:
    hook = SwitchOut(SSE(V, 1.0, exclude=range(6)), 100.0)
    module = nn.Embedding(V, 2).train()
    ids = torch.tensor([[2, 3, 1], [2, 10, 3]])
    for _ in range(20):
        (after,) = hook(module, (ids,))  # type: ignore[misc]
        assert torch.equal(after == ids, (ids < 6) | (after == ids))
        assert torch.equal(after[0], ids[0])
    assert hook.count(torch.zeros(50, dtype=torch.long)).eq(0).all()


def test_words_for_the_configuration() -> None:
    assert dropout(tiny.config("bert"), 0.2) == {"hidden_dropout_prob": 0.2}
    assert dropout(tiny.config("t5"), 0.2) == {"dropout_rate": 0.2}
    assert set(dropout(tiny.config("marian"), 0.3, attention=True)) == {
        "dropout",
        "attention_dropout",
        "activation_dropout",
    }
    for kind in LANGUAGE:
        model = getattr(transformers, LANGUAGE[kind])(tiny.config(kind, **dropout(tiny.config(kind), 0.25)))
        rates = {module.p for module in model.modules() if isinstance(module, nn.Dropout)}
        rates |= {module.dropout for module in model.modules() if isinstance(getattr(module, "dropout", None), float)}
        assert 0.25 in rates, kind
    with pytest.raises(ConfigError, match="found no dropout"):
        dropout(object(), 0.1)
    for wrong in (lambda: neftune(0), lambda: label_smoothing(1.0), lambda: dropout(tiny.config("bert"), -0.1)):
        with pytest.raises(ConfigError):
            wrong()
    with pytest.raises(ConfigError, match="temperature"):
        switch_out(tiny.build("bert"), temperature=0)


def test_neftune_and_label_smoothing_in_a_trainer_beside_sse(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    model = tiny.build("bert", **tiny.no_dropout("bert"))
    handle = attach_sse(model, p0=0.0)
    table = model.get_submodule(handle.names[0])
    noise: list[float] = []

    class Listen(transformers.TrainerCallback):  # type: ignore[misc, name-defined]
        def on_step_begin(self, *args: Any, **words: Any) -> None:
            table.register_forward_hook(
                lambda module, args, out: noise.append(float((out - module.weight[args[0]]).abs().max()))
            )

    words = {"report_to": [], "use_cpu": True, "disable_tqdm": True, "max_steps": 1, "save_strategy": "no"}
    arguments = transformers.TrainingArguments(str(tmp_path), **words, **neftune(5), **label_smoothing(0.1))
    data = [{"input_ids": row, "labels": row} for row in tiny.batch()]
    hooks = len(table._forward_hooks)
    run = transformers.Trainer(model, arguments, train_dataset=data, callbacks=[Listen()])
    run.train()
    assert noise[0] > 0.0
    assert run.label_smoother.epsilon == 0.1
    assert len(table._forward_hooks) == hooks + 1, "transformers takes its noise off again"
    model.eval()(input_ids=tiny.batch())
    assert noise[-1] == 0.0
