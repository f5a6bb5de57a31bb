"""sse_labels: SSE on the labels of a transformers model, inside its training loss only."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

from torchsse.errors import AttachError, ConfigError
from torchsse.graph import Graph
from torchsse.integrations.hf.attach import unwrapped
from torchsse.integrations.hf.loss import HoldLabels, LossOfLabels, SwapLabels
from torchsse.integrations.hf.vocabulary import fit_graph, idle_ids, special_ids
from torchsse.modules import SSE, Handle
from torchsse.modules.compiler import forget_compiled
from torchsse.transition.active import Exclude, excluded_ids

__all__ = ["sse_labels"]

# Parts of class names of models whose loss is a cross entropy of logits and labels, and nothing else.
CLASSIFIERS = ("ForSequenceClassification", "ForTokenClassification", "ForImageClassification")
UNSHIFTED, SHIFTED = ("ForMaskedLM",), ("ForCausalLM", "LMHeadModel")


def sse_labels(  # noqa: D417
    model: nn.Module,
    tokenizer: Any = None,
    *,
    p0: float = 0.01,
    graph: Graph | None = None,
    rho: float | None = None,
    exclude: Exclude = None,
    exact: bool = False,
) -> Handle:
    r"""SSE on the labels of a transformers model while it trains: masked and causal LM, seq2seq, classification.

    Hooks on the model itself, so that any Trainer or loop will do. Evaluation (`model.eval()`) sees the given labels
    and the model's own loss. Labels of -100 stay what they are. Decoder inputs that the model makes from the labels are
    made from the given ones.

    In training the loss is that of `SSECrossEntropyLoss`, computed from the logits in the place of the model's own (not
    beside it), shifted for causal LMs, and divided by `num_items_in_batch` where the Trainer gives it, so that gradient
    accumulation gives what the large batch would. (Many models of transformers 5 take that number and ignore it.)

    * `exact=False`: each label is replaced with probability p0 (Algorithm 1).
    * `exact=True`: the expectation of that. With SSE-SE on N labels it is label smoothing of p0 N / (N - 1).

    A model whose loss is more than such a cross entropy (BertForPreTraining, experts with a router loss, a
    `loss_function` of your own) computes it itself from the swapped labels; then `exact` is refused.

    For a language model the labels are the rows of its output head; special tokens, unreached rows and a graph over the
    vocabulary are treated as in `attach_sse`, and excluded labels are neither swapped nor drawn. For a classifier they
    are the classes; `tokenizer` then does not matter.

    Args:
        model: one that takes `labels`, or such a one wrapped by PEFT, DDP or torch.compile.
        tokenizer: of a language model.
        p0: chance in [0, 1] that a label is replaced. The paper: 0.015 in pre-training.
        graph, rho, exclude: over the labels; see `SSE`.
        exact: draw (False) or take the expectation (True).

    Returns:
        A `torchsse.Handle` whose one name is "labels".

    Raises:
        AttachError: the model takes no labels, or has SSE on them already.
        ConfigError: a regression, multi-label or multiple-choice model; `exact` for a model whose loss is not known to
            be a plain cross entropy; a graph of another size; p0, rho or exclude out of range. When called: labels
            that are no class numbers.

    Warns:
        TorchsseWarning: once, when the model trains without being given labels: `label_smoothing_factor` and
            `compute_loss_func` of a Trainer take them out. Label smoothing is what SSE on labels replaces.

    Example:
        >>> import pytest; transformers = pytest.importorskip("transformers")
        >>> import torch
        >>> from torchsse.integrations.hf import sse_labels
        >>> sizes = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
        >>> config = transformers.BertConfig(vocab_size=50, num_labels=3, pad_token_id=0, **sizes)
        >>> model = transformers.BertForSequenceClassification(config)
        >>> sse_labels(model, p0=0.1, exact=True)
        Handle(labels: N=3, p0=0.1)
        >>> loss = model(input_ids=torch.ones(4, 5, dtype=int), labels=torch.tensor([0, 1, 2, 1])).loss
    """
    if not isinstance(model, nn.Module):
        raise AttachError(f"expected a transformers model, got {type(model).__name__}")
    inner: Any = unwrapped(model)
    if "labels" not in inspect.signature(type(inner).forward).parameters:
        raise AttachError(f"expected a transformers model that takes labels, got {type(inner).__name__}")
    if any(isinstance(hook, (SwapLabels, HoldLabels)) for hook in inner._forward_pre_hooks.values()):
        raise AttachError(f"{type(inner).__name__} has SSE on its labels already: remove that handle first")
    head = inner.get_output_embeddings() if hasattr(inner, "get_output_embeddings") else None
    if head is not None:
        size = int(head.weight.shape[0])
        out = {id for id in special_ids(inner, tokenizer) if id < size}
        out |= set() if tokenizer is None else idle_ids(tokenizer, size)
        graph = None if graph is None else fit_graph(graph, size, tokenizer)
    else:
        size, out = _classes(inner), set()
    sse = SSE(size, p0, graph=graph, rho=rho, exclude=sorted({*out, *excluded_ids(exclude, size).tolist()}))
    names = list(inspect.signature(type(inner).forward).parameters)[1:]
    shift = _shift(inner, head is not None)
    if shift is None:
        if exact:
            raise ConfigError(
                f"exact=True: the loss of {type(inner).__name__} is not known to be a plain cross entropy of logits "
                "and labels; use exact=False"
            )
        swapping = SwapLabels(sse, names)
        inner.register_forward_pre_hook(swapping, with_kwargs=True)
        forget_compiled()
        return Handle({"labels": (inner, swapping)}, [])
    holding = HoldLabels(sse, names)
    loss = LossOfLabels(holding, shift=shift, exact=exact)
    inner.register_forward_pre_hook(holding, with_kwargs=True)
    inner.register_forward_hook(loss)
    forget_compiled()
    return Handle({"labels": (inner, holding)}, [(inner, loss)])


def _classes(model: Any) -> int:
    kind = getattr(model.config, "problem_type", None)
    number = int(getattr(model.config, "num_labels", 0))
    name = type(model).__name__
    if kind in ("regression", "multi_label_classification") or number < 2 or "MultipleChoice" in name:
        raise ConfigError(
            f"expected a classifier with one of two or more classes per example, got {name} with "
            f"num_labels={number}, problem_type={kind!r}"
        )
    return number


def _shift(model: Any, language: bool) -> bool | None:
    """Whether the loss compares position t with label t + 1; None for a loss that is not known to be plain."""
    name = type(model).__name__
    if hasattr(model, "_loss_function") or getattr(model.config, "output_router_logits", False):
        return None
    if getattr(model.config, "is_encoder_decoder", False) and language:
        return False
    if any(part in name for part in (UNSHIFTED if language else CLASSIFIERS)):
        return False
    return True if language and any(part in name for part in SHIFTED) else None
