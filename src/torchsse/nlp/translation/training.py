"""Training a translation model from scratch; a killed run goes on to the same bits."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from torchsse.errors import ConfigError, DataError
from torchsse.nlp.bpe import Encoded, encode, learn_bpe
from torchsse.nlp.checkpoints import transformers_quietly
from torchsse.nlp.corpus import Corpus
from torchsse.nlp.peers import ON_WORDS, PeerSetting, put_on
from torchsse.nlp.steps import Observer, pick_device
from torchsse.nlp.steps_state import StateFile, write_json
from torchsse.nlp.translation.folder import RECORD, SCHEMA, UNDER_WAY, claim, mark_of
from torchsse.nlp.translation.settings import TranslationSettings
from torchsse.nlp.translation.snapshots import Snapshots
from torchsse.nlp.translation.updates import Updates
from torchsse.nlp.word_graph import NEAREST, WordGraph, lay

__all__ = ["RECORD", "train_translation"]

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
    if graph is not None:
        _check_graph(graph, settings)
    if peer is not None:
        peer.check(ON_WORDS, "dropout and label smoothing are settings of a translation model")
    mark = mark_of(settings, corpus, dev, tokenizer, graph, peer)
    done = claim(folder, mark, restart)
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
    run = Updates(settings, tokenizer, source, target, dev, where, laid.law)
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


def _check_graph(graph: WordGraph, settings: TranslationSettings) -> None:
    if graph.source == NEAREST:
        raise ConfigError(
            f"the graph {NEAREST!r} links trained rows, but a translation model starts from random ones: take wordnet, "
            "or a file"
        )
    if not (settings.p0 or settings.p0_labels):
        raise ConfigError("a graph of words changes nothing where p0 and p0_labels are 0")
