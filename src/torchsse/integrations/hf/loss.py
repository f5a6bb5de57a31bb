"""Hooks that put SSE into the training loss of a transformers model: on its labels, or in place of its loss."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchsse.errors import ConfigError, IdTypeError, TorchsseWarning
from torchsse.labels import SSECrossEntropyLoss
from torchsse.modules import SSE
from torchsse.swap import swap

__all__ = ["HoldLabels", "LossOfLabels", "SwapLabels"]

IGNORED = -100  # what transformers leaves out of its losses
LABELS = ("labels", "shift_labels")

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class LabelsIn:
    """What both hooks on the way in share: arguments by name, decoder inputs made before the labels change.

    `names` are those of the arguments of the model's forward.
    """

    def __init__(self, sse: SSE, names: Sequence[str]) -> None:
        self.sse = sse
        self.names = names
        self.warned = False

    def given(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
        """The arguments by name; None where there are no labels to swap."""
        if not module.training:
            return None
        given = {**dict(zip(self.names, args, strict=False)), **kwargs}
        labels = given.get("labels")
        if labels is None:
            self._warn()
            return None
        if (
            hasattr(module, "prepare_decoder_input_ids_from_labels")
            and given.get("decoder_input_ids") is None
            and given.get("decoder_inputs_embeds") is None
        ):
            made: Any = module.prepare_decoder_input_ids_from_labels
            given["decoder_input_ids"] = made(labels=labels)
        return given

    def _warn(self) -> None:
        if self.warned or torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return
        self.warned = True
        warnings.warn(
            "the model trains without being given labels, so SSE on labels does nothing: label_smoothing_factor and "
            "compute_loss_func of a Trainer take the labels out (SSE-SE on labels with exact=True smooths them)",
            TorchsseWarning,
            stacklevel=5,
        )


class SwapLabels(LabelsIn):
    """Swaps the labels; the model computes its loss of them."""

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments | None:
        given = self.given(module, args, kwargs)
        if given is None:
            return None
        for name in LABELS:
            labels = given.get(name)
            if labels is not None:
                _check(labels)
                kept = labels != IGNORED
                given[name] = torch.where(kept, swap(torch.where(kept, labels, 0), self.sse), labels)
        return (), given


class HoldLabels(LabelsIn):
    """Keeps the labels back for `LossOfLabels`, so that the model computes no loss of its own."""

    def __init__(self, sse: SSE, names: Sequence[str]) -> None:
        super().__init__(sse, names)
        # by module: the replicas of nn.DataParallel share this hook
        self.held: dict[int, tuple[Tensor, bool, Any]] = {}

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments | None:
        given = self.given(module, args, kwargs)
        if given is None:
            return None
        labels, shifted = given.pop("labels"), given.pop("shift_labels", None)
        items = given.pop("num_items_in_batch", None)
        _check(labels)
        self.held[id(module)] = (labels, False, items) if shifted is None else (shifted, True, items)
        if getattr(module.config, "is_encoder_decoder", False) and given.get("use_cache") is None:
            given["use_cache"] = False  # as the model does itself when it is given labels
        return (), given

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "held": {}}


class LossOfLabels:
    """Gives a training model the SSE loss of its logits and the labels held back."""

    def __init__(self, holding: HoldLabels, shift: bool, exact: bool) -> None:
        self.holding = holding
        self.shift = shift
        self.loss = SSECrossEntropyLoss(holding.sse, ignore_index=IGNORED, reduction="sum", exact=exact)

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        held = self.holding.held.pop(id(module), None)
        if held is None:
            return None
        labels, shifted, items = held
        named = isinstance(output, dict)
        logits: Tensor = output["logits"] if named else output[0]
        if named and output.get("aux_loss") is not None:
            raise ConfigError("SSE on labels would drop the router loss: set config.output_router_logits before")
        if self.shift and not shifted:
            labels = nn.functional.pad(labels, (0, 1), value=IGNORED)[..., 1:]  # not logits[:, :-1]: that copies
        labels = labels.reshape(-1).to(logits.device)
        if logits.dtype in (torch.float16, torch.bfloat16):
            logits = logits.float()
        total = self.loss(logits.reshape(-1, logits.shape[-1]), labels)
        if items is None:
            items = (labels != IGNORED).sum()
        loss = total / (items.to(total.device) if isinstance(items, Tensor) else items)
        return type(output)(**{"loss": loss, **output}) if named else (loss, *output)


def _check(labels: Tensor) -> None:
    if labels.dtype not in (torch.int64, torch.int32):
        raise IdTypeError(f"expected labels as class numbers (int64), got {labels.dtype}")
