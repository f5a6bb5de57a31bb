"""attach on transformers: tables that share a weight, tied heads, inputs_embeds. Tiny random models."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchsse.errors import TorchsseWarning
from torchsse.modules import SSE, attach

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.slow  # loading transformers alone takes seconds

V = 60
PAD = 1
TINY = {
    "d_model": 8,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
}
FFN = {"encoder_ffn_dim": 8, "decoder_ffn_dim": 8, "max_position_embeddings": 32, "pad_token_id": PAD, "vocab_size": V}


def build(kind: str) -> nn.Module:
    torch.manual_seed(0)
    if kind == "bart":
        config = transformers.BartConfig(**TINY, **FFN, decoder_start_token_id=2, eos_token_id=2, bos_token_id=0)
        return transformers.BartForConditionalGeneration(config)  # type: ignore[no-any-return]
    if kind == "marian":
        config = transformers.MarianConfig(**TINY, **FFN, decoder_start_token_id=PAD, eos_token_id=0)
        return transformers.MarianMTModel(config)  # type: ignore[no-any-return]
    if kind == "t5":
        sizes = {"d_model": 8, "d_ff": 8, "d_kv": 4, "num_layers": 1, "num_heads": 2}
        config = transformers.T5Config(
            vocab_size=V,
            **sizes,
            pad_token_id=PAD,
            decoder_start_token_id=PAD,
            eos_token_id=2,
            tie_word_embeddings=True,
        )
        return transformers.T5ForConditionalGeneration(config)  # type: ignore[no-any-return]
    if kind == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=V, n_embd=8, n_layer=1, n_head=2, n_positions=32, bos_token_id=0, eos_token_id=0
        )
        return transformers.GPT2LMHeadModel(config)  # type: ignore[no-any-return]
    config = transformers.BertConfig(
        vocab_size=V, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, pad_token_id=PAD
    )
    return transformers.BertForMaskedLM(config)  # type: ignore[no-any-return]


TOKENS = {
    "bart": "model.shared",
    "marian": "model.shared",
    "t5": "shared",
    "gpt2": "transformer.wte",
    "bert": "bert.embeddings.word_embeddings",
}
SEQ2SEQ = ("bart", "marian", "t5")


def lookups(model: nn.Module) -> list[Tensor]:
    """Ids that reach a table of V rows in one training step, in the order of the look-ups."""
    seen: list[Tensor] = []
    hooks = [
        table.register_forward_hook(lambda module, args, output: seen.append(args[0]))
        for table in model.modules()
        if isinstance(table, nn.Embedding) and table.num_embeddings == V
    ]
    ids = torch.arange(3, V).view(3, 19)
    model(input_ids=ids, labels=ids)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("kind", TOKENS)
def test_every_look_up_of_a_token_is_swapped(kind: str) -> None:
    model = build(kind).train()
    plain = lookups(model)
    weights = [p for p in model.parameters() if p.shape == (V, 8)]
    state = list(model.state_dict())
    handle = attach(model, {TOKENS[kind]: SSE(V, p0=1.0)})
    swapped = lookups(model)
    assert len(swapped) == len(plain) == (2 if kind in SEQ2SEQ else 1)
    for before, after in zip(plain, swapped, strict=True):
        padding = PAD if kind in ("bart", "marian", "bert") else -1  # T5 and GPT-2 give their tables none
        assert torch.equal(before != after, before != padding)
        assert not (after[before != padding] == padding).any()
    assert list(model.state_dict()) == state
    assert [p for p in model.parameters() if p.shape == (V, 8)] == weights
    head = model.get_output_embeddings()  # type: ignore[operator]
    assert head.weight is weights[0]
    assert not head._forward_pre_hooks
    handle.remove()
    assert all(torch.equal(a, b) for a, b in zip(lookups(model), plain, strict=True))
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("kind", SEQ2SEQ)
def test_control_hooking_the_input_embeddings_alone_misses_look_ups(kind: str) -> None:
    model = build(kind).train()
    plain = lookups(model)
    table = model.get_input_embeddings()  # type: ignore[operator]
    table.register_forward_pre_hook(lambda module, args: ((args[0] + 1) % V, *args[1:]))
    moved = [not torch.equal(a, b) for a, b in zip(plain, lookups(model), strict=True)]
    shared = len({id(m) for m in model.modules() if isinstance(m, nn.Embedding) and m.num_embeddings == V}) == 1
    assert all(moved) == shared


@pytest.mark.parametrize("kind", TOKENS)
def test_training_goes_on_as_usual(kind: str) -> None:
    model = build(kind).train()
    attach(model, {TOKENS[kind]: SSE(V, p0=0.3)})
    twin = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    ids = torch.arange(3, V).view(3, 19)
    for _ in range(2):
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert torch.isfinite(loss)
    assert torch.isfinite(twin(input_ids=ids, labels=ids).loss)


def embeds(model: nn.Module) -> dict[str, Any]:
    ids = torch.arange(3, V).view(3, 19)
    return {"inputs_embeds": model.get_input_embeddings()(ids).detach(), "labels": ids}  # type: ignore[operator]


@pytest.mark.parametrize("kind", TOKENS)
def test_inputs_embeds_warns_once_in_training(kind: str) -> None:
    model = build(kind)
    handle = attach(model, {TOKENS[kind]: SSE(V, p0=0.3)})
    given = embeds(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.eval()(**given)  # nothing is swapped in eval, nothing is missed
        model.train()(input_ids=given["labels"], labels=given["labels"])  # control: inner modules do pass vectors on
    with pytest.warns(TorchsseWarning, match="inputs_embeds, which bypasses"):
        model(**given)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(**given)
    handle.remove()
    fresh = build(kind)
    attach(fresh, {TOKENS[kind]: SSE(V, p0=0.3)}).remove()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fresh.train()(**given)


def test_decoder_inputs_embeds_warns_by_name() -> None:
    model = build("bart").train()
    attach(model, {TOKENS["bart"]: SSE(V, p0=0.3)})
    ids = torch.arange(3, V).view(3, 19)
    with pytest.warns(TorchsseWarning, match="decoder_inputs_embeds"):
        model(input_ids=ids, decoder_inputs_embeds=torch.zeros(3, 19, 8))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(V, 1)

    def forward(self, input_ids: Tensor | None = None, inputs_embeds: Tensor | None = None) -> Tensor:
        return self.table(input_ids) if inputs_embeds is None else inputs_embeds * 1.0


def test_inputs_embeds_by_position() -> None:
    model = Net()
    attach(model, {"table": SSE(V, p0=0.3)})
    with pytest.warns(TorchsseWarning, match="inputs_embeds"):
        model(None, torch.zeros(2, 1))


def test_inputs_embeds_under_compilation_warns_and_breaks_nothing() -> None:
    torch.compiler.reset()
    model = Net()
    attach(model, {"table": SSE(V, p0=1.0)})
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    with warnings.catch_warnings():
        warnings.simplefilter("error", TorchsseWarning)
        compiled(input_ids=torch.arange(V))
    with pytest.warns(TorchsseWarning, match="inputs_embeds"):
        assert compiled(inputs_embeds=torch.ones(2, 1)).shape == (2, 1)
    torch.compiler.reset()


@pytest.mark.parametrize("kind", ["bart", "gpt2"])
def test_whole_models_compile_to_one_graph(kind: str) -> None:
    torch.compiler.reset()
    graphs: list[int] = []

    def backend(module: torch.fx.GraphModule, _: list[Tensor]) -> Any:
        graphs.append(1)
        return module.forward

    model = build(kind).train()
    ids = torch.arange(3, V).view(3, 19)
    attention = torch.ones_like(ids)
    handle = attach(model, {TOKENS[kind]: SSE(V, p0=1.0)})
    extra = {"decoder_input_ids": ids} if kind == "bart" else {}
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    sums = []
    for p0 in (1.0, 0.0, 0.2):
        handle.p0 = p0
        sums.append(compiled(input_ids=ids, attention_mask=attention, use_cache=False, **extra).logits.sum().item())
    assert len(set(sums)) == 3
    assert len(graphs) == 1
    torch.compiler.reset()
