"""Fine-tuning of a checkpoint into a classifier of texts, with SSE or without (section 4.4 of the paper)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torchsse.errors import ConfigError, DataError
from torchsse.integrations.hf import attach_sse, sse_labels
from torchsse.metrics.classification import classification_scores
from torchsse.nlp.checkpoints import check_length, load_classifier, write_checkpoint
from torchsse.nlp.classification import class_numbers, logits_of
from torchsse.nlp.outputs import REPORT, STATE, claim, finished
from torchsse.nlp.peers import PeerSetting, put_on
from torchsse.nlp.steps import Observer, Stepping, pick_device, run_steps
from torchsse.nlp.steps_state import StateFile, write_json
from torchsse.nlp.texts import Labelled
from torchsse.nlp.texts_tokens import Pieces, batches, encode, pad
from torchsse.nlp.word_graph import WordGraph, lay

__all__ = ["ClassifySettings", "Trained", "train_classifier"]

KIND = "classification"


@dataclass(frozen=True)
class ClassifySettings:
    """The paper's probability; the rest as is usual for fine-tuning.

    Attributes:
        p0_input: SSE probability of the words. 0: without.
        p0_label: SSE probability of the classes. 0: without.
        max_length: tokens at which texts are cut.
        random_init: all weights start at random; a control.
    """

    p0_input: float = 0.01
    p0_label: float = 0.0
    max_length: int = 128
    batch_size: int = 32
    epochs: int = 3
    learning_rate: float = 3e-5
    weight_decay: float = 0.01
    warmup: float = 0.06
    seed: int = 0
    precision: str = "fp32"
    random_init: bool = False

    def __post_init__(self) -> None:
        for name in ("p0_input", "p0_label"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}: expected a probability, got {getattr(self, name)!r}")
        for name in ("batch_size", "epochs"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected 1 or more, got {getattr(self, name)!r}")
        Stepping.of(self)


@dataclass(frozen=True)
class Trained:
    """A fine-tuned directory, which `Classifier.load` and plain transformers read, and what is known of it."""

    directory: Path
    report: dict[str, Any]


def train_classifier(
    checkpoint: str | os.PathLike[str],
    train: Labelled,
    out: str | os.PathLike[str],
    settings: ClassifySettings | None = None,
    *,
    graph: WordGraph | None = None,
    peer: PeerSetting | None = None,
    validation: Labelled | None = None,
    device: str = "auto",
    observer: Observer | None = None,
    restart: bool = False,
    save_every: float = 120.0,
    provenance: dict[str, Any] | None = None,
) -> Trained:
    """Fine-tune a checkpoint on labelled texts and write it to `out`, where plain transformers load it.

    All epochs run and the last weights are kept; with `validation` each epoch is measured on it. Batches, swaps and
    dropout depend on the seed and the step alone, batches alike in all arms of one seed. A run that was killed goes on,
    to the bit on a CPU; a finished one returns what it reported.

    Args:
        checkpoint: directory or hub id; what `pretrain` wrote.
        train: see `torchsse.nlp.texts.read_labelled`. Its labels are the classes.
        out: a new directory, or that of the same run before.
        settings: default: the paper's SSE.
        graph: SSE-Graph on the words; classes have none. None: SSE-SE.
        peer: another regulariser, beside SSE or, with its probabilities at 0, in its place.
        validation: labelled texts to watch.
        device: "auto", "cpu", "cuda".
        observer: told how it goes.
        restart: discard what an earlier run left in `out`.
        save_every: seconds between states.
        provenance: recorded with the report.

    Raises:
        ConfigError: settings or a peer that do not fit the checkpoint; an `out` that holds something else, or another
            run.
        DataError: fewer than two classes; validation with a class that train lacks.
    """
    settings = settings or ClassifySettings()
    directory, where = Path(out), pick_device(device)
    if graph is not None and not settings.p0_input:
        raise ConfigError("a graph of words changes nothing where p0_input is 0")
    if peer is not None and peer.name == "label-smoothing" and settings.p0_label:
        raise ConfigError("the peer label-smoothing is SSE on labels in expectation: p0_label must be 0 beside it")
    origin = ({} if graph is None else {"graph": graph.origin()}) | ({} if peer is None else {"peer": peer.origin()})
    classes = train.classes
    if len(classes) < 2:
        raise DataError(f"{train.source}: expected two classes or more, got only {classes[0]!r}")
    targets = class_numbers(train, classes)
    watched = np.empty(0, np.int64) if validation is None else class_numbers(validation, classes)
    loaded = load_classifier(checkpoint, classes, settings.seed, settings.random_init, peer.words if peer else None)
    check_length(loaded, settings.max_length, checkpoint)
    config = {
        "settings": dataclasses.asdict(settings), "checkpoint": loaded.digest, "train": _digest(train),
        "validation": None if validation is None else _digest(validation),
    }  # fmt: skip
    config |= origin
    claim(directory, KIND, config, restart)
    done = finished(directory)
    if done is not None:
        return Trained(directory, done)
    say = (lambda message: None) if observer is None else observer.say
    say("all weights start at random" if settings.random_init else f"start at random: {_modules(loaded.fresh)}")
    model, tokenizer = loaded.model.to(where), loaded.tokenizer
    trained = None if settings.random_init else model
    laid = lay(graph, tokenizer, model.get_input_embeddings().num_embeddings, trained, observer)
    say(f"tokenising {len(train):,} texts")
    plan = _Plan(encode(tokenizer, train.texts, settings.max_length), targets, settings, int(tokenizer.pad_token_id))
    say(f"{len(classes)} classes, {plan.steps:,} steps of {settings.batch_size}, {settings.epochs} epochs")
    held = None if validation is None else encode(tokenizer, validation.texts, settings.max_length)

    def after(step: int) -> dict[str, Any] | None:
        if held is None or (step + 1) % plan.per_epoch:
            return None
        scores = classification_scores(watched, _softmax(logits_of(model, held, plan.pad_id)))
        epoch = (step + 1) // plan.per_epoch
        say(f"epoch {epoch}: validation accuracy {scores.accuracy:.4f}")
        return {"epoch": epoch, "validation": scores.summary()}

    state = StateFile(directory / STATE, hashlib.sha256(json.dumps(config).encode()).hexdigest())
    stepping = Stepping.of(settings, save_every)
    with ExitStack() as hooks:
        hooks.enter_context(put_on(model, tokenizer, peer))
        if settings.p0_label > 0:
            hooks.enter_context(sse_labels(model, tokenizer, p0=settings.p0_label))
        if settings.p0_input > 0:
            hooks.enter_context(attach_sse(model, tokenizer, p0=settings.p0_input, **laid.law))
        history = run_steps(
            model, lambda step: plan.losses(model, where, step), plan.steps, stepping,
            state=state, observer=observer, after=after,
        )  # fmt: skip
    report = {
        "kind": KIND, "config": config, "checkpoint": os.fspath(checkpoint), "fresh": list(loaded.fresh),
        "classes": classes, "texts": len(train), "steps": plan.steps, **laid.facts, "provenance": provenance,
        "history": history,
    }  # fmt: skip
    write_checkpoint(directory, model.cpu().eval(), tokenizer)
    write_json(directory / REPORT, report)
    state.remove()
    return Trained(directory, report)


class _Plan:
    """Which texts each step trains on, and their loss."""

    def __init__(self, pieces: Pieces, targets: npt.NDArray[np.int64], settings: ClassifySettings, pad_id: int) -> None:
        self.pieces, self.targets, self.settings, self.pad_id = pieces, torch.from_numpy(targets), settings, pad_id
        self.per_epoch = -(-len(pieces) // settings.batch_size)
        self.steps = settings.epochs * self.per_epoch
        self._epoch, self._batches = -1, [np.empty(0, np.int64)]

    def losses(self, model: Any, device: torch.device, step: int) -> Iterator[tuple[Tensor, int]]:
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            settings = self.settings
            self._batches = batches(self.pieces.lengths, settings.batch_size, settings.seed, epoch)
            self._epoch = epoch
        rows = self._batches[place]
        ids, mask = pad(self.pieces, rows, self.pad_id)
        labels = self.targets[torch.from_numpy(rows)]
        output = model(input_ids=ids.to(device), attention_mask=mask.to(device), labels=labels.to(device))
        yield output.loss, int(mask.sum())


def _softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    return torch.from_numpy(logits).double().softmax(dim=1).numpy()


def _modules(fresh: tuple[str, ...]) -> str:
    """The modules that parameters belong to."""
    return ", ".join(dict.fromkeys(name.rpartition(".")[0] for name in fresh)) or "nothing"


def _digest(data: Labelled) -> str:
    digest = hashlib.sha256()
    for text, label in zip(data.texts, data.labels):
        digest.update(f"{label}\t{text}\n".encode())
    return digest.hexdigest()
