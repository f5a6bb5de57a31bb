"""sse_labels: swapped in the training loss and nowhere else, drawn or in expectation."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
import torch.nn.functional as F
from tiny import CLASSIFY, LANGUAGE, PAD, V
from torch import Tensor, nn

from torchsse.errors import AttachError, ConfigError, IdTypeError, TorchsseWarning
from torchsse.graph import Graph
from torchsse.integrations.hf import SSECallback, attach_sse, sse_labels

transformers = tiny.transformers
SEQ2SEQ = ("t5", "bart", "marian")
CLASSES = 5


def language(kind: str, **words: Any) -> nn.Module:
    return tiny.build(kind, **tiny.no_dropout(kind), **words)


def classifier(kind: str = "bert", **words: Any) -> nn.Module:
    return tiny.build(kind, CLASSIFY, num_labels=CLASSES, **tiny.no_dropout(kind), **words)


def given(model: nn.Module) -> dict[str, Tensor]:
    """Ids and labels: half of a sentence ignored, or a class per sentence."""
    ids = tiny.batch()
    if "Classification" in type(model).__name__:
        return {"input_ids": ids, "labels": torch.arange(len(ids)) % CLASSES}
    labels = ids.roll(3, 1).clone()
    labels[:, ::2] = -100
    return {"input_ids": ids, "labels": labels}


def reached(model: nn.Module, monkeypatch: pytest.MonkeyPatch, **inputs: Any) -> Tensor:
    """The labels that the model's own loss compares with."""
    found: list[Tensor] = []
    real = F.cross_entropy

    def spy(input: Tensor, target: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        found.append(target)
        return real(input, target, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(F, "cross_entropy", spy)
        model(**inputs)
    (labels,) = found
    return labels


MODELS = [*((kind, LANGUAGE) for kind in LANGUAGE), *((kind, CLASSIFY) for kind in CLASSIFY)]
each_model = pytest.mark.parametrize(("kind", "names"), MODELS, ids=[names[kind] for kind, names in MODELS])


def build(kind: str, names: dict[str, str]) -> nn.Module:
    return classifier(kind) if names is CLASSIFY else language(kind)


@each_model
def test_labels_are_swapped_in_the_training_loss_only(
    kind: str, names: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(kind, names)
    inputs = given(model)
    before = {mode: reached(model.train(mode), monkeypatch, **inputs) for mode in (True, False)}
    plain, decoder = model.eval()(**inputs).loss, tiny.seen(model, **inputs)
    handle = sse_labels(model, tiny.tokenizer(), p0=1.0)
    assert torch.equal(model(**inputs).loss, plain), "evaluation is untouched"
    assert torch.equal(reached(model, monkeypatch, **inputs), before[False])
    after = reached(model.train(), monkeypatch, **inputs)
    moves = (before[True] >= 6) if names is LANGUAGE else torch.ones(len(after), dtype=torch.bool)
    assert moves.any()
    assert torch.equal(after != before[True], moves), "every label but the ignored and special ones"
    low, high = (6, 6 + len(tiny.WORDS)) if names is LANGUAGE else (0, CLASSES)
    assert ((after[moves] >= low) & (after[moves] < high)).all()
    assert all(torch.equal(a, b) for a, b in zip(decoder, tiny.seen(model, **inputs), strict=True)), "decoder inputs"
    handle.p0 = 0.0
    torch.testing.assert_close(model(**inputs).loss, plain)
    handle.remove()
    assert not model._forward_pre_hooks
    torch.testing.assert_close(model(**inputs).loss, plain)


@pytest.mark.parametrize("kind", SEQ2SEQ)
def test_control_decoder_inputs_would_follow_swapped_labels(kind: str) -> None:
    model = language(kind).train()
    inputs = given(model)
    swapped = {**inputs, "labels": torch.where(inputs["labels"] >= 6, 6, inputs["labels"])}
    assert not torch.equal(tiny.seen(model, **inputs)[1], tiny.seen(model, **swapped)[1])


def oracle(model: nn.Module, inputs: dict[str, Tensor], matrix: Tensor) -> Tensor:
    """-sum_k p(y, k) log q_k over the labels that count, from the definition."""
    logits, labels = model(**inputs).logits, inputs["labels"]
    if "LMHead" in type(model).__name__:
        logits, labels = logits[:, :-1], labels[:, 1:]
    kept = labels != -100
    scores = logits[kept].double().log_softmax(-1)
    return -(matrix[labels[kept]] * scores).sum(-1).mean()


@each_model
def test_exact_is_the_expectation(kind: str, names: dict[str, str]) -> None:
    model = build(kind, names)
    inputs = given(model)
    plain = model.eval()(**inputs).loss
    handle = sse_labels(model, tiny.tokenizer(), p0=0.3, exact=True)
    assert torch.equal(model(**inputs).loss, plain)
    model.train()
    matrix = handle.sses["labels"].transition_matrix()
    expected = oracle(model, inputs, matrix)
    out = model(**inputs)
    torch.testing.assert_close(out.loss, expected.float(), rtol=1e-5, atol=1e-5)
    assert out[0] is out.loss, "the loss comes first"
    assert abs(out.loss - plain) > 1e-3, "control: a no-op would leave the plain loss"
    handle.p0 = 0.0
    torch.testing.assert_close(model(**inputs).loss, plain)
    handle.remove()
    assert not model._forward_hooks


def smoothing_models() -> dict[str, nn.Module]:
    return {
        "masked": language("bert", pad_token_id=None),
        "causal": language("gpt2", bos_token_id=None, eos_token_id=None, pad_token_id=None),
        "classes": classifier("bert"),
    }


@pytest.mark.parametrize("task", ["masked", "causal", "classes"])
@pytest.mark.parametrize("items", [None, 7])
def test_exact_sse_se_is_torchs_label_smoothing(task: str, items: int | None) -> None:
    model = smoothing_models()[task].train()
    inputs = given(model)
    number = CLASSES if task == "classes" else V
    sse_labels(model, p0=0.2, exact=True)
    logits, labels = model(**inputs).logits, inputs["labels"]
    if task == "causal":
        logits, labels = logits[:, :-1], labels[:, 1:]
    smooth = {"label_smoothing": 0.2 * number / (number - 1), "reduction": "mean" if items is None else "sum"}
    expected = F.cross_entropy(logits.reshape(-1, number), labels.reshape(-1), **smooth) / (items or 1)  # type: ignore[arg-type]
    extra = {} if items is None else {"num_items_in_batch": torch.tensor(items)}
    torch.testing.assert_close(model(**inputs, **extra).loss, expected)
    torch.testing.assert_close(model(**inputs, **extra, return_dict=False)[0], expected)


@pytest.mark.parametrize("task", ["masked", "classes"])
def test_drawn_has_exact_as_its_mean(task: str) -> None:
    model = smoothing_models()[task].train()
    twin = copy.deepcopy(model)
    inputs = given(model)
    sse_labels(model, p0=0.3)
    sse_labels(twin, p0=0.3, exact=True)
    torch.manual_seed(0)
    with torch.no_grad(), warnings.catch_warnings():
        drawn = torch.stack([model(**inputs).loss for _ in range(400)])
        exact, plain = twin(**inputs).loss, twin.eval()(**inputs).loss
    error = drawn.std() / 20
    assert abs(drawn.mean() - exact) < 5 * error
    if abs(exact - plain) > 10 * error:
        assert abs(drawn.mean() - plain) > 5 * error, "control"
    assert drawn.std() > 0


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_drawn_honours_num_items_in_batch(kind: str) -> None:
    model = language(kind).train()
    inputs = given(model)
    sse_labels(model, p0=0.5)
    kept = int((inputs["labels"][:, int(kind == "gpt2") :] != -100).sum())
    torch.manual_seed(0)
    mean = model(**inputs).loss
    torch.manual_seed(0)
    torch.testing.assert_close(model(**inputs, num_items_in_batch=2 * kept).loss, mean / 2)


def test_a_graph_over_the_vocabulary() -> None:
    tokenizer = tiny.tokenizer()
    dog, hound = tokenizer.convert_tokens_to_ids(["dog", "hound"])
    graph = Graph.from_edges([dog], [hound], len(tokenizer))
    model = language("bert").train()
    sse_labels(model, tokenizer, p0=1.0, graph=graph, rho=float("inf"), exact=True)
    ids = torch.tensor([[2, dog, 3]])
    labels = torch.tensor([[-100, dog, -100]])
    out = model(input_ids=ids, labels=labels)
    torch.testing.assert_close(out.loss, F.cross_entropy(out.logits[0, 1:2], torch.tensor([hound])))


def rows(model: nn.Module, count: int = 8) -> list[dict[str, Tensor]]:
    ids = tiny.batch(count)
    labels = ids.clone()
    labels[torch.arange(count * 12).view(count, 12) % 5 > 0] = -100
    return [{"input_ids": a, "labels": b} for a, b in zip(ids, labels, strict=True)]


def trainer(model: nn.Module, folder: Path, **words: Any) -> Any:
    defaults = {"max_steps": 2, "learning_rate": 0.5, "optim": "sgd", "lr_scheduler_type": "constant"}
    arguments = transformers.TrainingArguments(
        str(folder), report_to=[], use_cpu=True, disable_tqdm=True, save_strategy="no", **(defaults | words)
    )
    callbacks = words.pop("callbacks", None)
    data = rows(model)
    return transformers.Trainer(model, arguments, train_dataset=data, eval_dataset=data, callbacks=callbacks)


@pytest.mark.parametrize("kind", ["bert", "gpt2", "marian"])
def test_exact_under_gradient_accumulation_is_the_large_batch(kind: str, tmp_path: Path) -> None:
    ends = []
    for words in (
        {"per_device_train_batch_size": 8},
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4},
    ):
        model = language(kind)
        sse_labels(model, tiny.tokenizer(), p0=0.3, exact=True)
        run = trainer(model, tmp_path, **words)
        run.train()
        ends.append(model.state_dict())
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=1e-4, atol=1e-5, msg=name)


def test_in_a_trainer_evaluation_is_untouched_and_one_callback_schedules_both(tmp_path: Path) -> None:
    model = language("bert")
    plain = trainer(model, tmp_path).evaluate()["eval_loss"]
    handles = {"words": attach_sse(model, p0=1.0), "labels": sse_labels(model, p0=1.0)}
    run = trainer(model, tmp_path, learning_rate=0.0, logging_steps=1)
    run.add_callback(SSECallback(handles, remove=False))
    run.train()
    assert run.evaluate()["eval_loss"] == plain
    assert run.state.log_history[0]["sse_p0_labels"] == 1.0
    assert run.state.log_history[0]["loss"] != pytest.approx(plain, abs=1e-4)


@pytest.mark.parametrize("exact", [False, True])
def test_labels_taken_out_by_the_trainer_warn(tmp_path: Path, exact: bool) -> None:
    model = language("bert")
    sse_labels(model, exact=exact)
    run = trainer(model, tmp_path, label_smoothing_factor=0.1)
    with pytest.warns(TorchsseWarning, match="take the labels out"):
        run.train()
    with warnings.catch_warnings():
        warnings.simplefilter("error", TorchsseWarning)
        run.evaluate()


@pytest.mark.parametrize("exact", [False, True])
def test_lora_checkpointing_copies_and_saving(exact: bool, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    model = peft.get_peft_model(classifier(), peft.LoraConfig(r=2, target_modules=["query"], task_type="SEQ_CLS"))
    inputs = given(model.get_base_model())
    plain = model.eval()(**inputs).loss
    sse_labels(model, p0=0.9, exact=exact)
    twin = copy.deepcopy(model)
    for each in (model, twin):
        assert abs(each.train()(**inputs).loss - plain) > 1e-3
    model.gradient_checkpointing_enable()
    model(**inputs).loss.backward()
    model.get_base_model().save_pretrained(tmp_path)
    assert "sse" not in (tmp_path / "config.json").read_text()


@pytest.mark.parametrize("exact", [False, True])
def test_compiles_and_p0_may_change(exact: bool) -> None:
    torch.compiler.reset()
    graphs: list[int] = []

    def backend(module: torch.fx.GraphModule, _: list[Tensor]) -> Any:
        graphs.append(1)
        return module.forward

    model = classifier().train()
    inputs = given(model) | {"attention_mask": torch.ones(4, 12, dtype=torch.long)}
    plain = model(**inputs).loss
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    handle = sse_labels(compiled, p0=1.0, exact=exact)
    losses, counts = [], []
    for p0 in (1.0, 0.0, 0.5):
        handle.p0 = p0
        losses.append(compiled(**inputs).loss)
        counts.append(len(graphs))
    assert counts[0] == counts[-1] <= 2, "the model, the loss, and nothing compiled again"
    torch.testing.assert_close(losses[1], plain)
    assert abs(losses[0] - plain) > 1e-3
    torch.compiler.reset()


def test_half_precision_logits() -> None:
    model = language("bert").to(torch.bfloat16).train()
    sse_labels(model, p0=0.2, exact=True)
    inputs = given(model)
    loss = model(**inputs).loss
    assert loss.dtype == torch.float32
    wide = copy.deepcopy(model).float()
    torch.testing.assert_close(loss, wide(**inputs).loss, rtol=2e-2, atol=2e-2)


def test_positional_arguments() -> None:
    model = classifier().train()
    inputs = given(model)
    names = ["input_ids", "attention_mask", "token_type_ids", "position_ids", "inputs_embeds", "labels"]
    for exact in (False, True):
        handle = sse_labels(model, p0=1.0, exact=exact)
        torch.manual_seed(0)
        by_name = model(**inputs).loss
        torch.manual_seed(0)
        torch.testing.assert_close(model(*(inputs.get(name) for name in names)).loss, by_name)
        handle.remove()


def test_clear_errors() -> None:
    with pytest.raises(AttachError, match="takes labels, got BertModel"):
        sse_labels(transformers.BertModel(tiny.config("bert")))
    with pytest.raises(AttachError, match="got Linear"):
        sse_labels(nn.Linear(2, 2))
    with pytest.raises(ConfigError, match="num_labels=1"):
        sse_labels(tiny.build("bert", CLASSIFY, num_labels=1))
    with pytest.raises(ConfigError, match="multi_label"):
        sse_labels(classifier(problem_type="multi_label_classification"))
    with pytest.raises(ConfigError, match="not known to be a plain cross entropy"):
        sse_labels(transformers.BertForPreTraining(tiny.config("bert")), exact=True)
    model = language("bert").train()
    sse_labels(model)
    with pytest.raises(AttachError, match="already"):
        sse_labels(model, exact=True)
    with pytest.raises(IdTypeError, match="class numbers"):
        model(input_ids=tiny.batch(), labels=tiny.batch().float())


def test_a_model_with_a_second_loss_keeps_it() -> None:
    model = transformers.BertForPreTraining(tiny.config("bert", **tiny.no_dropout("bert"))).train()
    inputs = {"input_ids": tiny.batch(), "labels": tiny.batch(), "next_sentence_label": torch.tensor([0, 1, 0, 1])}
    plain = model(**inputs).loss
    handle = sse_labels(model, p0=1.0)
    assert abs(model(**inputs).loss - plain) > 1e-3
    handle.p0 = 0.0
    torch.testing.assert_close(model(**inputs).loss, plain)
    assert PAD in handle.sses["labels"].exclude
