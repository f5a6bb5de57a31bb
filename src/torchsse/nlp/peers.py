"""Peers of SSE in the language tasks: a run is told of one by name and strength, and has it on while it trains."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

from torch import nn

from torchsse.errors import ConfigError
from torchsse.integrations.hf import peers, sse_labels

__all__ = ["ON_WORDS", "PeerName", "PeerSetting", "put_on"]

PeerName = Literal["dropout", "label-smoothing", "neftune", "switch-out", "token-dropout", "word-dropout"]

ON_WORDS: tuple[PeerName, ...] = ("neftune", "switch-out", "token-dropout", "word-dropout")
"""Those that act on the words that a model reads."""

_USUAL: dict[str, float] = {
    "dropout": 0.2, "label-smoothing": 0.1, "neftune": 5.0, "switch-out": 1.0, "token-dropout": 0.1, "word-dropout": 0.1
}  # fmt: skip


@dataclass(frozen=True)
class PeerSetting:
    """A peer and its strength.

    Attributes:
        name: "dropout": of all hidden states, in the place of the checkpoint's own. "label-smoothing". "neftune":
            noise on the embeddings. "switch-out", "token-dropout", "word-dropout": see
            `torchsse.integrations.hf.peers`.
        value: rate, alpha (NEFTune) or temperature (SwitchOut); None: 0.2, 0.1, 5, 1, 0.1, 0.1.

    Raises:
        ConfigError: no such peer; a value out of its range.

    Example:
        >>> PeerSetting.parse("neftune=10"), PeerSetting.parse("dropout").strength
        (PeerSetting(name='neftune', value=10.0), 0.2)
    """

    name: PeerName
    value: float | None = None

    def __post_init__(self) -> None:
        if self.name not in get_args(PeerName):
            raise ConfigError(f"peer: expected one of {', '.join(get_args(PeerName))}, got {self.name!r}")
        open_ended = self.name in ("neftune", "switch-out")
        if not 0 < self.strength < (math.inf if open_ended else 1):
            words = "above 0" if open_ended else "above 0 and below 1"
            raise ConfigError(f"peer {self.name}: expected a value {words}, got {self.value!r}")

    @property
    def strength(self) -> float:
        return _USUAL[self.name] if self.value is None else self.value

    @classmethod
    def parse(cls, text: str) -> PeerSetting:
        """From NAME or NAME=VALUE.

        Raises:
            ConfigError: as for the class; a value that is no number.
        """
        name, given, value = text.partition("=")
        try:
            return cls(name, float(value) if given else None)  # type: ignore[arg-type]
        except ValueError as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"peer {name}: expected NAME=NUMBER, got {text!r}") from None

    def origin(self) -> dict[str, Any]:
        """As JSON."""
        return {"name": self.name, "value": self.strength}

    def words(self, config: Any) -> dict[str, float]:
        """What it changes in the configuration of a model before that is made: dropout only.

        Raises:
            ConfigError: a configuration without a dropout of a known name.
        """
        return peers.dropout(config, self.strength) if self.name == "dropout" else {}

    def check(self, allowed: Collection[PeerName], why: str) -> None:
        """Refuse one that a task has no place for.

        Raises:
            ConfigError: it is none of `allowed`.
        """
        if self.name not in allowed:
            raise ConfigError(f"peer: expected one of {', '.join(allowed)}, got {self.name!r}: {why}")


@contextmanager
def put_on(model: nn.Module, tokenizer: Any, peer: PeerSetting | None) -> Iterator[None]:
    """`peer` on a transformers model for as long as the block lasts; None and dropout, a setting of the model: nothing.

    Every word table that SSE would be on has the peer on words, and the same special tokens are left out. NEFTune is
    transformers' own, on the table of `get_input_embeddings()`. Label smoothing is SSE on labels in expectation.

    Raises:
        ConfigError: the tokenizer has no unknown token and no mask for token dropout; a model of another kind.
    """
    if peer is None or peer.name == "dropout":
        yield
    elif peer.name == "neftune":
        from transformers.integrations.neftune import activate_neftune, deactivate_neftune

        handle = activate_neftune(model, peer.strength)
        try:
            yield
        finally:
            deactivate_neftune(model, handle)
    else:
        with _hook(model, tokenizer, peer):
            yield


def _hook(model: nn.Module, tokenizer: Any, peer: PeerSetting) -> Any:
    p = peer.strength
    if peer.name == "label-smoothing":
        classes = int(model.config.num_labels)  # type: ignore[union-attr, arg-type]
        return sse_labels(model, p0=p * (classes - 1) / classes, exact=True)
    if peer.name == "switch-out":
        return peers.switch_out(model, tokenizer, p)
    if peer.name == "word-dropout":
        return peers.word_dropout(model, tokenizer, p)
    to = "unk_token" if tokenizer.unk_token_id is not None else "mask_token"
    return peers.token_dropout(model, tokenizer, p, to=to)
