"""Training a translation model from scratch; a killed run goes on to the same bits."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from torchsse.errors import ConfigError, CorruptFileError, DataError
from torchsse.nlp.bpe import Encoded, encode, learn_bpe
from torchsse.nlp.checkpoints import transformers_quietly
from torchsse.nlp.corpus import Corpus
from torchsse.nlp.peers import ON_WORDS, PeerSetting, put_on
from torchsse.nlp.steps import Observer, Progress, pick_device
from torchsse.nlp.steps_state import StateFile, remove_unfinished, write_json
from torchsse.nlp.texts_tokens import draw_seed
from torchsse.nlp.translation.batches import Batches, collate
from torchsse.nlp.translation.model import (
    POSITIONS,
    attach_to_translator,
    make_model,
    target_sse,
    translation_loss,
)
from torchsse.nlp.translation.settings import TranslationSettings
from torchsse.nlp.translation.snapshots import Snapshots
from torchsse.nlp.word_graph import NEAREST, WordGraph, lay

__all__ = ["RECORD", "train_translation"]

RECORD = "translation.json"
UNDER_WAY = "training"
SCHEMA = 1
SAVE_EVERY = 60.0  # seconds between states on disk
SHOW_EVERY = 0.5
_WEIGHTS, _DROPS = 0, 1  # what a draw of a seed is for
_SHORT = 8  # pieces; shorter sentences may differ in length as they like


def train_translation(
    corpus: Corpus,
    out: str | os.PathLike[str],
    settings: TranslationSettings,
    *,
    dev: Corpus | None = None,
    tokenizer: Any = None,
    graph: WordGraph | None = None,
    device: str = "auto",
    observer: Observer | None = None,
    restart: bool = False,
    facts: dict[str, Any] | None = None,
    peer: PeerSetting | None = None,
) -> dict[str, Any]:
    """Train a Marian model on sentence pairs and write it as plain transformers load it (section 4.3 of the paper).

    The same call on a directory where it was killed goes on there, to the same bits on a CPU with as many threads; on
    a directory where it ended it returns at once.

    Args:
        corpus: the training pairs. Take held-out sentences out first: `without_overlap`.
        out: a new or empty directory, or that of the same run.
        settings: see `TranslationSettings.of`.
        dev: pairs to measure the loss on at every snapshot. The model is then the average of the snapshots that end at
            the best; without, of the last.
        tokenizer: a BPE of `learn_bpe`, to be shared by several runs. Default: learnt from `corpus`.
        graph: SSE-Graph on source and target words, each side among its own; not "nearest", for there are no trained
            rows. None: SSE-SE.
        device: "auto", "cpu", "cuda", "cuda:1".
        observer: told how it goes.
        restart: discard what a run with other settings left in `out`.
        facts: more for the record (where the data came from).
        peer: another regulariser on the words, beside SSE or, at p0 = 0, in its place; dropout and label smoothing are
            settings.

    Returns:
        The record, also in `translation.json`: settings, counts, history with the loss at each snapshot, seconds.

    Raises:
        ConfigError: `out` holds something else, settings that do not fit, training diverged.
        DataError: no pair is left after the filters.
    """
    folder, where = Path(out), pick_device(device)
    if settings.precision == "bf16" and where.type == "cpu":
        raise ConfigError("precision bf16 is for a GPU: on the CPU it is many times slower than fp32")
    if graph is not None:
        _check_graph(graph, settings)
    if peer is not None:
        peer.check(ON_WORDS, "dropout and label smoothing are settings of a translation model")
    mark = _mark(settings, corpus, dev, tokenizer, graph, peer)
    done = _claim(folder, mark, restart)
    if done is not None:
        return done
    work = folder / UNDER_WAY
    say = observer.say if observer is not None else (lambda message: None)
    tokenizer = _tokenizer(work, corpus, settings, tokenizer, say)
    source, target = encode(tokenizer, corpus.source), encode(tokenizer, corpus.target)
    kept = _kept(source, target, settings)
    if not len(kept):
        raise DataError(
            f"no pair of sentences left: all {len(corpus):,} are longer than {settings.max_length} pieces or one side "
            f"is over {settings.max_ratio:g} times the other"
        )
    source, target = source.take(kept), target.take(kept)
    say(
        f"{len(kept):,} pairs, {len(target.ids):,} target tokens, {len(tokenizer):,} pieces"
        + (f"; {len(corpus) - len(kept):,} pairs too long or too unlike left out" if len(kept) < len(corpus) else "")
    )
    laid = lay(graph, tokenizer, len(tokenizer), observer=observer)
    run = _Run(settings, tokenizer, source, target, dev, where, laid.law)
    state = StateFile(work / "state.safetensors", mark)
    snapshots = Snapshots(work, settings.average)
    started = time.monotonic()
    with put_on(run.model, tokenizer, peer):
        history, seconds = run.steps(state, snapshots, observer)
    snapshots.average(run.model, history)
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "mark": mark,
        "settings": dataclasses.asdict(settings),
        "pairs": len(kept),
        "pairs_left_out": len(corpus) - len(kept),
        "target_tokens": len(target.ids),
        "vocabulary": len(tokenizer),
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "steps": history[-1]["step"],
        "seconds": round(seconds + time.monotonic() - started, 1),
        "averaged": snapshots.window(history),
        "history": history,
        "corpus_sha256": corpus.sha256(),
        **({"dev_loss": run.dev_loss(), "dev_sha256": dev.sha256()} if dev is not None else {}),
        **laid.facts,
        **({} if peer is None else {"peer": peer.origin()}),
        **(facts or {}),
    }
    with transformers_quietly():
        run.model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    write_json(folder / RECORD, record)
    shutil.rmtree(work)
    return record


class _Run:
    """Model, data and steps of one run."""

    def __init__(
        self,
        settings: TranslationSettings,
        tokenizer: Any,
        source: Encoded,
        target: Encoded,
        dev: Corpus | None,
        device: torch.device,
        law: dict[str, Any],
    ) -> None:
        self.settings, self.device, self.source, self.target = settings, device, source, target
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(draw_seed(settings.seed, 0, _WEIGHTS))
            self.model = make_model(settings, tokenizer).to(device)
        if settings.p0:
            attach_to_translator(self.model, settings.p0, source, target, law)
        self.labels = target_sse(self.model, settings.p0_labels, target, law) if settings.p0_labels else None
        self.start = self.model.config.decoder_start_token_id
        self.pad = self.model.config.pad_token_id
        self.batches = Batches(source, target, settings.batch_tokens, settings.seed)
        self.per_epoch = math.ceil(len(self.batches) / settings.accumulate)
        self.total = settings.epochs * self.per_epoch
        if settings.max_steps is not None:
            self.total = min(self.total, settings.max_steps)
        self.dev = None if dev is None else tuple(encode(tokenizer, lines) for lines in (dev.source, dev.target))
        self._epoch = (-1, [np.empty(0, np.int64)])

    def rows_of(self, step: int) -> list[Any]:
        """The batches of an update."""
        epoch, place = divmod(step, self.per_epoch)
        if self._epoch[0] != epoch:
            self._epoch = (epoch, self.batches.epoch(epoch))
        many = self.settings.accumulate
        return self._epoch[1][place * many : (place + 1) * many]

    def steps(
        self, state: StateFile, snapshots: Snapshots, observer: Observer | None
    ) -> tuple[list[dict[str, Any]], float]:
        """Train to the end: (history, seconds that earlier processes spent)."""
        settings, model = self.settings, self.model
        optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, 0.98), eps=1e-9, fused=True)
        every = settings.snapshot_steps or max(1, self.total // 40)
        found = state.load(model, optimizer) or {"step": 0, "history": [], "sum": 0.0, "tokens": 0, "seconds": 0.0}
        begun, history, before = int(found["step"]), list(found["history"]), float(found["seconds"])
        total = torch.tensor(found["sum"], dtype=torch.float64, device=self.device)
        tokens, all_tokens = int(found["tokens"]), 0
        if begun and observer is not None:
            observer.say(f"goes on from step {begun:,} of {self.total:,}")
        started = saved = shown = time.monotonic()
        model.train()
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            for step in range(begun, self.total):
                if snapshots.enough(history, settings.patience):
                    break
                torch.manual_seed(draw_seed(settings.seed, step, _DROPS))
                loss, count = self._update(step, optimizer)
                total += loss
                tokens += count
                all_tokens += count
                now, last = time.monotonic(), step + 1 == self.total
                if now - shown >= SHOW_EVERY or last or step == begun:
                    shown = now
                    mean = _finite(total, tokens, step)
                    if observer is not None:
                        took = max(now - started, 1e-9)
                        left = took / (step + 1 - begun) * (self.total - step - 1)
                        observer.step(Progress(step + 1, self.total, mean, all_tokens / took, left))
                if (step + 1) % every == 0 or last:
                    entry = {"step": step + 1, "train_loss": _finite(total, tokens, step)}
                    if self.dev is not None:
                        entry["dev_loss"] = self.dev_loss()
                    history.append(entry)
                    snapshots.take(model, history)
                    total.zero_()
                    tokens = 0
                if now - saved >= SAVE_EVERY or last:
                    saved = now
                    spent = before + now - started
                    progress = {"step": step + 1, "history": history, "sum": float(total), "tokens": tokens}
                    state.save(model, optimizer, {**progress, "seconds": spent})
        return history, before

    def _update(self, step: int, optimizer: torch.optim.Optimizer) -> tuple[torch.Tensor, int]:
        """One update: (sum of the losses of its target tokens, their number)."""
        settings, groups = self.settings, self.rows_of(step)
        rate = settings.rate(step + 1, self.total)
        for group in optimizer.param_groups:
            group["lr"] = rate
        lengths = self.target.lengths
        count = int(sum(lengths[rows].sum() for rows in groups))
        summed = torch.zeros((), device=self.device)
        for rows in groups:
            batch = collate(self.source, self.target, rows, self.pad, self.start).to(self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
                loss = translation_loss(self.model, batch, settings.label_smoothing, self.labels)
            (loss / count).backward()  # type: ignore[no-untyped-call]
            summed += loss.detach()
        nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return summed, count

    def dev_loss(self) -> float:
        """Cross entropy per target token of the dev pairs, without smoothing, dropout and SSE."""
        assert self.dev is not None
        source, target = self.dev
        short = np.flatnonzero((source.lengths <= POSITIONS) & (target.lengths <= POSITIONS))
        source, target = source.take(short), target.take(short)
        batches = Batches(source, target, self.settings.batch_tokens, 0)
        self.model.eval()
        with torch.inference_mode():
            sums = [
                float(
                    translation_loss(self.model, collate(source, target, rows, self.pad, self.start).to(self.device), 0)
                )
                for rows in batches.epoch(0)
            ]
        self.model.train()
        return sum(sums) / max(batches.target_tokens, 1)


def _finite(total: torch.Tensor, tokens: int, step: int) -> float:
    mean = float(total) / max(tokens, 1)
    if not math.isfinite(mean):
        raise ConfigError(f"training diverged by step {step + 1} (loss {mean}): lower the learning rate")
    return mean


def _kept(source: Encoded, target: Encoded, settings: TranslationSettings) -> Any:
    """Rows that are neither too long nor of too unlike lengths."""
    longer, shorter = np.maximum(source.lengths, target.lengths), np.minimum(source.lengths, target.lengths)
    like = (longer < _SHORT) | (longer <= settings.max_ratio * shorter)
    return np.flatnonzero((longer <= settings.max_length) & like)


def _tokenizer(work: Path, corpus: Corpus, settings: TranslationSettings, given: Any, say: Any) -> Any:
    from transformers import PreTrainedTokenizerFast

    if given is not None:
        return given
    if (work / "tokenizer_config.json").exists():
        with transformers_quietly():
            return PreTrainedTokenizerFast.from_pretrained(work)
    say(f"learning the vocabulary of {len(corpus):,} pairs")
    learnt = learn_bpe((line for side in (corpus.source, corpus.target) for line in side), settings.vocabulary)
    beside = work / "vocabulary"
    learnt.save_pretrained(beside)
    for path in sorted(beside.iterdir(), key=lambda path: path.name == "tokenizer_config.json"):
        os.replace(path, work / path.name)  # the one that says the vocabulary is there comes last
    return learnt


def _claim(folder: Path, mark: str, restart: bool) -> dict[str, Any] | None:
    """Make the directory ours; the record of the same run if that has ended."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ConfigError(f"{folder} is not a directory; choose another --out") from None
    path, work = folder / RECORD, folder / UNDER_WAY
    if restart and (path.exists() or work.exists()):
        path.unlink(missing_ok=True)
        shutil.rmtree(work, ignore_errors=True)
    elif path.exists():
        try:
            record: dict[str, Any] = json.loads(path.read_bytes())
            same = record["mark"] == mark
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptFileError(f"{path}: cannot be read ({error}); choose another --out, or --restart") from None
        if not same:
            raise ConfigError(
                f"{folder} holds a model of other settings or data; choose another --out, or --restart to replace it"
            )
        shutil.rmtree(work, ignore_errors=True)
        return record
    elif not work.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty and holds no model of ours; choose another --out")
    work.mkdir(exist_ok=True)
    remove_unfinished(work)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(work / "vocabulary")
    return None


def _check_graph(graph: WordGraph, settings: TranslationSettings) -> None:
    if graph.source == NEAREST:
        raise ConfigError(
            f"the graph {NEAREST!r} links trained rows, but a translation model starts from random ones: take wordnet, "
            "or a file"
        )
    if not (settings.p0 or settings.p0_labels):
        raise ConfigError("a graph of words changes nothing where p0 and p0_labels are 0")


def _mark(
    settings: TranslationSettings,
    corpus: Corpus,
    dev: Corpus | None,
    tokenizer: Any,
    graph: WordGraph | None,
    peer: PeerSetting | None,
) -> str:
    parts = [
        SCHEMA,
        dataclasses.asdict(settings),
        corpus.sha256(),
        None if dev is None else dev.sha256(),
        None if tokenizer is None else tokenizer.backend_tokenizer.to_str(),
        *([] if graph is None else [graph.origin()]),
        *([] if peer is None else [peer.origin()]),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
