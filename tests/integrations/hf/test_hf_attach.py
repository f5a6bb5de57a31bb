"""attach_sse: which tables it finds, which ids take part, and what of transformers goes on working."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import scipy.stats
import tiny
import torch
from tiny import LANGUAGE, PAD, TABLES, V
from torch import nn

from torchsse.errors import AttachError, ConfigError, TorchsseWarning
from torchsse.graph import Graph
from torchsse.integrations.hf import attach_sse
from torchsse.integrations.hf.vocabulary import fit_graph, idle_ids, special_ids
from torchsse.modules import SSE

transformers = tiny.transformers
WORD_IDS = range(6, 6 + len(tiny.WORDS))
ALPHA = 1e-4
SEQ2SEQ = ("t5", "bart", "marian")


def inputs(kind: str) -> dict[str, Any]:
    ids = tiny.batch()
    given = {"input_ids": ids, "attention_mask": (ids != PAD).long()}
    return given | ({"decoder_input_ids": ids.flip(0)} if kind in SEQ2SEQ else {})


@pytest.mark.parametrize("kind", LANGUAGE)
def test_exactly_the_word_tables_are_hooked(kind: str) -> None:
    model = tiny.build(kind)
    state = list(model.state_dict())
    handle = attach_sse(model, tiny.tokenizer(), p0=0.5)
    assert handle.names == TABLES[kind]
    hooked = {
        name
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, nn.Embedding) and module._forward_pre_hooks
    }
    assert hooked == set(TABLES[kind])
    assert list(model.state_dict()) == state
    head = model.get_output_embeddings()  # type: ignore[operator]
    assert not head._forward_pre_hooks
    handle.remove()
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("kind", LANGUAGE)
def test_words_are_swapped_in_training_only_and_specials_never(kind: str) -> None:
    model = tiny.build(kind, **tiny.no_dropout(kind))
    given = inputs(kind)
    plain = tiny.seen(model.train(), **given)
    logits = model.eval()(**given).logits
    handle = attach_sse(model, tiny.tokenizer(), p0=1.0)
    assert torch.equal(model.eval()(**given).logits, logits)
    swapped = tiny.seen(model.train(), **given)
    assert len(plain) == len(swapped) == (2 if kind in SEQ2SEQ else 1)
    for before, after in zip(plain, swapped, strict=True):
        word = before >= 6
        assert torch.equal(before != after, word), "at p0 = 1 every word moves, no special token does"
        assert set(after[word].tolist()) <= set(WORD_IDS)
    handle.p0 = 0.0
    assert torch.equal(model(**given).logits, logits)
    handle.remove()
    assert torch.equal(model(**given).logits, logits)


def test_control_an_sse_that_does_nothing_is_seen() -> None:
    model = tiny.build("bert").train()
    plain = tiny.seen(model, **inputs("bert"))
    attach_sse(model, p0=0.0)
    assert all(torch.equal(a, b) for a, b in zip(plain, tiny.seen(model, **inputs("bert")), strict=True))


@pytest.mark.parametrize("kind", ["bert", "marian"])
def test_a_saved_model_is_a_plain_one(kind: str, tmp_path: Path) -> None:
    model = tiny.build(kind)
    attach_sse(model, tiny.tokenizer(), p0=0.3)
    model.train()(**inputs(kind)).logits.sum().backward()
    model.save_pretrained(tmp_path)  # type: ignore[operator]
    again = getattr(transformers, LANGUAGE[kind]).from_pretrained(tmp_path)
    assert not any(module._forward_pre_hooks for module in again.modules())
    assert "sse" not in (tmp_path / "config.json").read_text()
    assert torch.equal(again.eval()(**inputs(kind)).logits, model.eval()(**inputs(kind)).logits)


def test_generation_is_untouched() -> None:
    model = tiny.build("marian").eval()
    given = {"input_ids": tiny.batch(), "max_new_tokens": 5, "num_beams": 2}
    plain = model.generate(**given)  # type: ignore[operator]
    attach_sse(model, p0=1.0)
    assert torch.equal(model.generate(**given), plain)  # type: ignore[operator]


def separate_vocabularies() -> nn.Module:
    torch.manual_seed(0)
    config = tiny.config("marian", decoder_vocab_size=50, share_encoder_decoder_embeddings=False)
    return transformers.MarianMTModel(config)  # type: ignore[no-any-return]


def test_separate_vocabularies_get_an_sse_each() -> None:
    model = separate_vocabularies().train()
    handle = attach_sse(model, p0=1.0)
    rows = {name: sse.num_embeddings for name, sse in handle.sses.items()}
    assert rows == {"model.encoder.embed_tokens": V, "model.decoder.embed_tokens": 50}
    with pytest.raises(ConfigError, match="50 rows"):
        attach_sse(separate_vocabularies(), graph=Graph.from_edges([7], [8], V), rho=2.0)


def test_encoder_decoder_of_two_berts() -> None:
    torch.manual_seed(0)
    encoder = transformers.BertModel(tiny.config("bert"))
    decoder = transformers.BertLMHeadModel(tiny.config("bert", is_decoder=True, add_cross_attention=True))
    model = transformers.EncoderDecoderModel(encoder=encoder, decoder=decoder)
    assert attach_sse(model, p0=0.1).names == (
        "encoder.embeddings.word_embeddings",
        "decoder.bert.embeddings.word_embeddings",
    )


def test_special_ids_come_from_tokenizer_and_configuration() -> None:
    model = tiny.build("bart")
    assert special_ids(model) == {PAD, 2, 3}
    assert special_ids(model, tiny.tokenizer()) == {0, 1, 2, 3, 4}
    tokenizer = tiny.tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<x>"]})
    assert 36 in special_ids(model, tokenizer)
    assert idle_ids(tiny.tokenizer(), V) == {5, *range(36, V)}, "the reserved piece and the padding of the table"


def test_a_tokenizer_larger_than_the_table_says_resize() -> None:
    model = tiny.build("bert", vocab_size=20)
    with pytest.raises(ConfigError, match="resize_token_embeddings"):
        attach_sse(model, tiny.tokenizer())
    model.resize_token_embeddings(len(tiny.tokenizer()))  # type: ignore[operator]
    assert attach_sse(model, tiny.tokenizer()).sses[TABLES["bert"][0]].num_embeddings == 36


def test_a_graph_over_the_vocabulary_fits_a_padded_table() -> None:
    tokenizer = tiny.tokenizer()
    size = len(tokenizer)
    dog, hound = tokenizer.convert_tokens_to_ids(["dog", "hound"])
    graph = Graph.from_edges([dog], [hound], size, weight=[0.5])
    wide = fit_graph(graph, V, tokenizer)
    assert (wide.num_nodes, wide.num_edges, wide.directed) == (V, 2, False)
    wide.verify()
    model = tiny.build("bert").train()
    sse = attach_sse(model, tokenizer, p0=1.0, graph=graph, rho=math.inf).sses[TABLES["bert"][0]]
    assert float(sse.probability(dog, hound)) == 1.0
    ids = torch.tensor([[dog, hound, 6, 2]])
    (after,) = tiny.seen(model, input_ids=ids)
    assert after.tolist() == [[hound, dog, 6, 2]]
    for nodes in (size - 1, V + 1):
        with pytest.raises(ConfigError, match=f"{nodes} nodes"):
            attach_sse(tiny.build("bert"), tokenizer, graph=Graph.from_edges([6], [7], nodes), rho=2.0)


def test_clear_errors() -> None:
    with pytest.raises(AttachError, match=r"no word embeddings in Linear.*none"):
        attach_sse(nn.Linear(2, 2))
    with pytest.raises(AttachError, match="expected a transformers model"):
        attach_sse("bert-base")  # type: ignore[arg-type]
    vision = transformers.ViTModel(
        transformers.ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    )
    with pytest.raises(AttachError, match="no word embeddings in ViTModel"):
        attach_sse(vision)
    model = tiny.build("bert")
    for words in ({"p0": 2.0}, {"rho": 3.0}, {"exclude": [V]}, {"graph": "words", "rho": 2.0}):
        with pytest.raises(ConfigError):
            attach_sse(model, **words)  # type: ignore[arg-type]
    attach_sse(model)
    with pytest.raises(AttachError, match="SSE already"):
        attach_sse(model)


def test_inputs_embeds_warns() -> None:
    model = tiny.build("bert").train()
    attach_sse(model)
    with pytest.warns(TorchsseWarning, match="inputs_embeds"):
        model(inputs_embeds=torch.zeros(1, 3, 8))


@pytest.mark.parametrize("kind", ["bert", "gpt2", "t5", "bart"])
def test_gradient_checkpointing_gives_the_same_gradient(kind: str) -> None:
    gradients = []
    for checkpointing in (False, True):
        model = tiny.build(kind).train()
        if checkpointing:
            model.gradient_checkpointing_enable()  # type: ignore[operator]
        attach_sse(model, p0=0.5)
        torch.manual_seed(3)
        model(**inputs(kind), use_cache=False).logits.square().sum().backward()
        gradients.append(model.get_input_embeddings().weight.grad)  # type: ignore[operator]
    assert torch.equal(*gradients)


def test_checkpointing_the_whole_model_replays_the_draw() -> None:
    from torch.utils.checkpoint import checkpoint

    model = tiny.build("bert").train()
    attach_sse(model, p0=0.5)
    found: list[torch.Tensor] = []
    model.get_submodule(TABLES["bert"][0]).register_forward_hook(lambda module, args, out: found.append(args[0]))
    checkpoint(lambda ids: model(input_ids=ids).logits, tiny.batch(), use_reentrant=False).sum().backward()
    assert len(found) == 2
    assert torch.equal(*found)
    assert not torch.equal(found[0], tiny.batch())


def test_bfloat16() -> None:
    model = tiny.build("bart").to(torch.bfloat16).train()
    handle = attach_sse(model, p0=1.0)
    first, second = tiny.seen(model, **inputs("bart"))
    assert (first != tiny.batch()).any()
    assert (second != tiny.batch().flip(0)).any()
    with torch.autocast("cpu", torch.bfloat16):
        loss = tiny.build("bert").train()(input_ids=tiny.batch(), labels=tiny.batch()).loss
    assert torch.isfinite(loss)
    handle.remove()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_on_a_gpu(dtype: torch.dtype) -> None:
    model = tiny.build("bart").to("cuda", dtype).train()
    attach_sse(model, tiny.tokenizer(), p0=1.0)
    given = {name: value.cuda() for name, value in inputs("bart").items()}
    first, _ = tiny.seen(model, **given)
    assert torch.equal(first != given["input_ids"], given["input_ids"] >= 6)
    model(**given).logits.float().sum().backward()


def test_one_compiled_graph_and_p0_may_change() -> None:
    torch.compiler.reset()
    graphs: list[int] = []

    def backend(module: torch.fx.GraphModule, _: list[torch.Tensor]) -> Any:
        graphs.append(1)
        return module.forward

    model = tiny.build("bert", **tiny.no_dropout("bert")).train()
    ids = tiny.batch()
    plain = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.sum()
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    handle = attach_sse(compiled, tiny.tokenizer(), p0=1.0)
    assert handle.names == TABLES["bert"]
    sums = []
    for p0 in (1.0, 0.0):
        handle.p0 = p0
        sums.append(compiled(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.sum())
    assert len(graphs) == 1
    torch.testing.assert_close(sums[1], plain)
    assert abs(sums[0] - plain) > 1e-4
    torch.compiler.reset()


def test_gradient_accumulation_draws_afresh() -> None:
    model = tiny.build("bert").train()
    attach_sse(model, p0=0.5)
    draws, ids = [], tiny.batch()
    for _ in range(3):
        draws += tiny.seen(model, input_ids=ids)
        model(input_ids=ids, labels=ids).loss.backward()
    assert len({tuple(draw.flatten().tolist()) for draw in draws}) == 3


peft_targets = {
    "attention": {"target_modules": ["query", "value"]},
    "embedding": {"target_modules": ["query", "word_embeddings"]},
    "whole embedding": {"target_modules": ["query"], "modules_to_save": ["word_embeddings"]},
    "some tokens": {"target_modules": ["query"], "trainable_token_indices": [6, 7]},
}


@pytest.mark.parametrize("target", peft_targets)
def test_lora(target: str) -> None:
    peft = pytest.importorskip("peft")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # peft on tied weights
        model = peft.get_peft_model(
            tiny.build("bert", tiny.CLASSIFY, **tiny.no_dropout("bert")), peft.LoraConfig(r=2, **peft_targets[target])
        )
    given = {"input_ids": tiny.batch()}
    plain = model.eval()(**given).logits
    handle = attach_sse(model, tiny.tokenizer(), p0=1.0)
    (name,) = handle.names
    assert name.endswith("bert.embeddings.word_embeddings")
    wrapper = model.get_submodule(name)
    found: list[torch.Tensor] = []
    wrapper.register_forward_hook(lambda module, args, output: found.append(args[0]))
    inside = [table for table in wrapper.modules() if isinstance(table, nn.Embedding) and table is not wrapper]
    assert not any(table._forward_pre_hooks for table in inside), "swapped twice, and the adapter apart from its table"
    assert torch.equal(model(**given).logits, plain)
    model.train()(**given).logits.sum().backward()
    assert torch.equal(found[-1] != tiny.batch(), tiny.batch() >= 6)
    handle.remove()
    torch.testing.assert_close(model(**given).logits, plain)


def test_lora_adapter_and_table_look_the_same_ids_up() -> None:
    """An adapter of a known delta: the output must be that of table + delta at the swapped ids."""
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules=["word_embeddings"], init_lora_weights=False)
    model = peft.get_peft_model(tiny.build("bert"), config).train()
    (name,) = attach_sse(model, p0=1.0).names
    wrapper = model.get_submodule(name)
    found: list[tuple[torch.Tensor, torch.Tensor]] = []
    wrapper.register_forward_hook(lambda module, args, output: found.append((args[0], output)))
    model(input_ids=tiny.batch())
    ids, out = found[0]
    whole = wrapper.get_base_layer().weight + wrapper.get_delta_weight("default")
    torch.testing.assert_close(out, nn.functional.embedding(ids, whole))
    assert not torch.equal(ids, tiny.batch())


def test_lora_compiles() -> None:
    peft = pytest.importorskip("peft")
    torch.compiler.reset()
    model = peft.get_peft_model(tiny.build("bert"), peft.LoraConfig(r=2, target_modules=["word_embeddings"])).train()
    handle = attach_sse(model, p0=1.0)
    wrapper = torch.compile(model.get_submodule(handle.names[0]), fullgraph=True, backend="eager")
    ids = tiny.batch()
    moved = (wrapper(ids) != wrapper.eval()(ids)).any(dim=-1)
    assert torch.equal(moved, ids != PAD)
    torch.compiler.reset()


def test_data_parallel_wrapper() -> None:
    model = nn.DataParallel(tiny.build("bert"))
    assert attach_sse(model).names == ("module.bert.embeddings.word_embeddings",)


def test_the_law_is_the_one_asked_for() -> None:
    """SSE-SE over the words alone, chi-square over the full support."""
    model = tiny.build("bert").train()
    attach_sse(model, tiny.tokenizer(), p0=0.5)
    torch.manual_seed(0)
    (after,) = tiny.seen(model, input_ids=torch.full((500, 40), 10))
    counts = torch.bincount(after.flatten(), minlength=V).double()
    expected = SSE(V, 0.5, exclude=[i for i in range(V) if i not in WORD_IDS]).row(10) * 20_000
    assert not counts[expected == 0].any()
    support = expected > 0
    chi2 = ((counts - expected)[support] ** 2 / expected[support]).sum()
    assert chi2 < scipy.stats.chi2.isf(ALPHA, int(support.sum()) - 1)
