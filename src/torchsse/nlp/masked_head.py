"""The head of a masked language model on masked positions only: the same loss and gradients, about half the time."""

from __future__ import annotations

import inspect
from typing import Any, Self

from torch import Tensor, nn

from torchsse.errors import AttachError
from torchsse.integrations.hf.attach import unwrapped

__all__ = ["MaskedHead"]

IGNORED = -100


class MaskedHead:
    """Hooks that let a masked language model compute its head where there are labels, and nowhere else.

    15 % of the positions carry a label, yet the stock model projects all of them onto the vocabulary. With labels given
    the hidden states of the labelled positions are picked out between encoder and head, and the labels with them, so
    that the model's own loss and `sse_labels` work on n rows in the place of batch * length. Without labels nothing
    changes. For every `...ForMaskedLM` whose head works position by position on the first output of its encoder: BERT,
    RoBERTa, DistilBERT, ALBERT, ELECTRA, DeBERTa and others. Not for torch.compile: n differs from batch to batch.

    Shape:
        with labels (B, T), n of them not -100, the `logits` of the output are (n, V), in the order of the positions.

    Example:
        >>> import pytest; transformers = pytest.importorskip("transformers")
        >>> import torch
        >>> from torchsse.nlp.masked_head import MaskedHead
        >>> sizes = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
        >>> model = transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=100, **sizes)).eval()
        >>> ids = torch.arange(20).view(2, 10)
        >>> labels = torch.where(ids % 7 == 0, ids, -100)
        >>> stock = model(input_ids=ids, labels=labels).loss
        >>> with MaskedHead(model):
        ...     out = model(input_ids=ids, labels=labels)
        >>> out.logits.shape, bool(torch.isclose(out.loss, stock))
        (torch.Size([3, 100]), True)
    """

    def __init__(self, model: nn.Module) -> None:
        inner: Any = unwrapped(model)
        base = getattr(inner, "base_model", None)
        if "ForMaskedLM" not in type(inner).__name__ or base is None or base is inner:
            raise AttachError(f"expected a ...ForMaskedLM of transformers, got {type(inner).__name__}")
        self.names = list(inspect.signature(type(inner).forward).parameters)[1:]
        self.rows: Tensor | None = None
        # before the hooks of sse_labels, whichever came first: they see the labels picked out
        self._hooks = [
            inner.register_forward_pre_hook(self._pick_labels, with_kwargs=True, prepend=True),
            base.register_forward_hook(self._pick_states),
            inner.register_forward_hook(self._forget, always_call=True),
        ]

    def _pick_labels(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = {**dict(zip(self.names, args, strict=False)), **kwargs}
        labels = given.get("labels")
        if labels is None:
            return None
        flat = labels.reshape(-1)
        self.rows = (flat != IGNORED).nonzero().squeeze(1)
        return (), {**given, "labels": flat[self.rows]}

    def _pick_states(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if self.rows is None:
            return None
        states: Tensor = output[0]
        picked = states.reshape(-1, states.shape[-1])[self.rows]
        if isinstance(output, tuple):
            return (picked, *output[1:])
        first = next(iter(output.keys()))
        return type(output)(**{**output, first: picked})

    def _forget(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self.rows = None

    def remove(self) -> None:
        """Take the hooks off."""
        for hook in self._hooks:
            hook.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
