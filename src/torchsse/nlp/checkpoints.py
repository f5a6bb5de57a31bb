"""Checkpoints of transformers, local or of the hub: loaded with a word on what starts fresh, written as plain ones.

Weights are read from safetensors only, and no code of a checkpoint is run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torchsse.errors import ConfigError, CorruptFileError, MissingDependencyError

__all__ = [
    "Checkpoint",
    "check_length",
    "directory_digest",
    "load_classifier",
    "load_masked_lm",
    "transformers_quietly",
    "write_checkpoint",
]

WEIGHTS = "model.safetensors"


@dataclass
class Checkpoint:
    """A model with its tokenizer.

    Attributes:
        fresh: parameters that the checkpoint lacks and that therefore start at random.
        digest: of configuration and weights; of name and commit for the hub.
        carried: weights of the checkpoint that this kind of model has no use for (a pooler), to be written again with
            it, so that a classifier made of it later starts from them.
    """

    model: Any
    tokenizer: Any
    fresh: tuple[str, ...]
    digest: str
    carried: dict[str, Tensor] = field(default_factory=dict)


Adjust = Callable[[Any], dict[str, Any]]
"""Configuration -> words of it that are to be others."""


def load_masked_lm(
    checkpoint: str | os.PathLike[str], seed: int = 0, random_init: bool = False, adjust: Adjust | None = None
) -> Checkpoint:
    """A masked language model from any encoder's checkpoint.

    A checkpoint without a head for it (a sentence encoder) gets a fresh one, drawn from `seed`: see `fresh`.

    Args:
        checkpoint: a directory, or an id of the hub.
        seed: of what starts at random.
        random_init: take configuration and tokenizer only; all weights start at random. A control.
        adjust: what of the configuration is to be otherwise.

    Raises:
        ConfigError: no such checkpoint, not of an encoder, without safetensors, or its tokenizer has no mask.
        CorruptFileError: weights that cannot be read.
    """
    loaded = _load("AutoModelForMaskedLM", checkpoint, seed, random_init, {}, adjust)
    for name in ("mask", "pad"):
        if getattr(loaded.tokenizer, f"{name}_token_id") is None:
            raise ConfigError(f"{checkpoint}: its tokenizer has no {name} token, so it cannot train a masked model")
    return loaded


def load_classifier(
    checkpoint: str | os.PathLike[str],
    classes: Sequence[str] | None = None,
    seed: int = 0,
    random_init: bool = False,
    adjust: Adjust | None = None,
) -> Checkpoint:
    """A classifier of texts; with `classes` a fresh head for them, else the one that the checkpoint has.

    The other words are those of `load_masked_lm`.

    Raises:
        ConfigError, CorruptFileError: as for `load_masked_lm`; without `classes`, a checkpoint that has no head.
    """
    words: dict[str, Any] = {}
    if classes is not None:
        names = dict(enumerate(classes))
        words = {"num_labels": len(names), "id2label": names, "label2id": {name: id for id, name in names.items()}}
    loaded = _load("AutoModelForSequenceClassification", checkpoint, seed, random_init, words, adjust)
    if loaded.tokenizer.pad_token_id is None:
        raise ConfigError(f"{checkpoint}: its tokenizer has no pad token, so texts cannot be batched")
    if classes is None and loaded.fresh:
        raise ConfigError(f"{checkpoint}: expected a trained classifier, but it lacks {loaded.fresh[0]}")
    loaded.model.config.pad_token_id = loaded.tokenizer.pad_token_id
    return loaded


def _load(
    kind: str,
    checkpoint: str | os.PathLike[str],
    seed: int,
    random_init: bool,
    words: dict[str, Any],
    adjust: Adjust | None,
) -> Checkpoint:
    transformers = _transformers()
    name = os.fspath(checkpoint)
    local = Path(name).is_dir()
    if local and not (Path(name) / "config.json").is_file():
        raise ConfigError(f"{name}: expected a checkpoint of transformers, found no config.json in it")
    if not local and (name.startswith((".", "/", "~")) or name.count("/") > 1 or Path(name).exists()):
        raise ConfigError(f"{name}: there is no such directory")
    where: dict[str, Any] = {"local_files_only": True} if local else {}
    maker = getattr(transformers, kind)
    import safetensors

    try:
        with transformers_quietly(), torch.random.fork_rng([]):
            torch.manual_seed(seed)
            tokenizer = transformers.AutoTokenizer.from_pretrained(name, **where)
            if adjust is not None:
                words = {**words, **adjust(transformers.AutoConfig.from_pretrained(name, **where, **words))}
            if random_init:
                config = transformers.AutoConfig.from_pretrained(name, **where, **words)
                model, info = maker.from_config(config), {}
            else:
                model, info = maker.from_pretrained(
                    name, use_safetensors=True, output_loading_info=True, dtype=torch.float32, **where, **words
                    , **({"ignore_mismatched_sizes": True} if "num_labels" in words else {})
                )  # fmt: skip
            model.tie_weights()
    except safetensors.SafetensorError as error:
        raise CorruptFileError(f"{name}: the weights cannot be read: {error}") from None
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{name}: cannot be loaded as {kind.removeprefix('AutoModelFor')}: {_first(error)}") from None
    prefix = f"{model.base_model_prefix}."
    mismatched = [str(found[0] if isinstance(found, tuple) else found) for found in info.get("mismatched_keys", ())]
    fresh = tuple(sorted({*map(str, info.get("missing_keys", ())), *mismatched}))
    lost = [key for key in fresh if key.startswith(prefix) and "pooler" not in key and "position_ids" not in key]
    if lost:
        raise ConfigError(f"{name}: the weights are not those of its configuration: {len(lost)} lack, first {lost[0]}")
    if random_init:
        fresh = tuple(name for name, _ in model.named_parameters())
    return Checkpoint(model, tokenizer, fresh, _digest(name, model, local), _carried(name, prefix, info, local))


def write_checkpoint(directory: Path, model: Any, tokenizer: Any, carried: dict[str, Tensor] | None = None) -> None:
    """Model and tokenizer as plain transformers load them, with the weights carried along."""
    import safetensors.torch

    with transformers_quietly():
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
    path = directory / WEIGHTS
    if carried and path.is_file():
        beside = directory / f".{WEIGHTS}.tmp"
        safetensors.torch.save_file({**carried, **safetensors.torch.load_file(path)}, beside, {"format": "pt"})
        os.replace(beside, path)


def check_length(loaded: Checkpoint, max_length: int, source: object) -> None:
    """Refuse texts longer than the model has positions for."""
    most = int(min(loaded.tokenizer.model_max_length, 1 << 30))
    positions = getattr(loaded.model.config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        # RoBERTa counts positions from its padding id
        offset = (
            2 if "roberta" in loaded.model.config.model_type or loaded.model.config.model_type == "camembert" else 0
        )
        most = min(most, positions - offset)
    if not 3 <= max_length <= most:
        raise ConfigError(f"max_length: expected 3 to {most} tokens for {source}, got {max_length}")


@contextmanager
def transformers_quietly() -> Iterator[None]:
    """No load reports and bars of transformers: what matters of them is said in our own words."""
    logging = _transformers().utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise MissingDependencyError("this needs transformers: pip install 'torchsse[nlp]'") from None
    return transformers


def _carried(name: str, prefix: str, info: dict[str, Any], local: bool) -> dict[str, Tensor]:
    import safetensors

    if local:
        path = Path(name) / WEIGHTS
    else:
        from huggingface_hub import try_to_load_from_cache

        path = Path(str(try_to_load_from_cache(name, WEIGHTS)))  # it was loaded just now
    unused = [str(key) for key in info.get("unexpected_keys", ()) if "pooler" in str(key)]
    if not unused or not path.is_file():
        return {}
    with safetensors.safe_open(path, framework="pt") as file:
        there = set(file.keys())
        return {key if key.startswith(prefix) else prefix + key: file.get_tensor(key) for key in unused if key in there}


def directory_digest(directory: str | os.PathLike[str]) -> str:
    """sha256 over configuration and weights of a local checkpoint: what `Checkpoint.digest` is for it."""
    digest = hashlib.sha256()
    files = sorted(p for p in Path(directory).iterdir() if p.name == "config.json" or p.suffix == ".safetensors")
    for file in files:
        if not file.name.startswith("."):
            digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _digest(name: str, model: Any, local: bool) -> str:
    if local:
        return directory_digest(name)
    return hashlib.sha256(json.dumps([name, getattr(model.config, "_commit_hash", None)]).encode()).hexdigest()


def _first(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
