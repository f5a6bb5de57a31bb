"""Continued masked-LM training of a checkpoint, with SSE on inputs and labels or without (section 4.4 of the paper)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from torchsse.errors import ConfigError, DataError
from torchsse.integrations.hf import attach_sse, sse_labels
from torchsse.nlp.checkpoints import Checkpoint, check_length, load_masked_lm, write_checkpoint
from torchsse.nlp.masked_head import MaskedHead
from torchsse.nlp.outputs import REPORT, STATE, TAKEN_OVER, claim, finished, taken_over
from torchsse.nlp.peers import ON_WORDS, PeerSetting, put_on
from torchsse.nlp.pretraining_masks import Masking
from torchsse.nlp.steps import Observer, Stepping, pick_device, run_steps
from torchsse.nlp.steps_state import StateFile, write_json
from torchsse.nlp.texts_tokens import Pieces, batches, cut_documents, draw_seed, pad
from torchsse.nlp.word_graph import WordGraph, lay

__all__ = ["PretrainSettings", "Pretrained", "masked_loss", "pretrain"]

KIND = "pretraining"
MASKS, HELD_OUT = 2, 3  # tags of draws, beside those of `steps`


@dataclass(frozen=True)
class PretrainSettings:
    """The paper's probabilities; the rest as is usual for continued pre-training.

    Attributes:
        p0_input: SSE probability of the words that the model reads. 0: without.
        p0_label: SSE probability of the words that it has to tell. 0: without.
        max_length: tokens of a piece, special ones included; longer documents make several pieces.
        batch_size: pieces of a step.
        accumulate: parts that a batch is computed in, one after the other, for memory. The loss divides by the masked
            positions of the whole batch, so the parts add up to what one pass gives.
        epochs: passes over the text; `steps` counts instead where it is given.
        held_out: documents at the end of the text that are not trained on; the loss on them is measured, under the same
            masks for all arms, before and after.
        random_init: all weights start at random; a control.
    """

    p0_input: float = 0.015
    p0_label: float = 0.015
    max_length: int = 128
    batch_size: int = 32
    accumulate: int = 1
    epochs: float = 1.0
    steps: int | None = None
    learning_rate: float = 5e-5
    weight_decay: float = 0.01
    warmup: float = 0.06
    mask_rate: float = 0.15
    held_out: int = 0
    seed: int = 0
    precision: str = "fp32"
    random_init: bool = False
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        for name in ("p0_input", "p0_label"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}: expected a probability, got {getattr(self, name)!r}")
        for name, least in (("batch_size", 1), ("accumulate", 1), ("held_out", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}: expected {least} or more, got {getattr(self, name)!r}")
        if self.accumulate > self.batch_size:
            raise ConfigError(f"accumulate: a batch of {self.batch_size} cannot be cut into {self.accumulate} parts")
        if self.epochs <= 0 or (self.steps is not None and self.steps < 1):
            raise ConfigError(f"expected epochs above 0 and steps of 1 or more, got {self.epochs} and {self.steps}")
        Stepping.of(self)


@dataclass(frozen=True)
class Pretrained:
    """What a run leaves: a plain checkpoint in `directory`, and what is known of it."""

    directory: Path
    report: dict[str, Any]

    @property
    def history(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.report["history"]
        return found


def pretrain(
    checkpoint: str | os.PathLike[str],
    documents: Sequence[str],
    out: str | os.PathLike[str],
    settings: PretrainSettings | None = None,
    *,
    graph: WordGraph | None = None,
    peer: PeerSetting | None = None,
    device: str = "auto",
    observer: Observer | None = None,
    restart: bool = False,
    save_every: float = 120.0,
    provenance: dict[str, Any] | None = None,
    elsewhere: Sequence[Path] = (),
) -> Pretrained:
    """Train a checkpoint on as a masked language model and write it to `out`, where plain transformers load it.

    Masks, swaps and dropout of a step depend on the seed and the step alone. Masks and batches are the same for
    all arms of one seed. A run that was killed goes on from its last saved state, to the bit on a CPU; a finished one
    returns what it reported.

    The head of a sentence encoder starts at random, which is said to `observer` and reported; weights that a masked
    model has no use for (a pooler) are carried over, so that classifiers made of the result start from them.

    Args:
        checkpoint: directory or hub id of an encoder.
        documents: the text; see `torchsse.nlp.texts.gather`.
        out: a new directory, or that of the same run before.
        settings: default: the paper's SSE.
        graph: SSE-Graph, on the words read and those to tell. None: SSE-SE.
        peer: another regulariser, beside SSE or, with its probabilities at 0, in its place; not label smoothing.
        device: "auto", "cpu", "cuda".
        observer: told how it goes.
        restart: discard what an earlier run left in `out`.
        save_every: seconds between states.
        provenance: recorded with the report.
        elsewhere: directories of other runs. Where one did this very work (settings, checkpoint, text) to its end, that
            is copied instead of done again, and the report says from where.

    Raises:
        ConfigError: settings or a peer that do not fit the checkpoint; an `out` that holds something else, or another
            run.
        DataError: too few documents.
    """
    settings = settings or PretrainSettings()
    directory = Path(out)
    where = pick_device(device)
    if graph is not None and not (settings.p0_input or settings.p0_label):
        raise ConfigError("a graph of words changes nothing where p0_input and p0_label are 0")
    if peer is not None:
        peer.check(("dropout", *ON_WORDS), "the labels of pre-training are words")
    origin = ({} if graph is None else {"graph": graph.origin()}) | ({} if peer is None else {"peer": peer.origin()})
    if not 0 <= settings.held_out < len(documents):
        raise DataError(f"expected more documents than the {settings.held_out} held out, got {len(documents)}")
    loaded = load_masked_lm(checkpoint, settings.seed, settings.random_init, peer.words if peer else None)
    check_length(loaded, settings.max_length, checkpoint)
    config = {"settings": dataclasses.asdict(settings), "checkpoint": loaded.digest, "text": _digest(documents)}
    config |= origin
    claim(directory, KIND, config, restart)
    say = (lambda message: None) if observer is None else observer.say
    done = finished(directory)
    if done is None:
        done = taken_over(directory, KIND, config, elsewhere)
        if done is not None:
            say(f"taken over from {done[TAKEN_OVER]}: the same work")
    if done is not None:
        return Pretrained(directory, done)
    heads = [name for name in loaded.fresh if "pooler" not in name]
    if heads:
        say(
            "all weights start at random" if settings.random_init else
            f"the checkpoint has no masked-LM head: {len(heads)} parameters of it start at random"
        )  # fmt: skip
    model, tokenizer = loaded.model.to(where), loaded.tokenizer
    trained = None if settings.random_init else model
    laid = lay(graph, tokenizer, model.get_input_embeddings().num_embeddings, trained, observer)
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    say(f"tokenising {len(documents):,} documents")
    kept = documents[: len(documents) - settings.held_out]
    pieces = cut_documents(tokenizer, kept, settings.max_length)
    if not len(pieces):
        raise DataError("the documents hold no token")
    masking = Masking(model, tokenizer, settings.mask_rate)
    plan = _Plan(pieces, masking, settings, int(tokenizer.pad_token_id))
    say(f"{len(pieces):,} pieces, {len(pieces.ids):,} tokens, {plan.steps:,} steps of {settings.batch_size}")
    held = cut_documents(tokenizer, documents[len(kept) :], settings.max_length)
    measured: dict[str, Any] = {"held_out_pieces": len(held)}
    if len(held):
        measured["held_out_loss_before"] = masked_loss(model, held, masking, plan.pad_id, settings.seed)
    state = StateFile(directory / STATE, hashlib.sha256(json.dumps(config).encode()).hexdigest())
    stepping = Stepping.of(settings, save_every)
    with ExitStack() as hooks:
        hooks.enter_context(MaskedHead(model))
        hooks.enter_context(put_on(model, tokenizer, peer))
        # at p0 = 0 the plain loss, but divided by the positions of the whole batch: BERT itself does not do that
        hooks.enter_context(sse_labels(model, tokenizer, p0=settings.p0_label, **laid.law))
        if settings.p0_input > 0:
            hooks.enter_context(attach_sse(model, tokenizer, p0=settings.p0_input, **laid.law))
        history = run_steps(
            model, lambda step: plan.losses(model, where, step), plan.steps, stepping, state=state, observer=observer
        )
    if len(held):
        measured["held_out_loss"] = masked_loss(model, held, masking, plan.pad_id, settings.seed)
    report = {
        "kind": KIND, "config": config, "checkpoint": os.fspath(checkpoint), "fresh": list(loaded.fresh),
        "carried": sorted(loaded.carried), "documents": len(documents), "pieces": len(pieces),
        "tokens": len(pieces.ids), "steps": plan.steps, **measured, **laid.facts,
        "provenance": provenance, "history": history,
    }  # fmt: skip
    _write(directory, loaded, settings, report)
    state.remove()
    return Pretrained(directory, report)


def _write(directory: Path, loaded: Checkpoint, settings: PretrainSettings, report: dict[str, Any]) -> None:
    if settings.gradient_checkpointing:
        loaded.model.gradient_checkpointing_disable()
    carried = {} if settings.random_init else loaded.carried
    write_checkpoint(directory, loaded.model.cpu().eval(), loaded.tokenizer, carried)
    write_json(directory / REPORT, report)


class _Plan:
    """Which pieces each step trains on, and their loss."""

    def __init__(self, pieces: Pieces, masking: Masking, settings: PretrainSettings, pad_id: int) -> None:
        self.pieces, self.masking, self.settings, self.pad_id = pieces, masking, settings, pad_id
        self.per_epoch = -(-len(pieces) // settings.batch_size)
        self.steps = settings.steps or max(1, round(settings.epochs * self.per_epoch))
        self._epoch, self._batches = -1, [np.empty(0, np.int64)]

    def rows(self, step: int) -> Any:
        """Pieces of a step, by number."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            settings = self.settings
            self._batches = batches(self.pieces.lengths, settings.batch_size, settings.seed, epoch)
            self._epoch = epoch
        return self._batches[place]

    def losses(self, model: Any, device: torch.device, step: int) -> Iterator[tuple[Tensor, int]]:
        """The parts of a step; their losses add up to the mean over all masked positions of the step."""
        ids, mask = pad(self.pieces, self.rows(step), self.pad_id)
        inputs, labels = self.masking(ids, draw_seed(self.settings.seed, step, MASKS))
        number = int((labels != -100).sum())
        size = -(-len(ids) // self.settings.accumulate)
        for start in range(0, len(ids), size):
            part = slice(start, start + size)
            seen = mask[part]
            output = model(
                input_ids=inputs[part].to(device),
                attention_mask=seen.to(device),
                labels=labels[part].to(device),
                num_items_in_batch=max(number, 1),
            )
            yield output.loss, int(seen.sum())


def masked_loss(
    model: Any, pieces: Pieces, masking: Masking, pad_id: int, seed: int = 0, batch_size: int = 64
) -> float:
    """Mean cross entropy per masked position, free of SSE, under masks that depend on `seed` alone."""
    device = next(model.parameters()).device
    order = np.argsort(pieces.lengths, kind="stable")
    total, number, training = 0.0, 0, model.training
    model.eval()
    with MaskedHead(model), torch.inference_mode():
        for start in range(0, len(order), batch_size):
            ids, mask = pad(pieces, order[start : start + batch_size], pad_id)
            inputs, labels = masking(ids, draw_seed(seed, start, HELD_OUT))
            told = labels[labels != -100].to(device)
            logits = model(input_ids=inputs.to(device), attention_mask=mask.to(device), labels=labels.to(device)).logits
            total += float(F.cross_entropy(logits.float(), told, reduction="sum"))
            number += len(told)
    model.train(training)
    return total / max(number, 1)


def _digest(documents: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for document in documents:
        digest.update(document.encode() + b"\n")
    return digest.hexdigest()
