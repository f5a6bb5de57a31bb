"""What SSE is compared with on transformers: NEFTune, SwitchOut, token and word dropout, label smoothing, dropout.

Two kinds. Settings of transformers itself come as keywords: `TrainingArguments(..., **neftune(5))`,
`TrainingArguments(..., **label_smoothing(0.1))`, `from_pretrained(path, **dropout(config, 0.2))`. The others hook the
tables that `attach_sse` would hook, obey `model.train()` as it does, leave out the same special tokens, and come off by
`remove()`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from torchsse.errors import AttachError, ConfigError
from torchsse.integrations.hf.attach import word_sses
from torchsse.modules import SSE
from torchsse.modules.compiler import forget_compiled
from torchsse.modules.tables import tables_of
from torchsse.swap import swap

__all__ = ["Peer", "dropout", "label_smoothing", "neftune", "switch_out", "token_dropout", "word_dropout"]

HIDDEN = ("hidden_dropout_prob", "dropout", "dropout_rate", "resid_pdrop", "embd_pdrop", "hidden_dropout")
ATTENTION = ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop", "activation_dropout")


def neftune(alpha: float = 5.0) -> dict[str, float]:
    """Words for TrainingArguments: uniform noise of norm about alpha / sqrt(3) on each sequence of embeddings.

    Jain et al., 2024; transformers does it. Their values: 5, 10, 15.

    Example:
        >>> neftune(10)
        {'neftune_noise_alpha': 10.0}
    """
    if not alpha > 0:
        raise ConfigError(f"expected alpha above 0, got {alpha!r}")
    return {"neftune_noise_alpha": float(alpha)}


def label_smoothing(epsilon: float = 0.1) -> dict[str, float]:
    """Words for TrainingArguments. It is the expectation of SSE-SE on labels with p0 = epsilon (N - 1) / N.

    Example:
        >>> label_smoothing()
        {'label_smoothing_factor': 0.1}
    """
    return {"label_smoothing_factor": _fraction(epsilon, "epsilon")}


def dropout(config: Any, p: float, attention: bool = False) -> dict[str, float]:
    """Words for the configuration: every dropout of hidden states set to p, with `attention` those inside layers too.

    Raises:
        ConfigError: p outside [0, 1), or a configuration without a dropout of a known name.

    Example:
        >>> import pytest; transformers = pytest.importorskip("transformers")
        >>> dropout(transformers.GPT2Config(), 0.2)
        {'resid_pdrop': 0.2, 'embd_pdrop': 0.2}
    """
    p = _fraction(p, "p")
    names = [name for name in (*HIDDEN, *(ATTENTION if attention else ())) if hasattr(config, name)]
    if not names:
        raise ConfigError(f"found no dropout in {type(config).__name__}; known names are {', '.join(HIDDEN)}")
    return dict.fromkeys(names, p)


class Peer:
    """A peer on the word tables of a model: `names` of the tables, `remove()`; a context manager like a Handle."""

    def __init__(self, hooked: dict[str, tuple[nn.Module, Any]]) -> None:
        self._hooked = hooked

    @property
    def names(self) -> tuple[str, ...]:
        """Dotted names of the hooked tables."""
        return tuple(self._hooked)

    def remove(self) -> None:
        """Take the hooks off. A second call does nothing."""
        for module, hook in self._hooked.values():
            for hooks in (module._forward_pre_hooks, module._forward_hooks):
                for key in [key for key, there in hooks.items() if there is hook]:
                    del hooks[key]
        forget_compiled()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def token_dropout(model: nn.Module, tokenizer: Any, p: float = 0.1, *, to: str = "unk_token") -> Peer:
    """Each word becomes the unknown token (`to="mask_token"`: the mask) with probability p, position by position.

    SSE with all of p0 on one id.

    Raises:
        ConfigError: the tokenizer has no such token. AttachError: no word tables.
    """
    token = getattr(tokenizer, f"{to}_id", None)
    if token is None:
        raise ConfigError(f"expected a tokenizer with a {to}, this one has none")
    return _put(model, tokenizer, _fraction(p, "p"), lambda sse: TokenDropout(sse, int(token)))


def word_dropout(model: nn.Module, tokenizer: Any = None, p: float = 0.1) -> Peer:
    """Whole rows of the table are dropped: such a word is zero all over the batch, the others grow by 1 / (1 - p).

    Gal and Ghahramani, 2016. Drawn anew at each look-up: encoder and decoder differ.
    """
    return _put(model, tokenizer, _fraction(p, "p"), WordDropout, after=True)


def switch_out(model: nn.Module, tokenizer: Any = None, temperature: float = 1.0) -> Peer:
    """SwitchOut: n words of each sequence of L are replaced by others at random, P(n) proportional to exp(-n / t).

    Wang et al., 2018, as their code has it (n = 0 .. L, without the number of sequences at each distance). Where SSE-SE
    has each word replaced by itself, so that n is binomial, this has many sequences untouched and some hit hard.
    """
    if not 0 < temperature < math.inf:
        raise ConfigError(f"expected a temperature above 0, got {temperature!r}")
    return _put(model, tokenizer, 1.0, lambda sse: SwitchOut(sse, temperature))


class TokenDropout:
    """Pre-hook: ids that the coin of `sse` picks become `token`."""

    def __init__(self, sse: SSE, token: int) -> None:
        self.sse, self.token = sse, token

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not module.training:
            return None
        ids = args[0]
        return torch.where(swap(ids, self.sse) != ids, self.token, ids), *args[1:]


class SwitchOut:
    """Pre-hook: `sse`, which replaces every word by another, is let through at n positions of each sequence."""

    def __init__(self, sse: SSE, temperature: float) -> None:
        self.sse, self.temperature = sse, temperature

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not module.training:
            return None
        ids: Tensor = args[0]
        other = swap(ids, self.sse)
        word = other != ids
        number = self.count(word.sum(dim=-1, keepdim=True))
        # positions in random order, those that are no word last: the first n of them
        order = torch.rand(ids.shape, device=ids.device).masked_fill(~word, 2.0).argsort(dim=-1).argsort(dim=-1)
        return torch.where(order < number, other, ids), *args[1:]

    def count(self, length: Tensor) -> Tensor:
        """n in 0 .. length, P(n) proportional to exp(-n / temperature), by inversion in float64."""
        rate = -1 / self.temperature
        u = torch.rand(length.shape, device=length.device, dtype=torch.float64)
        whole = -torch.expm1(rate * (length + 1).double())
        return (torch.log1p(-u * whole) / rate).floor().long().clamp(max=length)


class WordDropout:
    """Hook on the output: rows of words that were dropped in this look-up are zero."""

    def __init__(self, sse: SSE) -> None:
        self.p = sse.p0
        self.excluded = torch.from_numpy(sse.exclude)
        self.rows = sse.num_embeddings

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        if not module.training:
            return None
        kept = torch.rand(self.rows, device=output.device) >= self.p
        scale = kept.to(output.dtype) / (1 - self.p)
        scale[self.excluded.to(output.device)] = 1.0
        return output * scale[args[0]].unsqueeze(-1)


def _put(model: nn.Module, tokenizer: Any, p0: float, build: Callable[[SSE], Any], after: bool = False) -> Peer:
    """A hook on every word table, one for each size; `after` the look-up or before it."""
    tables = tables_of(model)
    hooks: dict[int, Any] = {}
    hooked: dict[str, tuple[nn.Module, Any]] = {}
    for name, sse in word_sses(model, tokenizer, p0=p0).items():
        table = tables[name]
        if any(
            isinstance(there, KINDS) for there in (*table._forward_pre_hooks.values(), *table._forward_hooks.values())
        ):
            if any(table is done for done, _ in hooked.values()):
                continue  # one table under several names
            raise AttachError(f"table {name!r} has a peer of SSE already: remove it first")
        hook = hooks.setdefault(id(sse), build(sse))
        if after:
            table.register_forward_hook(hook)
        else:
            table.register_forward_pre_hook(hook)
        hooked[name] = (table, hook)
    forget_compiled()
    return Peer(hooked)


KINDS = (TokenDropout, SwitchOut, WordDropout)


def _fraction(value: float, name: str) -> float:
    if isinstance(value, bool) or not 0 <= value < 1:
        raise ConfigError(f"expected {name} in [0, 1), got {value!r}")
    return float(value)
