"""SSECallback in a real Trainer: schedules, logs, resume, removal."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch import nn

from torchsse.errors import ConfigError, TorchsseWarning
from torchsse.integrations.hf import SSECallback, attach_sse
from torchsse.modules import SSE, Handle, attach

pytest.importorskip("accelerate")
transformers = tiny.transformers


def rows(count: int = 16) -> list[dict[str, torch.Tensor]]:
    ids = tiny.batch(count)
    return [{"input_ids": row, "labels": row} for row in ids]


def trainer(model: nn.Module, folder: Path, callbacks: list[Any], **words: Any) -> Any:
    defaults = {"max_steps": 8, "per_device_train_batch_size": 2, "logging_steps": 1, "save_strategy": "no"}
    arguments = transformers.TrainingArguments(
        str(folder), report_to=[], use_cpu=True, disable_tqdm=True, learning_rate=1e-2, seed=3, **(defaults | words)
    )
    return transformers.Trainer(model, arguments, train_dataset=rows(), callbacks=callbacks)


def logged(run: Any, key: str = "sse_p0") -> list[float]:
    return [entry[key] for entry in run.state.log_history if "loss" in entry]


FORMS: dict[str, tuple[dict[str, Any], list[float]]] = {
    "constant": ({}, [1.0] * 8),
    "warm-up": ({"warmup_steps": 4}, [0, 0.25, 0.5, 0.75, 1, 1, 1, 1]),
    "fraction": ({"warmup_steps": 0.25}, [0, 0.5, 1, 1, 1, 1, 1, 1]),
    "linear": ({"decay": "linear", "final": 0.5}, [1 - 0.5 * t / 8 for t in range(8)]),
    "cosine": ({"decay": "cosine"}, [(1 + math.cos(math.pi * t / 8)) / 2 for t in range(8)]),
}


@pytest.mark.parametrize("form", FORMS)
def test_p0_follows_the_form_and_is_logged(form: str, tmp_path: Path) -> None:
    words, factors = FORMS[form]
    model = tiny.build("bert")
    handle = attach_sse(model, p0=0.2)
    run = trainer(model, tmp_path, [SSECallback(handle, **words)])
    run.train()
    assert logged(run) == pytest.approx([0.2 * factor for factor in factors])
    assert not handle.active
    assert not any(module._forward_pre_hooks for module in model.modules())


class Seen(transformers.TrainerCallback):  # type: ignore[misc, name-defined]
    """p0 at the beginning of each step, and the ids that reached the table."""

    def __init__(self, handle: Handle, model: nn.Module) -> None:
        self.handle, self.p0s, self.ids = handle, [], []
        table = model.get_submodule(handle.names[0])
        table.register_forward_hook(
            lambda module, args, out: self.ids.append(args[0].clone()) if module.training else None
        )

    def on_step_begin(self, args: Any, state: Any, control: Any, **words: Any) -> None:
        self.p0s.append(self.handle.p0)


def test_a_resumed_run_is_the_run_that_never_stopped(tmp_path: Path) -> None:
    def begin(**words: Any) -> tuple[nn.Module, Any, Seen]:
        model = tiny.build("bert")
        handle = attach_sse(model, p0=0.5)
        seen = Seen(handle, model)
        callback = SSECallback(handle, warmup_steps=2, decay="linear")
        return model, trainer(model, tmp_path, [callback, seen], **words), seen

    whole, run, seen = begin(save_strategy="steps", save_steps=4)
    run.train()
    again, run, later = begin()
    run.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert later.p0s == seen.p0s[4:]
    assert len(later.ids) == 4
    assert all(torch.equal(a, b) for a, b in zip(later.ids, seen.ids[4:], strict=True))
    for (name, a), b in zip(whole.state_dict().items(), again.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, msg=name)


def test_substeps_share_p0_and_evaluation_is_free_of_sse(tmp_path: Path) -> None:
    model = tiny.build("bert", **tiny.no_dropout("bert"))
    handle = attach_sse(model, p0=1.0)
    run = trainer(
        model,
        tmp_path,
        [SSECallback(handle, warmup_steps=2, remove=False)],
        max_steps=3,
        gradient_accumulation_steps=2,
    )
    run.train()
    assert logged(run) == [0.0, 0.5, 1.0]
    assert handle.active
    with_sse = run.evaluate(rows(4))["eval_loss"]
    handle.remove()
    assert run.evaluate(rows(4))["eval_loss"] == with_sse


def test_training_again_after_removal_warns(tmp_path: Path) -> None:
    model = tiny.build("bert")
    run = trainer(model, tmp_path, [SSECallback(attach_sse(model))], max_steps=1)
    run.train()
    with pytest.warns(TorchsseWarning, match="removed"):
        run.train()


def test_kept_handles_start_from_their_base_again(tmp_path: Path) -> None:
    model = tiny.build("bert")
    handle = attach_sse(model, p0=0.4)
    run = trainer(model, tmp_path, [SSECallback(handle, decay="linear", remove=False)], max_steps=2)
    run.train()
    run.train()
    assert logged(run)[-2:] == pytest.approx([0.4, 0.2])


def test_several_handles_are_logged_by_name(tmp_path: Path) -> None:
    model = tiny.build("bert")
    words = attach_sse(model, p0=0.4)
    types = attach(model, {"*token_type_embeddings": SSE(2, p0=0.1), "*position_embeddings": SSE(40, p0=0.2)})
    run = trainer(model, tmp_path, [SSECallback({"words": words, "rest": types})], max_steps=1)
    run.train()
    assert logged(run, "sse_p0_words") == [0.4]
    assert logged(run, "sse_p0_rest/bert.embeddings.position_embeddings") == [0.2]


def test_wrong_settings() -> None:
    handle = attach_sse(tiny.build("bert"))
    wrong: list[tuple[Any, dict[str, Any]]] = [
        (None, {}),
        ({}, {}),
        (handle, {"warmup_steps": 1.5}),
        (handle, {"warmup_steps": -1}),
        (handle, {"decay": "square"}),
        (handle, {"final": 2.0}),
    ]
    for given, words in wrong:
        with pytest.raises(ConfigError):
            SSECallback(given, **words)
