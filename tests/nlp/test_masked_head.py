"""The head on masked positions only: loss and gradients of the stock model, for several families, SSE on labels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from torchsse.errors import AttachError
from torchsse.integrations.hf import sse_labels
from torchsse.nlp.masked_head import MaskedHead

transformers = pytest.importorskip("transformers")

V, PAD = 50, 1
SIZES = {
    "vocab_size": V, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "pad_token_id": PAD,
}  # fmt: skip
DISTIL = {"vocab_size": V, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 16, "dropout": 0.0}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", SIZES),
    "roberta": ("Roberta", SIZES),
    "distilbert": ("DistilBert", DISTIL | {"attention_dropout": 0.0}),
    "albert": ("Albert", SIZES | {"embedding_size": 8}),
    "electra": ("Electra", SIZES | {"embedding_size": 8}),
    "deberta": ("DebertaV2", SIZES),
}


def build(family: str) -> Any:
    name, sizes = FAMILIES[family]
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}ForMaskedLM")(getattr(transformers, f"{name}Config")(**sizes))
    with torch.no_grad():
        for weight in model.parameters():  # fresh weights are so small that all logits are nearly equal
            if weight.dim() > 1:
                weight *= 0.3 / weight.std()
    return model.train()


def data() -> dict[str, Tensor]:
    torch.manual_seed(1)
    ids = torch.randint(2, V, (4, 12))
    labels = torch.where(torch.rand(ids.shape) < 0.2, ids, -100)
    mask = torch.ones_like(ids)
    mask[0, 8:] = 0
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def trained(model: Any, **inputs: Any) -> tuple[Tensor, dict[str, Tensor]]:
    model.zero_grad()
    loss = model(**inputs).loss
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_alike(first: tuple[Tensor, dict[str, Tensor]], second: tuple[Tensor, dict[str, Tensor]]) -> None:
    torch.testing.assert_close(first[0], second[0], rtol=1e-5, atol=1e-6)
    assert first[1].keys() == second[1].keys()
    for name, gradient in first[1].items():
        torch.testing.assert_close(gradient, second[1][name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_gradients_are_those_of_the_stock_head(family: str) -> None:
    model = build(family)
    stock = trained(model, **data())
    with MaskedHead(model):
        assert_alike(trained(model, **data()), stock)
        assert model(**data()).logits.shape == (int((data()["labels"] != -100).sum()), V)
    assert model(**data()).logits.shape == (4, 12, V)


def test_control_other_labels_give_another_loss() -> None:
    model = build("bert")
    other = data() | {"labels": data()["labels"].roll(1, dims=1)}
    with MaskedHead(model), pytest.raises(AssertionError):
        assert_alike(trained(model, **other), trained(build("bert"), **data()))


@pytest.mark.parametrize("head_first", [True, False])
def test_with_sse_on_labels(head_first: bool) -> None:
    model = build("bert")
    handle = sse_labels(model, p0=0.3, exact=True)
    stock = trained(model, **data())
    plain = trained(build("bert"), **data())
    assert abs(float(stock[0] - plain[0])) > 1e-3
    if head_first:
        handle.remove()
    with MaskedHead(model):
        if head_first:
            sse_labels(model, p0=0.3, exact=True)
        assert_alike(trained(model, **data()), stock)


def test_evaluation_and_calls_without_labels() -> None:
    model = build("bert").eval()
    inputs = data()
    stock = model(**inputs).loss
    with MaskedHead(model):
        torch.testing.assert_close(model(**inputs).loss, stock)
        inputs.pop("labels")
        assert model(**inputs).logits.shape == (4, 12, V)
        with pytest.raises(IndexError):
            model(inputs["input_ids"] + V, labels=data()["labels"])
        assert model(**inputs).logits.shape == (4, 12, V)  # an error leaves nothing behind


def test_tuple_output_and_positional_arguments() -> None:
    model = build("bert").eval()
    inputs = data()
    stock = model(**inputs).loss
    with MaskedHead(model):
        loss, logits = model(inputs["input_ids"], inputs["attention_mask"], labels=inputs["labels"], return_dict=False)
    torch.testing.assert_close(loss, stock)
    assert logits.dim() == 2


def test_another_kind_of_model_is_refused() -> None:
    model = transformers.BertForSequenceClassification(transformers.BertConfig(**SIZES))
    with pytest.raises(AttachError, match="ForMaskedLM"):
        MaskedHead(model)
