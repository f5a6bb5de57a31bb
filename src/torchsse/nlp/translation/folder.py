"""The directory of a translation model: whose it is, and what a run in it is known by."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from torchsse.errors import ConfigError, CorruptFileError
from torchsse.nlp.corpus import Corpus
from torchsse.nlp.peers import PeerSetting
from torchsse.nlp.steps_state import remove_unfinished
from torchsse.nlp.translation.settings import TranslationSettings
from torchsse.nlp.word_graph import WordGraph

__all__ = ["RECORD", "SCHEMA", "UNDER_WAY", "claim", "mark_of"]

RECORD = "translation.json"
UNDER_WAY = "training"
SCHEMA = 1


def claim(folder: Path, mark: str, restart: bool) -> dict[str, Any] | None:
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


def mark_of(
    settings: TranslationSettings,
    corpus: Corpus,
    dev: Corpus | None,
    tokenizer: Any,
    graph: WordGraph | None,
    peer: PeerSetting | None,
) -> str:
    """A digest of all that the weights depend on, the device aside."""
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
