"""The updates of one training: batches, rates, snapshots, and a state on disk to go on from."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch
from torch import nn

from torchsse.errors import ConfigError
from torchsse.nlp.bpe import Encoded, encode
from torchsse.nlp.corpus import Corpus
from torchsse.nlp.steps import Observer, Progress
from torchsse.nlp.steps_state import StateFile
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

__all__ = ["SAVE_EVERY", "SHOW_EVERY", "Updates"]

SAVE_EVERY = 60.0
"""Seconds between states on disk."""
SHOW_EVERY = 0.5
"""Seconds between two words to the observer."""
_WEIGHTS, _DROPS = 0, 1  # what a draw of a seed is for


class Updates:
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
                loss, count = self.update(step, optimizer)
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

    def update(self, step: int, optimizer: torch.optim.Optimizer) -> tuple[torch.Tensor, int]:
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
